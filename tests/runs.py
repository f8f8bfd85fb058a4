"""What tests of whole runs share: a recipe on disk, a run in a process of its own, and its tables without times."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb

from gristmill import api
from gristmill.engine.opening import Opening
from gristmill.recipe.document import dump_document

TIMES = {"at", "ms", "attempts", "possibly_billed", "provider_request_id"}
"""Columns that tell when and how often something was sent, not what came of it."""


def write_prompts(folder: Path, count: int, reference: str = "A") -> Path:
    """Write numbered prompts with one reference."""
    path = folder / "prompts.jsonl"
    lines = (json.dumps({"prompt": f"PID{i:07d} which letter?", "reference": reference}) for i in range(count))
    path.write_text("\n".join(lines) + "\n")
    return path


def recipe(folder: Path, *, prompts: int = 40, script: dict[str, Any] | None = None, **changes: Any) -> Path:
    """Write a recipe with a scripted teacher that answers A or B, graded against A."""
    write_prompts(folder, prompts)
    content: dict[str, Any] = {
        "name": "test",
        "prompts": {"path": "prompts.jsonl", "reference": "reference", "origin": "template", "license": "CC0-1.0"},
        "teacher": {"address": "scripted:", "script": {"answers": ["A", "B"], **(script or {})}},
        "prompt": {"template": "plain", "answer_format": "literal"},
        "sampling": {"want": 1, "max_attempts": 6, "give_up_after": 6, "temperature": 0.7},
        "grade": ["exact"],
        **changes,
    }
    path = folder / "recipe.yaml"
    path.write_text(dump_document(content))
    return path


def run(path: Path, output: Path, **opening: Any) -> dict[str, Any]:
    """Run a recipe in this process and return its summary's content with its exit code."""
    summary = api.run(api.plan(api.load(path)), api.run_folder("test", output), Opening(**opening))
    return {**summary.content, "exit_code": summary.exit_code}


MAIN = "import sys; {prelude}; from gristmill.cli.main import main; main()"


def command(*arguments: str, prelude: str = "pass", **environment: str) -> subprocess.Popen[str]:
    """Start `gristmill` in a process of its own."""
    import os

    return subprocess.Popen(
        [sys.executable, "-c", MAIN.format(prelude=prelude), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Wait for a process and return its exit code, output and errors."""
    out, err = process.communicate(timeout=120)
    return process.returncode, out, err


def query(sql: str, *values: object) -> list[tuple[Any, ...]]:
    """Return the rows of a query over files, on a connection of its own: the shared one keeps what a test left unread."""
    with duckdb.connect() as connection:
        return connection.execute(sql, list(values)).fetchall()


def columns(path: Path) -> list[str]:
    """Return the names of a Parquet file's columns."""
    return [str(row[0]) for row in query(f"DESCRIBE SELECT * FROM '{path}'")]


def keep(lines: list[str]) -> Callable[..., None]:
    """Return a `say` that keeps what it is told."""

    def say(*more: str) -> None:
        lines.extend(more)

    return say


def tables(output: Path, *, but: str = "") -> dict[str, list[tuple[Any, ...]]]:
    """Return every table of a run without times; with `but`, without the samples that this rule decided."""
    found: dict[str, list[tuple[Any, ...]]] = {}
    skip = set[str]()
    if but:
        rows = query(f"SELECT sample_id FROM '{output}/tables/decisions.parquet' WHERE rule = '{but}'")
        skip = {row[0] for row in rows}
    for path in sorted((output / "tables").glob("*.parquet")):
        names = [name for name in columns(path) if name not in TIMES]
        rows = query(f"SELECT {', '.join(names)} FROM '{path}'")
        found[path.stem] = [row for row in rows if not skip & {str(cell) for cell in row}]
    return found


def exported(output: Path) -> dict[str, str]:
    """Return the text of every exported JSONL file."""
    folder = output / "export"
    return {str(path.relative_to(folder)): path.read_text() for path in sorted(folder.rglob("*.jsonl"))}
