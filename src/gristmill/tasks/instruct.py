"""`instruct`: new instructions from people's, and answers to them.

Four ways, dealt out by shares: `imitate` shows a few seeds and asks for another task (Wang et al. 2022, Self-Instruct, arXiv
2212.10560); `evolve` makes one seed deeper, broader or more constrained (Xu et al. 2023, WizardLM, arXiv 2304.12244);
`attributes` asks for a task with declared properties (a topic, an audience, a persona), each value as often as its share says;
`backtranslate` asks which instruction a text that people wrote answers (Li et al. 2023, arXiv 2308.06259) and keeps their text
as the answer. A checkable constraint may be put behind an instruction, which makes its answer verifiable. Whether an
instruction is new is for `novel` and for near duplicates to say.
"""

from __future__ import annotations

import random
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, JsonValue, field_validator, model_validator

from gristmill.ids import content_id, seed_for
from gristmill.messages import Frozen, Message, user
from gristmill.plain import as_list, as_object
from gristmill.recipe.templates import fence_for
from gristmill.tasks.asking import ask, labelled
from gristmill.tasks.building import made, unreadable
from gristmill.tasks.constraints import KINDS
from gristmill.tasks.quota import Quota, Share, Shares
from gristmill.tasks.registry import task

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gristmill.ports import Session, SourceRow
    from gristmill.records import Prompt, Sample

Way = Literal["imitate", "evolve", "attributes", "backtranslate"]
OPERATIONS = {
    "deeper": "asks for more reasoning or more depth about the same matter: causes, trade-offs, several steps",
    "broader": "is about another matter of the same field that is asked about less often",
    "constrained": "adds one more requirement or condition that a good answer must meet",
    "concrete": "replaces what is general by a concrete case with names, numbers or circumstances",
}
MOST_SEEDS = 100_000
"""Seeds that are held at one time; of more, the first are drawn from."""


class InstructOptions(Frozen):
    """How many instructions, made how."""

    count: Annotated[int, Field(ge=1)] = 100
    """Instructions asked for; `backtranslate` makes at most one of each text."""
    ways: dict[Way, Share] = Field(default={"imitate": 0.5, "evolve": 0.5})
    """Shares of `imitate`, `evolve`, `attributes` and `backtranslate`."""
    operations: Shares = Field(default={"deeper": 1.0, "broader": 1.0, "constrained": 1.0, "concrete": 1.0})
    """How seeds evolve, with shares."""
    seeds: Annotated[int, Field(ge=1, le=20)] = 4
    """Seeds that are shown where more than one is."""
    attributes: dict[str, Shares] = Field(default_factory=dict)
    """For `attributes`: each with its values and their shares, such as `topic: {law: 1, cooking: 2}`; a persona is one."""
    constraints: dict[str, Share] = Field(default_factory=dict)
    """Shares of checkable constraints behind instructions: `at_most`, `at_least`, `bullets`, `paragraphs`, `sentences`, `json`,
    `keyword`, `forbidden`, `language`; `none` leaves an instruction as it is."""
    tries: Annotated[int, Field(ge=1, le=5)] = 2
    """How often a reply that cannot be read is asked for."""

    @field_validator("constraints")
    @classmethod
    def _known(cls, shares: dict[str, float]) -> dict[str, float]:
        for name in shares:
            if name not in KINDS and name != "none":
                raise ValueError(f"there is no constraint `{name}`: write {', '.join([*KINDS, 'none'])}")
        if shares.get("language") and find_spec("py3langid") is None:
            raise ValueError('the constraint `language` needs an extra to check it: run `pip install "gristmill[language]"`')
        return shares

    @model_validator(mode="after")
    def _sensible(self) -> Self:
        if not any(self.ways.values()):
            raise ValueError("shares must not all be 0")
        if self.ways.get("attributes") and not self.attributes:
            raise ValueError("`ways` has `attributes`, so name some: `attributes: {topic: {law: 1, cooking: 2}}`")
        return self


class _Dealer:
    """Deals out ways, operations, attribute values and constraints by their shares."""

    def __init__(self, options: InstructOptions, seed: int) -> None:
        self.rng = random.Random(seed_for(seed, "instruct", 0, "deal", 0))
        self.options = options
        self.ways = Quota({str(way): share for way, share in options.ways.items()}, self.rng)
        self.operations = Quota(options.operations, self.rng)
        self.values = {name: Quota(values, self.rng) for name, values in options.attributes.items()}
        self.constraints = Quota(options.constraints, self.rng) if any(options.constraints.values()) else None

    def next(self, number: int, seeds: list[SourceRow]) -> SourceRow | None:
        """Return what is asked for, with the seeds that it begins with; None where there are none."""
        way = self.ways.next()
        if way == "backtranslate" and number > len(seeds):
            return None
        if way == "backtranslate":
            shown = [seeds[number - 1]]
        else:
            shown = self.rng.sample(seeds, min(1 if way == "evolve" else self.options.seeds, len(seeds)))
        meta: dict[str, JsonValue] = {"way": way, "number": number}
        if way == "evolve":
            meta["operation"] = self.operations.next()
        if way == "attributes":
            meta["attributes"] = {name: quota.next() for name, quota in self.values.items()}
        kind = self.constraints.next() if self.constraints and way != "backtranslate" else "none"
        if kind != "none":
            made_of = KINDS[kind](self.rng)
            meta["constraint"] = kind
            meta["constraints"] = [{"text": made_of.text, "grader": made_of.grader, "options": made_of.options}]
        return _prompt(shown, meta)


def _prompt(shown: list[SourceRow], meta: dict[str, JsonValue]) -> SourceRow:
    prompts = [row.prompt for row in shown if row.prompt is not None]
    texts = [prompt.messages[-1].content for prompt in prompts]
    first = prompts[0]
    messages = (user("\n\n".join(texts)),)
    licenses = sorted({prompt.license or "unknown" for prompt in prompts})
    prompt = first.model_copy(
        update={
            "id": content_id("prompt", [texts, "instruct", meta]),
            "messages": messages,
            "parents": tuple(prompt.id for prompt in prompts),
            "source_id": "+".join(prompt.source_id for prompt in prompts),
            "license": " AND ".join(licenses) if licenses != ["unknown"] else first.license,
            "reference": None,
            "meta": {**meta, "seeds": [*texts]},
        }
    )
    return shown[0]._replace(prompt=prompt)


def spread(rows: Iterator[SourceRow], options: InstructOptions, seed: int) -> Iterator[SourceRow]:
    """Yield one prompt for each instruction that is asked for: its seeds, and what is wanted of them."""
    seeds: list[SourceRow] = []
    for row in rows:
        if row.prompt is None:
            yield row
        elif len(seeds) < MOST_SEEDS:
            seeds.append(row)
    dealer = _Dealer(options, seed)
    for number in range(1, options.count + 1):
        asked = dealer.next(number, seeds) if seeds else None
        if asked is not None:
            yield asked


@task(
    "instruct",
    version=1,
    options=InstructOptions,
    templates=("instruct/imitate@1", "instruct/evolve@1", "instruct/attributes@1", "instruct/backtranslate@1"),
    spread=spread,
    counted=("way", "operation", "constraint", "attributes"),
)
async def instruct(prompt: Prompt, session: Session, options: InstructOptions) -> Sample:
    """Write a new instruction from seeds, put a constraint behind it if one is wanted, and answer it."""
    meta, way = prompt.meta, str(prompt.meta["way"])
    seeds = [str(text) for text in as_list(meta.get("seeds")) or []]
    attributes = {name: str(value) for name, value in (as_object(meta.get("attributes")) or {}).items()}
    operation = str(meta.get("operation", ""))
    text = session.fill(
        f"instruct/{way}",
        seeds=[*seeds],
        fence=fence_for("\n".join(seeds)),
        attributes=[[name, value] for name, value in attributes.items()],
        operation=OPERATIONS.get(operation, operation),
        number=meta["number"],
    )
    asked = await ask(session, (user(text.strip()),), _instruction, step="instruction", tries=options.tries)
    if asked.value is None:
        return unreadable(prompt, session, asked.replies, "no_instruction", asked.problem)
    made_of: dict[str, JsonValue] = {"instruction": asked.value, "repairs": asked.repairs}
    if way == "backtranslate":
        answer = Message(role="assistant", content=seeds[0])
        made_of["answer_origin"] = prompt.origin
        return made(prompt, session, messages=(user(asked.value), answer), replies=asked.replies, meta=made_of)
    wanted = [str(one["text"]) for item in as_list(meta.get("constraints")) or [] if (one := as_object(item)) is not None]
    question = user("\n".join([asked.value, *wanted]))
    reply = await session.complete((question,), step="answer")
    if reply.finish in ("length", "content_filter"):
        return unreadable(prompt, session, (*asked.replies, reply), "no_answer", reply.finish)
    return made(prompt, session, messages=(question, reply.message), replies=(*asked.replies, reply), meta=made_of)


def _instruction(text: str) -> str:
    return labelled(text, ("instruction",))["instruction"]
