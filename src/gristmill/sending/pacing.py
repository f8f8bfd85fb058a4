"""How fast an endpoint may be asked, learned from when it refuses.

A rate limit is a bucket that fills at a steady pace. Between two refusals it went from empty to empty, so what it let through
in that time is what flowed in: the limit itself, however large the bucket is. So a refusal closes the door for a moment, and
sets the rate a little below what was let through since the refusal before; from there it rises slowly, and faster the longer
nothing is refused. A server that goes on refusing however much slower it is asked is not limiting a rate: then the rate is
given back, and only the pauses stay.

Everything here is a value and a function of values; where the value is kept, and who shares it, is `sharing`'s business. Times
are seconds since 1970, rates requests a second.
"""

from __future__ import annotations

import math
from typing import NamedTuple

SLICE_S = 0.1
"""How much of an endpoint's time a process takes at once."""
LAG_S = 0.05
"""How late a request may be and still have its place in the rate."""
BELOW = 0.97
"""Share of the measured limit to go on with."""
_SURE = 16
"""Requests let through that make a measurement sure."""
_UNSURE_CUT = 0.95
"""What a measurement that is not sure leaves of the rate at least …"""
_LEARNING_CUT = 0.7
"""… while no limit is known …"""
_HOPELESS_CUT = 0.5
"""… and where most are refused."""
_LATE_S = 1.0
"""A refusal is late, and the limit not below the rate before, after this time of sending …"""
_LATE_PAUSES = 3.0
"""… and this many times the pause before."""
_WIDE = 1.1
"""Where the rate rose by more, the bucket may have been full on the way: then the limit is only known to lie in between."""
_OVERSHOT = 2.0
"""… and no further below the rate than this, because a rate that is refused has not risen for long above the limit."""
_GUESS = 0.25
"""Share of the first requests that is taken for let through at least: too high a rate is mended sooner than one too low."""
_MANY = 20.0
"""A pause in which so many would have been let through may have been longer than it took to fill the bucket."""
_ODD = 0.985
"""A refusal below this share of a sure measurement is odd: the limit is lower now, or it is no rate that is refused …"""
_ODD_CUTS = 6
"""… and no limit falls so many times …"""
_TRUCE_S = 30.0
"""… so for this long it is not cut."""
_SHORTEST_PAUSE_S = 0.02
_FIRST_PAUSE_S = 0.25
_LONGEST_PAUSE_S = 60.0
_LONGEST_MORE_S = 1.0
"""The longest where the server said how long, and still lets nothing through."""
_LEARNING = math.log(2)
"""Growth a second while no limit is known."""
_NEAR = 0.94
"""As far as to this share of a rate that was refused …"""
_RETURN = 0.25
"""… it grows by so much a second …"""
_RETURN_PAUSES = 2.0
"""… or in so many times the pause that a refusal costs."""
_PROBE = 0.06
"""Growth from one refusal to the next in a steady state: from a little below the limit to a little above …"""
_PROBE_S = 5.0
"""… in this time at least, …"""
_PROBE_CALLS = 90.0
"""… in so many requests, …"""
_PROBE_PAUSES = 30.0
"""… and in so many times the pause."""
_DOUBLINGS = 2.0
"""How often growth doubles in that time …"""
_MOST_DOUBLINGS = 5.0
"""… and all in all."""


class Measured(NamedTuple):
    """What was sent and refused in a stretch of time that ends with a refusal."""

    sent: int = 0
    refused: int = 0
    span_s: float = 0.0
    pause_s: float = 0.0
    """The part of it in which the door was closed."""

    @property
    def passed(self) -> int:
        """Return how many were let through."""
        return max(0, self.sent - self.refused)

    def plus(self, other: Measured) -> Measured:
        """Return both stretches as one."""
        return Measured(
            self.sent + other.sent,
            self.refused + other.refused,
            self.span_s + other.span_s,
            self.pause_s + other.pause_s,
        )

    @property
    def rate(self) -> float:
        """Return how many a second flowed in.

        While the door was closed the bucket filled, or it was full: without the pause this is too much, with it it may be too
        little; the truth is in between.
        """
        return self.passed / math.sqrt(self.span_s * max(0.001, self.span_s - self.pause_s))


class Basis(NamedTuple):
    """What was known when the last refusal came; a later one of a request that was sent before it mends the measurement."""

    rate: float | None = None
    low: float = 0.0
    """The rate after the cut before."""
    top: float | None = None
    """A rate that was refused, where it is not known how far above the limit it is."""
    known: float = 0.0
    """The last sure measurement."""
    fallback: float | None = None
    """The rate before the first of the odd cuts."""
    pool: Measured = Measured()
    """Stretches before the last one that were too short to be sure."""
    last: Measured = Measured()
    odd: int = 0
    """Odd cuts, less those that were to be expected."""
    silent: int = 0
    """Refusals in a row with nothing let through between them."""
    told_s: float | None = None
    """What the server asked to wait."""
    learning: bool = True


class Pacing(NamedTuple):
    """What is known of an endpoint."""

    rate: float | None = None
    """None until the first refusal."""
    free_at: float = 0.0
    """When the next request may be sent: each takes its place in the rate."""
    closed_until: float = 0.0
    cut_at: float = 0.0
    """When the last refusal came; those of requests that were sent before belong to it."""
    since: float = 0.0
    """When the measured stretch began; time in which nobody wanted anything is taken out."""
    sent: int = 0
    """Requests sent since the last refusal."""
    truce_until: float = 0.0
    basis: Basis = Basis()
    after: Basis = Basis()
    """What will be the basis of the next refusal."""


class Slots(NamedTuple):
    """Places in the rate: `left` of them from `start` on, `step_s` apart."""

    start: float
    step_s: float
    left: int


def refused(pacing: Pacing, now: float, sent_at: float, told_s: float | None, unpaced: Measured | None) -> Pacing:
    """Return what is known after a request was refused for its rate.

    Args:
        pacing: What was known before.
        now: When the refusal came.
        sent_at: When the request was sent.
        told_s: What the server asked to wait.
        unpaced: What this process sent lately, where it was its first refusal, so that the rest does not know of it.
    """
    if sent_at <= pacing.cut_at:
        basis = pacing.basis
        last = basis.last._replace(refused=basis.last.refused + 1)
        told = max((told for told in (basis.told_s, told_s) if told is not None), default=None)
        return _cut(pacing._replace(basis=basis._replace(last=last, told_s=told)))
    if unpaced is None:
        last = Measured(pacing.sent, 1, max(now - pacing.since, 0.001), pacing.closed_until - pacing.cut_at)
    elif pacing.rate is None:
        last = unpaced._replace(refused=unpaced.refused + 1)
    else:  # its requests were not counted, so nothing can be measured
        last = Measured()
    basis = pacing.after._replace(rate=pacing.rate, last=last, told_s=told_s)
    return _cut(pacing._replace(cut_at=now, since=now, sent=0, basis=basis))


def _cut(pacing: Pacing) -> Pacing:
    """Return the rate, the pause and the next basis that follow from the basis."""
    basis = pacing.basis
    silent = 0 if basis.last.passed else basis.silent + 1
    pause = _pause_s(basis, silent)
    rate, after = _slower(basis, in_truce=pacing.cut_at < pacing.truce_until)
    after = after._replace(silent=silent)
    truce = pacing.truce_until
    if after.odd >= _ODD_CUTS:
        rate, truce = basis.fallback, pacing.cut_at + _TRUCE_S
        after = after._replace(odd=0, fallback=None, pool=Measured())
    elif after.pool.sent >= _SURE and after.pool.passed < after.pool.sent / 2:
        truce = 0.0  # most are refused: it is the rate after all
    closed = max(pacing.cut_at + pause, pacing.closed_until)
    return pacing._replace(rate=rate, closed_until=closed, free_at=closed, truce_until=truce, after=after)


def _pause_s(basis: Basis, silent: int) -> float:
    """Return how long the door stays closed: as told, and the longer the more often nothing was let through."""
    if basis.told_s is not None and not silent:
        return basis.told_s
    first = _FIRST_PAUSE_S if basis.rate is None else min(_FIRST_PAUSE_S, max(_SHORTEST_PAUSE_S, 2 / basis.rate))
    longest = _LONGEST_PAUSE_S if basis.told_s is None else _LONGEST_MORE_S
    return max(basis.told_s or 0.0, min(longest, first * 2 ** min(silent, 12)))


def _slower(basis: Basis, *, in_truce: bool) -> tuple[float | None, Basis]:
    """Return the rate to go on with, and what to remember of the measurement."""
    whole = basis.pool.plus(basis.last)
    if basis.rate is None:
        rate = max(basis.last.passed, _GUESS * basis.last.sent) / max(basis.last.span_s, 0.005)
        return rate, basis._replace(low=rate, pool=Measured())
    if not basis.last.passed:  # the bucket is still empty, so the pause is as good as time of sending
        return basis.rate, basis._replace(pool=basis.pool.plus(basis.last._replace(pause_s=0.0)))
    if in_truce:
        return basis.rate, basis._replace(pool=whole)
    sending_s = basis.last.span_s - basis.last.pause_s
    late = sending_s >= max(_LATE_S, _LATE_PAUSES * basis.last.pause_s)
    if late and basis.rate > _WIDE * basis.low:
        rate, top, sure = max(math.sqrt(basis.low * basis.rate), basis.rate / _OVERSHOT), basis.rate, True
    else:
        sure = whole.passed >= _SURE
        least = 0.0 if sure else _least(basis, whole)
        rate = max(whole.rate, basis.low if late else 0.0, least * basis.rate)
        filled = basis.last.pause_s * rate > _MANY and whole.span_s > _WIDE * (whole.span_s - whole.pause_s)
        top = basis.rate if filled and not late else None
    measured = min(rate, basis.rate)
    rate = BELOW * measured
    if not sure:
        return rate, basis._replace(low=rate, top=top, pool=whole)
    odd = basis.odd + 1 if basis.rate < _ODD * basis.known else max(0, basis.odd - 1)
    fallback = basis.fallback if basis.odd else basis.rate
    after = basis._replace(low=rate, top=top, pool=Measured(), known=measured, odd=odd, fallback=fallback, learning=False)
    return rate, after


def _least(basis: Basis, whole: Measured) -> float:
    """Return the share of the rate that a measurement which is not sure leaves at least."""
    if whole.sent >= _SURE and whole.refused > whole.passed:
        return _HOPELESS_CUT
    return _LEARNING_CUT if basis.learning else _UNSURE_CUT


def granted(pacing: Pacing, now: float, want: int, most: float | None) -> tuple[Pacing, Slots]:
    """Return what is known after a process took a slice, and its places.

    Args:
        pacing: What was known before.
        now: When it asks.
        want: For how many requests, at least 1.
        most: The rate that is declared, whatever is learned.
    """
    rate = min((rate for rate in (pacing.rate, most) if rate is not None), default=None)
    start = max(pacing.free_at, pacing.closed_until, now - LAG_S)
    if rate is None:
        return pacing._replace(free_at=start), Slots(start, 0.0, want)
    trying = pacing.after.silent > 3 and pacing.sent == 0  # one request finds out whether the door is open again
    count = 1 if trying else max(1, min(want, math.ceil(rate * SLICE_S)))
    busy = pacing.free_at >= now - LAG_S
    if pacing.rate is not None and busy and (most is None or pacing.rate < most):
        pacing = pacing._replace(rate=pacing.rate * math.exp(_growth(pacing, now) * count / rate))
    if not busy:
        pacing = pacing._replace(since=pacing.since + now - max(pacing.free_at, pacing.since))
    taken_s = max(count / rate, SLICE_S) if trying else count / rate
    return pacing._replace(free_at=start + taken_s), Slots(start, 1 / rate, count)


def _growth(pacing: Pacing, now: float) -> float:
    """Return how fast a rate grows: as a share of itself, a second."""
    if pacing.after.learning or now < pacing.truce_until:
        return _LEARNING
    assert pacing.rate is not None
    pause = pacing.closed_until - pacing.cut_at
    if pacing.after.top is not None and pacing.rate < _NEAR * pacing.after.top:
        return _RETURN / max(1.0, _RETURN_PAUSES * pause)
    period = max(_PROBE_S, _PROBE_CALLS / pacing.rate, _PROBE_PAUSES * pause)
    return _PROBE / period * 2 ** min(_MOST_DOUBLINGS, _DOUBLINGS * max(0.0, now - pacing.cut_at) / period)
