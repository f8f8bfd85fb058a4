"""What comes from one question, persona or document is on one side, however many prompts a kind makes of it."""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest
from tests.runs import query, run
from tests.tasks.kinds import kind_recipe, reading

from gristmill import api
from gristmill.messages import Message, system, user
from gristmill.records import Prompt
from gristmill.selection.splits import together_of
from gristmill.store.outcomes import prompt_rows

if TYPE_CHECKING:
    from pathlib import Path

ROWS = 12
SPLIT = {"validation": 0.3, "test": 0.3}
KINDS: dict[str, Any] = {
    "annotate": "annotate",
    "conversation": {"conversation": {"goals": {"buy tea": 1, "return tea": 1}, "per_persona": 4}},
    "rewrite": {"rewrite": {"styles": {"clear": 1, "textbook": 1, "shorter": 1}, "per_document": "all"}},
    "qa": {"qa": {"per_document": 4}},
}


def rows(kind: str) -> list[dict[str, Any]]:
    """Return numbered texts; those that are annotated have several outputs and differ in their white space."""
    if kind != "annotate":
        return [{"text": f"Text {number} speaks of tea."} for number in range(ROWS)]
    return [{"text": f"What is{' ' * (n + 1)}{number}?", "output": f"#### {n}"} for number in range(ROWS) for n in range(4)]


@pytest.mark.parametrize("kind", KINDS)
def test_the_prompts_of_one_row_are_together_and_those_of_others_are_not(tmp_path: Path, kind: str) -> None:
    kind_recipe(tmp_path, rows(kind), KINDS[kind], {}, prompts=_prompts(kind))
    assert _groups(tmp_path) == (ROWS, ROWS * (3 if kind == "rewrite" else 4))


def test_the_passages_of_one_document_are_together(tmp_path: Path) -> None:
    for name in ("a", "b"):
        words = " ".join(f"{name}{number}." for number in range(400))
        (tmp_path / f"{name}.txt").write_text(words)
    prompts = {"documents": ".", "include": ["*.txt"], "chunk": {"tokens": 200}}
    kind_recipe(tmp_path, [], {"qa": {"per_passage": 2}}, {}, prompts=prompts)
    groups, made = _groups(tmp_path)
    assert groups == 2
    assert made > 4


def test_no_question_is_on_two_sides_of_an_export(tmp_path: Path) -> None:
    path = kind_recipe(tmp_path, rows("annotate"), "annotate", {}, prompts=_prompts("annotate"), split=SPLIT, sampling={})
    found = run(path, tmp_path / "run", yes=True)
    sides: dict[str, set[str]] = {}
    for file in (tmp_path / "run/export/messages").glob("*.jsonl"):
        for line in file.read_text().splitlines():
            asked = " ".join(json.loads(line)["messages"][0]["content"].split())
            sides.setdefault(asked, set()).add(file.stem)
    assert found["exported"] == ROWS * 4
    assert len(sides) == ROWS
    assert all(len(side) == 1 for side in sides.values())
    assert {name for side in sides.values() for name in side} == {"train", "validation", "test"}


def test_what_is_together_is_what_the_last_user_says() -> None:
    def together(*messages: Message, **meta: Any) -> bytes:
        return together_of(Prompt(id="p", messages=messages, meta=meta))

    plain = together(user("2 + 2?"))
    assert together(user(" 2 +\n2? ")) == plain
    assert together(system("Be brief."), user("2 + 2?")) == plain
    assert together(user("2 + 3?")) != plain
    assert together(user("2 + 2?"), document="a") == together(user("2 + 3?"), document="a") != plain
    assert together(user("2 + 2?"), document=None) == plain
    assert together(system("a")) != together(system("b"))


def test_what_is_together_is_in_the_tables(tmp_path: Path) -> None:
    path = kind_recipe(tmp_path, rows("annotate"), "annotate", {}, prompts=_prompts("annotate"), sampling={})
    run(path, tmp_path / "run", yes=True)
    ((groups,),) = query(f"SELECT count(DISTINCT together) FROM '{tmp_path}/run/tables/prompts.parquet'")
    assert groups == ROWS


def test_what_an_earlier_version_planned_stays_on_its_side(tmp_path: Path) -> None:
    """Its prompts say nothing of what is together, so each one's side follows from its id as it did."""
    path = kind_recipe(tmp_path, rows("annotate"), "annotate", {}, prompts=_prompts("annotate"))
    run(path, tmp_path / "run", until="index", yes=True)
    with sqlite3.connect(tmp_path / "run/ledger.sqlite") as db:
        db.execute("UPDATE prompts SET together = NULL")
    with reading(tmp_path / "run") as ledger:
        planned = {row.together for row in prompt_rows(ledger, 0)}
        assert planned == {row[0] for row in ledger.query("SELECT prompt_id FROM prompts")}


def _prompts(kind: str) -> dict[str, Any]:
    return {"path": "rows.jsonl", "prompt": "text", "origin": "human", "license": "CC0-1.0"} | (
        {"meta": ["output"]} if kind == "annotate" else {}
    )


def _groups(folder: Path) -> tuple[int, int]:
    """Return into how many groups the planned prompts fall, and how many prompts there are."""
    found = [
        together_of(row.prompt)
        for source in api.plan(api.load(folder / "recipe.yaml")).sources
        for row in source.rows()
        if row.prompt is not None
    ]
    return len(set(found)), len(found)
