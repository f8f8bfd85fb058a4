"""What tests of kinds share: a recipe over a few rows with a scripted teacher that answers by the step."""

from __future__ import annotations

import json
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.runs import run

from gristmill.recipe.document import dump_document
from gristmill.store.outcomes import load_sample
from gristmill.store.packing import unpack_ids
from gristmill.store.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Generator

    from gristmill.records import Sample


def replies(steps: dict[str, list[str]]) -> list[dict[str, Any]]:
    """Return a script's replies by step."""
    return [{"step": step, "answers": answers} for step, answers in steps.items()]


def kind_recipe(folder: Path, rows: list[dict[str, Any]], task: Any, steps: dict[str, list[str]], **changes: Any) -> Path:
    """Write a recipe whose rows are texts, and whose teacher answers by step."""
    (folder / "rows.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    content: dict[str, Any] = {
        "name": "test",
        "prompts": {"path": "rows.jsonl", "prompt": "text", "origin": "human", "license": "CC0-1.0"},
        "task": task,
        "teacher": {"address": "scripted:", "script": {"replies": replies(steps)}},
        "sampling": {"want": None, "n": 1},
        "grade": ["meta_talk"],
        **changes,
    }
    path = folder / "recipe.yaml"
    path.write_text(dump_document(content))
    return path


@contextmanager
def reading(folder: Path) -> Generator[Reader]:
    """Open a run's ledger for reading."""
    reader = Reader.at(folder / "ledger.sqlite", brief=True)
    try:
        yield reader
    finally:
        reader.reader.close()


def samples(folder: Path) -> list[Sample]:
    """Return every sample of a run, in the order of its rows."""
    with reading(folder) as ledger:
        return [load_sample(ledger, row) for (row,) in ledger.query("SELECT id FROM samples ORDER BY id").fetchall()]


def asked(folder: Path) -> dict[tuple[str, int], str]:
    """Return what was asked, by step and occurrence, the messages as one text."""
    found: dict[tuple[str, int], str] = {}
    with reading(folder / "run") as ledger:
        for step, occurrence, messages in ledger.query("SELECT step, occurrence, messages FROM requests"):
            found[step, occurrence] = "\n".join(str(ledger.json(row)) for row in unpack_ids(messages))
    return found


def made(folder: Path, rows: list[dict[str, Any]], task: Any, steps: dict[str, list[str]], **changes: Any) -> list[Sample]:
    """Run such a recipe and return the samples."""
    run(kind_recipe(folder, rows, task, steps, **changes), folder / "run", yes=True)
    return samples(folder / "run")


def grades(folder: Path) -> dict[str, list[tuple[bool | None, str]]]:
    """Return what each grader said of every sample, in the order of the samples."""
    with reading(folder / "run") as ledger:
        found: dict[str, list[tuple[bool | None, str]]] = {}
        for name, passed, reason in ledger.query(
            "SELECT json_extract(d.content, '$.grader'), g.passed, g.reason FROM grades g JOIN dims d ON d.id = g.grader "
            "ORDER BY g.sample"
        ):
            found.setdefault(name.partition("@")[0], []).append((None if passed is None else bool(passed), reason))
    return found
