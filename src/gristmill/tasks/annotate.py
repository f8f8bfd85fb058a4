"""`annotate`: an existing dataset with grades or labels beside every row; nothing is written anew, and nothing is dropped.

A row's own output becomes the sample, so graders (verifiers, judges, reward models) look at what is there, and every row is
kept with what they said: a threshold is the reader's choice, made later and without a call. With `labels` a model puts one of
the declared labels on each row by a rubric; a reply that names none is asked for once more, and a row that gets none has none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, JsonValue, ValidationError, model_validator

from gristmill.messages import Frozen, Message, read_message, user
from gristmill.plain import as_list, as_text
from gristmill.recipe.templates import fence_for
from gristmill.tasks.asking import ask, labelled
from gristmill.tasks.building import made, total_cost, total_usage
from gristmill.tasks.registry import task
from gristmill.tasks.spread import variant

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gristmill.ports import Session, SourceRow
    from gristmill.records import Prompt, Sample


class AnnotateOptions(Frozen):
    """What is annotated, and with which labels."""

    output: str = "output"
    """The field that holds what was answered: a text, or messages. `prompts.meta` carries it along by itself."""
    origin: Literal["human", "model", "unknown"] = "unknown"
    """Who wrote it."""
    labels: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    """Labels of which a model puts one on each row; without any, only graders look."""
    rubric: str = ""
    """What the labels mean, in words."""
    tries: Annotated[int, Field(ge=1, le=5)] = 2
    """How often a reply that names no label is asked for."""

    @model_validator(mode="after")
    def _several(self) -> Self:
        if len({label.casefold() for label in self.labels}) != len(self.labels) or len(self.labels) == 1:
            raise ValueError("`labels` are two or more different ones, such as `[helpful, harmful, neither]`")
        return self


def spread(rows: Iterator[SourceRow], options: AnnotateOptions, seed: int) -> Iterator[SourceRow]:  # noqa: ARG001 - the port
    """Yield each row as a prompt of its own, also where several answer the same question: what was answered is in its id."""
    for row in rows:
        if row.prompt is None:
            yield row
            continue
        yield variant(row, row.prompt, "annotate", row.prompt.meta.get(options.output))


@task(
    "annotate",
    version=1,
    options=AnnotateOptions,
    spread=spread,
    templates=("annotate/label@1",),
    roles=("judge",),
    counted=("label", "verdict"),
    carries=("output",),
    keeps_all=True,
    holds_prompt=True,
)
async def annotate(prompt: Prompt, session: Session, options: AnnotateOptions) -> Sample:
    """Take a row's own output as the sample, and put a label on it if any are declared."""
    answered = _answered(prompt.meta.get(options.output))
    if not answered:
        sample = made(prompt, session, messages=(*prompt.messages, Message(role="assistant", content="")), replies=[])
        return sample.model_copy(update={"reason": "no_output"})
    meta: dict[str, JsonValue] = {"answer_origin": options.origin}
    messages = (*prompt.messages, *answered)
    if not options.labels:
        return made(prompt, session, messages=messages, replies=[], meta=meta)
    shown = [f"{message.role}: {message.content}" for message in messages]
    text = session.fill(
        "annotate/label",
        fence=fence_for("\n".join(shown)),
        row="\n\n".join(shown),
        labels=[*options.labels],
        rubric=options.rubric,
    )
    known = {label.casefold(): label for label in options.labels}

    def read(reply: str) -> str:
        said = labelled(reply, ("label",))["label"].split("\n")[0].strip(" .*_`\"'").casefold()
        if said not in known:
            raise ValueError(f"`{said[:60]}` is none of the labels {', '.join(options.labels)}")
        return known[said]

    asked = await ask(session, (user(text.strip()),), read, step="label", role="judge", tries=options.tries)
    meta |= {"label": asked.value, "repairs": asked.repairs}
    sample = made(prompt, session, messages=messages, replies=[], meta=meta)
    spent = {
        "usage": total_usage([reply.usage for reply in asked.replies]),
        "cost_usd": total_cost([reply.cost_usd for reply in asked.replies]),
    }
    if asked.value is None:
        spent |= {"meta": {**meta, "problem": asked.problem}}
    return sample.model_copy(update=spent)


def _answered(value: JsonValue) -> tuple[Message, ...]:
    """Return a row's output as messages; none where it is neither a text nor messages."""
    text = as_text(value)
    if text is not None:
        return (Message(role="assistant", content=text),) if text.strip() else ()
    try:
        return tuple(read_message(message) for message in as_list(value) or ())
    except ValidationError:
        return ()
