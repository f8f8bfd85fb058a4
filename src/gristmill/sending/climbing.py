"""How many requests in flight a server of one's own is worth, found by trying.

A server that answers many requests together (vLLM, SGLang) brings more tokens a second with more in flight, up to a point beyond
which each only waits longer. Nothing that it says names that point, so the window is changed by a quarter at a time and kept
going in a direction while that pays: upwards while it brings more, downwards while it costs nothing. All of it is values and
functions.
"""

from __future__ import annotations

from typing import NamedTuple

STEP = 1.25
PAYS = 0.1
"""Less than this share more, or less, is no difference: lengths of answers vary, and so does what comes back in a while."""
FEWEST = 16
SETTLING = 1.0
MEASURED = 2.0
"""Windows of answers that pass after a change before they count, and that count then."""


class Climb(NamedTuple):
    """Where the search is."""

    window: float
    most: int
    upwards: bool = True
    rate: float = 0.0
    """Tokens a second with the window before; 0 before the first."""
    answers: int = 0
    """Since the last change."""
    tokens: int = 0
    """Of those that count."""
    since_s: float = 0.0
    """When the first of those that count came."""


def climbed(climb: Climb, now_s: float, tokens: int, *, full: bool) -> Climb:
    """Return where the search is after an answer.

    Args:
        climb: Where it was.
        now_s: The time.
        tokens: What the answer cost and brought.
        full: Whether as many were in flight as may be; what comes back otherwise says nothing of the window.
    """
    if not full:
        return climb._replace(answers=0, tokens=0)
    answers = climb.answers + 1
    if answers <= SETTLING * climb.window:
        return climb._replace(answers=answers, tokens=0, since_s=now_s)
    climb = climb._replace(answers=answers, tokens=climb.tokens + tokens)
    if answers < (SETTLING + MEASURED) * climb.window or now_s <= climb.since_s:
        return climb
    return _changed(climb, climb.tokens / (now_s - climb.since_s))


def _changed(climb: Climb, rate: float) -> Climb:
    """Return the next window to try: on in the same direction where that paid, else back."""
    more, less = rate > climb.rate * (1 + PAYS), rate < climb.rate * (1 - PAYS)
    upwards = more if climb.upwards else less
    window = climb.window * STEP if upwards else climb.window / STEP
    bounded = min(float(climb.most), max(float(FEWEST), window))
    return Climb(bounded, climb.most, upwards, rate)
