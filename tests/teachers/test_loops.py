"""The loop detector: what is a loop and what is not, and that the cut into pieces changes nothing."""

from __future__ import annotations

import random
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.teachers.loops import LEAST, LONGEST, STEP, TIMES, LoopDetector

SENTENCES = " ".join(f"Step {n}: add {n * 7} to {n * n} and carry {n % 3}." for n in range(2000))
NOISE = "".join(random.Random(3).choices(string.ascii_letters + " ", k=60_000))


def found_at(text: str, size: int = 1) -> int | None:
    """Return how many characters were taken when the loop was found."""
    detector = LoopDetector()
    for start in range(0, len(text), size):
        if detector.take(text[start : start + size]):
            return min(len(text), start + size)
    return None


@pytest.mark.parametrize("period", [1, 2, 7, 63, 64, 65, 300, 1000, LONGEST])
def test_a_text_that_repeats_for_good_is_found(period: int) -> None:
    repeats = max(LEAST, TIMES * period)
    at = found_at(NOISE[:5000] + NOISE[5000 : 5000 + period] * 40 * (1 + LEAST // period))
    assert at is not None
    assert 5000 + repeats <= at <= 5000 + repeats + period + 4 * STEP


@pytest.mark.parametrize(
    "text",
    [
        NOISE,
        SENTENCES,
        "0" * (LEAST - 1),
        NOISE[:3000] * TIMES,
        "\n".join(f"|{'-' * 70}|{n}|" for n in range(400)),
        "".join(f"wait, {n} is not it. " for n in range(5000)),
        (NOISE[:500] + "!") * (TIMES - 1),
    ],
    ids=["noise", "steps", "zeros", "long period", "table", "counter", "too few"],
)
def test_a_text_that_goes_on_is_no_loop(text: str) -> None:
    assert found_at(text, 100) is None


@settings(max_examples=50)
@given(st.integers(1, 900), st.integers(0, 3000), st.lists(st.integers(1, 700), min_size=1, max_size=20))
def test_the_cut_into_pieces_changes_nothing(period: int, before: int, sizes: list[int]) -> None:
    text = NOISE[:before] + NOISE[before : before + period] * (40 + 2 * LEAST // period)
    exact = found_at(text)
    assert exact is not None
    detector, start, size = LoopDetector(), 0, 0
    for size in sizes * len(text):
        start += size
        if detector.take(text[start - size : start]):
            break
    assert start - size < exact <= start
