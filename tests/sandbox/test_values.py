"""Values across the wall: what goes in comes out, and nothing else does."""

from __future__ import annotations

import json
import math
from collections import Counter, deque
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.values import MAX_DEPTH, MAX_NODES, Opaque, TooLarge, decode, encode

NUMBERS = st.integers() | st.floats(allow_nan=False) | st.complex_numbers(allow_nan=False)
ATOMS = st.none() | st.booleans() | NUMBERS | st.text() | st.binary()
HASHABLE = st.recursive(ATOMS, lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3), max_leaves=5)
SETS = st.sets(HASHABLE, max_size=3)
VALUES = st.recursive(
    ATOMS,
    lambda inner: (
        st.lists(inner) | st.tuples(inner) | st.sets(HASHABLE, max_size=3) | st.dictionaries(HASHABLE, inner, max_size=3)
    ),
)
JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(), st.lists, max_leaves=20)


@given(VALUES)
def test_a_value_comes_back_as_it_went(value: Any) -> None:
    back = decode(json.loads(json.dumps(encode(value))))
    assert type(back) is type(value)
    assert repr(back) == repr(value) or back == value


@given(JSON)
def test_what_is_no_value_is_refused_and_runs_nothing(tagged: Any) -> None:
    try:
        decode(tagged)
    except (ValueError, TypeError, OverflowError):
        return


def test_types_are_what_they_are() -> None:
    class Liar(int):
        def __eq__(self, _: object) -> bool:
            return True

        __hash__ = int.__hash__

    lie = decode(encode(Liar(5)))
    assert isinstance(lie, Opaque)
    assert lie != 5
    assert lie != lie  # noqa: PLR0124 - it equals nothing
    assert decode(encode(Counter("aab"))) == {"a": 2, "b": 1}
    assert isinstance(decode(encode(deque([1]))), Opaque)
    assert bool(decode(encode(deque([1])))) is True
    assert bool(decode(encode(deque()))) is False


def test_bombs_are_refused_before_they_are_written() -> None:
    loop: list[Any] = []
    loop.append(loop)
    deep: Any = 0
    for _ in range(MAX_DEPTH + 2):
        deep = [deep]
    for bomb in (loop, deep, [0] * (MAX_NODES + 1), 1 << 2_000_000):
        with pytest.raises(TooLarge):
            encode(bomb)
    assert math.isnan(decode(encode(math.nan)))
