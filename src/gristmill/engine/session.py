"""Durable by replay: the one door through which a task has effects.

Every call has a place (its step, and how often that step was reached before) and an identity (everything that a teacher can
see). On record with an answer: the answer returns at once. On record without one: the same request is sent. Not on record:
it is recorded, then sent. On record with *other* content at this place: the task did not do the same thing twice, and the
sample is `diverged`.
"""

from __future__ import annotations

import asyncio
import difflib
import json
import random
from typing import TYPE_CHECKING, Any, NamedTuple

from gristmill.ids import canonical_json, content_id, seed_for
from gristmill.messages import Message, user
from gristmill.ports import AmbiguousCall, Parked
from gristmill.records import Request, Sampling, plain_identity, plain_sampling
from gristmill.sending.batching import BatchDispatcher
from gristmill.sending.dispatch import CallRefused, Dispatcher, Outgoing
from gristmill.store.effects import (
    Place,
    moment,
    put_moment,
    put_reply,
    put_request,
    recorded_requests,
)
from gristmill.store.prompts import prompt_row

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pydantic import JsonValue

    from gristmill.engine.workers import WorkerPool
    from gristmill.ports import Clock, CodeRunner
    from gristmill.recipe.templates import Template
    from gristmill.records import Prompt, Reply
    from gristmill.sending.spending import Purse
    from gristmill.sending.stopping import StopSwitch
    from gristmill.store.effects import Recorded
    from gristmill.store.ledger import Ledger
    from gristmill.store.reader import Reader


class Diverged(BaseException):
    """On replay the task asked for something else than before. Not an `Exception`: a task cannot swallow it."""

    def __init__(self, place: str, difference: str) -> None:
        super().__init__(f"at {place} the task asked for something else than before:\n{difference}")
        self.difference = difference


class Door(NamedTuple):
    """What all sessions of a run share."""

    ledger: Ledger
    dispatchers: Mapping[str, Dispatcher | BatchDispatcher]
    """By role; roles that the recipe does not name are under `teacher`."""
    sampling: Sampling
    frame: Callable[[Prompt], tuple[Message, ...]]
    templates: Mapping[str, Template]
    """Of the task, by name without the version."""
    seed: int
    context: int
    switch: StopSwitch
    clock: Clock
    purse: Purse
    workers: WorkerPool
    """Where computations run that may hang."""
    sandbox: CodeRunner
    """Where code of models runs."""
    earlier: Reader | None = None
    """Another run's ledger, whose replies are used where a request is the same."""

    def dispatcher(self, role: str) -> Dispatcher | BatchDispatcher:
        """Return who sends the calls of a role."""
        return self.dispatchers.get(role) or self.dispatchers["teacher"]

    async def batches_in(self) -> bool:
        """Hand in what waits for a batch, and return when answers of one are on record; False where none is to come."""
        waiting = [office for office in set(self.dispatchers.values()) if isinstance(office, BatchDispatcher)]
        async with asyncio.TaskGroup() as group:
            rounds = [group.create_task(office.round()) for office in waiting]
        return any(done.result() for done in rounds)

    def remember_hours(self) -> None:
        """Note how long the run has been going, for a budget in hours that outlives this process."""
        if self.purse.budget.caps.hours is not None:
            self.ledger.remember("hours", repr(self.purse.hours))


class GradingStep(NamedTuple):
    """Which grader asks: the beginning of its steps, and the teacher that it asks whatever role it names."""

    prefix: str
    role: str


class SampleSession:
    """The session of one sample. Implements `ports.Session`."""

    def __init__(
        self, door: Door, prompt: Prompt, row: int, index: int, *, recorded: bool = True, grading: GradingStep | None = None
    ) -> None:
        """Open the session of sample `index` of a prompt.

        Args:
            door: What all sessions share.
            prompt: What is asked.
            row: The prompt's row in the ledger.
            index: Which of its samples.
            recorded: False where it is known that nothing is on record, so that the ledger need not be asked.
            grading: What it is that a grader of the sample asks through this session; None for the task's own.
        """
        self._door = door
        self._prompt = prompt
        self._row = row
        self._index = index
        self._grading = grading
        self._by_id: dict[str, Recorded] = {}
        self._by_place: dict[tuple[str, int], Recorded] = {}
        self._unread = recorded
        self._reached: dict[str, int] = {}
        self._open: set[str] = set()
        self.request_rows: list[int] = []
        self.request_ids: list[str] = []
        self.replayed = 0
        self.reused = 0

    @property
    def sample_index(self) -> int:
        """Return which of the prompt's samples this is."""
        return self._index

    def frame(self, prompt: Prompt) -> tuple[Message, ...]:
        """Return the prompt as the recipe puts it to the teacher."""
        return self._door.frame(prompt)

    def fill(self, template: str, **values: JsonValue) -> str:
        """Return one of the task's templates with values in their places."""
        return self._door.templates[template].fill("", **values)

    def rng(self, step: str) -> random.Random:
        """Return a fresh generator for `step`."""
        return random.Random(seed_for(self._door.seed, self._prompt.id, self._index, "rng", step))

    async def now(self, step: str = "now") -> float:
        """Return the time, the same on every replay."""
        occurrence = self._place(f"now:{step}")
        ledger = self._door.ledger
        known = moment(ledger, self._row, self._index, step, occurrence)
        if known is None:
            known = self._door.clock.time()
            put_moment(ledger, self._row, self._index, step, occurrence, known)
            await ledger.durable()
        return known

    async def complete(
        self,
        messages: Sequence[Message],
        *,
        step: str,
        role: str = "teacher",
        tools: Sequence[dict[str, JsonValue]] = (),
        response_format: dict[str, JsonValue] | None = None,
        sampling: Sampling | None = None,
    ) -> Reply:
        """Ask a model, or replay what it answered.

        Raises:
            AmbiguousCall: where another call with this step is unfinished.
            CallRefused: where no answer will come.
            Parked: where the run is stopping.
            TypeError, ValueError: where tools or a response format are no JSON.
        """
        if self._grading is not None:
            step, role = f"{self._grading.prefix}{step}", self._grading.role
        if step in self._open:
            raise AmbiguousCall(f"two unfinished calls share the step `{step}`: give calls that run side by side other steps")
        occurrence = self._place(step)
        dispatcher = self._door.dispatcher(role)
        plain = [message.canonical() for message in messages]
        request = Request(
            id="",
            role=role,
            identity=dispatcher.teacher.identity,
            messages=tuple(messages),
            sampling=sampling or self._door.sampling,
            seed=seed_for(self._door.seed, self._prompt.id, self._index, step, occurrence),
            prompt_id=self._prompt.id,
            sample_index=self._index,
            step=step,
            occurrence=occurrence,
            tools=tuple(tools),
            response_format=response_format,
        )
        if tools or response_format is not None:
            json.dumps((request.tools, response_format), allow_nan=False)  # or it is no JSON, and two hashes of it would be one
        request = request._replace(id=request_id(request, plain))
        row, known = self._record(request, plain, dispatcher)
        self.request_rows.append(row)
        self.request_ids.append(request.id)
        if known is not None and known.reply is not None:
            self.replayed += 1
            return known.reply
        if known is not None and known.refusal is not None:
            raise CallRefused(known.refusal.detail, code=known.refusal.code, transient=False)
        if self._door.switch.on:
            raise Parked
        self._open.add(step)
        try:
            return await dispatcher.send(Outgoing(request, row, known.tries if known else 0))
        finally:
            self._open.discard(step)

    def _place(self, step: str) -> int:
        occurrence = self._reached.get(step, 0)
        self._reached[step] = occurrence + 1
        return occurrence

    async def compute(self, computation: str, **arguments: JsonValue) -> JsonValue:
        """Run a registered pure function in a worker process that can be killed."""
        return await self._door.workers.compute(computation, **arguments)

    async def run_code(self, job: Mapping[str, Any]) -> dict[str, Any]:
        """Run a model's program within the sandbox."""
        return await self._door.sandbox.run(job)

    def _read(self) -> None:
        """Read what is on record about this sample, when it is first needed."""
        self._unread = False
        for item in recorded_requests(self._door.ledger, self._row, self._index):
            self._by_id[item.request_id] = item
            if item.context == self._door.context:
                self._by_place[item.step, item.occurrence] = item

    def _record(
        self, request: Request, plain: Sequence[dict[str, Any]], dispatcher: Dispatcher | BatchDispatcher
    ) -> tuple[int, Recorded | None]:
        """Return the request's row, and what is on record about it; `plain` are its messages as they are stored."""
        if self._unread:
            self._read()
        known = self._by_id.get(request.id)
        if known is not None:
            return known.row, known
        before = self._by_place.get((request.step, request.occurrence))
        if before is not None:
            raise Diverged(f"{request.step}/{request.occurrence}", self._difference(before, request))
        ledger = self._door.ledger
        rows = [ledger.blob(canonical_json(message)) for message in plain]
        row = put_request(ledger, request, Place(self._row, self._door.context, rows, dispatcher.meter.price))
        found = self._reuse(request)
        if found is None or found.reply is None:
            return row, None
        put_reply(ledger, row, None, found.reply, at=self._door.clock.time(), ms=None)
        self.reused += 1
        return row, found

    def _reuse(self, request: Request) -> Recorded | None:
        """Return what another run has on record about the same request."""
        earlier = self._door.earlier
        if earlier is None:
            return None
        row = prompt_row(earlier, request.prompt_id)
        recorded = [] if row is None else recorded_requests(earlier, row, request.sample_index)
        return next((item for item in recorded if item.request_id == request.id), None)

    def _difference(self, before: Recorded, request: Request) -> str:
        old = [self._door.ledger.text(row).decode() for row in before.message_rows]
        new = [canonical_json(message.canonical()).decode() for message in request.messages]
        lines = difflib.unified_diff(old, new, "before", "now", lineterm="", n=0)
        return "\n".join(line[:500] for line in lines) or "the messages are equal; teacher, tools or parameters differ"


def request_id(request: Request, plain: Sequence[dict[str, Any]]) -> str:
    """Return a request's identity: everything that a teacher can see, and its place in its sample.

    Args:
        request: What is asked; its own id is not looked at.
        plain: Its messages as they are hashed and stored.
    """
    return content_id(
        "request",
        [
            plain_identity(request.identity),
            plain,
            request.tools,
            request.response_format,
            plain_sampling(request.sampling),
            request.seed,
            request.prompt_id,
            request.sample_index,
            request.step,
            request.occurrence,
        ],
    )


def framed(prompt: Prompt, system: str | None, fill: Callable[[str], str]) -> tuple[Message, ...]:
    """Return a prompt's messages with the template around the last user message and the system message before them."""
    messages = list(prompt.messages)
    last = max((place for place, message in enumerate(messages) if message.role == "user"), default=None)
    if last is not None:
        filled = fill(messages[last].content)
        messages[last] = user(filled) if filled != messages[last].content else messages[last]
    if system is not None:
        messages.insert(0, Message(role="system", content=system))
    return tuple(messages)
