"""`gristmill demo`: 500 right traces by a real model, with no key and no network."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from gristmill.sources.word_problems import word_problem
from tests.cli.commands import inside
from tests.runs import query

ROOT = Path(__file__).parents[2]
MOST_BYTES = 400 * 1024 * 1024


def rows(demo: Path) -> list[dict[str, Any]]:
    """Return the exported rows."""
    return [json.loads(line) for line in (demo / "runs/demo/export/messages/train.jsonl").read_text().splitlines()]


def test_it_ends_well_without_a_network_and_in_little_memory(demo: Path) -> None:
    about = json.loads((demo / "demo.json").read_text())
    assert about["code"] == 0, (demo / "err").read_text()
    assert about["peak_bytes"] <= MOST_BYTES
    assert about["alone"] or sys.platform != "linux"
    assert (demo / "err").read_text() == ""


def test_every_one_of_500_rows_is_right(demo: Path) -> None:
    """By a rule of its own: the only number after #### is the problem's answer, as it follows from the problem's number."""
    exported = rows(demo)
    assert len(exported) == 500
    sources = dict(query(f"SELECT prompt_id, source_id FROM '{demo}/runs/demo/tables/prompts.parquet'"))
    questions: set[str] = set()
    for row in exported:
        problem = word_problem(0, int(sources[row["prompt_id"]].rpartition("#")[2]))
        question, answer = (message["content"] for message in row["messages"])
        assert question.startswith(problem.text)
        found = re.findall(r"####\s*(-?[\d,]+)\s*$", answer)
        assert [int(number.replace(",", "")) for number in found] == [problem.answer], answer
        questions.add(question)
    assert len(questions) == 500


def test_what_it_says_is_what_is_there(demo: Path) -> None:
    said = (demo / "out").read_text()
    assert said.startswith("complete: 500 rows exported in ")
    for path in (
        "runs/demo/report.html",
        "runs/demo/export/messages/train.jsonl",
        "runs/demo/export/README.md",
        "runs/demo/tables",
    ):
        assert path in said
        assert (demo / path).exists()
    assert 'teacher: {address: "http://127.0.0.1:8000/v1", model: Qwen/Qwen3-8B}' in said
    assert said.splitlines()[-1] == "then: gristmill run runs/demo.yaml -o runs/mine"


def test_a_second_time_nothing_is_asked_and_a_changed_recipe_is_kept(demo: Path) -> None:
    again = inside(demo, "demo", "--json")
    assert again.code == 0
    assert again.object["calls"]["made"] == 0
    assert again.object["exported"] == 500


@pytest.mark.source_tree
def test_the_recipe_is_the_one_in_the_tree(demo: Path) -> None:
    assert (demo / "runs/demo.yaml").read_text() == (ROOT / "recipes/quickstart.yaml").read_text()


def test_a_changed_recipe_is_run_as_it_is(tmp_path: Path) -> None:
    """It is somebody's work: never overwritten."""
    recipe = tmp_path / "mine.yaml"
    text = "name: mine\nprompts: {word_problems: {count: 3}}\nteacher: builtin\nprompt: {template: chain@1}\ngrade: math\n"
    recipe.write_text(text)
    done = inside(tmp_path, "demo", "-o", "mine", "--json")
    assert done.code == 0
    assert "mine.yaml was changed and is run as it is" in done.err
    assert done.object["prompts"] == 3
    assert recipe.read_text() == text
