"""The kinds of data: one module each, an async function from a prompt to a sample."""

from gristmill.tasks import reasoning as _reasoning  # registers itself

__all__: list[str] = []
del _reasoning
