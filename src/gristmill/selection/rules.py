"""The selection rules, fed prompt by prompt in plan order.

Feeding in plan order makes the outcome independent of latency and crashes, and lets the engine ask after every settled
prompt how many rows it would export by now, which is what an exact target means. State is one hash per kept sample.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable

KEPT = "kept"


class Candidate(NamedTuple):
    """An accepted sample, as far as selection looks at it."""

    row: int
    payload: bytes
    """Hash of the conversation."""


class Choice(NamedTuple):
    """What is decided about one accepted sample."""

    row: int
    kept: bool
    rule: str
    """`kept`, `duplicate`, `per_prompt` or `over_target`."""
    twin: int | None = None


class Selector:
    """Applies per-prompt cap and exact deduplication, in plan order, and counts rows of the training split."""

    def __init__(self, *, per_prompt: int | None, exact: bool, target_rows: int | None) -> None:
        self.per_prompt = per_prompt
        self.exact = exact
        self.target_rows = target_rows
        self.train_rows = 0

    @property
    def reached(self) -> bool:
        """Whether the target is reached."""
        return self.target_rows is not None and self.train_rows >= self.target_rows

    def choose(self, candidates: Iterable[Candidate], split: str) -> list[Choice]:
        """Decide about one prompt's accepted samples, in the order of their indexes.

        Args:
            candidates: The accepted samples of the next prompt in plan order.
            split: The split that the prompt belongs to; only `train` counts towards the target.
        """
        choices: list[Choice] = []
        first: dict[bytes, int] = {}
        taken = 0
        for candidate in candidates:
            twin = first.get(candidate.payload) if self.exact else None
            if self.reached:
                choices.append(Choice(candidate.row, kept=False, rule="over_target"))
            elif twin is not None:
                choices.append(Choice(candidate.row, kept=False, rule="duplicate", twin=twin))
            elif self.per_prompt is not None and taken >= self.per_prompt:
                choices.append(Choice(candidate.row, kept=False, rule="per_prompt"))
            else:
                choices.append(Choice(candidate.row, kept=True, rule=KEPT))
                taken += 1
                first.setdefault(candidate.payload, candidate.row)
                self.train_rows += split == "train"
        return choices
