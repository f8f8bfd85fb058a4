"""Conservation: at every stage what goes in is what is kept plus each named reason, or the run fails.

Every stage's input is counted on its own (rows in the ledger, rows in the files), never derived from the stage's output, so the
check can fail.
"""

from __future__ import annotations

import collections
from typing import Any, NamedTuple

from gristmill.errors import BrokenPromise


class Stage(NamedTuple):
    """One stage of the funnel."""

    stage: str
    entered: int
    kept: int
    dropped: dict[str, int]

    def plain(self) -> dict[str, Any]:
        """Return the stage as `run --json` prints it."""
        return {"stage": self.stage, "in": self.entered, "kept": self.kept, "dropped": self.dropped}


class Tally:
    """Counts what one stage keeps and drops."""

    def __init__(self) -> None:
        self.kept = 0
        self._dropped: collections.Counter[str] = collections.Counter()

    def drop(self, reason: str, count: int = 1) -> None:
        """Count something that goes no further."""
        self._dropped[reason] += count

    def stage(self, name: str, entered: int) -> Stage:
        """Return the finished stage, most frequent reason first."""
        return Stage(name, entered, self.kept, dict(sorted(self._dropped.items(), key=lambda item: (-item[1], item[0]))))


def check_conservation(stages: list[Stage]) -> None:
    """Make sure that nothing was lost and nothing appeared.

    Raises:
        BrokenPromise: naming the stage where the counts do not add up.
    """
    for stage in stages:
        accounted = stage.kept + sum(stage.dropped.values())
        if accounted != stage.entered:
            raise BrokenPromise(
                f"stage `{stage.stage}`: {stage.entered} went in, {accounted} are accounted for "
                f"({stage.kept} kept, {stage.dropped})",
                fix="This is a bug in gristmill: please report it with the run's folder.",
            )
