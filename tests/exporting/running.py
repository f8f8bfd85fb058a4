"""A small run with recorded answers, for what is exported from it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gristmill import api
from gristmill.files.reading import read_rows
from gristmill.files.writing import write_jsonl, write_text

if TYPE_CHECKING:
    from pathlib import Path

    from gristmill.engine.summary import Summary
    from gristmill.records import Row

RECIPE = """\
name: small
prompts: {path: q.jsonl, prompt: question, reference: answer, origin: human, license: MIT}
teacher: {address: "recorded:c.jsonl", license: Apache-2.0}
prompt: {template: plain, answer_format: hash}
sampling: {want: 2, max_attempts: 4}
grade: [math]
split: {validation: 0.2, test: 0.2}
export: [messages, prompt_completion, rl, parquet]
"""


def small_run(folder: Path, recipe: str = RECIPE, prompts: int = 24) -> Summary:
    """Run a recipe over recorded answers: a wrong one, then two right ones, or just one right for every fourth question."""
    questions = [f"What is {number} + {number % 7}?" for number in range(prompts)]
    sums = [number + number % 7 for number in range(prompts)]
    write_jsonl(folder / "q.jsonl", ({"question": q, "answer": str(s)} for q, s in zip(questions, sums, strict=True)))
    rows: list[Row] = []
    for number, (question, total) in enumerate(zip(questions, sums, strict=True)):
        tries = enumerate((total + 1, total, total + (number % 4 == 0), total + 2))
        rows.append({"prompt": question, "completions": [f"Try {k}.\n#### {n}" for k, n in tries]})
    write_jsonl(folder / "c.jsonl", rows)
    write_text(folder / "r.yaml", recipe)
    loaded = api.load(folder / "r.yaml")
    return api.run(api.plan(loaded), api.run_folder(loaded.recipe.name, folder / "run"))


def exported(folder: Path, name: str, suffix: str = "jsonl") -> dict[str, list[Row]]:
    """Return the rows of a format by split."""
    found: dict[str, list[Row]] = {}
    for file in sorted((folder / "run" / "export" / name).glob(f"*.{suffix}")):
        found[file.stem] = [good(row) for _, row in read_rows(file)]
    return found


def good(row: Any) -> Row:
    """Return a row that could be read."""
    assert isinstance(row, dict)
    return row  # pyright: ignore[reportUnknownVariableType] - a row
