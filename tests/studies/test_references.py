"""References are put to their own grader before a cent is spent."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gristmill import api
from gristmill.grading.answers.extraction import extract, present
from gristmill.studies.references import check_references
from tests.cli.commands import inside
from tests.runs import recipe
from tests.sandbox.walls_here import needs_bubblewrap

FORMATS = ["auto", "boxed", "hash", "line:A:", "json:answer", "tag:answer", "literal"]


@pytest.mark.parametrize("answer_format", FORMATS)
@pytest.mark.parametrize("answer", ["72", r"\frac{1}{2}", "(6, 1)", "{'a': \"b\"}", "naïve"])
def test_what_is_presented_is_extracted(answer: str, answer_format: str) -> None:
    assert extract(present(answer, answer_format), answer_format).answer == answer


def test_what_is_wrong_with_references_is_said_with_its_place(tmp_path: Path) -> None:
    path = recipe(tmp_path, grade=[{"literal": {}}, "exact"])
    rows = ["[1, 2]", "'a'", "open('x')", "I do not know."]
    (tmp_path / "prompts.jsonl").write_text(
        "".join(json.dumps({"prompt": f"p{i}", "reference": text}) + "\n" for i, text in enumerate(rows))
    )
    checked = check_references(api.plan(api.load(path)))
    assert checked.prompts == 4
    assert {(one.grader, one.problem, one.reason, one.prompts) for one in checked.findings} == {
        ("literal@1", "rejected", "reference_not_a_literal", 2),
        ("exact@1", "passes_nothing", "'I do not know.'", 1),
    }
    assert checked.findings[0].places[0] == "prompts.jsonl:3 \"open('x')\""
    done = inside(tmp_path, "check", "recipe.yaml")
    assert done.code == 0
    assert "literal@1: 2 are not passed by it (reference_not_a_literal): prompts.jsonl:3" in done.out
    assert "exact@1: 1 pass an answer that says nothing" in done.out


def test_good_references_are_said_to_be(tmp_path: Path) -> None:
    path = recipe(tmp_path, prompts=3)
    done = inside(tmp_path, "check", str(path))
    assert "references of the first 3 prompts" in done.out
    assert "all pass, and an answer that says nothing passes none" in done.out
    found = json.loads(inside(tmp_path, "check", str(path), "--json").out)
    assert found["references"] == {"prompts": 3, "findings": []}


@needs_bubblewrap
def test_tests_that_notice_little_are_named(tmp_path: Path) -> None:
    """Mutants of a reference's solution, and programs that do nothing, are put to its tests."""
    solution = "def top(a):\n    return max(a)\n"
    tasks = [
        {"entry_point": "top", "tests": ["assert top([1, 3, 2]) == 3", "assert top([-1]) == -1"], "solution": solution},
        {"entry_point": "top", "test_code": "def check(c):\n    assert c([1]) != 7\n", "solution": solution},
        {"entry_point": "top", "tests": ["assert top([1, 3, 2]) == 2"], "solution": solution},
    ]
    path = recipe(tmp_path, grade="code", prompts=1)
    rows = [{"prompt": f"Write top, {number}.", "reference": json.dumps(task)} for number, task in enumerate(tasks)]
    (tmp_path / "prompts.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = {one.problem: one for one in check_references(api.plan(api.load(path))).findings}
    assert found["weak"].places[0].startswith("prompts.jsonl:2")
    assert "programs that do nothing pass" in found["weak"].reason
    assert (found["rejected"].prompts, found["rejected"].reason) == (1, "fail")
    assert set(found) == {"weak", "rejected"}
    assert "1 have weak tests" in inside(tmp_path, "check", "recipe.yaml").out
