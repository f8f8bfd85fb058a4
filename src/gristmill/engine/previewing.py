"""A look before a run: a few samples, whole, in a bounded number of calls.

The samples are made through the same door and kept in the run's ledger, so the run that follows pays for none of them again.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from gristmill.engine.generate import Finished, Generation
from gristmill.engine.opening import make_panel, open_door
from gristmill.sending.stopping import StopSwitch
from gristmill.store.outcomes import load_sample, prompt_rows, stored_grades
from gristmill.store.prompts import index_prompts, load_prompt
from gristmill.store.rundir import RunFolder, open_run

if TYPE_CHECKING:
    from gristmill.engine.opening import Opening
    from gristmill.engine.planning import Plan
    from gristmill.store.ledger import Ledger


def preview(plan: Plan, folder: RunFolder, opening: Opening, count: int) -> dict[str, Any]:
    """Return the first sample of the first `count` prompts in plan order, with their grades.

    Where a sample is one call, no more than `count` calls are made.

    Raises:
        GristmillError: for the user's mistakes and outside reasons.
    """
    with open_run(folder) as ledger:
        opening.say(*ledger.notes)
        index_prompts(ledger, plan.sources, plan.recipe.seed, opening.indexing)
        return asyncio.run(_preview(plan, folder, ledger, opening._replace(max_calls=None if plan.many_calls else count), count))


async def _preview(plan: Plan, folder: RunFolder, ledger: Ledger, opening: Opening, count: int) -> dict[str, Any]:
    switch = StopSwitch()
    async with open_door(plan, ledger, switch, opening) as door:
        panel = make_panel(plan, door)
        work = Generation(plan, door, panel, lambda: None)
        samples: list[dict[str, Any]] = []
        for row in prompt_rows(ledger, door.context, batch=max(count, 1)):
            if len(samples) == count or switch.on:
                break
            prompt = load_prompt(ledger, row.row)
            past = next((sample for sample in row.samples if sample.number == 0), None)
            result = await work.sample(prompt, row, 0, past)
            if not isinstance(result, Finished):
                if row.position >= count:
                    break
                continue
            await ledger.durable()
            sample = load_sample(ledger, result.row)
            samples.append(
                {
                    "prompt_id": prompt.id,
                    "source_id": prompt.source_id,
                    "messages": [message.canonical() for message in sample.messages],
                    "output": sample.answer,
                    "reference": prompt.reference,
                    "status": sample.status,
                    "reason": sample.reason,
                    "accepted": result.outcome.passed,
                    "grades": stored_grades(ledger, result.row),
                }
            )
        return {
            "run": str(folder.path),
            "calls": sum(dispatcher.calls for dispatcher in set(door.dispatchers.values())),
            "samples": samples,
            "error": str(switch.error) if switch.error else (work.first_error or work.first_end if not samples else None),
        }
