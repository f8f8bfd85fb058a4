"""The engine: the one room that knows everyone. `run.py` is the story; the other modules are its chapters."""
