"""From a kept sample to a record with its paper trail.

Depth is 0 for what people (or a rule) wrote and one more than the deepest parent for what a model wrote. Licenses are those of
the inputs as their owners gave them; where none was given the record says `unknown`, never a default.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, get_args

from gristmill.ids import content_id
from gristmill.records import Lineage, Origin, Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gristmill.records import GradeLine, Prompt, Sample

UNKNOWN = "unknown"


def prompt_depth(prompt: Prompt) -> int:
    """Return how many models deep a prompt's text is; of unknown text it is not assumed that people wrote it."""
    return 0 if prompt.origin in ("human", "template") else 1


def licenses(prompt: Prompt, teachers: Iterable[str | None]) -> tuple[str, ...]:
    """Return the licenses that a sample's text comes under, sorted; `unknown` stands for each that was not given.

    Args:
        prompt: What was asked.
        teachers: The terms of every model whose text is in the row.
    """
    return tuple(sorted({prompt.license or UNKNOWN, *(terms or UNKNOWN for terms in teachers)}))


class Standing(NamedTuple):
    """What is known of a kept sample besides its text."""

    grades: Sequence[GradeLine]
    """What each grader said of it."""
    pass_rate: float | None
    """Of the prompt's gradable samples."""
    split: str
    """`train`, `validation` or `test`."""


def make_record(
    prompt: Prompt,
    sample: Sample,
    *,
    standing: Standing,
    generators: Sequence[str],
    license_set: tuple[str, ...],
    run: str,
) -> Record:
    """Return the record of a kept sample.

    Args:
        prompt: What was asked.
        sample: What came back.
        standing: What its grades and its prompt's other samples say.
        generators: Models whose text is in the row.
        license_set: Licenses of the inputs.
        run: The run's name.
    """
    return Record(
        id=content_id("record", ["sft", [message.canonical() for message in sample.messages]]),
        messages=sample.messages,
        reference=prompt.reference,
        grader="+".join(grade.grader for grade in standing.grades),
        pass_rate=standing.pass_rate,
        split=standing.split,
        origin=_origin(sample),
        depth=prompt_depth(prompt) + _is_of_a_model(sample),
        license=license_set,
        lineage=Lineage(
            prompt_id=prompt.id,
            sample_id=sample.id,
            sample_index=sample.index,
            request_ids=sample.request_ids,
            grades=tuple(f"{grade.grader}={grade.reason}" for grade in standing.grades),
            parents=(prompt.id, *prompt.parents),
            source_id=prompt.source_id,
            generator="+".join(sorted(set(generators))),
            run=run,
        ),
        grades=tuple(standing.grades),
        meta={**prompt.meta, **sample.meta},
    )


def _is_of_a_model(sample: Sample) -> bool:
    """Whether any text of a row that came after the prompt may be a model's."""
    return sample.meta.get("answer_origin") != "human" or "instruction" in sample.meta


def _origin(sample: Sample) -> Origin:
    """Return who wrote what is trained on: a model, unless the task took the answer from somewhere."""
    said = sample.meta.get("answer_origin")
    return next((origin for origin in get_args(Origin) if origin == said), "model")
