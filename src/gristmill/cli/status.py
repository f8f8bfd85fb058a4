"""`gristmill status`."""

from __future__ import annotations

from pathlib import Path

from gristmill.cli.terminal import Reporter, live_line
from gristmill.engine.progress import Snapshot
from gristmill.store.rundir import RunFolder, current_status


def status_command(folder: str, *, as_json: bool) -> None:
    """Print how far a run is, without the whole engine: a person or a program may ask again and again."""
    content = current_status(RunFolder(Path(folder)))
    snapshot = Snapshot(**{name: content[name] for name in Snapshot._fields})
    text = f"{content['status']}: {live_line(snapshot)}"
    if content.get("error"):
        text += f"\n{content['error']}"
    Reporter(as_json=as_json).result(text, content)
