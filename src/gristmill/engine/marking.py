"""Samples to grades: every sample gets at least one, and every grade a reason.

A sample that is not complete is not shown to a grader: its status is its grade. A grader that raises is not a failed sample but
an ungraded one, and when more than a fifth of the last fifty could not be graded the run stops, because then it is the grader
or the references that are wrong, and every further sample would be paid for nothing.
"""

from __future__ import annotations

import collections
import time
from typing import TYPE_CHECKING, NamedTuple

from gristmill.engine.sampling import attempts_due
from gristmill.errors import GradingStopped
from gristmill.grading.status import status_verdict
from gristmill.records import Verdict
from gristmill.store.outcomes import GradeRow, put_grade

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gristmill.engine.workers import WorkerPool
    from gristmill.messages import Frozen
    from gristmill.ports import GraderFunction
    from gristmill.recipe.model import SamplingSpec
    from gristmill.records import Prompt, Sample
    from gristmill.registry import Plugin
    from gristmill.sending.stopping import StopSwitch
    from gristmill.store.ledger import Ledger
    from gristmill.store.outcomes import SampleRow

LAST = 50
UNGRADED_SHARE = 0.2


class Marker(NamedTuple):
    """A grader as the recipe wants it."""

    plugin: Plugin[GraderFunction]
    options: Frozen
    row: int
    """Its row in the ledger's shared content: name, version, options."""


class Outcome(NamedTuple):
    """What all graders together say: passed if all pass, failed if one fails, else not gradable; and the deciding reason."""

    passed: bool | None
    reason: str


class Graded(NamedTuple):
    """A stored sample and its outcome."""

    sample: SampleRow
    outcome: Outcome


class Panel:
    """The graders of a recipe."""

    def __init__(self, markers: Sequence[Marker], status_row: int, ledger: Ledger, pool: WorkerPool, switch: StopSwitch) -> None:
        self.markers = tuple(markers)
        self._status_row = status_row
        self._ledger = ledger
        self._pool = pool
        self._switch = switch
        self.graded = 0
        """Samples graded in this process."""
        self._last: collections.deque[str | None] = collections.deque(maxlen=LAST)

    def standing(self, sample: SampleRow, reference: int) -> Outcome | None:
        """Return the outcome of a stored sample, or None where it must be graded (again)."""
        rows = {grade.grader: grade for grade in sample.grades}
        if sample.status != "complete":
            status = rows.get(self._status_row)
            return status and combine([status])
        wanted = [rows.get(marker.row) for marker in self.markers]
        found = [grade for grade in wanted if grade is not None and grade.reference == reference]
        return combine(found) if len(found) == len(self.markers) else None

    def replay(self, samples: Iterable[SampleRow], reference: int, sampling: SamplingSpec) -> tuple[list[Graded], bool]:
        """Follow the sampling rule through stored samples.

        Returns:
            The samples that the rule asks for, by index, up to the first that is missing or must be graded again; and whether
            none is, so that the prompt is settled.
        """
        by_index = {sample.number: sample for sample in samples}
        used: list[Graded] = []
        while due := attempts_due([item.outcome.passed for item in used], sampling):
            for index in range(len(used), len(used) + due):
                sample = by_index.get(index)
                outcome = sample and self.standing(sample, reference)
                if sample is None or outcome is None:
                    return used, False
                used.append(Graded(sample, outcome))
        return used, True

    async def grade(self, prompt: Prompt, sample: Sample, row: int, reference: int) -> Outcome:
        """Grade a sample with every grader and store the grades."""
        if sample.status != "complete":
            grades = [put_grade(self._ledger, row, self._status_row, reference, status_verdict(sample), None)]
        else:
            grades: list[GradeRow] = []
            for marker in self.markers:
                started = time.perf_counter()
                verdict = await self._verdict(marker, prompt, sample)
                ms = (time.perf_counter() - started) * 1000
                grades.append(put_grade(self._ledger, row, marker.row, reference, verdict, round(ms, 3)))
        outcome = combine(grades)
        self.graded += 1
        self._watch(outcome)
        return outcome

    async def _verdict(self, marker: Marker, prompt: Prompt, sample: Sample) -> Verdict:
        plugin = marker.plugin
        if plugin.traits["killable"]:
            return await self._pool.grade(
                {
                    "grader": plugin.name,
                    "options": marker.options.model_dump(mode="json"),
                    "prompt": prompt.model_dump(mode="json", exclude_defaults=True),
                    "sample": sample.model_dump(mode="json", exclude_defaults=True),
                }
            )
        try:
            return plugin.function(prompt, sample, marker.options)
        except Exception as error:  # noqa: BLE001 - becomes a row with its reason; _watch stops the run if it repeats
            return Verdict(passed=None, reason="grader_error", evidence={"error": repr(error)[:500]})

    def _watch(self, outcome: Outcome) -> None:
        self._last.append(outcome.reason if outcome.passed is None else None)
        ungraded = [reason for reason in self._last if reason is not None]
        if len(self._last) == LAST and len(ungraded) > LAST * UNGRADED_SHARE:
            reason, count = collections.Counter(ungraded).most_common(1)[0]
            self._switch.stop(
                GradingStopped(
                    f"{len(ungraded)} of the last {LAST} samples could not be graded, {count} of them because `{reason}`",
                    fix="Look at them with `gristmill preview`; mend the references or the grader and run again to go on.",
                )
            )


def combine(grades: Sequence[GradeRow]) -> Outcome:
    """Return what grades say together: the first failure decides, else the first that could not be graded."""
    for wanted in (False, None):
        for grade in grades:
            if grade.passed is wanted:
                return Outcome(wanted, grade.reason)
    return Outcome(True, grades[0].reason)
