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
