"""Ratios that are learned from a pilot, and what they say of the whole: rows a prompt, dollars a row, passes a sample.

A prompt's samples share its difficulty, so prompts are what is drawn by chance, and a ratio of sums over prompts has the error of
its residuals (Cochran, Sampling Techniques, 3rd ed., 1977, §2.11 and §6.4). A prediction for a run adds the chance of the prompts
that are still to come. Quantiles of Student's t are expanded around the normal ones (Cornish and Fisher; Abramowitz and Stegun
1964, 26.7.5).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from gristmill.stats.intervals import Z_95, Interval, wilson

if TYPE_CHECKING:
    from collections.abc import Sequence


class Ratio(NamedTuple):
    """A ratio of sums over prompts."""

    value: float
    residual: float
    """Standard deviation of a prompt's part that the ratio does not explain, in units of the upper sum."""
    mean_below: float
    """A prompt's mean part of the lower sum."""
    prompts: int

    @property
    def interval(self) -> Interval:
        """Return the two-sided 95 % interval of the ratio."""
        if self.prompts < 2:
            return Interval(0.0, math.inf)
        half = t_95(self.prompts - 1) * self.residual / (self.mean_below * math.sqrt(self.prompts))
        return Interval(max(0.0, self.value - half), self.value + half)


def ratio_of(above: Sequence[float], below: Sequence[float]) -> Ratio | None:
    """Return the ratio of two sums over the same prompts, or None where the lower one is 0."""
    n, total = len(below), math.fsum(below)
    if not total:
        return None
    value = math.fsum(above) / total
    squares = math.fsum((a - value * b) ** 2 for a, b in zip(above, below, strict=True))
    return Ratio(value, math.sqrt(squares / (n - 1)) if n > 1 else math.inf, total / n, n)


def clustered_share(above: Sequence[float], below: Sequence[float]) -> tuple[float, Interval] | None:
    """Return a share over clusters and its two-sided 95 % interval, or None where there is nothing to divide by.

    Where every cluster says the same (all or none), residuals say nothing: then Wilson's interval with one vote a cluster is
    taken, which is wide where clusters are few.
    """
    ratio = ratio_of(above, below)
    if ratio is None:
        return None
    if 0 < ratio.value < 1:
        return ratio.value, Interval(ratio.interval.low, min(1.0, ratio.interval.high))
    clusters = sum(1 for part in below if part)
    interval = wilson(clusters if ratio.value else 0, clusters)
    assert interval is not None
    return ratio.value, interval


def predict(ratio: Ratio, done_above: float, left_below: float) -> Interval:
    """Return the two-sided 95 % interval of the upper sum of a whole run.

    Args:
        ratio: As the pilot has it.
        done_above: The upper sum of the pilot, which is part of the run.
        left_below: What is still to come of the lower sum.

    The error has two parts that do not depend on each other: the pilot's ratio is off, times everything that is left; and the
    prompts that are left are drawn by chance too.
    """
    if left_below <= 0:
        return Interval(done_above, done_above)
    if ratio.prompts < 2:
        return Interval(done_above, math.inf)
    prompts_left = left_below / ratio.mean_below
    of_ratio = ratio.residual * left_below / (ratio.mean_below * math.sqrt(ratio.prompts))
    of_rest = ratio.residual * math.sqrt(prompts_left)
    half = t_95(ratio.prompts - 1) * math.hypot(of_ratio, of_rest)
    middle = done_above + ratio.value * left_below
    return Interval(max(done_above, middle - half), middle + half)


def t_95(degrees: int) -> float:
    """Return the 97.5 % point of Student's t: for two-sided 95 % intervals. Within 0.1 % from four degrees of freedom on."""
    z = Z_95
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + math.fsum(term / degrees**power for power, term in enumerate(terms, start=1))
