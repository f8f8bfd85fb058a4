"""The nouns: what each arrow of the pipeline produces. All frozen; `None` means unknown.

A `Prompt` is asked, a `Request` is sent, a `Reply` comes back, a `Sample` is what the task made of the replies, a `Grade`
says whether it is right and why, a `Decision` whether it is kept and by which rule, a `Record` is one training row.
Nothing here knows where it is stored.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal, NamedTuple

from pydantic import Field, JsonValue

from gristmill.messages import Frozen, Message

Origin = Literal["human", "model", "template", "mixed", "unknown"]
Status = Literal["complete", "truncated", "malformed", "refused", "diverged", "error"]
Finish = Literal["stop", "length", "tool_calls", "content_filter", "unknown"]
GradeType = Literal["verifier", "judge", "human"]


class Prompt(Frozen):
    """The input that is shown to a teacher, and what is known about it."""

    id: str
    """Hash of what a teacher can see, so correcting a reference grades again and buys nothing."""
    messages: tuple[Message, ...]
    reference: str | None = None
    """The known right answer, as the source gives it."""
    domain: str | None = None
    origin: Origin = "unknown"
    source_id: str = ""
    """Which source, and which row of it: `gsm8k/train.jsonl#17`."""
    license: str | None = None
    parents: tuple[str, ...] = ()
    meta: dict[str, JsonValue] = Field(default_factory=dict)


class Usage(Frozen):
    """Tokens of one reply or the sum over several; `None` where the provider did not say."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    estimated: bool = False
    """True where a count is our estimate because the provider reported none."""


class TeacherIdentity(Frozen):
    """Who answers, as far as it is declared: part of every request id. The address is not: moving a server changes nothing."""

    provider: str
    model: str
    revision: str | None = None

    @property
    def label(self) -> str:
        """Return `provider/model@revision`, as cards and records name a model."""
        return f"{self.provider}/{self.model}" + (f"@{self.revision}" if self.revision else "")


class Sampling(Frozen):
    """Parameters sent to a teacher. `None` is not sent: some models refuse some parameters."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()


def plain_identity(identity: TeacherIdentity) -> dict[str, Any]:
    """Return an identity as it is hashed and stored; the same object for the same identity, which nobody changes."""
    noun: Any = identity
    return _plain(noun, brief=False)


def plain_sampling(sampling: Sampling) -> dict[str, Any]:
    """Return parameters as they are hashed and stored, those that are sent; the same object for the same parameters."""
    noun: Any = sampling
    return _plain(noun, brief=True)


@lru_cache(maxsize=256)
def _plain(noun: Any, *, brief: bool) -> dict[str, Any]:
    return noun.model_dump(exclude_none=brief)


class Request(NamedTuple):
    """One canonical call: exactly what identifies it, and nothing of how it is carried.

    A tuple, because one is made for every call out of nouns that are checked already.
    """

    id: str
    role: str
    """Which role of the recipe asks (`teacher`, `judge`, …)."""
    identity: TeacherIdentity
    messages: tuple[Message, ...]
    sampling: Sampling
    seed: int
    prompt_id: str
    sample_index: int
    step: str
    occurrence: int
    tools: tuple[dict[str, JsonValue], ...] = ()
    response_format: dict[str, JsonValue] | None = None


class Allowance(NamedTuple):
    """What a provider says is left of one of its limits."""

    remaining: float
    """Requests or tokens."""
    reset_s: float | None = None
    """Seconds until the limit is whole again; None where it does not say."""


class Pace(NamedTuple):
    """How a provider says that it wants to be asked."""

    retry_after_s: float | None = None
    """Seconds to wait before the next request."""
    requests: Allowance | None = None
    tokens: Allowance | None = None


class Reply(Frozen):
    """What came back: one well-formed answer. A truncated reply is a reply."""

    message: Message
    finish: Finish
    usage: Usage = Usage()
    cost_usd: float | None = None
    """`None` where the price is unknown; never 0 for unknown."""
    model: str | None = None
    """The model that the provider says answered."""
    provider_request_id: str | None = None
    meta: dict[str, JsonValue] = Field(default_factory=dict)
    pace: Pace | None = Field(default=None, exclude=True, repr=False)
    """How the provider wants to be asked from now on; not recorded."""


class Sample(Frozen):
    """One teacher output for one prompt, tool turns included."""

    id: str
    prompt_id: str
    index: int
    messages: tuple[Message, ...]
    """The whole conversation as trained on, prompt first."""
    answer: str | None
    """The text that graders look at: the final answer's message without its reasoning."""
    status: Status
    reason: str | None = None
    """Why the status is not `complete`."""
    usage: Usage = Usage()
    cost_usd: float | None = None
    request_ids: tuple[str, ...] = ()
    meta: dict[str, JsonValue] = Field(default_factory=dict)


GRADER_FAILURES = frozenset({"grader_error", "crash", "memory", "error", "diverged"})
"""Reasons that say something of the grader and nothing of the sample."""


class Verdict(Frozen):
    """What a grader says about a sample, before the engine adds who said it about what."""

    passed: bool | None
    """`None`: could not be graded. Never 0."""
    reason: str
    """A short word for the tables: `equal`, `different`, `no_answer`, `timeout`, …"""
    score: float | None = None
    evidence: dict[str, JsonValue] = Field(default_factory=dict)

    @property
    def word(self) -> Literal["pass", "fail", "unverifiable", "error", "timeout"]:
        """Return the verdict as one of five words; only `fail` is a negative label."""
        if self.passed is not None:
            return "pass" if self.passed else "fail"
        if self.reason == "timeout":
            return "timeout"
        return "error" if self.reason in GRADER_FAILURES else "unverifiable"


class Grade(Frozen):
    """A grader's verdict on one sample, with its reason."""

    sample_id: str
    grader: str
    """`name@version`."""
    type: GradeType
    passed: bool | None
    score: float | None
    reason: str
    evidence: dict[str, JsonValue] = Field(default_factory=dict)
    request_ids: tuple[str, ...] = ()
    ms: float | None = None


class Decision(Frozen):
    """Whether a sample is kept, and the rule that decided."""

    sample_id: str
    kept: bool
    rule: str
    twin: str | None = None
    """The sample that it repeats, if it is a duplicate."""


class Lineage(Frozen):
    """The paper trail of one record: ids that join it to the tables, and what they say."""

    prompt_id: str
    sample_id: str
    sample_index: int
    request_ids: tuple[str, ...]
    grades: tuple[str, ...]
    """`grader@version=reason` for each grade that let it pass."""
    parents: tuple[str, ...]
    """Ids whose text this record contains or answers: the prompt first."""
    source_id: str
    generator: str
    """`provider/model@revision` of every model whose text is in the row, joined by `+`."""
    run: str


class GradeLine(NamedTuple):
    """What one grader said of a row, as exports show it."""

    grader: str
    """`name@version`."""
    passed: bool | None
    score: float | None
    reason: str


class Record(Frozen):
    """One training row."""

    id: str
    messages: tuple[Message, ...]
    reference: str | None
    grader: str
    pass_rate: float | None
    """Passed / graded samples of the prompt; `None` where nothing could be graded."""
    split: str
    repeat: int = 1
    origin: Origin
    depth: int
    """0 for people's text, 1 + the deepest parent for a model's."""
    license: tuple[str, ...]
    """The licenses of the inputs, as they were given; `unknown` where none was."""
    lineage: Lineage
    grades: tuple[GradeLine, ...] = ()
    """What every grader said."""
    meta: dict[str, JsonValue] = Field(default_factory=dict)


Row = dict[str, Any]
"""One row of a table or data file as plain Python."""
