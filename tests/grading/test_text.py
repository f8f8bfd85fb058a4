"""The rules about text: equality, patterns, length, repetition."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gristmill.grading.text import LengthOptions, RegexOptions, RepetitionOptions, looping_tail, repetition
from tests.grading.asking import graded_by


@pytest.mark.parametrize(
    ("answer", "reference", "options", "passed"),
    [
        ("Paris", "Paris", {}, True),
        (" Paris\n", "Paris", {}, True),
        ("New  York", "New York", {}, True),
        ("New  York", "New York", {"spaces": "strict"}, False),
        ("paris", "Paris", {}, False),
        ("paris", "Paris", {"case": False}, True),
        ("STRASSE", "straße", {"case": False}, True),
        ("Paris.", "Paris", {}, False),
        ("I say\n<answer>Paris</answer>", "Paris", {"answer_format": "tag:answer"}, True),
        ("I say Paris", "Paris", {"answer_format": "tag:answer"}, False),
    ],
)
def test_exact(answer: str, reference: str, options: dict[str, Any], *, passed: bool) -> None:
    assert graded_by("exact", answer, reference, **options).passed is passed


def test_exact_without_a_side_gives_no_verdict() -> None:
    assert graded_by("exact", "Paris").reason == "no_reference"
    assert graded_by("exact", None, "Paris").reason == "no_text"


@pytest.mark.parametrize(
    ("answer", "options", "passed", "reason"),
    [
        ("call 555", {"pattern": r"\d+"}, True, "match"),
        ("call me", {"pattern": r"\d+"}, False, "no_match"),
        ("call 555", {"pattern": r"\d+", "match": "full"}, False, "no_match"),
        ("555", {"pattern": r"\d+", "match": "full"}, True, "match"),
        ("as an AI", {"pattern": "(?i)as an ai", "forbid": True}, False, "match"),
        ("I think", {"pattern": "(?i)as an ai", "forbid": True}, True, "no_match"),
        ("hello", {"pattern": "secret"}, False, "no_match"),
        ("hello", {"pattern": "secret", "on": "full"}, True, "match"),
        ("hello", {"pattern": "What", "on": "full"}, False, "no_match"),
        (None, {"pattern": "x"}, None, "no_text"),
    ],
)
def test_regex(answer: str | None, options: dict[str, Any], *, passed: bool | None, reason: str) -> None:
    verdict = graded_by("regex", answer, **options)
    assert (verdict.passed, verdict.reason) == (passed, reason)


def test_a_broken_pattern_is_refused_when_the_options_are_built() -> None:
    with pytest.raises(ValidationError, match=r"`\(\[` is not a regular expression"):
        RegexOptions(pattern="([")


@pytest.mark.parametrize(
    ("answer", "options", "reason"),
    [
        ("one two three", {"max": 3}, "within"),
        ("one two three", {"min": 4}, "too_short"),
        ("one two three", {"max": 2}, "too_long"),
        (" añb ", {"min": 3, "max": 3, "of": "chars"}, "within"),
        ("a\n\nb\n", {"max": 2, "of": "lines"}, "within"),
        ("", {"min": 1}, "too_short"),
    ],
)
def test_length(answer: str, options: dict[str, Any], reason: str) -> None:
    verdict = graded_by("length", answer, **options)
    assert (verdict.passed, verdict.reason) == (reason == "within", reason)


def test_length_bounds_must_make_sense() -> None:
    with pytest.raises(ValidationError, match="needs `min` or `max`"):
        LengthOptions()
    with pytest.raises(ValidationError, match="no text can pass"):
        LengthOptions(min=5, max=4)


PHRASE = "I will now count the apples in the basket again. "


def test_varied_text_passes_and_its_score_says_how_varied() -> None:
    verdict = graded_by("repetition", " ".join(f"word{n}" for n in range(500)))
    assert (verdict.passed, verdict.reason, verdict.score) == (True, "varied", 1.0)


def test_saying_a_thing_twice_is_no_repetition() -> None:
    assert graded_by("repetition", PHRASE * 2).passed is True


def test_repetition_spread_over_the_text_is_found() -> None:
    text = "".join(f"{PHRASE}Step {n}. " for n in range(20))
    assert graded_by("repetition", text).reason == "repetitive"


@pytest.mark.parametrize("end", ["", "I will", "I will now cou"])
def test_a_looping_tail_is_found_even_where_it_is_cut_off(end: str) -> None:
    text = " ".join(f"word{n}" for n in range(1000)) + " " + PHRASE * 6 + end
    verdict = graded_by("repetition", text)
    assert verdict.reason == "looping_tail"
    assert verdict.evidence["period"] == 10


def test_a_short_word_said_often_is_no_loop_and_said_for_ever_is_one() -> None:
    assert graded_by("repetition", "He cried no no no no").passed is True
    assert graded_by("repetition", "He cried" + " no" * 200).reason == "looping_tail"


@pytest.mark.parametrize("unit", ["我们现在再数一次篮子里的苹果。", "ab", "</s>"])
def test_text_without_spaces_is_read_by_characters(unit: str) -> None:
    found = repetition("今天天气很好" + unit * 60, RepetitionOptions())
    assert found.unit == "chars"
    assert found.loop >= len(unit) * 59
    assert found.period == len(unit)


def test_chinese_prose_passes() -> None:
    prose = "".join(chr(0x4E00 + (n * n * 7919 + n * 31) % 20000) for n in range(2000))
    assert graded_by("repetition", prose).passed is True


@given(st.lists(st.sampled_from("ab"), max_size=14), st.integers(2, 4), st.integers(1, 6))
def test_the_looping_tail_is_the_one_that_trying_all_would_find(units: list[str], loops: int, shortest: int) -> None:
    def naive(seen: list[str]) -> int:
        fits = [0]
        for length in range(max(shortest, 2), len(seen) + 1):
            tail = seen[len(seen) - length :]
            if any(tail[k:] == tail[:-k] for k in range(1, length // loops + 1)):
                fits.append(length)
        return max(fits)

    assert looping_tail(units, loops, shortest)[0] == (naive(units) or naive(units[:-1]))


@pytest.mark.parametrize("text", ["a" * 300_000, "a " * 150_000, "ab" * 150_000, ("a " * 50 + "b ") * 3000, " " * 300_000])
def test_hostile_text_is_measured_in_linear_time(text: str) -> None:
    found = repetition(text, RepetitionOptions())
    assert 0 <= found.share <= 1


@given(st.text(), st.integers(2, 5))
def test_any_text_is_measured(text: str, n: int) -> None:
    found = repetition(text, RepetitionOptions(n=n, times=2))
    assert 0 <= found.share <= 1
