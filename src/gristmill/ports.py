"""What the pipeline needs from outside, one small protocol each.

Tasks and graders see these protocols, never an adapter: that is what makes every effect replayable and every adapter
replaceable. `Parked` is here because it is part of the promise between a session and a task: a task lets it pass.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple, Protocol

from pydantic import JsonValue

from gristmill.messages import Frozen, Message
from gristmill.records import Pace, Prompt, Reply, Request, Sample, Sampling, TeacherIdentity, Verdict

FaultKind = Literal["transient", "limited", "permanent", "fatal", "exhausted"]


CONTENT_FILTER = "content_filter"
"""The code of a fault that is surely about its prompt, however many are refused in the same words."""


class TeacherFault(Exception):
    """An exchange that brought no well-formed reply.

    `transient` may be tried again; `limited` too, as soon as the server takes more: it wants fewer requests from everybody, not
    this one less; `permanent` ends this request (the row says why); `fatal` ends the run: nothing else
    would succeed either (a wrong key, an unknown model); `exhausted` ends the prompt: a recorded teacher has no further
    completion of it.
    """

    def __init__(
        self,
        message: str,
        *,
        kind: FaultKind,
        code: str,
        evidence: bytes = b"",
        possibly_billed: bool = False,
        pace: Pace | None = None,
    ) -> None:
        super().__init__(message)
        self.kind: FaultKind = kind
        self.code = code
        """A short word for the tables: `http_429`, `reset`, `timeout`, `malformed`, …"""
        self.evidence = evidence
        self.possibly_billed = possibly_billed
        self.pace = pace
        """How the provider wants to be asked from now on."""

    @property
    def retry_after_s(self) -> float | None:
        """Return the seconds that the provider asks to wait, or None where it does not say."""
        return self.pace.retry_after_s if self.pace else None


class Parked(BaseException):
    """The answer will not come soon; the task unwinds and runs again by replay. Not an `Exception`: tasks let it pass."""


class AmbiguousCall(Exception):
    """Two unfinished calls of one task share a step, so a replay could not tell them apart."""


class ComputationFailed(Exception):
    """A computation in a worker process that brought no value: `reason` is `timeout`, `crash`, `memory` or `error`."""

    def __init__(self, reason: Literal["timeout", "crash", "memory", "error"], detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class Teacher(Protocol):
    """Something that answers requests."""

    @property
    def identity(self) -> TeacherIdentity:
        """Who answers: part of every request id."""
        ...

    @property
    def bills(self) -> bool:
        """Whether a request costs money somewhere, so that an unanswered one is `possibly_billed`."""
        ...

    async def complete(self, request: Request) -> Reply:
        """Answer one request.

        Raises:
            TeacherFault: where no well-formed reply came back.
        """
        ...

    async def close(self) -> None:
        """Let go of connections and files."""
        ...


class Session(Protocol):
    """The one door through which a task has effects. Everything that passes it is recorded and replayed."""

    @property
    def sample_index(self) -> int:
        """Which of the prompt's samples this is, from 0."""
        ...

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
        """Ask a model. Calls that run side by side in one task need different steps.

        Raises:
            AmbiguousCall: where another call with this step is unfinished.
            Parked: where the answer will not come soon; let it pass.
        """
        ...

    async def now(self, step: str = "now") -> float:
        """Return the time in seconds since 1970, the same on every replay."""
        ...

    def rng(self, step: str) -> random.Random:
        """Return a fresh generator for `step`, seeded by run, prompt, sample and step."""
        ...

    def frame(self, prompt: Prompt) -> tuple[Message, ...]:
        """Return the prompt as the recipe puts it to the teacher: system message and template applied."""
        ...

    def fill(self, template: str, **values: JsonValue) -> str:
        """Return one of the task's templates, by its name without the version (`qa/ask`), with values in their places."""
        ...

    async def compute(self, computation: str, **arguments: JsonValue) -> JsonValue:
        """Run a registered pure function on hostile input, in a worker process that is killed at its time limit.

        Nothing of it is recorded: it gives the same value every time.

        Raises:
            ComputationFailed: where it brought no value.
        """
        ...

    async def run_code(self, job: Mapping[str, Any]) -> dict[str, Any]:
        """Run a model's program within the sandbox; like a computation it is not recorded.

        Raises:
            InputError: where this machine has no sandbox that was accepted.
        """
        ...


class CodeRunner(Protocol):
    """Runs programs of models within walls."""

    @property
    def observed(self) -> dict[str, Any] | None:
        """Which walls were seen to hold (`tier`), how many programs ran in them and how many a second; None before the first."""
        ...

    async def run(self, job: Mapping[str, Any]) -> dict[str, Any]:
        """Run one job and return its results as plain data."""
        ...


class Clock(Protocol):
    """Time, as an effect."""

    def time(self) -> float:
        """Return seconds since 1970."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        ...


class SourceRow(NamedTuple):
    """What a source yields: a prompt, or the reason why a row is none."""

    place: str
    """Where the row is, for people: `train.jsonl:17`."""
    prompt: Prompt | None
    reject: str | None = None
    """A short word for the tables where `prompt` is None: `bad_json`, `missing_field`, …"""
    detail: str = ""


class PromptSource(Protocol):
    """Where prompts come from."""

    @property
    def name(self) -> str:
        """The source's name in tables and source ids."""
        ...

    def fingerprint(self) -> str:
        """Return a short text that changes when the source's content does."""
        ...

    def rows(self) -> Iterator[SourceRow]:
        """Yield every row once, in the source's order, with flat memory."""
        ...


TaskFunction = Callable[[Prompt, Session, Any], Awaitable[Sample]]
GraderFunction = Callable[[Prompt, Sample, Any], Verdict] | Callable[[Prompt, Sample, Any, Session], Awaitable[Verdict]]
"""A pure function of prompt, sample and options, or an async one that asks its session for a computation or a model call."""
ComputationFunction = Callable[..., JsonValue]
"""A pure function of JSON values that may take for ever, so it runs in a worker process."""
NoOptions = Frozen
"""The options of a task or grader that has none."""
