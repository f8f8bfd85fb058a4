"""Splits by prompt: stable, independent of other prompts, with the shares that were asked for."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.selection.splits import split_of

N = 20_000


@pytest.mark.parametrize("seed", [0, 1, 99])
@pytest.mark.parametrize(("validation", "test"), [(0.1, 0.0), (0.0, 0.2), (0.05, 0.3)])
def test_the_shares_hold(seed: int, validation: float, test: float) -> None:
    found = [split_of(f"{number:032x}", seed, validation=validation, test=test) for number in range(N)]
    for name, share in {"validation": validation, "test": test, "train": 1 - validation - test}.items():
        sigma = math.sqrt(N * share * (1 - share))
        assert abs(found.count(name) - N * share) <= 4 * sigma


@given(st.text(), st.integers())
def test_all_is_training_data_unless_something_is_held_out(prompt: str, seed: int) -> None:
    prompt = prompt.encode("utf-8", "replace").decode()
    assert split_of(prompt, seed, validation=0, test=0) == "train"


@given(prompt=st.uuids().map(str), seed=st.integers(0, 9), small=st.floats(0, 0.4), more=st.floats(0, 0.4))
def test_a_larger_share_only_adds(prompt: str, seed: int, small: float, more: float) -> None:
    if split_of(prompt, seed, validation=0, test=small) == "test":
        assert split_of(prompt, seed, validation=0, test=small + more) == "test"


def test_another_seed_is_another_split() -> None:
    splits = [[split_of(str(number), seed, validation=0, test=0.5) for number in range(100)] for seed in (0, 1)]
    assert splits[0] != splits[1]


def test_the_side_of_a_prompt_never_changes() -> None:
    found = [split_of(f"{number:032x}", 7, validation=0.25, test=0.25) for number in range(8)]
    assert found == ["test", "train", "validation", "train", "train", "train", "validation", "train"]
