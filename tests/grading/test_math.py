"""`math` says equal, different, or why it cannot say."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gristmill.grading import GRADERS
from gristmill.grading.math import MathOptions
from gristmill.messages import user
from gristmill.records import Prompt, Sample, Verdict
from tests.grading.asking import verdict_of


def graded(answer: str | None, reference: str | None, answer_format: str = "auto", asked: str = "", **options: Any) -> Verdict:
    prompt = Prompt(id="p", messages=(user(asked),), reference=reference)
    sample = Sample(id="s", prompt_id="p", index=0, messages=(), answer=answer, status="complete")
    return verdict_of("math", prompt, sample, answer_format=answer_format, **options)


@pytest.mark.parametrize(
    ("answer", "reference", "passed", "reason"),
    [
        ("#### 72", "72", True, "equal"),
        ("#### 72.0", "He has 70 + 2 = <<70+2=72>>72\n#### 72", True, "equal"),
        (r"\boxed{1,000}", r"so \boxed{10^3 = 1000}", True, "equal"),
        ("#### $18 a day", "18", True, "equal"),
        ("#### 101", "100", False, "different"),
        ("#### 3 + 4", "7", True, "unsimplified"),
        ("#### 3 + 5", "7", False, "unsimplified"),
        ("#### none of it", "7", None, "unparsable"),
        ("#### impossible", "7", False, "not_a_number"),
        ("#### 6 or 7", "7", None, "unparsable"),
        ("it is 7", "7", False, "no_answer"),
        ("", "7", False, "no_answer"),
        (None, "7", None, "no_text"),
        ("#### 7", None, None, "no_reference"),
        ("#### 7", "x + 1", False, "different"),
        ("#### 7", "", None, "no_reference"),
        ("#### 7", "3 + 4", True, "equal"),
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
        "kind": "rational",
        "test": "number",
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


def test_only_what_may_hang_asks_for_a_worker() -> None:
    verifiers = [one for one in GRADERS if one.traits["type"] == "verifier"]
    assert {one.name for one in verifiers if one.traits["asks"]} == {"code", "json_schema", "math", "regex", "tool_call"}
    assert all(one.summary.endswith(".") for one in verifiers)


@pytest.mark.parametrize(
    ("reference", "answer", "passed", "test"),
    [
        ("(6,1)", "(6, 1)", True, "text"),
        ("1 1/2", "11/2", False, "number"),
        ("1 1/2", r"1\frac{1}{2}", True, "number"),
        ("12", "1 2", False, "algebra"),
        ("12000", "12 000", True, "text"),
        ("4", "4!", False, "algebra"),
        ("24", "4!", True, "algebra"),
        ("7", "7 crore", None, "number"),
        ("7", "2+6=7", False, "algebra"),
        (r"\sqrt{2}", r"x=\frac{2}{\sqrt2}=\sqrt{2}", True, "algebra"),
        ("7", "x=2+6=7", False, "algebra"),
        ("x=1, y=2", "x=2, y=1", False, "tuple"),
        ("x=1, y=2", "y=2, x=1", True, "tuple"),
        ("x=1, y=2", "1, 2", True, "tuple"),
        ("mean=5, median=6", "mean=6, median=5", False, "tuple"),
        ("P(A)=0.1, P(B)=0.2", "P(A)=0.2, P(B)=0.1", None, "tuple"),
        ("x_1=1, x_2=2", "x_1=2, x_2=1", True, "tuple"),
        ("1, 2", "x=1, x=2", True, "tuple"),
        ("C", "(C) or (D)", None, "choice"),
        ("C", "C is incorrect", None, "choice"),
        ("C", "C is correct", True, "choice"),
        ("C", "C. is increasing", True, "choice"),
        ("I", "I don't know", None, "choice"),
        ("(6,1)", "(1,6)", False, "tuple"),
        (r"\left(3, \frac{\pi}{2}\right)", r"(3, \pi/2)", True, "algebra"),
        ("[0,1)", "(0,1)", False, "interval"),
        ("(0,1)", "0<x<1", True, "tuple"),
        ("[2,\\infty)", r"x \ge 2", True, "interval"),
        (r"(-\infty,1)\cup(1,\infty)", r"(1, \infty) \cup (-\infty, 1)", True, "interval"),
        (r"\{1,2,3\}", r"\{3, 1, 2\}", True, "set"),
        (r"\{1,2,3\}", r"\{3, 1\}", False, "set"),
        ("x^2-2x+2", "2 - 2x + x^2", True, "algebra"),
        ("x^2-2x+2", "2 + 2x + x^2", False, "algebra"),
        (r"\sin^2 t", r"1-\cos^2 t", True, "algebra"),
        (r"\sqrt{3}-5i", r"\sqrt{3} - 5i", True, "text"),
        ("2*X**8 - X**5/3 + C", "2*X**8 - (X**5)/3 + C", True, "algebra"),
        ("2*X**8 - X**5/3 + C", "X**8 - (X**5)/3 + C", False, "algebra"),
        ("2 × 2 × 5", "2^2 * 5", True, "factors"),
        ("2 × 2 × 5", "4 × 5", False, "factors"),
        ("x = 2", "2", True, "number"),
        ("1/3", "0.333333", False, "number"),
        ("25%", "0.25", False, "number"),
        ("10_2", "2", False, "algebra"),
        ("2:30 pm", "2:30 PM", True, "time"),
        ("2:30 pm", "14:30", True, "time"),
        ("2:30", "2.5", None, "time"),
        ("2", "2:00 pm", True, "hour"),
        ("2024-01-02", "January 2, 2024", True, "date"),
        ("2024-01-02", "2024-02-01", False, "date"),
        ("B", "(B) because it is larger", True, "choice"),
        ("B", "C", False, "choice"),
        ("cat", "act", None, "text"),
        ("Paris", "paris.", True, "text"),
        ("winter", "retniw", None, "text"),
        ("10", "There are 10 such numbers, so the answer is 10.", True, "conclusion"),
        ("10", "There are 12 of them, so the answer is 12.", None, "number"),
        ("480", "The cost is $480, but the earnings cannot be determined.", None, "number"),
        (r"\frac{\sqrt{3}}{3}", r"\frac{1}{\sqrt{3}}", True, "algebra"),
        (r"2\pm\sqrt{3}", r"2+\sqrt{3}", False, "algebra"),
        ("7", "9^9^9^9", None, "expression"),
        ("7", "(10^9)!", None, "expression"),
    ],
)
def test_kinds_of_answers(reference: str, answer: str, test: str, *, passed: bool | None) -> None:
    verdict = graded(answer, reference, "literal")
    assert (verdict.passed, verdict.evidence["test"]) == (passed, test)


def test_options_loosen_and_tighten() -> None:
    assert graded("#### 3.14159", "3.14").passed is False
    assert graded("#### 3.14159", "3.14", decimals=2).passed is True
    assert graded("#### 49 + 216", "265", simplified=True).passed is False
    assert graded("#### 49 + 216 = 265", "265").passed is True
    assert graded("#### 49 + 216 = 265", "265", simplified=True).passed is False
    assert graded("#### B", "b", kind="text").passed is True


@pytest.mark.parametrize(
    ("asked", "alone"),
    [
        ("What is 8 - 4? Provide only the final answer.", True),
        ("Give me just the number.", True),
        ("Answer with only an integer.", True),
        ("There is only one number whose square is its double. Which is it? Write the answer and why.", False),
        ("Show how you get to the only integer between them.", False),
    ],
)
def test_the_question_says_whether_working_may_stand_with_the_answer(asked: str, *, alone: bool) -> None:
    for answer in ("8 - 4 = 4", "8 - 4"):
        verdict = graded(f"<answer>{answer}</answer>", "4", asked=asked)
        assert verdict.passed is not alone
        assert graded(f"<answer>{answer}</answer>", "4", asked=asked, simplified=False).passed is True
    assert graded("<answer>4</answer>", "4", asked=asked).passed is True


def test_the_question_says_whether_order_counts() -> None:
    assert graded("#### 2, 1", "1, 2", asked="Which x solve it?").passed is True
    assert graded("#### 2, 1", "1, 2", asked="Sort the numbers in ascending order.").passed is False
    assert graded("#### 2, 1", "1, 2", asked="Which x solve it?", ordered=True).passed is False
    assert graded("#### (2, 1)", "(1, 2)", asked="Which x solve it?").passed is False


@pytest.mark.parametrize(
    "text",
    [part * 3_000 for part in ("(", "{,", "1,", "9^", "\\frac{", "x=", "\\cup ", "'", "٣", "1/", "<x<", "[1,")],
)
def test_hostile_texts_get_a_verdict_at_once(text: str) -> None:
    for reference in ("7", "(1,2)", r"\{1,2\}", "x^2", "word", text[:9_000]):
        assert graded(text, reference, "literal").word in {"pass", "fail", "unverifiable", "timeout"}


@given(st.text(), st.text())
def test_any_text_gets_a_verdict_that_can_be_stored(answer: str, reference: str) -> None:
    assert graded(answer, reference, "literal").model_dump_json()


@pytest.mark.parametrize(
    ("answer", "reference"),
    [
        *(("7 m^3", "7 m^2"), ("20°F", "20°C"), ("90 rad", "90°"), ("7 GB", "7 MB"), ("¥7", "$7")),
        *(("7 halves", "7"), ("7 per mille", "7"), ("half of 7", "7"), ("square root of 7", "7"), ("up to 7", "7")),
        *(("7 is wrong", "7"), ("7 square root", "7"), ("3 ft 5 in", "5 ft 3 in"), ("1 hour 20 minutes", "20 hours 1 minute")),
        *(("3 to 2", "2 to 3"), ("3:2", "2:3"), ("101_3", "101_2"), ("101_{2}", "5_{10}")),
        *(("x^2=7", "7"), ("2x=7", "7"), ("3.141593", r"\pi"), ("1.414214", r"\sqrt{2}"), ("]0,1[", "[0,1]")),
        *(("3 boys, 4 girls", "4 boys, 3 girls"), ("Alice: 3, Bob: 4", "Alice: 4, Bob: 3"), (r"0.\overline{3}", "0.3")),
    ],
)
def test_what_is_another_thing_does_not_pass(answer: str, reference: str) -> None:
    assert graded(f"\\boxed{{{answer}}}", reference).passed is not True


@pytest.mark.parametrize(
    ("answer", "reference"),
    [
        *(("7 m²", "7 square meters"), ("20°C", "20 degrees Celsius"), ("20°", "20"), ("7 km/h", "7 kilometers per hour")),
        *(("5 ft 3 in", "5 feet 3 inches"), ("20 minutes and 1 hour", "1 hr 20 min"), ("2:3", "2 to 3"), ("4 to 6", "2:3")),
        *(("101_2", r"101_{2}"), (r"101_{\text{2}}", "101_2"), ("]0,1[", "(0,1)"), ("3<x", "x>3"), (r"\sqrt2", r"\sqrt{2}")),
        *((r"0.\overline{3}", "1/3"), (r"1.2\overline{3}", "37/30"), (r"\textcolor{red}{7}", "7"), (r"\underline{7}", "7")),
        *(("4 girls, 3 boys", "3 boys, 4 girls"), ("Bob: 4, Alice: 3", "Alice: 3, Bob: 4"), ("x = 2 + 5 = 7", "7")),
        *((r"A = \pi r^2 = 9\pi", r"9\pi"), ("(x+1)^2 = x^2+2x+1", "x^2+2x+1")),
    ],
)
def test_the_same_thing_in_another_form_passes(answer: str, reference: str) -> None:
    assert graded(f"\\boxed{{{answer}}}", reference).passed is True
