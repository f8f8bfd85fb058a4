"""Adaptive sampling as pure arithmetic: how many samples are due, given what became of the earlier ones.

Attempts start in rounds of `want - accepted`, so the rounds follow from the outcomes alone: a run that is killed in the middle
of a round and resumed makes the same samples as one that was not. Stopping at what is wanted cuts tokens per accepted trace by
40 to 67 % against a fixed number of samples (simulation in the design study).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gristmill.recipe.model import SamplingSpec


def attempts_due(outcomes: Sequence[bool | None], spec: SamplingSpec) -> int:
    """Return how many samples the next round has; 0 means that the prompt is settled.

    Args:
        outcomes: Of the samples so far by index: passed, failed, or None for not gradable, which counts as an attempt but
            not as a straight failure.
        spec: The recipe's sampling.
    """
    if spec.want is None:
        return max(0, (spec.n or 0) - len(outcomes))
    accepted = sum(outcome is True for outcome in outcomes)
    straight = 0
    for outcome in reversed(outcomes):
        if outcome is True:
            break
        straight += outcome is False
    if accepted >= spec.want or straight >= spec.give_up_after:
        return 0
    return max(0, min(spec.want - accepted, spec.max_attempts - len(outcomes)))


def rows_expected(spec: SamplingSpec, per_prompt: int | None) -> int:
    """Return the most rows that one prompt can bring."""
    most = spec.want or spec.n or 1
    return most if per_prompt is None else min(most, per_prompt)
