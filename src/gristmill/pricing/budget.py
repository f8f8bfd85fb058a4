"""A budget that is not overshot: the worst case of every call is set aside before it is sent.

What was spent, what calls in flight could still cost, and what a call that never came back may have cost are three sums, and
together with the next call they must stay under the cap. Near the cap admission waits for calls in flight, because most cost less
than their worst case; only when none is and the next still does not fit is the budget reached. Pure: waiting is the engine's.
"""

from __future__ import annotations

from typing import NamedTuple

_FEW = 1e-9
"""Dollars by which sums of fractions may be off."""


class Amount(NamedTuple):
    """Dollars and tokens."""

    usd: float = 0.0
    tokens: int = 0

    def plus(self, other: Amount) -> Amount:
        """Return the sum."""
        return Amount(self.usd + other.usd, self.tokens + other.tokens)

    def minus(self, other: Amount) -> Amount:
        """Return the difference."""
        return Amount(self.usd - other.usd, self.tokens - other.tokens)


NOTHING = Amount()


class Caps(NamedTuple):
    """What may be spent; None is no limit."""

    usd: float | None = None
    tokens: int | None = None
    hours: float | None = None


class Budget:
    """Keeps what is spent and what is set aside under the caps."""

    def __init__(self, caps: Caps, spent: Amount = NOTHING, lost: Amount = NOTHING, hours: float = 0.0) -> None:
        """Begin with what earlier processes of the run left.

        Args:
            caps: What may be spent in the whole run.
            spent: What recorded replies cost.
            lost: What calls without a recorded end may have cost: it stays set aside.
            hours: How long the run has been going.
        """
        self.caps = caps
        self.spent = spent
        self.lost = lost
        self.reserved = Amount()
        self.hours = hours
        self.calls = 0
        """Calls whose worst case is set aside now."""

    def fits(self, need: Amount) -> bool:
        """Whether a call with this worst case may be sent now."""
        return self.obstacle(need) is None

    def obstacle(self, need: Amount) -> str | None:
        """Return what stands against a call with this worst case, in words, or None."""
        whole = self.spent.plus(self.lost).plus(self.reserved).plus(need)
        caps = self.caps
        if caps.usd is not None and whole.usd > caps.usd + _FEW:
            return f"${self.spent.usd:.4f} of ${caps.usd:g} are spent{self._aside()}, and the next call may cost ${need.usd:.4f}"
        if caps.tokens is not None and whole.tokens > caps.tokens:
            return f"{self.spent.tokens:,} of {caps.tokens:,} tokens are spent, and the next call may take {need.tokens:,}"
        if caps.hours is not None and self.hours >= caps.hours:
            return f"{self.hours:.2f} of {caps.hours:g} hours are over"
        return None

    def _aside(self) -> str:
        return f", ${self.lost.usd:.4f} may have been billed for calls that never came back" if self.lost.usd else ""

    def reserve(self, need: Amount) -> None:
        """Set a call's worst case aside."""
        self.reserved = self.reserved.plus(need)
        self.calls += 1

    def settle(self, need: Amount, cost: Amount) -> None:
        """Put what a call cost in the place of its worst case."""
        self._release(need)
        self.spent = self.spent.plus(cost)

    def lose(self, need: Amount) -> None:
        """Keep the worst case of a call that failed and may have been billed."""
        self._release(need)
        self.lost = self.lost.plus(need)

    def drop(self, need: Amount) -> None:
        """Give back the worst case of a call that was certainly not billed."""
        self._release(need)

    def _release(self, need: Amount) -> None:
        self.reserved = self.reserved.minus(need) if self.calls > 1 else Amount()
        self.calls -= 1
