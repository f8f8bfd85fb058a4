"""`gristmill status`."""

from __future__ import annotations

from gristmill import api
from gristmill.cli.terminal import Reporter, live_line
from gristmill.engine.progress import Snapshot


def status_command(folder: str, *, as_json: bool) -> None:
    """Print how far a run is."""
    content = api.status(folder)
    snapshot = Snapshot(**{name: content[name] for name in Snapshot._fields})
    text = f"{content['status']}: {live_line(snapshot)}"
    if content.get("error"):
        text += f"\n{content['error']}"
    Reporter(as_json=as_json).result(text, content)
