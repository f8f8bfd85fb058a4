"""A budget that is not overshot."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gristmill.pricing.budget import Amount, Budget, Caps

calls = st.lists(
    st.tuples(st.floats(0.001, 1.0), st.floats(0, 1), st.sampled_from(["reply", "lost", "refused"]), st.integers(0, 5)),
    max_size=60,
)


@given(calls, st.floats(0.5, 10.0))
def test_what_is_spent_and_what_may_be_never_passes_the_cap(plan: list[tuple[float, float, str, int]], cap: float) -> None:
    """Whatever the order in which calls come back: spent + lost + set aside stays under the cap, and sums are not lost."""
    budget = Budget(Caps(usd=cap))
    flying: list[tuple[Amount, float, str]] = []
    spent = lost = 0.0

    def land(place: int) -> None:
        nonlocal spent, lost
        need, share, end = flying.pop(place % len(flying))
        if end == "reply":
            budget.settle(need, Amount(need.usd * share))
            spent += need.usd * share
        elif end == "lost":
            budget.lose(need)
            lost += need.usd
        else:
            budget.drop(need)

    for worst, share, end, landings in plan:
        need = Amount(worst)
        if budget.fits(need):
            budget.reserve(need)
            flying.append((need, share, end))
        assert budget.spent.usd + budget.lost.usd + budget.reserved.usd <= cap + 1e-6
        for place in range(min(landings, len(flying))):
            land(place)
    while flying:
        land(0)
    assert budget.calls == 0
    assert budget.reserved == Amount()
    assert abs(budget.spent.usd - spent) < 1e-6
    assert abs(budget.lost.usd - lost) < 1e-6


def test_each_cap_says_what_stands_against_the_next_call() -> None:
    assert Budget(Caps()).obstacle(Amount(1e9, 10**12)) is None
    usd = Budget(Caps(usd=1.0), spent=Amount(0.9), lost=Amount(0.05))
    assert usd.fits(Amount(0.05))
    text = usd.obstacle(Amount(0.06))
    assert text == (
        "$0.9000 of $1 are spent, $0.0500 may have been billed for calls that never came back, and the next call may cost $0.0600"
    )
    assert Budget(Caps(tokens=100), spent=Amount(0, 60)).obstacle(Amount(0, 41)) == (
        "60 of 100 tokens are spent, and the next call may take 41"
    )
    assert Budget(Caps(hours=8), hours=8.01).obstacle(Amount()) == "8.01 of 8 hours are over"


def test_a_call_without_an_end_stays_set_aside_after_a_resume() -> None:
    budget = Budget(Caps(usd=1.0), spent=Amount(0.5), lost=Amount(0.4))
    assert not budget.fits(Amount(0.2))
    assert budget.fits(Amount(0.1))
