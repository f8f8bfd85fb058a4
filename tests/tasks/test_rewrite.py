"""`rewrite`: styles by their shares, long documents by sections, and the checks of a rewriting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.tasks.kinds import asked, grades, made

from gristmill.tasks.rewrite import described, sections

if TYPE_CHECKING:
    from pathlib import Path

TEXT = (
    "The tower in Pisa leans by 3.97 degrees. Builders under Bonanno began it in 1173, and `tower()` returns its height of "
    "1,200 cm; see https://example.org/pisa for the plan."
)


@given(text=st.text(st.characters(codec="utf-8"), max_size=3000), most=st.integers(40, 400))
def test_sections_lose_nothing_but_white_space(text: str, most: int) -> None:
    parts = sections(text, most)
    assert "".join("".join(parts).split()) == "".join(text.split())
    assert all(len(part) <= most for part in parts)


def test_sections_are_cut_between_paragraphs_where_there_are_some() -> None:
    paragraphs = [f"Paragraph {number}. {'It has words. ' * 12}".strip() for number in range(9)]
    parts = sections("\n\n".join(paragraphs), 500)
    assert [paragraph for part in parts for paragraph in part.split("\n\n")] == paragraphs


def test_a_very_long_document_is_cut_without_recursion_or_quadratic_cost() -> None:
    assert len(sections("word " * 200_000, 500)) >= 2_000
    assert len(sections("x" * 1_000_000, 500)) == 2_000


def test_a_long_document_is_rewritten_section_by_section(tmp_path: Path) -> None:
    """Each section is a call of its own with the end of what came before; the answer is all of them."""
    text = "\n\n".join(f"Section {number}. {'Some words of it. ' * 40}" for number in range(5))
    (sample,) = made(tmp_path, [{"text": text}], {"rewrite": {"section_tokens": 200}}, {"section": ["Rewritten {n}."]})
    assert sample.meta["sections"] == 5
    assert len(sample.request_ids) == 5
    assert (sample.answer or "").count("Rewritten") == 5
    assert sample.messages[0].content.endswith(text)
    second = asked(tmp_path)["section-2", 0]
    assert "part 2 of 5" in second
    assert "Rewritten" in second


def test_one_rewriting_in_each_style_or_some_by_share(tmp_path: Path) -> None:
    rows = [{"text": f"Text number {number}."} for number in range(4)]
    styles = {"simpler": 1, "dialogue": 1, "language:German": 2}
    every = made(tmp_path, rows, {"rewrite": {"styles": styles, "per_document": "all"}}, {"section": ["Done {n}."]})
    assert len(every) == 12
    (tmp_path / "share").mkdir()
    some = made(tmp_path / "share", rows, {"rewrite": {"styles": styles}}, {"section": ["Done {n}."]})
    assert sum("German" in sample.messages[0].content for sample in some) == 2
    assert described("in verse") == "in verse"


GRADES: list[Any] = ["preserved", {"length_ratio": {"min": 0.4, "max": 2}}, {"copying": {"max_share": 0.8}}, "meta_talk"]
GOOD = "Bonanno's builders started the Pisa tower in 1173. It is 1200 cm high (`tower()`), leans 3.97 degrees: https://example.org/pisa."


@pytest.mark.parametrize(
    ("answer", "grader", "reason"),
    [
        (GOOD, None, ""),
        (GOOD.replace("1173", "1137"), "preserved", "missing_numbers"),
        (GOOD.replace("1173", "1173 or 1180"), "preserved", "added_numbers"),
        (GOOD.replace("Pisa", "Siena").replace("/pisa", "/pisa"), "preserved", "missing_names"),
        (GOOD.replace("`tower()`", "`height()`"), "preserved", "missing_code"),
        (GOOD.replace("example.org/pisa", "example.org/rome"), "preserved", "missing_links"),
        ("It leans.", "length_ratio", "too_short"),
        (TEXT, "copying", "copied"),
        (f"Here is the rewritten text:\n\n{GOOD}", "meta_talk", "opens_with_chat"),
    ],
)
def test_what_is_wrong_with_a_rewriting_has_a_name(tmp_path: Path, answer: str, grader: str | None, reason: str) -> None:
    made(tmp_path, [{"text": TEXT}], "rewrite", {"section": [answer]}, grade=GRADES)
    found = grades(tmp_path)
    if grader is None:
        assert all(passed for verdicts in found.values() for passed, _ in verdicts)
    else:
        assert found[grader] == [(False, reason)]


def test_a_section_that_does_not_come_is_a_named_failure(tmp_path: Path) -> None:
    (sample,) = made(tmp_path, [{"text": TEXT}], "rewrite", {"section": [" "]})
    assert sample.status == "malformed"


def test_a_rewriting_that_is_faithful_is_for_a_judge_to_say(tmp_path: Path) -> None:
    steps = {"section": [GOOD], "grade:judge": ["It adds nothing.\nVERDICT: PASS"]}
    made(tmp_path, [{"text": TEXT}], "rewrite", steps, grade=[{"judge": "faithful", "by": "teacher"}])
    assert grades(tmp_path)["judge"] == [(True, "pass")]
