"""From a kept sample to a record with its paper trail.

Depth is 0 for what people (or a rule) wrote and one more than the deepest parent for what a model wrote. Licenses are those of
the inputs as their owners gave them; where none was given the record says `unknown`, never a default.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from gristmill.ids import content_id
from gristmill.records import Lineage, Record

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gristmill.records import Prompt, Sample

UNKNOWN = "unknown"


def prompt_depth(prompt: Prompt) -> int:
    """Return how many models deep a prompt's text is; of unknown text it is not assumed that people wrote it."""
    return 0 if prompt.origin in ("human", "template") else 1


def licenses(prompt: Prompt, teacher_license: str | None) -> tuple[str, ...]:
    """Return the licenses that a sample's text comes under, sorted; `unknown` stands for each that was not given."""
    return tuple(sorted({prompt.license or UNKNOWN, teacher_license or UNKNOWN}))


class Standing(NamedTuple):
    """What is known of a kept sample besides its text."""

    grades: Sequence[tuple[str, str]]
    """`grader@version` and reason of each grade that passed it."""
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
        grader="+".join(grader for grader, _ in standing.grades),
        pass_rate=standing.pass_rate,
        split=standing.split,
        origin="model",
        depth=1 + prompt_depth(prompt),
        license=license_set,
        lineage=Lineage(
            prompt_id=prompt.id,
            sample_id=sample.id,
            sample_index=sample.index,
            request_ids=sample.request_ids,
            grades=tuple(f"{grader}={reason}" for grader, reason in standing.grades),
            parents=(prompt.id, *prompt.parents),
            source_id=prompt.source_id,
            generator="+".join(sorted(set(generators))),
            run=run,
        ),
        meta={**prompt.meta, **sample.meta},
    )
