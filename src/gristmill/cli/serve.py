"""`gristmill serve`."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import orjson

from gristmill import api
from gristmill.cli.terminal import safe

if TYPE_CHECKING:
    from gristmill.teachers.serving import Served


def serve_command(model: str, port: int, slots: int, threads: int, *, as_json: bool) -> None:
    """Serve a model until it is told to end."""

    def ready(served: Served) -> None:
        # one line, since whoever reads it cannot wait for the end
        sys.stdout.write((orjson.dumps(served._asdict()).decode() if as_json else _text(served)) + "\n")
        sys.stdout.flush()

    api.serve(model, ready, port=port, slots=slots, threads=threads)


def _text(served: Served) -> str:
    name = safe(served.model)
    lines = [
        f"serving {name} at {served.url} (this machine alone)",
        f"  context  {served.context:,} tokens a request, prompt and answer together",
        f"  slots    {served.slots} requests side by side",
    ]
    lines += [f"  note     {served.note}"] if served.note else []
    plain = re.fullmatch(r"[A-Za-z][A-Za-z0-9_.-]*", name)  # YAML reads others as numbers, or not at all
    model = name if plain else orjson.dumps(name).decode()
    lines += ["", f'in a recipe: teacher: {{address: "{served.url}", model: {model}}}', "Ctrl-C ends it"]
    return "\n".join(lines)
