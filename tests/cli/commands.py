"""`gristmill` as a person runs it: a process of its own, with an environment of its own."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from gristmill.cli.main import main

if TYPE_CHECKING:
    from collections.abc import Mapping

SCRIPT = Path(sys.executable).with_name("gristmill")
RECIPE = """\
name: tiny
prompts: {path: q.jsonl, prompt: question, reference: answer}
teacher: recorded:c.jsonl
prompt: {template: plain, answer_format: hash}
grade: [math]
"""


class Done(NamedTuple):
    """A command that ended."""

    code: int
    out: str
    err: str

    @property
    def object(self) -> dict[str, Any]:
        """Return standard output as the one JSON object that it must be."""
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found  # pyright: ignore[reportUnknownVariableType] - checked above


def gristmill(folder: Path, *words: str, **variables: str) -> Done:
    """Run a command in a folder, with no variables of the person but these."""
    kept = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "TMPDIR", "SYSTEMROOT")}
    environment: Mapping[str, str] = {**kept, "PYTHONUTF8": "1", "COLUMNS": "100", **variables}
    done = subprocess.run([str(SCRIPT), *words], cwd=folder, env=environment, capture_output=True, check=False)
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    return Done(done.returncode, done.stdout.decode(), done.stderr.decode())


def inside(folder: Path, *words: str, **variables: str) -> Done:
    """Run a command in this process: the same `main`, without the half second that Python takes to start."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.chdir(folder)
        patch.setattr(sys, "argv", ["gristmill", *words])
        for name in [name for name in os.environ if name.endswith(("_KEY", "_KEYS"))]:
            patch.delenv(name)
        for name, value in variables.items():
            patch.setenv(name, value)
        with pytest.raises(SystemExit) as ended:
            main()
    code = ended.value.code
    assert isinstance(code, int)
    return Done(code, out.getvalue(), err.getvalue())


def put(folder: Path, answers: list[str], recipe: str = RECIPE) -> Path:
    """Write a recipe with three questions, each answered by `answers`."""
    questions = [f"What is {number} + 1?" for number in range(3)]
    rows = [{"question": question, "answer": str(number + 1)} for number, question in enumerate(questions)]
    replies = [{"prompt": question, "completions": answers} for question in questions]
    for name, content in {"q.jsonl": rows, "c.jsonl": replies}.items():
        (folder / name).write_text("".join(json.dumps(row) + "\n" for row in content), encoding="utf-8")
    (folder / "tiny.yaml").write_text(recipe, encoding="utf-8")
    return folder / "tiny.yaml"
