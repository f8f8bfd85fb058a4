"""`qa`: question-answer pairs from documents, each with the passage's own words as its evidence.

A document is asked for so many pairs; they are laid over its passages evenly, so that its end is asked about as much as its
beginning, and their types and difficulties are dealt out by declared shares. The teacher writes question, answer and evidence
in one reply; whether the evidence is there, the question stands alone and the passage is needed is for the graders to say. What
is trained on is the question (with the passage before it, if that is wanted) and the answer.
"""

from __future__ import annotations

import random
from itertools import groupby
from typing import TYPE_CHECKING, Annotated, Literal, NamedTuple

from pydantic import Field, field_validator

from gristmill.ids import seed_for
from gristmill.messages import Frozen, Message, user
from gristmill.ports import SourceRow
from gristmill.recipe.templates import fence_for
from gristmill.tasks.asking import ask, labelled
from gristmill.tasks.building import made, unreadable
from gristmill.tasks.quota import Quota, Shares
from gristmill.tasks.registry import task
from gristmill.tasks.spread import variant

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gristmill.ports import Session
    from gristmill.records import Prompt, Sample

TYPES = {
    "fact": "asks for one stated fact: who, what, when, where, how much",
    "why": "asks for a reason or a cause that is stated",
    "how": "asks for the steps or the way in which something is done or works",
    "compare": "asks for a difference or a likeness of two things that the passage speaks of",
    "definition": "asks what a term means here",
    "list": "asks for all members of a set that the passage names",
    "inference": "asks for something that follows from two or more statements together",
}
"""What the types that have a name ask for; any other text is its own description."""
DIFFICULTIES = {
    "easy": "one sentence of the passage holds the answer",
    "medium": "the answer needs two sentences of the passage, or other words than theirs",
    "hard": "the answer needs several places of the passage together",
}
LABELS = ("question", "answer", "evidence")


class QaOptions(Frozen):
    """How many pairs, and which."""

    per_document: Annotated[int, Field(ge=1)] | None = None
    """Pairs asked for of each document, laid evenly over its passages."""
    per_passage: Annotated[int, Field(ge=1)] = 1
    """Pairs asked for of each passage, where `per_document` is not given."""
    types: Shares = Field(default={"fact": 0.5, "why": 0.3, "compare": 0.2})
    """Shares of the types of questions: `fact`, `why`, `how`, `compare`, `definition`, `list`, `inference`, or one in your
    words."""
    difficulty: Shares = Field(default={"easy": 0.4, "medium": 0.4, "hard": 0.2})
    """Shares of `easy`, `medium` and `hard`."""
    context: Literal["none", "passage"] = "none"
    """Whether what is trained on shows the passage before the question."""
    tries: Annotated[int, Field(ge=1, le=5)] = 2
    """How often a reply that cannot be read is asked for, in the same conversation."""

    @field_validator("difficulty")
    @classmethod
    def _known(cls, shares: Shares) -> Shares:
        for name in shares:
            if name not in DIFFICULTIES:
                raise ValueError(f"there is no difficulty `{name}`: write {', '.join(DIFFICULTIES)}")
        return shares


class Pair(NamedTuple):
    """What a reply must hold."""

    question: str
    answer: str
    evidence: str


def spread(rows: Iterator[SourceRow], options: QaOptions, seed: int) -> Iterator[SourceRow]:
    """Yield one prompt a pair: a passage, with the type, the difficulty and the number of the question."""
    rng = random.Random(seed_for(seed, "qa", 0, "quota", 0))
    types, difficulties = Quota(options.types, rng), Quota(options.difficulty, rng)
    for _, group in groupby(rows, key=_document):
        passages: list[SourceRow] = []
        for row in group:
            if row.prompt is None:
                yield row
            else:
                passages.append(row)
        for row, count in zip(passages, _counts(passages, options), strict=True):
            for number in range(1, count + 1):
                yield _question(row, types.next(), difficulties.next(), number)


def _document(row: SourceRow) -> str:
    return str(row.prompt.meta.get("document", row.prompt.source_id)) if row.prompt else row.place


def _counts(passages: list[SourceRow], options: QaOptions) -> list[int]:
    """Return how many pairs each passage is asked for: evenly by length, where a document has a number."""
    if options.per_document is None:
        return [options.per_passage] * len(passages)
    lengths = [len(passage_of(row.prompt)) if row.prompt else 0 for row in passages]
    counts, total, at, seen = [0] * len(passages), sum(lengths), 0, 0
    for number in range(options.per_document if passages else 0):
        while seen + lengths[at] <= (number + 0.5) / options.per_document * total and at < len(passages) - 1:
            seen += lengths[at]
            at += 1
        counts[at] += 1
    return counts


def _question(row: SourceRow, kind: str, difficulty: str, number: int) -> SourceRow:
    assert row.prompt is not None
    return variant(row, row.prompt, "qa", kind, difficulty, number, type=kind, difficulty=difficulty, number=number)


def passage_of(prompt: Prompt) -> str:
    """Return the text that a pair is about."""
    return prompt.messages[-1].content


@task("qa", version=1, options=QaOptions, templates=("qa/ask@1",), spread=spread, counted=("type", "difficulty"))
async def qa(prompt: Prompt, session: Session, options: QaOptions) -> Sample:
    """Write a question about a passage, its answer, and the words of the passage that prove it."""
    passage, kind, difficulty = passage_of(prompt), str(prompt.meta["type"]), str(prompt.meta["difficulty"])
    text = session.fill(
        "qa/ask",
        passage=passage,
        fence=fence_for(passage),
        title=prompt.meta.get("title"),
        type=kind,
        type_means=TYPES.get(kind, kind),
        difficulty=difficulty,
        difficulty_means=DIFFICULTIES[difficulty],
        number=prompt.meta["number"],
    )
    asked = await ask(session, (user(text.strip()),), _pair, step="ask", tries=options.tries)
    if asked.value is None:
        return unreadable(prompt, session, asked.replies, "no_pair", asked.problem)
    pair = asked.value
    shown = f"{passage}\n\n{pair.question}" if options.context == "passage" else pair.question
    return made(
        prompt,
        session,
        messages=(user(shown), Message(role="assistant", content=pair.answer)),
        replies=asked.replies,
        meta={
            "question": pair.question,
            "evidence": pair.evidence,
            "document": str(prompt.meta.get("document", prompt.source_id)),
            "repairs": asked.repairs,
        },
    )


def _pair(text: str) -> Pair:
    found = labelled(text, LABELS)
    return Pair(found["question"], found["answer"], found["evidence"])
