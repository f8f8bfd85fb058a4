"""Selection: which accepted samples are kept, by which rule, in plan order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from gristmill.selection.rules import Candidate, Choice, Rules, Selector

PROMPTS = st.lists(
    st.tuples(st.lists(st.sampled_from([b"a", b"b", b"c"]), max_size=6), st.sampled_from(["train", "train", "test"])), max_size=8
)


def candidates(payloads: list[bytes], start: int = 0) -> list[Candidate]:
    return [Candidate(row, payload) for row, payload in enumerate(payloads, start)]


def test_the_first_ones_by_index_are_kept() -> None:
    selector = Selector(Rules(per_prompt=2, exact=True, target_rows=None))
    assert selector.choose(candidates([b"a", b"b", b"c"]), "train") == [
        Choice(0, kept=True, rule="kept"),
        Choice(1, kept=True, rule="kept"),
        Choice(2, kept=False, rule="per_prompt"),
    ]


def test_a_duplicate_names_its_twin_and_uses_no_place() -> None:
    selector = Selector(Rules(per_prompt=2, exact=True, target_rows=None))
    assert selector.choose(candidates([b"a", b"a", b"b", b"a"], 10), "train") == [
        Choice(10, kept=True, rule="kept"),
        Choice(11, kept=False, rule="duplicate", twin=10),
        Choice(12, kept=True, rule="kept"),
        Choice(13, kept=False, rule="duplicate", twin=10),
    ]


def test_conversations_that_do_not_hold_their_prompt_are_compared_over_the_run() -> None:
    for wide, rule in ((True, "duplicate"), (False, "kept")):
        selector = Selector(Rules(wide=wide))
        selector.choose(candidates([b"a", b"b"]), "train")
        assert [choice.rule for choice in selector.choose(candidates([b"b", b"c"], 7), "test")] == [rule, "kept"]
    assert selector.choose(candidates([b"c"], 9), "train") == [Choice(9, kept=True, rule="kept")]


def test_duplicates_stay_where_deduplication_is_off() -> None:
    selector = Selector(Rules(per_prompt=None, exact=False, target_rows=None))
    assert all(choice.kept for choice in selector.choose(candidates([b"a", b"a"]), "train"))


def test_the_target_is_exact_and_counts_the_training_split_alone() -> None:
    selector = Selector(Rules(per_prompt=None, exact=True, target_rows=3))
    assert [choice.rule for choice in selector.choose(candidates([b"a", b"b"]), "train")] == ["kept", "kept"]
    assert [choice.rule for choice in selector.choose(candidates([b"c", b"d"]), "test")] == ["kept", "kept"]
    assert not selector.reached
    assert [choice.rule for choice in selector.choose(candidates([b"e", b"f"]), "train")] == ["kept", "over_target"]
    assert selector.reached
    assert [choice.rule for choice in selector.choose(candidates([b"g"]), "test")] == ["over_target"]


def test_without_a_target_nothing_is_ever_reached() -> None:
    selector = Selector(Rules(per_prompt=None, exact=True, target_rows=None))
    selector.choose(candidates([b"a"]), "train")
    assert not selector.reached


@given(prompts=PROMPTS, per_prompt=st.none() | st.integers(1, 3), exact=st.booleans(), target=st.none() | st.integers(1, 9))
def test_every_candidate_is_decided_once_and_every_bound_holds(
    prompts: list[tuple[list[bytes], str]], per_prompt: int | None, target: int | None, *, exact: bool
) -> None:
    selector = Selector(Rules(per_prompt=per_prompt, exact=exact, target_rows=target))
    train, start = 0, 0
    for payloads, split in prompts:
        given_ones = candidates(payloads, start)
        start += len(payloads)
        choices = selector.choose(given_ones, split)
        by_row = {candidate.row: candidate.payload for candidate in given_ones}
        kept = [choice.row for choice in choices if choice.kept]
        assert [choice.row for choice in choices] == list(by_row)
        assert all(choice.kept == (choice.rule == "kept") for choice in choices)
        assert per_prompt is None or len(kept) <= per_prompt
        assert not exact or len({by_row[row] for row in kept}) == len(kept)
        for choice in choices:
            assert (choice.twin is not None) == (choice.rule == "duplicate")
            assert choice.twin is None or (choice.twin in kept and by_row[choice.twin] == by_row[choice.row])
        train += len(kept) * (split == "train")
    assert selector.train_rows == train
    assert target is None or train <= target
    assert selector.reached == (target is not None and train == target)
