"""The selection rules, fed prompt by prompt in plan order.

Feeding in plan order makes the outcome independent of latency and crashes, and lets the engine ask after every settled prompt
how many rows it would export by now, which is what an exact target means. Where a conversation holds its prompt, equal ones are
of one prompt and no state is kept; else it is one hash per kept sample, and where near duplicates are dropped the shape of its
text.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from gristmill.selection.near import NearIndex

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gristmill.selection.near import Shape

KEPT = "kept"
ANNOTATED, ANNOTATED_UNGRADED = "annotated", "annotated_ungraded"
"""Rules of what a task keeps whatever its graders say: they did not pass it, or could not say."""
FAILED, UNGRADED, NOT_WANTED = "failed", "ungraded", "not_wanted"
"""Rules of what is not looked at here: it did not pass, could not be graded, or the sampling rule did not ask for it."""
DISTINCT_OVER = 200
"""Candidates over which the distinct rate is taken; with fewer there is none."""


def graded_sql(rule: str) -> str:
    """Return the SQL that says whether the sample of a `rule` (a column's name) was graded."""
    return f"{rule} NOT IN ('{UNGRADED}', '{ANNOTATED_UNGRADED}', '{NOT_WANTED}')"


def passed_sql(rule: str) -> str:
    """Return the SQL that says whether the sample of a `rule` (a column's name) was graded and passed."""
    return f"({graded_sql(rule)} AND {rule} NOT IN ('{FAILED}', '{ANNOTATED}'))"


class Candidate(NamedTuple):
    """An accepted sample, as far as selection looks at it."""

    row: int
    payload: bytes
    """Hash of the conversation."""
    shape: Shape | None = None
    """Its text, where near duplicates are looked for."""
    group: str = ""
    """Near duplicates are looked for within the group."""


class Choice(NamedTuple):
    """What is decided about one accepted sample."""

    row: int
    kept: bool
    rule: str
    """`kept`, `duplicate`, `near_duplicate`, `per_prompt`, `over_target` or `saturated`."""
    twin: int | None = None


class Rules(NamedTuple):
    """What is selected by."""

    per_prompt: int | None = None
    """At most so many of a prompt."""
    exact: bool = True
    """Drop equal conversations …"""
    wide: bool = False
    """… also where they are of different prompts: for conversations that do not hold their prompt."""
    near: float | None = None
    """Drop texts that are so similar to a kept one."""
    least_distinct: float | None = None
    """The share of the last candidates that must be no near duplicates."""
    target_rows: int | None = None
    """Rows of the training split that are wanted."""


class Selector:
    """Applies the rules in plan order, and counts rows of the training split."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.train_rows = 0
        self.saturated = False
        """Whether so little of what comes is new that no more is wanted."""
        self._first: dict[bytes, int] = {}
        """The first kept row of each conversation, as far back as duplicates are looked for."""
        self._near = NearIndex(rules.near) if rules.near is not None else None
        self._lately: deque[bool] = deque(maxlen=DISTINCT_OVER)

    @property
    def reached(self) -> bool:
        """Whether the target is reached."""
        return self.rules.target_rows is not None and self.train_rows >= self.rules.target_rows

    @property
    def over(self) -> bool:
        """Whether no further sample can be kept."""
        return self.reached or self.saturated

    @property
    def distinct_rate(self) -> float | None:
        """Return which share of the last candidates was no duplicate; None where near ones are not looked for or none came."""
        if self._near is None or not self._lately:
            return None
        return sum(self._lately) / len(self._lately)

    def choose(self, candidates: Iterable[Candidate], split: str) -> list[Choice]:
        """Decide about one prompt's accepted samples, in the order of their indexes.

        Args:
            candidates: The accepted samples of the next prompt in plan order.
            split: The split that the prompt belongs to; only `train` counts towards the target.
        """
        choices: list[Choice] = []
        taken = 0
        if not self.rules.wide:
            self._first.clear()
        for candidate in candidates:
            choice = self._choice(candidate, taken)
            choices.append(choice)
            if choice.kept:
                taken += 1
                self._first.setdefault(candidate.payload, candidate.row)
                self.train_rows += split == "train"
                if self._near is not None and candidate.shape is not None:
                    self._near.add(candidate.group, candidate.row, candidate.shape)
        return choices

    def _choice(self, candidate: Candidate, taken: int) -> Choice:
        rules = self.rules
        if self.over:
            return Choice(candidate.row, kept=False, rule="over_target" if self.reached else "saturated")
        twin = self._first.get(candidate.payload) if rules.exact else None
        if twin is not None:
            if rules.wide:
                self._note(new=False)
            return Choice(candidate.row, kept=False, rule="duplicate", twin=twin)
        if rules.per_prompt is not None and taken >= rules.per_prompt:
            return Choice(candidate.row, kept=False, rule="per_prompt")
        if self._near is not None and candidate.shape is not None:
            twin = self._near.twin(candidate.group, candidate.shape)
            self._note(new=twin is None)
            if twin is not None:
                return Choice(candidate.row, kept=False, rule="near_duplicate", twin=twin)
        return Choice(candidate.row, kept=True, rule=KEPT)

    def _note(self, *, new: bool) -> None:
        """Note whether a candidate said anything new; where too few of the last ones did, no more are wanted."""
        self._lately.append(new)
        least, full = self.rules.least_distinct, len(self._lately) == DISTINCT_OVER
        if full and least is not None and sum(self._lately) < least * DISTINCT_OVER:
            self.saturated = True
