"""Intervals for shares."""

from __future__ import annotations

import math
from typing import NamedTuple

Z_95 = 1.959963984540054


class Interval(NamedTuple):
    """A two-sided interval."""

    low: float
    high: float


def wilson(passed: int, n: int, z: float = Z_95) -> Interval | None:
    """Return the Wilson score interval of a share (Wilson 1927, JASA 22:209-212), or None where n is 0.

    It covers well for small n and near 0 and 1, where the normal interval fails (Brown, Cai and DasGupta 2001).
    """
    if n == 0:
        return None
    share = passed / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return Interval(max(0.0, centre - half), min(1.0, centre + half))
