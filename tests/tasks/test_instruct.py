"""`instruct`: ways and attributes by their shares, constraints that can be checked, novelty, and an end when nothing new
comes."""

from __future__ import annotations

import random
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from tests.runs import run
from tests.tasks.kinds import grades, kind_recipe, made, replies

from gristmill.errors import RecipeError
from gristmill.grading.novel import rouge_l
from gristmill.grading.registry import GRADERS
from gristmill.tasks.constraints import KINDS

if TYPE_CHECKING:
    from pathlib import Path

SEEDS = [
    {"text": text} for text in ("Name three rivers.", "Explain why bread rises.", "Write a poem about rain.", "Sort these words.")
]
STEPS = {"instruction": ["Instruction: Describe object {n} to a blind child."], "answer": ["It is round and warm."]}


def test_an_instruction_is_made_and_answered(tmp_path: Path) -> None:
    """Seeds are its parents, and what was done stands in its meta."""
    found = made(tmp_path, SEEDS, {"instruct": {"count": 12, "seeds": 2}}, STEPS, grade=["novel"])
    assert len(found) == 12
    for sample in found:
        assert sample.messages[0].content.startswith("Describe object")
        assert sample.answer == "It is round and warm."
        assert len(sample.request_ids) == 2
    assert set(grades(tmp_path)["novel"]) == {(True, "novel")}


def test_ways_operations_and_attributes_come_by_their_shares(tmp_path: Path) -> None:
    options = {
        "count": 40,
        "ways": {"evolve": 1, "attributes": 1},
        "operations": {"deeper": 3, "broader": 1},
        "attributes": {"topic": {"law": 1, "tea": 3}, "persona": {"a nurse": 1}},
    }
    path = kind_recipe(tmp_path, SEEDS, {"instruct": options}, STEPS)
    found = run(path, tmp_path / "run")
    counted = {one["key"]: {row["value"]: row["made"] for row in one["values"]} for one in found["kind"]["counted"]}
    assert counted["way"] == {"evolve": 20, "attributes": 20}
    assert counted["operation"] == {"deeper": 15, "broader": 5}
    assert counted["attributes.topic"] == {"tea": 15, "law": 5}


def test_a_text_of_people_becomes_the_answer(tmp_path: Path) -> None:
    """Backtranslation makes at most one instruction of each text."""
    found = made(tmp_path, SEEDS, {"instruct": {"count": 9, "ways": {"backtranslate": 1}}}, STEPS)
    assert sorted(str(sample.answer) for sample in found) == sorted(row["text"] for row in SEEDS)
    assert all(sample.meta["answer_origin"] == "human" for sample in found)


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("at_most", "Short.", "word " * 200),
        ("at_least", "word " * 200, "Short."),
        ("bullets", "\n".join(["- one"] * 9), "none"),
        ("paragraphs", "one\n\ntwo\n\nthree", "one"),
        ("sentences", "One.", "One. Two. Three. Four. Five. Six."),
        ("json", '{"a": 1}', "not JSON"),
        ("keyword", "however because example careful first together instead morning", "none"),
        ("forbidden", "none", "however because example careful first together instead morning"),
    ],
)
def test_every_constraint_is_checked_by_its_grader(tmp_path: Path, kind: str, good: str, bad: str) -> None:
    for answer, passes in ((good, True), (bad, False)):
        folder = tmp_path / str(passes)
        folder.mkdir()
        steps = {**STEPS, "answer": [answer]}
        if kind in ("bullets", "paragraphs") and passes:
            constraint = KINDS[kind](random.Random(0))
            count = int(str(constraint.options["exactly"]))
            assert constraint.grader in GRADERS
            steps["answer"] = ["\n".join(["- one"] * n) if kind == "bullets" else "\n\n".join(["one"] * n) for n in (count,)]
        made(folder, SEEDS, {"instruct": {"count": 6, "constraints": {kind: 1}}}, steps, grade=["constraints"])
        words = grades(folder)["constraints"]
        if passes and kind in ("bullets", "paragraphs"):
            assert (True, "followed") in words
        else:
            assert {passed for passed, _ in words} == {passes}, words


def test_constraints_stand_behind_the_instruction(tmp_path: Path) -> None:
    (sample,) = made(tmp_path, SEEDS, {"instruct": {"count": 1, "constraints": {"json": 1}}}, STEPS)
    assert sample.messages[0].content.endswith("child.\nAnswer with one JSON value and nothing else.")


def test_rouge_l_is_the_longest_common_subsequence() -> None:
    """By hand: `the cat sat` and `the dog sat` share `the … sat`, 2 of 3 words each."""
    assert rouge_l(["the", "cat", "sat"], ["the", "dog", "sat"]) == pytest.approx(2 / 3)
    assert rouge_l(["a"], []) == 0
    assert rouge_l(["a", "b", "c"], ["a", "b", "c"]) == 1


def test_a_copy_of_a_seed_is_refused(tmp_path: Path) -> None:
    steps = {**STEPS, "instruction": ["Instruction: Explain why bread rises then."]}
    made(tmp_path, [SEEDS[1]], {"instruct": {"count": 1}}, steps, grade=["novel"])
    assert grades(tmp_path)["novel"] == [(False, "like_seed")]


def test_it_ends_when_nothing_new_comes(tmp_path: Path) -> None:
    """A teacher with five things to say is stopped long before a thousand calls, the same way at every concurrency."""
    steps = {
        **STEPS,
        "instruction": [f"Instruction: Describe {what} to a blind child." for what in ("a cat", "a dog", "tea", "rain", "law")],
    }
    kept = set[int]()
    for in_flight in (1, 16):
        folder = tmp_path / str(in_flight)
        folder.mkdir()
        path = kind_recipe(
            folder,
            SEEDS,
            {"instruct": {"count": 1000}},
            steps,
            select={"dedup": {"near": 0.7, "least_distinct": 0.1}},
            teacher={"address": "scripted:", "script": {"replies": replies(steps)}, "limits": {"in_flight": in_flight}},
        )
        found = run(path, folder / "run")
        assert (found["status"], found["exit_code"]) == ("exhausted", 7)
        assert "only" in found["error"]
        kept.add(found["exported"])
        assert found["calls"]["made"] < 2 * (200 + 4 * in_flight + 64)
    assert kept == {5}


def test_attributes_must_be_named(tmp_path: Path) -> None:
    options: dict[str, Any] = {"ways": {"attributes": 1}}
    with pytest.raises(RecipeError, match="name some"):
        run(kind_recipe(tmp_path, SEEDS, {"instruct": options}, STEPS), tmp_path / "run")


def test_shares_are_kept_over_seeds() -> None:
    assert Counter(kind for kind in KINDS)["json"] == 1
