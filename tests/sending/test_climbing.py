"""The number in flight that is worth it is found, from above and from below, and kept."""

from __future__ import annotations

import heapq
import random

import pytest

from gristmill.sending.climbing import FEWEST, Climb, climbed


def served(climb: Climb, knee: int, answers: int, seed: int = 7) -> list[float]:
    """Let a server answer: each token takes longer once more than `knee` are in flight; return the windows that were tried."""
    rng, now_s, flying, windows = random.Random(seed), 0.0, list[tuple[float, int]](), [climb.window]
    for _ in range(answers):
        while len(flying) < int(climb.window):
            tokens = max(1, int(rng.expovariate(1 / 500)))
            slower = max(1.0, (len(flying) + 1) / knee)
            heapq.heappush(flying, (now_s + tokens * 0.01 * slower, tokens))
        now_s, tokens = heapq.heappop(flying)
        climb = climbed(climb, now_s, tokens, full=True)
        if climb.window != windows[-1]:
            windows.append(climb.window)
    return windows


@pytest.mark.parametrize("knee", [60, 400])
def test_the_knee_is_found_and_kept(knee: int) -> None:
    """Of the windows of the second half the middle one is within a half of the knee: two steps of a quarter."""
    windows = served(Climb(256.0, 1024), knee, 40_000)
    late = sorted(windows[len(windows) // 2 :])
    assert len(windows) > 20
    assert knee / 1.6 <= late[len(late) // 2] <= knee * 1.6, late


def test_it_stays_within_bounds() -> None:
    assert max(served(Climb(256.0, 300), 10_000, 10_000)) == 300
    assert min(served(Climb(64.0, 300), 2, 10_000)) == FEWEST


def test_what_comes_back_while_little_is_asked_changes_nothing() -> None:
    climb = Climb(256.0, 1024)
    for number in range(5_000):
        climb = climbed(climb, number * 0.01, 100, full=False)
    assert climb == Climb(256.0, 1024)
