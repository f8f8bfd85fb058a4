"""Wilson's interval against known values and its own properties."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.stats.intervals import wilson


@pytest.mark.parametrize(
    ("passed", "n", "low", "high"),
    [  # Newcombe 1998, Statistics in Medicine 17:857-872, table I, method 3
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0000, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ],
)
def test_known_values(passed: int, n: int, low: float, high: float) -> None:
    found = wilson(passed, n)
    assert found is not None
    assert found.low == pytest.approx(low, abs=5e-5)
    assert found.high == pytest.approx(high, abs=5e-5)


def test_nothing_is_known_of_nothing() -> None:
    assert wilson(0, 0) is None


@given(st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_it_holds_the_share_stays_in_bounds_and_is_symmetric(case: tuple[int, int]) -> None:
    passed, n = case
    found, mirrored = wilson(passed, n), wilson(n - passed, n)
    assert found is not None
    assert mirrored is not None
    assert 0 <= found.low <= passed / n + 1e-12
    assert passed / n - 1e-12 <= found.high <= 1
    assert found.low == pytest.approx(1 - mirrored.high, abs=1e-9)
    wider = wilson(passed, n, z=3.0)
    assert wider is not None
    assert wider.low - 1e-12 <= found.low <= found.high <= wider.high + 1e-12
