"""Are the references any good? Each is put to its own grader before anything is paid for.

A reference that its own grader rejects makes every sample of that prompt a failure, and a prompt that an empty answer passes
accepts anything. Both are mistakes in the data, found here for nothing; found by a run they cost its whole bill. Only graders
that can say what a right answer looks like (`proof`) can be asked.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from gristmill.engine.marking import verdict_of
from gristmill.records import Sample
from gristmill.studies.grading import Machine

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from gristmill.engine.planning import Chosen, Plan
    from gristmill.records import Prompt, Verdict

MOST = 1_000
"""Prompts that are looked at, the first ones of the sources."""
MOST_PLACES = 5
NOTHING = ("", "I do not know.")
"""Answers that must not pass."""


class Finding(NamedTuple):
    """One kind of mistake in the references."""

    grader: str
    problem: str
    """`rejected`: the grader does not pass the reference itself. `passes_nothing`: it passes an answer that says nothing.
    `no_reference`: there is none."""
    reason: str
    """What the grader says."""
    prompts: int
    places: tuple[str, ...]
    """The first of them, `file:line reference`."""


class Checked(NamedTuple):
    """What was looked at and what was found."""

    prompts: int
    findings: tuple[Finding, ...]


def check_references(plan: Plan, most: int = MOST) -> Checked:
    """Put the references of a plan's first prompts to its graders.

    Raises:
        SourceError: where a source cannot be read as declared.
    """
    graders = [chosen for chosen in plan.graders if chosen.plugin.traits["proof"] is not None]
    return asyncio.run(_check(plan, graders, most)) if graders else Checked(0, ())


async def _check(plan: Plan, graders: list[Chosen], most: int) -> Checked:
    machine = Machine()
    counts: Counter[tuple[str, str, str]] = Counter()
    places: dict[tuple[str, str, str], list[str]] = {}
    prompts = 0
    try:
        for place, prompt in islice(_prompts(plan), most):
            prompts += 1
            for chosen in graders:
                async for problem, reason in _problems(chosen, prompt, machine):
                    key = (chosen.plugin.identity, problem, reason)
                    counts[key] += 1
                    if len(places.setdefault(key, [])) < MOST_PLACES:
                        places[key].append(f"{place} {(prompt.reference or '')[:60]!r}")
    finally:
        await machine.pool.close()
    found = (Finding(*key, count, tuple(places[key])) for key, count in counts.most_common())
    return Checked(prompts, tuple(found))


def _prompts(plan: Plan) -> Iterator[tuple[str, Prompt]]:
    for source in plan.sources:
        for row in source.rows():
            if row.prompt is not None:
                yield row.place, row.prompt


async def _problems(chosen: Chosen, prompt: Prompt, machine: Machine) -> AsyncIterator[tuple[str, str]]:
    if prompt.reference is None:
        yield "no_reference", "no_reference"
        return
    proof: Callable[[str, Any], str | None] = chosen.plugin.traits["proof"]
    right = proof(prompt.reference, chosen.options)
    if right is not None and (verdict := await _said(chosen, prompt, right, machine)).passed is not True:
        yield "rejected", verdict.reason
    for nothing in NOTHING:
        if (await _said(chosen, prompt, nothing, machine)).passed:
            yield "passes_nothing", repr(nothing)
            return


async def _said(chosen: Chosen, prompt: Prompt, answer: str, machine: Any) -> Verdict:
    sample = Sample(id="", prompt_id=prompt.id, index=0, messages=prompt.messages, answer=answer, status="complete")
    return await verdict_of(chosen.plugin, chosen.options, prompt, sample, machine)
