"""Shares that come out right at every moment: whichever is furthest behind its share is next.

Deterministic and without a total, so a stream of unknown length is balanced as it goes (the largest-deficit rule of error
diffusion); a seed decides ties, or else the same kind would always come first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import AfterValidator, Field

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping

Share = Annotated[float, Field(ge=0)]


def some(shares: dict[str, float]) -> dict[str, float]:
    """Return shares of which one at least is not 0.

    Raises:
        ValueError: where all are.
    """
    if not any(shares.values()):
        raise ValueError("shares must not all be 0")
    return shares


Shares = Annotated[dict[str, Share], AfterValidator(some)]
"""Names with their shares, which need not add up to 1."""


class Quota:
    """Gives out names by their shares."""

    def __init__(self, shares: Mapping[str, float], rng: random.Random) -> None:
        """Take shares, which need not add up to 1."""
        total = sum(shares.values())
        self._shares = {name: share / total for name, share in shares.items() if share > 0}
        self._given = dict.fromkeys(self._shares, 0)
        self._rng = rng

    def next(self) -> str:
        """Return whichever is furthest behind its share; of equal ones, one by chance."""
        total = sum(self._given.values()) + 1
        behind = {name: share * total - self._given[name] for name, share in self._shares.items()}
        most = max(behind.values())
        name = self._rng.choice([name for name, value in behind.items() if value > most - 1e-9])
        self._given[name] += 1
        return name
