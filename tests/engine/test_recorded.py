"""The main job on real input: acceptance per model equals the recorded labels, on the slice that ships and on the whole half."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from gristmill.recipe.document import dump_document
from tests.runs import query, run

SLICE = Path(__file__).parents[2] / "recipes"


def shared_data() -> Path | None:
    """Return the larger data folder, where there is one beside the project."""
    places = (parent.parent / "shared" / "data" for parent in Path(__file__).resolve().parents)
    return next((place for place in places if place.is_dir()), None)


def labels(rows: Iterable[str]) -> tuple[dict[str, int], dict[tuple[str, int], bool]]:
    """Return how many are right per model, and the label of every completion by prompt and index."""
    right: dict[str, int] = {}
    each: dict[tuple[str, int], bool] = {}
    for line in rows:
        row = json.loads(line)
        for index, (model, label) in enumerate(zip(row["models"], row["labels"], strict=True)):
            right[model] = right.get(model, 0) + label
            each[row["prompt"], index] = label
    return right, each


def differences(output: Path, each: dict[tuple[str, int], bool]) -> list[str]:
    """Return every sample whose grade is not its label."""
    rows = query(
        f"SELECT p.source_id, s.sample_index, g.passed, g.reason FROM '{output}/tables/samples.parquet' s "
        f"JOIN '{output}/tables/grades.parquet' g USING (sample_id) JOIN '{output}/tables/prompts.parquet' p USING (prompt_id)"
    )
    prompts = list(dict.fromkeys(prompt for prompt, _ in each))
    assert len(rows) == len(each)
    return [
        f"{source}#{index}: graded {passed} ({reason})"
        for source, index, passed, reason in rows
        if passed != each[prompts[int(source.split("#")[1]) - 1], index]
    ]


def check(found: dict[str, Any], output: Path, rows: list[str]) -> None:
    """Compare a run with the labels of its rows."""
    right, each = labels(rows)
    assert {model: share["passed"] for model, share in found["models"].items()} == right
    assert not differences(output, each)


def test_the_slice(tmp_path: Path) -> None:
    """The demo's own recipe."""
    found = run(SLICE / "gsm8k_recorded.yaml", tmp_path / "run")
    check(found, tmp_path / "run", (SLICE / "data/gsm8k/completions.jsonl").read_text(encoding="utf-8").splitlines())


@pytest.mark.shared_data
def test_the_whole_half(tmp_path: Path) -> None:
    """661 problems, 2,644 recorded solutions: not one differs from its label."""
    data = shared_data()
    if data is None:
        pytest.skip("the larger data folder is not beside the project")
    file = data / "recorded-teacher/gsm8k_openai_gpt3_4x.jsonl"
    path = tmp_path / "recipe.yaml"
    path.write_text(
        dump_document(
            {
                "name": "half",
                "prompts": {"path": str(file), "reference": "gold", "origin": "human", "license": "MIT"},
                "teacher": {"address": f"recorded:{file}", "license": "MIT"},
                "prompt": {"template": "plain", "answer_format": "line:A:"},
                "sampling": {"want": None, "n": 4},
                "grade": "math",
            }
        )
    )
    check(run(path, tmp_path / "run"), tmp_path / "run", file.read_text(encoding="utf-8").splitlines())
