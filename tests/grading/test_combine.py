"""Several graders, one outcome."""

from __future__ import annotations

import itertools

import pytest

from gristmill.grading.combine import Group, Leaf, Outcome, Wanted, decide

MATH, JUDGE, REPETITION = Leaf(0), Leaf(1, paid=True), Leaf(2)
VERDICTS = (True, False, None)


def said(*verdicts: bool | None) -> dict[int, Outcome]:
    """What leaves 0, 1, … said."""
    return {place: Outcome(passed, f"reason {place}", place) for place, passed in enumerate(verdicts)}


@pytest.mark.parametrize("verdicts", list(itertools.product(VERDICTS, repeat=3)))
def test_all_and_any_are_the_logic_of_three_values(verdicts: tuple[bool | None, ...]) -> None:
    leaves = (Leaf(0), Leaf(1), Leaf(2))
    everything = decide(Group("all", leaves), said(*verdicts))
    something = decide(Group("any", leaves), said(*verdicts))
    assert isinstance(everything, Outcome)
    assert isinstance(something, Outcome)
    assert everything.passed is (False if False in verdicts else None if None in verdicts else True)
    assert something.passed is (True if True in verdicts else None if None in verdicts else False)
    for outcome in (everything, something):
        assert outcome.grader is not None
        assert verdicts[outcome.grader] is outcome.passed, "the reason is that of a grader which says so"


def test_rules_look_at_once_and_a_judge_only_where_it_can_decide() -> None:
    tree = Group("all", (MATH, JUDGE, REPETITION))
    assert decide(tree, {}) == Wanted((0, 2), paid=False)
    assert decide(tree, {0: Outcome(False, "different"), 2: Outcome(True, "varied")}) == Outcome(False, "different")
    assert decide(tree, {0: Outcome(True, "equal"), 2: Outcome(True, "varied")}) == Wanted((1,), paid=True)


def test_where_all_is_kept_a_judge_is_asked_all_the_same() -> None:
    """Its word changes nothing and is wanted; one that waits for what rules cannot decide still waits."""
    failed = {0: Outcome(False, "different", 0), 2: Outcome(True, "varied", 2)}
    tree = Group("all", (Leaf(0), Leaf(1, paid=True), Leaf(2)))
    assert decide(tree, failed, every=True) == Wanted((1,), paid=True)
    assert decide(tree, {**failed, 1: Outcome(True, "same", 1)}, every=True) == failed[0]
    waits = Group("all", (Group("cascade", (Leaf(0), Leaf(1, paid=True))), Leaf(2)))
    assert decide(waits, failed, every=True) == failed[0]


def test_a_judge_for_what_rules_cannot_decide() -> None:
    """`[math, {judge, when: unverifiable}, repetition]`: the judge stands in for math and for nothing else."""
    tree = Group("all", (Group("cascade", (Group("all", (MATH,)), JUDGE)), REPETITION))
    unread, varied = Outcome(None, "unparsable", 0), Outcome(True, "varied", 2)
    assert decide(tree, {0: unread, 2: varied}) == Wanted((1,), paid=True)
    assert decide(tree, {0: unread, 1: Outcome(True, "same", 1), 2: varied}) == Outcome(True, "same", 1)
    assert decide(tree, {0: unread, 2: Outcome(False, "looping_tail", 2)}) == Outcome(False, "looping_tail", 2)
    assert decide(tree, {0: Outcome(False, "different", 0), 2: varied}) == Outcome(False, "different", 0)


def test_a_rescue_overrules_and_says_so() -> None:
    tree = Group("rescue", (MATH, JUDGE))
    assert decide(tree, {0: Outcome(True, "equal", 0)}) == Outcome(True, "equal", 0)
    failed = {0: Outcome(False, "different", 0)}
    assert decide(tree, failed) == Wanted((1,), paid=True)
    assert decide(tree, {**failed, 1: Outcome(True, "same", 1)}) == Outcome(True, "rescued: same", 1)
    assert decide(tree, {**failed, 1: Outcome(None, "http_500", 1)}) == Outcome(False, "different", 0)
    assert decide(tree, {0: Outcome(None, "unparsable", 0), 1: Outcome(True, "same", 1)}) == Outcome(True, "same", 1)


def test_a_cascade_whose_graders_all_shrug_says_what_the_last_one_said() -> None:
    tree = Group("cascade", (MATH, JUDGE))
    assert decide(tree, said(None, None)) == Outcome(None, "reason 1", 1)
