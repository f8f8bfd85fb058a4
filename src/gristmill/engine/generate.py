"""Prompts to graded samples, adaptively, until the target is exact.

Prompts are taken in plan order and run side by side, at most a window ahead of the first that is not settled. Which rows are
kept is decided in plan order as prompts settle, so neither latency nor the number of calls in flight nor a crash changes them.
Near the target no more prompts are begun than will probably be needed, because every further one is paid for.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

from gristmill.engine.guarding import told
from gristmill.engine.marking import Place
from gristmill.engine.sampling import attempts_due, rows_expected
from gristmill.engine.session import Diverged, SampleSession
from gristmill.errors import Diverging, GristmillError, LedgerError
from gristmill.grading.standalone import question_of
from gristmill.ids import content_id
from gristmill.ports import Parked
from gristmill.records import Sample
from gristmill.selection.near import shape_of
from gristmill.selection.rules import Candidate, Rules, Selector
from gristmill.selection.splits import split_of
from gristmill.sending.dispatch import CallRefused, Exhausted
from gristmill.store.outcomes import TRANSIENT_PREFIX, load_sample, prompt_rows, put_sample
from gristmill.store.prompts import load_prompt

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gristmill.engine.marking import Panel
    from gristmill.engine.planning import Plan
    from gristmill.engine.session import Door
    from gristmill.grading.combine import Outcome
    from gristmill.records import Prompt
    from gristmill.store.outcomes import PromptRow, SampleRow

DIVERGED_AT_LEAST = 5
DIVERGED_SHARE = 0.01
_LEARNED_AFTER = 20
_YIELD_EVERY = 64


class Finished(NamedTuple):
    """A sample that is in the ledger with its grades."""

    candidate: Candidate
    outcome: Outcome

    @property
    def row(self) -> int:
        """Return the sample's row in the ledger."""
        return self.candidate.row


class Halt(NamedTuple):
    """Why a prompt gets no further sample: there is none to be had (`exhausted`), or the run is stopping."""

    exhausted: bool


class Settler:
    """Takes settled prompts in any order and lets selection see them in plan order."""

    def __init__(self, plan: Plan) -> None:
        recipe = plan.recipe
        dedup = recipe.select.dedup
        self.selector = Selector(
            Rules(
                per_prompt=recipe.select.per_prompt,
                exact=dedup.exact,
                wide=not plan.task.plugin.traits["holds_prompt"],
                near=dedup.near,
                least_distinct=dedup.least_distinct,
                target_rows=recipe.target.rows if recipe.target else None,
            )
        )
        self.next = 0
        """Position of the first prompt that is not settled."""
        self.changed = asyncio.Event()
        self._recipe = recipe
        self._waiting: dict[int, tuple[str, list[Candidate]]] = {}
        self._most = rows_expected(recipe.sampling, recipe.select.per_prompt)

    def settle(self, position: int, together: bytes, accepted: Sequence[Candidate]) -> None:
        """Note that a prompt has what it wants, or gave up."""
        self._waiting[position] = (self.split(together), list(accepted))
        while self.next in self._waiting:
            split, candidates = self._waiting.pop(self.next)
            if self.selector.over:
                break
            self.selector.choose(candidates, split)
            self.next += 1
        self.changed.set()

    def candidate(self, stored: SampleRow, load: Callable[[int], Sample]) -> Candidate:
        """Return a sample as selection looks at it; its text is looked at only where near duplicates are looked for."""
        dedup = self._recipe.select.dedup
        if dedup.near is None:
            return Candidate(stored.row, stored.payload)
        sample = load(stored.row)
        group = sample.meta.get("document") if dedup.within == "document" else ""
        return Candidate(stored.row, stored.payload, shape_of(question_of(sample) or ""), str(group))

    def split(self, together: bytes) -> str:
        """Return the split of prompts that belong together."""
        recipe = self._recipe
        return split_of(together.hex(), recipe.seed, validation=recipe.split.validation, test=recipe.split.test)

    def enough(self, running: int) -> bool:
        """Whether the prompts that are running will probably reach the target."""
        target = self.selector.rules.target_rows
        if target is None or not running:
            return self.selector.over
        waiting = sum(len(candidates) for split, candidates in self._waiting.values() if split == "train")
        rate = self.selector.train_rows / self.next if self.next >= _LEARNED_AFTER else self._most
        return self.selector.train_rows + waiting + running * rate >= target


class Generation:
    """One run's generation: what the prompts of this process share."""

    def __init__(self, plan: Plan, door: Door, panel: Panel, tick: Callable[[], None], limit: int | None = None) -> None:
        self.limit = limit
        """Prompts to ask at most, where the person said so."""
        self.plan = plan
        self.door = door
        self.panel = panel
        self.settler = Settler(plan)
        self.replayed = 0
        self.reused = 0
        self.finished = 0
        """Samples finished in this process."""
        self.standing = 0
        """Samples that were finished before."""
        self.accepted = 0
        self.running = 0
        self.parked = 0
        """Prompts whose next answer will not come soon: they run again when it is there."""
        self.diverged = 0
        self.first_error: str | None = None
        """What the first call that was refused, or the first task that broke, said."""
        self.first_end: str | None = None
        """What the teacher said when it first had no further answer to a prompt."""
        self.output_tokens = 0
        self._tick = tick
        door.switch.listen(self.settler.changed.set)

    def again(self) -> Generation:
        """Return a generation that goes through the same prompts once more, with what is on record by now."""
        return Generation(self.plan, self.door, self.panel, self._tick, self.limit)

    async def run(self) -> None:
        """Run prompts until the target is reached, all are settled, or the switch is turned."""
        failed: GristmillError | None = None
        try:
            async with asyncio.TaskGroup() as group:
                for count, prompt in enumerate(prompt_rows(self.door.ledger, self.door.context, fresh=True)):
                    if self.settler.selector.over or self.door.switch.on or prompt.position == self.limit:
                        break
                    if not self._settled_before(prompt):
                        if not await self._room(prompt.position):
                            break
                        self.running += 1
                        group.create_task(self._prompt(prompt))
                    if count % _YIELD_EVERY == 0:
                        await asyncio.sleep(0)
        except* GristmillError as errors:
            failed = _first(errors)
        if failed is not None:  # raised in the clause above, early releases of Python 3.11 wrap it in a group of its own
            raise failed from None

    def _settled_before(self, prompt: PromptRow) -> bool:
        """Settle a prompt from stored outcomes alone, where they suffice."""
        past = [sample for sample in prompt.samples if not sample.transient]
        if not past:
            return False
        used, settled = self.panel.replay(past, prompt.reference, self.plan.recipe.sampling)
        if not settled:
            return False
        accepted = [self.settler.candidate(item.sample, self._load) for item in used if self.plan.keeps(item.outcome)]
        self.standing += len(used)
        self.accepted += len(accepted)
        self.settler.settle(prompt.position, prompt.together, accepted)
        return True

    async def _room(self, position: int) -> bool:
        """Wait until another prompt may begin; False where none is needed any more."""
        settler = self.settler
        while not (settler.selector.over or self.door.switch.on):
            if position - settler.next < self.plan.window and not settler.enough(self.running + self.parked):
                return True
            if not self.running:
                return False
            settler.changed.clear()
            await settler.changed.wait()
        return False

    async def _prompt(self, row: PromptRow) -> None:
        """Sample one prompt in rounds until it is settled."""
        try:
            prompt = load_prompt(self.door.ledger, row.row, row.body)
            past = {sample.number: sample for sample in row.samples}
            done: list[Finished] = []
            halt: Halt | None = None
            while halt is None and (due := attempts_due([f.outcome.passed for f in done], self.plan.recipe.sampling)):
                for result in await self._round(prompt, row, range(len(done), len(done) + due), past):
                    if isinstance(result, Halt):
                        halt = result
                        break
                    done.append(result)
                    if result.outcome.reason == "diverged":  # the task is at fault: nothing more is bought with it here
                        halt = Halt(exhausted=True)
            if halt is None or halt.exhausted:
                accepted = [f.candidate for f in done if self.plan.keeps(f.outcome)]
                self.settler.settle(row.position, row.together, accepted)
            else:
                self.parked += not self.door.switch.on
        except LedgerError as error:
            self.door.switch.stop(error)
        finally:
            self.running -= 1
            self.settler.changed.set()
            self._tick()

    async def _round(self, prompt: Prompt, row: PromptRow, indexes: range, past: dict[int, SampleRow]) -> list[Finished | Halt]:
        if len(indexes) == 1:
            return [await self.sample(prompt, row, indexes[0], past.get(indexes[0]))]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self.sample(prompt, row, index, past.get(index))) for index in indexes]
        return [task.result() for task in tasks]

    async def sample(self, prompt: Prompt, row: PromptRow, index: int, past: SampleRow | None) -> Finished | Halt:
        """Return sample number `index`: as it stands, graded again, or made now."""
        if past is not None and not past.transient:
            return await self._stood(prompt, row, past)
        if self.door.switch.on or self.settler.selector.over:
            return Halt(exhausted=False)
        session = SampleSession(self.door, prompt, row.row, index, recorded=row.recorded)
        try:
            sample = await self._run_task(prompt, session)
        except Exhausted as stop:
            self.first_end = self.first_end or str(stop)
            return Halt(exhausted=True)
        except Parked:
            return Halt(exhausted=False)
        finally:
            self.replayed += session.replayed
            self.reused += session.reused
        sample_id = content_id("sample", [prompt.id, index, session.request_ids, sample.status])
        sample = sample.model_copy(update={"id": sample_id, "request_ids": tuple(session.request_ids)})
        stored = put_sample(
            self.door.ledger,
            sample,
            prompt=row.row,
            context=self.door.context,
            requests=session.request_rows,
            replaces=past.row if past else None,
        )
        return await self._graded(prompt, sample, row, stored)

    async def _stood(self, prompt: Prompt, row: PromptRow, past: SampleRow) -> Finished | Halt:
        """Take a sample that stands, graded again where its grades do not."""
        self.standing += 1
        outcome = self.panel.standing(past, row.reference)
        if outcome is None:
            stored = load_sample(self.door.ledger, past.row)
            try:
                outcome = await self.panel.grade(prompt, stored, Place(row.row, past.row, row.reference), past.grades)
            except Parked:
                return Halt(exhausted=False)
        self.accepted += outcome.passed is True
        return Finished(self.settler.candidate(past, self._load), outcome)

    async def _graded(self, prompt: Prompt, sample: Sample, row: PromptRow, stored: SampleRow) -> Finished | Halt:
        """Grade a sample that was just made, and count it."""
        try:
            outcome = await self.panel.grade(prompt, sample, Place(row.row, stored.row, row.reference))
        except Parked:
            return Halt(exhausted=False)
        self._book(sample, outcome)
        return Finished(self.settler.candidate(stored, lambda _: sample), outcome)

    def _load(self, row: int) -> Sample:
        return load_sample(self.door.ledger, row)

    def _book(self, sample: Sample, outcome: Outcome) -> None:
        """Count a sample that was finished in this process."""
        self.finished += 1
        self.accepted += outcome.passed is True
        self.output_tokens += sample.usage.output_tokens or 0
        self._tick()

    async def _run_task(self, prompt: Prompt, session: SampleSession) -> Sample:
        """Run the task; whatever goes wrong in it becomes a sample with a reason."""
        task = self.plan.task
        try:
            return _as_sample(await task.plugin.function(prompt, session, task.options))
        except CallRefused as refusal:
            self.first_error = self.first_error or str(refusal)
            reason = f"{TRANSIENT_PREFIX if refusal.transient else ''}{refusal.code}"
            return self._failed(prompt, session, "error", reason, str(refusal))
        except Diverged as change:
            self._count_divergence(change)
            return self._failed(prompt, session, "diverged", "diverged", change.difference)
        except GristmillError:
            raise
        except Exception as error:  # noqa: BLE001 - the task is somebody's code: its failure is a row with its reason
            self.first_error = self.first_error or told(error)
            return self._failed(prompt, session, "error", f"task: {type(error).__name__}", told(error))

    def _failed(self, prompt: Prompt, session: SampleSession, status: str, reason: str, detail: str) -> Sample:
        return Sample.model_validate(
            {
                "id": "",
                "prompt_id": prompt.id,
                "index": session.sample_index,
                "messages": prompt.messages,
                "answer": None,
                "status": status,
                "reason": reason,
                "meta": {"detail": detail[:2000]},
            }
        )

    def _count_divergence(self, change: Diverged) -> None:
        self.diverged += 1
        seen = self.finished + self.standing
        if self.diverged >= DIVERGED_AT_LEAST and self.diverged > DIVERGED_SHARE * seen:
            self.door.switch.stop(
                Diverging(
                    f"{self.diverged} of {seen + 1} samples asked for something else than before the crash; {change}",
                    fix="A task must do the same thing twice: no set order, clock or random module outside of the session.",
                )
            )


def _as_sample(made: object) -> Sample:
    """Return what a task returned; somebody's may have forgotten to."""
    if not isinstance(made, Sample):
        raise TypeError(f"the task returned {type(made).__name__} and no Sample")
    return made


def _first(errors: BaseExceptionGroup[GristmillError]) -> GristmillError:
    """Return the first error in a group of groups."""
    first: BaseException = errors
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    assert isinstance(first, GristmillError)
    return first
