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
    from collections.abc import Callable, Iterator

    from gristmill.engine.planning import Chosen, Plan
    from gristmill.records import Prompt, Verdict
    from gristmill.sandbox.walls import Tier

MOST = 1_000
"""Prompts that are looked at, the first ones of the sources."""
MOST_EXAMINED = 50
"""Of those, whose references are looked at more closely, where their grader can."""
SIDE_BY_SIDE = 16
MOST_PLACES = 5
NOTHING = ("", "I do not know.")
"""Answers that must not pass."""


class Finding(NamedTuple):
    """One kind of mistake in the references."""

    grader: str
    problem: str
    """`rejected`: the grader does not pass the reference itself. `passes_nothing`: it passes an answer that says nothing.
    `no_reference`: there is none. `weak`: what it asks for is not enough to tell right from wrong."""
    reason: str
    """What the grader says."""
    prompts: int
    places: tuple[str, ...]
    """The first of them, `file:line reference`."""


class Checked(NamedTuple):
    """What was looked at and what was found."""

    prompts: int
    findings: tuple[Finding, ...]


def check_references(plan: Plan, accept: Tier = "medium", most: int = MOST) -> Checked:
    """Put the references of a plan's first prompts to its graders.

    Raises:
        SourceError: where a source cannot be read as declared.
    """
    graders = [chosen for chosen in plan.graders if chosen.plugin.traits["proof"] is not None]
    return asyncio.run(_check(plan, graders, accept, most)) if graders else Checked(0, ())


async def _check(plan: Plan, graders: list[Chosen], accept: Tier, most: int) -> Checked:
    machine = Machine(accept)
    counts: Counter[tuple[str, str, str]] = Counter()
    places: dict[tuple[str, str, str], list[str]] = {}
    prompts = 0
    try:
        for several in _batched(islice(_prompts(plan), most), SIDE_BY_SIDE):
            async with asyncio.TaskGroup() as group:
                tasks = [
                    group.create_task(_problems(chosen, prompt, machine, closely=prompts + number < MOST_EXAMINED))
                    for number, (_, prompt) in enumerate(several)
                    for chosen in graders
                ]
            prompts += len(several)
            each = ((place, prompt, chosen) for place, prompt in several for chosen in graders)
            for task, (place, prompt, chosen) in zip(tasks, each, strict=True):
                for problem, reason in task.result():
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


async def _problems(chosen: Chosen, prompt: Prompt, machine: Machine, *, closely: bool) -> list[tuple[str, str]]:
    if prompt.reference is None:
        return [("no_reference", "no_reference")]
    found: list[tuple[str, str]] = []
    proof: Callable[[str, Any], str | None] = chosen.plugin.traits["proof"]
    right = proof(prompt.reference, chosen.options)
    if right is not None and (verdict := await _said(chosen, prompt, right, machine)).passed is not True:
        found.append(("rejected", verdict.reason))
    passing = [nothing for nothing in NOTHING if (await _said(chosen, prompt, nothing, machine)).passed]
    found += [("passes_nothing", repr(nothing)) for nothing in passing[:1]]
    if closely and not found and (examine := chosen.plugin.traits["examine"]) is not None:
        weak: str | None = await examine(prompt, chosen.options, machine)
        found += [("weak", weak)] if weak else []
    return found


def _batched(items: Iterator[tuple[str, Prompt]], size: int) -> Iterator[list[tuple[str, Prompt]]]:
    """Yield items so many at a time."""
    while several := list(islice(items, size)):
        yield several


async def _said(chosen: Chosen, prompt: Prompt, answer: str, machine: Any) -> Verdict:
    sample = Sample(id="", prompt_id=prompt.id, index=0, messages=prompt.messages, answer=answer, status="complete")
    return await verdict_of(chosen.plugin, chosen.options, prompt, sample, machine)
