"""What a run needs open: teachers behind their dispatchers, workers for what may hang, and the graders."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from gristmill.engine.judges import judge_content, judge_mark, standing
from gristmill.engine.marking import Marker, Panel
from gristmill.engine.session import Door, GradingStep, framed
from gristmill.engine.workers import WorkerPool
from gristmill.errors import InputError
from gristmill.grading.status import GRADER as STATUS_GRADER
from gristmill.sandbox.opening import Sandbox
from gristmill.sending.batching import BatchDispatcher, Office, batch_dispatcher
from gristmill.sending.dispatch import Dispatcher
from gristmill.sending.gate import Bounds, Gate
from gristmill.sending.sharing import Shared, endpoint_name
from gristmill.sending.spending import Meter, open_purse, rates_of
from gristmill.store.batches import open_batches, waiting_in
from gristmill.store.effects import GRADING_PREFIX
from gristmill.teachers.addresses import Environment, check_url, open_ready

if TYPE_CHECKING:
    from gristmill.engine.planning import Chosen, Plan
    from gristmill.engine.progress import Snapshot
    from gristmill.ports import Clock, Teacher
    from gristmill.recipe.model import TeacherSpec
    from gristmill.sandbox.walls import Tier
    from gristmill.sending.stopping import StopSwitch
    from gristmill.store.ledger import Ledger
    from gristmill.store.reader import Reader
    from gristmill.teachers.addresses import Endpoint

Until = Literal["index", "grade"]


class SystemClock:
    """The machine's clocks."""

    monotonic = staticmethod(time.monotonic)
    time = staticmethod(time.time)


def _quiet(*_: Any) -> None:
    """Say nothing."""


class Opening(NamedTuple):
    """How a run is started: what the person gave, and where to tell them things."""

    environment: Environment = Environment({})
    reuse: Reader | None = None
    yes: bool = False
    """Answers the question whether a changed recipe may make new calls."""
    limit: int | None = None
    """Ask only the first so many prompts, in plan order."""
    until: Until | None = None
    """Stop after this stage: `index` reads the sources, `grade` samples and grades; neither exports."""
    max_calls: int | None = None
    """Calls to make at most, whatever is left undone."""
    teachers: dict[str, Teacher] = {}  # noqa: RUF012 - never changed
    """Teachers by name in the place of those in the recipe; for Python callers and tests."""
    clock: Clock = SystemClock()
    sandbox: Tier = "medium"
    """The weakest walls in which code of models may run; `weak` is none at all."""
    shared: Path | None = None
    """Where processes share what they know of an endpoint's limits; a private folder of the user's by default."""
    say: Callable[..., None] = _quiet
    show: Callable[[Snapshot], None] = _quiet
    indexing: Callable[[int], None] = _quiet


@asynccontextmanager
async def open_door(plan: Plan, ledger: Ledger, switch: StopSwitch, opening: Opening) -> AsyncGenerator[Door]:
    """Open every teacher and yield the door that all sessions share; close teachers and workers at the end."""
    recipe = plan.recipe
    opened: dict[str, Dispatcher | BatchDispatcher] = {}
    purse = open_purse(recipe.budget, ledger, switch, opening.clock)
    purse.watch_hours()
    workers = WorkerPool(size=max(1, (os.cpu_count() or 2) - 1))
    sandbox = Sandbox(opening.sandbox)
    if any(chosen.plugin.traits["needs"].sandbox for chosen in plan.graders):
        opening.say(*(f"the sandbox is not {why}" for why in (await sandbox.open()).better))
    try:
        for name, spec in recipe.all_teachers().items():
            teacher = opening.teachers.get(name) or await open_ready(spec, plan.base, opening.environment, opening.say)
            meter = Meter(rates_of(spec, plan.endpoints[name]), purse, opening.clock, bills=teacher.bills)
            if spec.batch:
                office = Office(ledger, switch, opening.clock, name, spec, opening.say)
                opened[name] = batch_dispatcher(teacher, meter, office)
                continue
            _check_batches(ledger, name, opening)
            opened[name] = Dispatcher(
                teacher,
                ledger,
                switch,
                meter=meter,
                gate=_gate(spec, plan.endpoints[name], switch, opening),
                attempts=spec.attempts,
                max_calls=opening.max_calls,
            )
        by_role = {role: opened[name] for role, name in recipe.roles.items()}
        dispatchers = {**opened, **by_role, "teacher": opened[recipe.teacher_for("teacher")]}
        roles = sorted({"teacher", *recipe.roles, *plan.task.plugin.traits["roles"]})
        teachers = {role: dispatchers.get(role, dispatchers["teacher"]).teacher.identity.model_dump() for role in roles}
        yield Door(
            ledger=ledger,
            dispatchers=dispatchers,
            sampling=recipe.sampling.sent,
            frame=partial(framed, system=recipe.prompt.system, fill=plan.template.fill),
            templates=plan.templates,
            seed=recipe.seed,
            context=ledger.dim("context", {**plan.identity, "teachers": teachers}),
            switch=switch,
            clock=opening.clock,
            purse=purse,
            workers=workers,
            sandbox=sandbox,
            earlier=opening.reuse,
        )
    finally:
        await workers.close()
        for dispatcher in opened.values():
            await dispatcher.close()


def _check_batches(ledger: Ledger, name: str, opening: Opening) -> None:
    """Make sure that calls that were handed in as a batch are not asked for once more without anybody knowing.

    Raises:
        InputError: where a batch is open and the person did not say `--yes`.
    """
    waiting = sum(1 for batch in open_batches(ledger, name) for _ in waiting_in(ledger, batch.row))
    if not waiting:
        return
    words = f"{waiting:,} calls of `{name}` were handed in as a batch that was not fetched yet"
    if not opening.yes:
        fix = "Put `batch` back into the recipe and run again to fetch them first; with --yes they are asked for and paid twice."
        raise InputError(words, fix=fix)
    opening.say(f"{words}: they are asked for once more, and may be paid twice")


def _gate(spec: TeacherSpec, place: Endpoint, switch: StopSwitch, opening: Opening) -> Gate:
    """Return the gate before a teacher; that of a server is shared by all processes that use it with the same key."""
    name = endpoint_name(place.target, place.key_env) if check_url(place.target) is None else None
    bounds = Bounds(spec.in_flight, spec.limits.rpm, spec.limits.tpm, spec.most_in_flight)
    return Gate(bounds, Shared(name, opening.shared), switch, opening.clock, opening.say)


def make_panel(plan: Plan, door: Door) -> Panel:
    """Return the graders of a plan.

    Raises:
        GateFailed: where what is known of a judge forbids it to decide.
    """
    status = door.ledger.dim("grader", {"grader": STATUS_GRADER, "type": "verifier", "options": {}})
    markers = [_marker(chosen, door) for chosen in plan.graders]
    return Panel(markers, plan.grading, status, door, every=plan.task.plugin.traits["keeps_all"])


def _marker(chosen: Chosen, door: Door) -> Marker:
    if chosen.by is None:
        content = judge_content(chosen.plugin, chosen.options, None)
        return Marker(chosen.plugin, chosen.options, door.ledger.dim("grader", content))
    content = judge_content(chosen.plugin, chosen.options, door.dispatcher(chosen.by).teacher.identity)
    step = GradingStep(f"{GRADING_PREFIX}{chosen.plugin.name}:{judge_mark(content)}/", chosen.by)
    known = standing(content, chosen.calibration)
    return Marker(chosen.plugin, chosen.options, door.ledger.dim("grader", content), step, known)
