"""Samples to grades: every sample gets at least one, and every grade a reason.

A sample that is not complete is not shown to a grader: its status is its grade. Rules look first, and a judge is asked only where
its word can still decide. A grader that raises is not a failed sample but an ungraded one, and when more than a fifth of the last
fifty could not be graded the run stops, because then it is the grader or the references that are wrong, and every further sample
would be paid for nothing. Where every row is kept, only a grader that itself failed counts for that.
"""

from __future__ import annotations

import collections
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from gristmill.engine.guarding import told
from gristmill.engine.sampling import attempts_due
from gristmill.engine.session import Diverged, SampleSession
from gristmill.errors import GradingStopped, GristmillError
from gristmill.grading.combine import Outcome, Wanted, decide
from gristmill.grading.status import status_verdict
from gristmill.ports import ComputationFailed
from gristmill.records import Verdict
from gristmill.sending.dispatch import CallRefused, Exhausted
from gristmill.store.outcomes import TRANSIENT_PREFIX, GradeRow, put_grade

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gristmill.engine.session import Door, GradingStep
    from gristmill.grading.combine import Group
    from gristmill.messages import Frozen
    from gristmill.ports import GraderFunction, Session
    from gristmill.recipe.model import SamplingSpec
    from gristmill.records import Prompt, Sample
    from gristmill.registry import Plugin
    from gristmill.store.outcomes import SampleRow

LAST = 50
UNGRADED_SHARE = 0.2
GRADER_ERROR = "grader_error"
UNREADABLE = frozenset({"unreadable_judge", "no_number"})
"""Reasons of judges and reward models whose words say nothing: paid for, and as good as broken."""


class Marker(NamedTuple):
    """A grader as the recipe wants it."""

    plugin: Plugin[GraderFunction]
    options: Frozen
    row: int
    """Its row in the ledger's shared content: name, version, options, and the judge that it asks."""
    step: GradingStep | None = None
    """Where its calls stand on record, if it makes any."""
    known: str | None = None
    """What is known of a judge, in one line; None for a rule."""

    @property
    def words(self) -> str:
        """Return the grader as papers name it, a judge with what is known of it."""
        asks = "" if self.step is None else f" by {self.step.role} ({self.known})"
        return f"{self.plugin.identity}{asks}"


class Place(NamedTuple):
    """Where a sample to be graded is in the ledger: rows of its prompt and itself, and the reference's."""

    prompt: int
    sample: int
    reference: int


class Graded(NamedTuple):
    """A stored sample and its outcome."""

    sample: SampleRow
    outcome: Outcome


class Panel:
    """The graders of a recipe."""

    def __init__(self, markers: Sequence[Marker], tree: Group, status_row: int, door: Door, *, every: bool = False) -> None:
        self.markers = tuple(markers)
        self._every = every
        """Whether each grader is asked of each sample, for a task that keeps all and wants to know."""
        self._tree = tree
        self._status_row = status_row
        self._door = door
        self.graded = 0
        """Samples graded in this process."""
        self.first_error: str | None = None
        """What the first grader that broke said."""
        self._last: collections.deque[str | None] = collections.deque(maxlen=LAST)

    def standing(self, sample: SampleRow, reference: int, *, final: bool = False) -> Outcome | None:
        """Return the outcome of a stored sample, or None where it must be graded (again).

        A judge's answer that did not come for a reason that may pass is asked for again, except where it is `final`.
        """
        if sample.status != "complete":
            status = next((grade for grade in sample.grades if grade.grader == self._status_row), None)
            return status and Outcome(status.passed, status.reason)
        outcome = decide(self._tree, self._said(sample.grades, reference, final=final), every=self._every)
        return None if isinstance(outcome, Wanted) else outcome

    def _said(self, grades: Iterable[GradeRow], reference: int, *, final: bool = False) -> dict[int, Outcome]:
        """Return what the graders said about a sample that is on record."""
        rows = {
            grade.grader: grade
            for grade in grades
            if grade.reference == reference and (final or not grade.reason.startswith(TRANSIENT_PREFIX))
        }
        said: dict[int, Outcome] = {}
        for index, marker in enumerate(self.markers):
            if grade := rows.get(marker.row):
                said[index] = Outcome(grade.passed, grade.reason, index)
        return said

    def replay(
        self, samples: Iterable[SampleRow], reference: int, sampling: SamplingSpec, *, final: bool = False
    ) -> tuple[list[Graded], bool]:
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
                outcome = sample and self.standing(sample, reference, final=final)
                if sample is None or outcome is None:
                    return used, False
                used.append(Graded(sample, outcome))
        return used, True

    async def grade(self, prompt: Prompt, sample: Sample, place: Place, before: Sequence[GradeRow] = ()) -> Outcome:
        """Grade a sample with every grader that is needed and store the grades; those in `before` that stand are taken.

        Raises:
            Parked: where a judge's answer will not come soon; what is graded so far is on record.
        """
        if sample.status != "complete":
            row = put_grade(self._door.ledger, place.sample, self._status_row, place.reference, status_verdict(sample), None)
            outcome, broken = Outcome(row.passed, row.reason), sample.status == "error"
        else:
            outcome, broken = await self._decided(prompt, sample, place, self._said(before, place.reference))
        self.graded += 1
        if not outcome.reason.startswith(TRANSIENT_PREFIX):  # a server that is away is the dispatcher's business
            self._watch(outcome, broken=broken)
        return outcome

    async def _decided(self, prompt: Prompt, sample: Sample, place: Place, said: dict[int, Outcome]) -> tuple[Outcome, bool]:
        """Return what the graders say together, and whether one of them broke on the way."""
        broken = False
        while isinstance(outcome := decide(self._tree, said, every=self._every), Wanted):
            for index in outcome.leaves:
                marker = self.markers[index]
                started = time.perf_counter()
                verdict, broke = await self._verdict(marker, prompt, sample, place)
                broken = broken or broke
                ms = (time.perf_counter() - started) * 1000
                put_grade(self._door.ledger, place.sample, marker.row, place.reference, verdict, round(ms, 3))
                said[index] = Outcome(verdict.passed, verdict.reason, index)
        return outcome, broken

    async def _verdict(self, marker: Marker, prompt: Prompt, sample: Sample, place: Place) -> tuple[Verdict, bool]:
        """Return what a grader says, and whether it broke: then that is why the sample could not be graded."""
        try:
            verdict = await self._asked(marker, prompt, sample, place)
        except CallRefused as refusal:
            reason = f"{TRANSIENT_PREFIX if refusal.transient else ''}{refusal.code}"
            return Verdict(passed=None, reason=reason, evidence={"detail": str(refusal)[:500]}), True
        except Exhausted as end:
            return Verdict(passed=None, reason=end.code, evidence={"detail": str(end)[:500]}), True
        except Diverged as change:
            return Verdict(passed=None, reason="diverged", evidence={"detail": change.difference[:500]}), True
        if verdict.reason == GRADER_ERROR:
            self.first_error = self.first_error or f"{marker.plugin.name}: {verdict.evidence['error']}"
        return verdict, verdict.word in ("error", "timeout") or verdict.reason in UNREADABLE

    async def _asked(self, marker: Marker, prompt: Prompt, sample: Sample, place: Place) -> Verdict:
        asks = marker.plugin.traits["asks"]
        session = SampleSession(self._door, prompt, place.prompt, sample.index, grading=marker.step) if asks else None
        return await verdict_of(marker.plugin, marker.options, prompt, sample, session)

    def _watch(self, outcome: Outcome, *, broken: bool) -> None:
        """Stop the run where too many of the last samples could not be graded; where all rows are kept, by graders that broke."""
        counts = outcome.passed is None and (broken or not self._every)
        self._last.append(outcome.reason if counts else None)
        ungraded = [reason for reason in self._last if reason is not None]
        if len(self._last) == LAST and len(ungraded) > LAST * UNGRADED_SHARE:
            reason, count = collections.Counter(ungraded).most_common(1)[0]
            why = f" ({self.first_error})" if reason == GRADER_ERROR else ""
            self._door.switch.stop(
                GradingStopped(
                    f"{len(ungraded)} of the last {LAST} samples could not be graded, {count} of them because `{reason}`{why}",
                    fix="Look at them with `gristmill preview`; mend the references or the grader and run again to go on.",
                )
            )


async def verdict_of(
    plugin: Plugin[GraderFunction], options: Frozen, prompt: Prompt, sample: Sample, session: Session | None
) -> Verdict:
    """Return what a grader says about a sample; where it breaks, that is why the sample could not be graded.

    Only a grader that asks for something needs a session.

    Raises:
        GristmillError: for the user's mistakes and outside reasons.
        CallRefused: where a judge brings no answer.
    """
    function: Any = plugin.function
    try:
        said = await function(prompt, sample, options, session) if plugin.traits["asks"] else function(prompt, sample, options)
    except ComputationFailed as failure:
        return Verdict(passed=None, reason=failure.reason, evidence={"detail": failure.detail})
    except (GristmillError, CallRefused):
        raise
    except Exception as error:  # noqa: BLE001 - becomes a row with its reason; the panel stops the run if it repeats
        return Verdict(passed=None, reason=GRADER_ERROR, evidence={"error": told(error)[:500]})
    if isinstance(said, Verdict):
        return said
    return Verdict(passed=None, reason=GRADER_ERROR, evidence={"error": f"returned {type(said).__name__} and no Verdict"})
