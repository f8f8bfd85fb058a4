"""Conservation: what went in is what was kept plus every named reason, or the run fails."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.errors import BrokenPromise
from gristmill.stats.funnel import Stage, Tally, check_conservation

DROPS = st.dictionaries(st.text(max_size=4), st.integers(1, 50), max_size=5)


def test_a_tally_counts_and_orders_its_reasons() -> None:
    tally = Tally()
    tally.kept += 2
    tally.drop("rare")
    tally.drop("often", 3)
    tally.drop("also", 3)
    stage = tally.stage("grade", 9)
    assert list(stage.dropped.items()) == [("also", 3), ("often", 3), ("rare", 1)]
    assert stage.plain() == {"stage": "grade", "in": 9, "kept": 2, "dropped": {"also": 3, "often": 3, "rare": 1}}
    check_conservation([stage])


@given(kept=st.integers(0, 100), dropped=DROPS)
def test_counts_that_add_up_pass(kept: int, dropped: dict[str, int]) -> None:
    check_conservation([Stage("any", kept + sum(dropped.values()), kept, dropped)])


@given(kept=st.integers(0, 100), dropped=DROPS, off=st.integers(-5, 5).filter(bool))
def test_a_count_that_is_off_breaks_the_promise_and_names_the_stage(kept: int, dropped: dict[str, int], off: int) -> None:
    good = Stage("good", 0, 0, {})
    with pytest.raises(BrokenPromise, match="stage `bad`") as caught:
        check_conservation([good, Stage("bad", kept + sum(dropped.values()) + off, kept, dropped)])
    assert caught.value.exit_code == 1
    assert "report it" in caught.value.fix
