"""The story of a run.

A recipe was resolved into a plan. Its prompts are indexed and laid out in plan order; each is sampled through the one door that
records every effect, graded, and settled, until the target is reached; then one pass decides, exports and counts, and the tables,
the card and the manifest say what happened. Killed anywhere, it is simply run again.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from gristmill.engine.changes import check_changes, keep_recipe
from gristmill.engine.collecting import collecting_rarely
from gristmill.engine.finishing import finish
from gristmill.engine.generate import Generation
from gristmill.engine.opening import Opening, make_panel, open_door
from gristmill.engine.progress import Progress
from gristmill.engine.signals import interruptible
from gristmill.engine.summary import Summary, summarise, unchanged, write_papers
from gristmill.sending.stopping import StopSwitch
from gristmill.store.effects import in_flight_at_crash
from gristmill.store.place import disk_error
from gristmill.store.prompts import index_prompts, plan_size
from gristmill.store.rundir import RunFolder, open_run
from gristmill.store.tables import write_tables

if TYPE_CHECKING:
    from gristmill.engine.planning import Plan
    from gristmill.store.ledger import Ledger


def run(plan: Plan, folder: RunFolder, opening: Opening) -> Summary:
    """Run a plan in a folder, or continue it there.

    Raises:
        GristmillError: for the user's mistakes and outside reasons; what was recorded stays.
    """
    with open_run(folder) as ledger:
        opening.say(*ledger.notes)
        try:
            check_changes(plan, ledger, opening)
            index_prompts(ledger, plan.sources, plan.recipe.seed, opening.indexing)
            keep_recipe(plan, folder, ledger)
            return asyncio.run(_run(plan, folder, ledger, opening))
        except OSError as error:
            raise disk_error(error) or error from None


async def _run(plan: Plan, folder: RunFolder, ledger: Ledger, opening: Opening) -> Summary:
    switch = StopSwitch()
    crashed = in_flight_at_crash(ledger)
    async with open_door(plan, ledger, switch, opening) as door:
        panel = make_panel(plan, door)
        progress = Progress(folder, opening.clock, opening.show, plan_size(ledger))
        work = progress.generation = Generation(
            plan, door, panel, progress.tick, 0 if opening.until == "index" else opening.limit
        )
        folder.write_status({"status": "running", **progress.snapshot("generate").plain()})
        with interruptible(switch, opening.say), collecting_rarely(), progress.beating():
            await work.run()
            while await door.batches_in():
                work = progress.generation = work.again()
                await work.run()
            for dispatcher in set(door.dispatchers.values()):
                await dispatcher.drain()
        door.remember_hours()
        await ledger.durable()
        before = unchanged(plan, folder, work, progress, opening.say)
        if before is not None and opening.until is None:
            return before
        finished = finish(plan, door, panel, None if opening.until else folder)
        write_tables(ledger, door.context, finished.stages, folder.tables)
        summary = summarise(plan, folder, work, finished, crashed, progress.elapsed_s, opening.until)
        write_papers(plan, folder, summary, finished, door, progress)
        return summary
