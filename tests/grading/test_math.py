"""`math` says equal, different, or why it cannot say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gristmill.grading import GRADERS
from gristmill.grading.math import MathOptions, grade_math
from gristmill.records import Prompt, Sample, Verdict


def graded(answer: str | None, reference: str | None, answer_format: str = "auto") -> Verdict:
    prompt = Prompt(id="p", messages=(), reference=reference)
    sample = Sample(id="s", prompt_id="p", index=0, messages=(), answer=answer, status="complete")
    return grade_math(prompt, sample, MathOptions(answer_format=answer_format))


@pytest.mark.parametrize(
    ("answer", "reference", "passed", "reason"),
    [
        ("#### 72", "72", True, "equal"),
        ("#### 72.0", "He has 70 + 2 = <<70+2=72>>72\n#### 72", True, "equal"),
        (r"\boxed{1,000}", r"so \boxed{10^3 = 1000}", True, "equal"),
        ("#### $18 a day", "18", True, "equal"),
        ("#### 101", "100", False, "different"),
        ("#### 3 + 4", "7", False, "unsimplified"),
        ("#### none of it", "7", None, "unparsable"),
        ("#### impossible", "7", False, "not_a_number"),
        ("#### 6 or 7", "7", None, "unparsable"),
        ("it is 7", "7", False, "no_answer"),
        ("", "7", False, "no_answer"),
        (None, "7", None, "no_text"),
        ("#### 7", None, None, "no_reference"),
        ("#### 7", "x + 1", None, "reference_not_a_number"),
        ("#### 7", "", None, "reference_not_a_number"),
        ("#### 7", "3 + 4", None, "reference_not_a_number"),
    ],
)
def test_reasons(answer: str | None, reference: str | None, *, passed: bool | None, reason: str) -> None:
    verdict = graded(answer, reference)
    assert (verdict.passed, verdict.reason) == (passed, reason)
    assert verdict.score is None


def test_evidence_shows_what_was_compared() -> None:
    assert graded(r"\boxed{4} or \boxed{3\frac{1}{2}}", "7/2").evidence == {
        "extracted": r"3\frac{1}{2}",
        "normalised": "7/2",
        "reference": "7/2",
        "method": "boxed",
        "multi_answer": True,
    }


def test_evidence_is_short() -> None:
    for value in graded("#### " + "x" * 5000, "7").evidence.values():
        assert len(str(value)) <= 200


def test_the_declared_format_decides() -> None:
    assert graded("A: 5\n#### 6", "5", "line:A:").passed is True
    assert graded("A: 5\n#### 6", "5", "hash").passed is False
    assert graded("so 5", "5", "last_number").passed is True
    assert graded("<think>#### 5</think> I give up", "5", "hash").reason == "no_answer"


def test_an_unknown_format_is_refused_when_the_options_are_built() -> None:
    with pytest.raises(ValidationError, match="did you mean `boxed`"):
        MathOptions(answer_format="boxd")


def test_all_rule_graders_are_on_the_shelf_and_only_patterns_need_a_worker() -> None:
    mine = [GRADERS.get(name) for name in ("exact", "length", "math", "regex", "repetition")]
    assert [one.name for one in mine if one.traits["asks"]] == ["regex"]
    assert {one.traits["type"] for one in mine} == {"verifier"}
    assert all(one.summary.endswith(".") for one in mine)


@given(st.text(), st.text())
def test_any_text_gets_a_verdict_that_can_be_stored(answer: str, reference: str) -> None:
    assert graded(answer, reference, "literal").model_dump_json()
