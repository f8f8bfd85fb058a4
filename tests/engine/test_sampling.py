"""Adaptive sampling as arithmetic."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.engine.sampling import attempts_due
from gristmill.recipe.model import SamplingSpec

T, F, N = True, False, None


@pytest.mark.parametrize(
    ("outcomes", "due"),
    [
        ([], 2),
        ([T], 1),
        ([T, T], 0),
        ([F, F], 2),
        ([T, F], 1),
        ([F, F, F], 0),
        ([F, N, F], 2),
        ([F, N, F, F], 0),
        ([N, N, N, N], 2),
    ],
)
def test_rounds(outcomes: list[bool | None], due: int) -> None:
    """A round has what is still wanted; three straight failures end it, and None is not one."""
    assert attempts_due(outcomes, SamplingSpec(want=2, max_attempts=6, give_up_after=3)) == due


def test_plain_samples() -> None:
    """Without `want` every prompt gets `n` whatever became of them."""
    spec = SamplingSpec(want=None, n=4)
    assert [attempts_due([F] * k, spec) for k in range(6)] == [4, 3, 2, 1, 0, 0]


@given(
    results=st.lists(st.sampled_from([T, F, N]), min_size=40, max_size=40),
    want=st.integers(1, 4),
    extra=st.integers(0, 12),
    give_up=st.integers(1, 8),
)
def test_bounds(results: list[bool | None], want: int, extra: int, give_up: int) -> None:
    """It ends, never exceeds the attempts, never takes more than is wanted, and does not give up on less than it may."""
    spec = SamplingSpec(want=want, max_attempts=want + extra, give_up_after=give_up)
    outcomes: list[bool | None] = []
    while due := attempts_due(outcomes, spec):
        outcomes += results[len(outcomes) : len(outcomes) + due]
    assert len(outcomes) <= spec.max_attempts
    accepted = outcomes.count(True)
    assert accepted <= want
    if accepted < want and len(outcomes) < spec.max_attempts:
        last = max((i for i, outcome in enumerate(outcomes) if outcome), default=-1)
        assert outcomes[last + 1 :].count(False) >= give_up
