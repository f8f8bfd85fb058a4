"""The recipe as one typed model: the same thing as YAML, as Python and as flags.

Everything that has options is `name` or `{name: options}`; both forms become a `Choice` before validation, so the resolved
recipe shows one form. Options of plug-ins (tasks, graders, exporters) stay plain here, since this room knows no plug-in;
the engine checks them against the plug-in's own model and reports the same line and column.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, JsonValue, model_validator

from gristmill.messages import Frozen
from gristmill.plain import as_items, as_object
from gristmill.recipe.grades import GraderChoices, graders_in
from gristmill.records import Origin, Sampling

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"


OWN = ("vllm:", "sglang:")
"""Servers that answer many requests together; how many are worth it is found by trying."""
FOUND_UP_TO = 4
"""Times the number that is begun with."""


class Choice(Frozen):
    """Something chosen by name, with its options."""

    name: str
    options: dict[str, JsonValue] = Field(default_factory=dict)


def _choice(value: Any) -> Any:
    """Turn `name` and `{name: options}` into the long form."""
    if isinstance(value, str):
        return {"name": value}
    given = as_object(value)
    if given is not None and len(given) == 1 and "name" not in given:
        name, options = next(iter(given.items()))
        if options is None or as_object(options) is not None:
            return {"name": name, "options": options or {}}
        raise ValueError(f"the options of `{name}` must be `key: value` pairs, got {options!r}")
    if given is not None and set(given) <= {"name", "options"}:
        return given
    raise ValueError("write a name, or one name with its options: `{name: {key: value}}`")


AnyChoice = Annotated[Choice, BeforeValidator(_choice)]
Choices = Annotated[tuple[AnyChoice, ...], BeforeValidator(as_items)]


class WordProblems(Frozen):
    """Arithmetic word problems made by rule, with their answers."""

    count: Annotated[int, Field(ge=1)] = 1000
    """How many; any number."""
    steps: tuple[Annotated[int, Field(ge=1, le=4)], Annotated[int, Field(ge=1, le=4)]] = (1, 4)
    """Fewest and most arithmetic steps."""
    seed: int = 0
    """Another seed, other problems."""
    answer_as: Literal["number", "function", "calls"] = "number"
    """The reference: the number for `math`, tests of a function `solve` for `code`, calculator calls for `tool_call`."""

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        if self.steps[0] > self.steps[1]:
            raise ValueError(f"`steps` is [{self.steps[0]}, {self.steps[1]}]: the fewest steps come first")
        return self


class Chunking(Frozen):
    """How documents are cut into passages."""

    tokens: Annotated[int, Field(ge=50)] = 800
    """The most tokens of a passage, at four characters a token."""
    overlap: Annotated[int, Field(ge=0)] | None = None
    """Tokens that a passage takes over from the one before; by default a tenth."""
    group: Annotated[int, Field(ge=1)] = 1
    """Neighbouring passages that stand in one prompt."""
    across: Annotated[int, Field(ge=1, le=8)] = 1
    """Passages of as many different documents that stand in one prompt."""

    @model_validator(mode="after")
    def _overlaps_a_part(self) -> Self:
        if self.overlapping > self.tokens // 2:
            raise ValueError(
                f"`overlap` {self.overlap} is more than half of `tokens` {self.tokens}: hardly anything new would come"
            )
        return self

    @property
    def overlapping(self) -> int:
        """Return the overlap in tokens."""
        return self.tokens // 10 if self.overlap is None else self.overlap


class SourceSpec(Frozen):
    """Where prompts come from: a data file or folder (`path`), documents, or a procedural source (`word_problems`)."""

    path: str | None = None
    """A JSONL, JSON, CSV or Parquet file (also .gz or .zst), or a folder of them; relative to the recipe."""
    word_problems: WordProblems | None = None
    """Arithmetic word problems made by rule."""
    source: str | None = None
    """A function of yours that yields rows, as `my_file.py:my_rows`; it is run with `--trust` alone."""
    documents: str | None = None
    """A document (text, Markdown, reStructuredText, HTML, PDF) or a folder of them; with `text`, a data file whose rows hold
    them."""
    include: tuple[str, ...] = ()
    """Which files of a folder of documents are read, such as `["*.md", "*.pdf"]`; by default all."""
    chunk: Chunking = Chunking()
    """How documents are cut into passages."""
    text: str | None = None
    """The field that holds a whole document, where `documents` is a data file."""
    title: str | None = None
    """The field that holds its title."""
    markup: Literal["text", "markdown", "rst"] = "text"
    """What such a field is written in."""
    prompt: str = "prompt"
    """The field that holds the question."""
    messages: str | None = None
    """The field that holds a whole conversation to be answered, instead of `prompt`."""
    reference: str | None = None
    """The field that holds the right answer."""
    meta: tuple[str, ...] = ()
    """Fields to carry along."""
    domain: str | None = None
    """A word for what the prompts are about."""
    origin: Origin = "unknown"
    """Who wrote the prompts; unknown counts as not human."""
    license: str | None = None
    """The license of the prompts, as their owner gives it."""
    format: Literal["jsonl", "json", "csv", "parquet"] | None = None
    """The format, where the file's name does not tell."""

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        if [self.path, self.word_problems, self.documents, self.source].count(None) != 3:
            raise ValueError("a source has one of `path`, `documents`, `word_problems` and `source`")
        of_documents = ("include", "chunk", "text", "title", "markup")
        given = {name for name in of_documents if getattr(self, name) != type(self).model_fields[name].default}
        if given and self.documents is None:
            raise ValueError(f"`{min(given)}` is for documents: write `documents: FOLDER`")
        if self.text is None and given & {"title", "markup"}:
            raise ValueError(
                "`title` and `markup` say more of documents in a data file: name the field that holds them, `text: FIELD`"
            )
        return self


class Limits(Frozen):
    """How hard a teacher may be driven."""

    in_flight: Annotated[int, Field(ge=1, le=100_000)] | None = None
    """Calls that may be unanswered at one time; by default 64. `vllm:` and `sglang:` begin with 256, and with
    more or fewer from then on, as the tokens a second say. Fewer while the server is overloaded."""
    rpm: Annotated[int, Field(ge=1)] | None = None
    """Requests a minute, of all processes on this machine with the same URL and key variable. Without it the rate is learned."""
    tpm: Annotated[int, Field(ge=1)] | None = None
    """Tokens a minute, likewise: the most that a call can cost when it is sent, what it did cost once it is answered."""


class PriceSpec(Frozen):
    """What a model costs: dollars per million tokens, or one's own machines by the hour."""

    input: Annotated[float, Field(ge=0)] | None = None
    """US dollars per million input tokens."""
    cached_input: Annotated[float, Field(ge=0)] | None = None
    """The same for input that the provider had cached; `input` where it is not given."""
    output: Annotated[float, Field(ge=0)] | None = None
    """US dollars per million output tokens, reasoning included."""
    gpu_hour_usd: Annotated[float, Field(ge=0)] | None = None
    """What one GPU costs an hour: the time in which calls are under way is the bill."""
    gpus: Annotated[int, Field(ge=1)] = 1
    """How many GPUs serve the model."""

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        tokens = self.input is not None and self.output is not None
        if self.gpu_hour_usd is None and not tokens:
            raise ValueError("a price is `{input: …, output: …}` in dollars per million tokens, or `{gpu_hour_usd: …, gpus: …}`")
        if self.gpu_hour_usd is not None and (self.input, self.output, self.cached_input) != (None, None, None):
            raise ValueError("a price is either by tokens or by GPU hours: take one of the two away")
        return self


class BatchSpec(Frozen):
    """How a provider's batch interface is used."""

    poll_s: Annotated[float, Field(gt=0)] = 60.0
    """The longest time in seconds between two looks at a batch."""


class TeacherSpec(Frozen):
    """A teacher: an address, and how to call it."""

    address: str
    """`builtin`, `builtin-student`, `FILE.gguf`, `recorded:FILE`, `PROVIDER:MODEL`, `vllm:URL`, `sglang:URL`, `azure:URL`, or the
    URL of a server; `gristmill describe` shows them all."""
    model: str | None = None
    """The model's name at that address; a vLLM or SGLang server that serves one model says it itself."""
    api: Literal["chat", "responses", "messages", "score", "text"] | None = None
    """The wire format: OpenAI's chat completions or responses, Anthropic's messages, or `score` for a reward model, whose address
    is the endpoint itself; by default the address's own, or chat. `text`, for model files alone, lets a base model continue the
    prompt as it stands, without roles."""
    revision: str | None = None
    """The exact version of the model, where it is known; part of every request's identity."""
    key_env: str | None = None
    """The NAME of the environment variable that holds the key; never the key."""
    timeout_s: Annotated[float, Field(gt=0)] = 600.0
    """How long one call may take once it is sent."""
    price: PriceSpec | None = None
    """What its calls cost, where the price file does not know the model or you pay otherwise."""
    batch: bool | BatchSpec = False
    """Hand calls in together by the provider's batch interface: cheaper, answered within a day. `{poll_s: 30}` looks oftener."""
    choices: Annotated[int, Field(ge=1, le=128)] = 1
    """Answers that one request may ask for (`n` of chat completions) where several samples of a prompt are due: the prompt is
    billed once. They share a seed, are not streamed, and each one's part of the output tokens is an estimate."""
    attempts: Annotated[int, Field(ge=1, le=100)] = 8
    """How often one call is tried when the fault is transient."""
    stream: bool | None = None
    """Whether answers are streamed, so that one that only repeats itself is ended early; by default where the format is chat and
    `max_tokens` is not set or at least 2048."""
    wait_for: Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?[smh]$")] | None = None
    """How long a server that is not up is waited for, at the start and after a restart: `90s`, `20m`, `2h`."""
    thinking: Literal["required", "answer_only"] | None = None
    """What of its reasoning the teacher must show: `required`, its text; `answer_only`, nothing, answers alone are wanted. By
    default a reply whose reasoning is hidden or a summary is no sample of reasoning."""
    limits: Limits = Limits()
    extra_body: dict[str, JsonValue] = Field(default_factory=dict)
    """Fields to add to every request body."""
    extra_headers: dict[str, str] = Field(default_factory=dict)
    """Headers to add to every request."""
    license: str | None = None
    """The terms of the model's output, as its owner gives them."""
    script: dict[str, JsonValue] = Field(default_factory=dict)
    """For the `scripted` teacher of tests: what to answer, how late, with which faults."""

    @property
    def wait_s(self) -> float:
        """Return `wait_for` in seconds; 0 where it is not given."""
        return 0.0 if self.wait_for is None else float(self.wait_for[:-1]) * {"s": 1, "m": 60, "h": 3600}[self.wait_for[-1]]

    @property
    def in_flight(self) -> int:
        """Return how many calls may be unanswered at one time."""
        return self.limits.in_flight or (256 if self.address.startswith(OWN) else 64)

    @property
    def most_in_flight(self) -> int:
        """Return how many may be at most, where the number is found by trying; else it is `in_flight`."""
        found = self.limits.in_flight is None and self.address.startswith(OWN)
        return FOUND_UP_TO * self.in_flight if found else self.in_flight

    @property
    def output_license(self) -> str | None:
        """Return the terms of the output; those of the models that ship are known."""
        return self.license or ("Apache-2.0" if self.address in ("builtin", "builtin-student") else None)

    @model_validator(mode="after")
    def _read_what_is_paid(self) -> Self:
        if "n" in self.extra_body:
            raise ValueError("`n` in `extra_body` buys answers that nobody reads: write `choices` beside `address` instead")
        if self.choices > 1 and (self.batch or self.stream):
            raise ValueError("`choices` asks for several answers at once, which goes with neither `batch` nor `stream: true`")
        return self

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        return {"address": value} if isinstance(value, str) else value


class SamplingSpec(Frozen):
    """How many samples a prompt gets, and the parameters that are sent."""

    want: Annotated[int, Field(ge=1)] | None = 1
    """Accepted samples to look for per prompt; `null` with `n` takes plain samples."""
    n: Annotated[int, Field(ge=1)] | None = None
    """With `want: null`: how many samples each prompt gets."""
    max_attempts: Annotated[int, Field(ge=1)] = 16
    """Samples a prompt gets at most."""
    give_up_after: Annotated[int, Field(ge=1)] = 8
    """Straight failures after which a prompt is given up."""
    temperature: Annotated[float, Field(ge=0, le=5)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=1)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    stop: tuple[str, ...] = ()

    @property
    def sent(self) -> Sampling:
        """Return the parameters that go to a teacher."""
        return Sampling(**self.model_dump(include=set(Sampling.model_fields)))

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.want is None and self.n is None:
            raise ValueError("`want: null` needs `n`, the number of plain samples per prompt")
        if self.want is not None and self.n is not None:
            raise ValueError("`n` is for plain samples: write `want: null` beside it, or take `n` away")
        if self.temperature == 0 and (self.want or self.n or 1) > 1:
            raise ValueError("temperature 0 gives the same sample every time: take a higher one, or `want: 1`")
        if self.want is not None and self.max_attempts < self.want:
            raise ValueError(f"`max_attempts` is {self.max_attempts}, fewer than the {self.want} samples in `want`")
        return self


class PromptSpec(Frozen):
    """How a prompt is put to the teacher."""

    system: str | None = None
    """A system message."""
    template: str | None = None
    """A template by name and version, such as `boxed@1`; `plain` sends the prompt as it is."""
    templates: dict[str, str] = Field(default_factory=dict)
    """Your own templates in the place of a task's, by name: `{qa/ask: my.jinja}`; `gristmill describe TASK` lists them."""
    answer_format: str | None = None
    """Where the answer stands: `boxed`, `hash`, `line:PREFIX`, `json:FIELD`, `tag:NAME`, `literal`, `last_number`, `auto`."""


class Target(Frozen):
    """How much is wanted."""

    rows: Annotated[int, Field(ge=1)]
    """Rows in the training split, after selection."""


class BudgetSpec(Frozen):
    """What the whole run may spend, all its processes together; near a cap it waits, at a cap it stops and can go on."""

    usd: Annotated[float, Field(gt=0)] | None = None
    """US dollars. Every price must be known, and `sampling.max_tokens` set: the worst case of a call is set aside first."""
    tokens: Annotated[int, Field(gt=0)] | None = None
    """Input and output tokens."""
    hours: Annotated[float, Field(gt=0)] | None = None
    """Hours in which the run is going."""

    @model_validator(mode="after")
    def _caps_something(self) -> Self:
        if (self.usd, self.tokens, self.hours) == (None, None, None):
            raise ValueError("a budget caps something: write `{usd: 50}`, `{tokens: 2000000}` or `{hours: 8}`")
        return self


class Dedup(Frozen):
    """Which repeats are dropped."""

    exact: bool = True
    """Drop samples whose conversation is equal to one that is kept."""
    near: Annotated[float, Field(gt=0, le=1)] | None = None
    """Drop samples whose question is a near duplicate of a kept one: the Jaccard similarity of words and pairs of words from
    which it is, such as 0.7. For kinds that write the question."""
    within: Literal["document", "run"] = "run"
    """Where near duplicates are looked for: among those of one document, or all."""
    least_distinct: Annotated[float, Field(gt=0, lt=1)] | None = None
    """With `near`: stop asking when a smaller share of the last 200 candidates is new, since what comes is what is there."""

    @model_validator(mode="after")
    def _needs_near(self) -> Self:
        if self.near is None and (self.least_distinct is not None or self.within != "run"):
            raise ValueError("`within` and `least_distinct` speak of near duplicates: say from which similarity on, `near: 0.7`")
        return self


class Selection(Frozen):
    """Which accepted samples are kept."""

    per_prompt: Annotated[int, Field(ge=1)] | None = None
    """At most so many per prompt; the first ones by index."""
    dedup: Dedup = Dedup()


class Split(Frozen):
    """Shares held out, never by row: what comes from one question, persona or document is on one side."""

    validation: Annotated[float, Field(ge=0, lt=1)] = 0.0
    test: Annotated[float, Field(ge=0, lt=1)] = 0.0

    @model_validator(mode="after")
    def _leaves_some(self) -> Self:
        if self.validation + self.test >= 1:
            raise ValueError("`validation` and `test` together must leave something to train on")
        return self


class Recipe(Frozen):
    """What the user wants, whole."""

    name: Annotated[str, Field(pattern=NAME_PATTERN)]
    """Names the run's folder: letters, digits, `.`, `_`, `-`."""
    prompts: Annotated[tuple[SourceSpec, ...], BeforeValidator(as_items), Field(min_length=1)]
    """One source, or a list of them."""
    task: AnyChoice = Choice(name="reasoning")
    """The kind of data to make."""
    teacher: TeacherSpec | None = None
    """Who answers; short for `teachers: {teacher: …}`."""
    teachers: dict[str, TeacherSpec] = Field(default_factory=dict)
    """Further models by name, for `roles` and judges."""
    roles: dict[str, str] = Field(default_factory=dict)
    """Which teacher plays which role of the task: `{judge: checker}`."""
    prompt: PromptSpec = PromptSpec()
    sampling: SamplingSpec = SamplingSpec()
    grade: Annotated[GraderChoices, Field(min_length=1)]
    """Graders; a sample is accepted if all of them pass it. `{any: [...]}` and `{cascade: [...]}` combine them otherwise."""
    budget: BudgetSpec | None = None
    """What may be spent."""
    target: Target | None = None
    """When it is enough; without it every prompt is tried."""
    select: Selection = Selection()
    split: Split = Split()
    export: Choices = (Choice(name="messages"),)
    """Formats to write."""
    seed: int = 0
    """Another seed, another plan order and other samples."""
    window: Annotated[int, Field(ge=1)] | None = None
    """How many prompts may run ahead of the first that is not settled; by default four times the calls in flight."""

    @model_validator(mode="after")
    def _teacher_once(self) -> Self:
        if self.teacher is None and "teacher" not in self.teachers:
            raise ValueError("there is no teacher: write `teacher: ADDRESS`")
        if self.teacher is not None and "teacher" in self.teachers:
            raise ValueError("the teacher is written twice: under `teacher` and under `teachers.teacher`")
        for role, name in self.roles.items():
            if name not in self.all_teachers():
                raise ValueError(f"role `{role}` wants the teacher `{name}`, which is not under `teachers`")
        for choice in graders_in(self.grade):
            if choice.by is not None and choice.by not in self.all_teachers():
                raise ValueError(f"the grader `{choice.name}` asks `{choice.by}`, which is not under `teachers`")
        return self

    def all_teachers(self) -> dict[str, TeacherSpec]:
        """Return every teacher by name, the main one as `teacher`."""
        return dict(self.teachers) if self.teacher is None else {"teacher": self.teacher, **self.teachers}

    def teacher_for(self, role: str) -> str:
        """Return the name of the teacher that plays `role`; roles that are not declared are played by `teacher`."""
        if role in self.roles:
            return self.roles[role]
        return role if role in self.all_teachers() else "teacher"
