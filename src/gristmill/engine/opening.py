"""What a run needs open: teachers behind their dispatchers, graders behind their workers, and the question whether a changed
recipe may go on in an old folder.
"""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from gristmill.engine.dispatch import Dispatcher
from gristmill.engine.marking import Marker, Panel
from gristmill.engine.session import Door, framed
from gristmill.engine.workers import WorkerPool
from gristmill.errors import InputError
from gristmill.grading.status import GRADER as STATUS_GRADER
from gristmill.ids import canonical_json
from gristmill.records import Sampling
from gristmill.teachers.addresses import Environment, open_teacher

if TYPE_CHECKING:
    from gristmill.engine.planning import Plan
    from gristmill.engine.progress import Snapshot
    from gristmill.engine.stopping import StopSwitch
    from gristmill.ports import Clock, Teacher
    from gristmill.store.ledger import Ledger
    from gristmill.store.reader import Reader
    from gristmill.store.rundir import RunFolder

STAGES: dict[str, str] = {
    "prompts": "generate", "task": "generate", "teacher": "generate", "teachers": "generate", "roles": "generate",
    "prompt": "generate", "sampling": "generate", "seed": "generate", "grade": "grade", "target": "select", "select": "select",
    "split": "select", "export": "export", "name": "export", "window": "nothing",
}  # fmt: skip
"""What a change of a recipe's key makes necessary; each stage redoes those after it."""


class SystemClock:
    """The machine's clocks."""

    def time(self) -> float:
        """Return seconds since 1970."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds that never go back."""
        return time.monotonic()


def _quiet(*_: Any) -> None:
    """Say nothing."""


class Opening(NamedTuple):
    """How a run is started: what the person gave, and where to tell them things."""

    environment: Environment = Environment({})
    reuse: Reader | None = None
    yes: bool = False
    """Answers the question whether a changed recipe may make new calls."""
    teachers: dict[str, Teacher] = {}  # noqa: RUF012 - never changed
    """Teachers by name in the place of those in the recipe; for Python callers and tests."""
    clock: Clock = SystemClock()
    say: Callable[..., None] = _quiet
    show: Callable[[Snapshot], None] = _quiet
    indexing: Callable[[int], None] = _quiet


@asynccontextmanager
async def open_door(plan: Plan, ledger: Ledger, switch: StopSwitch, opening: Opening) -> AsyncIterator[Door]:
    """Open every teacher and yield the door that all sessions share; close the teachers at the end."""
    recipe = plan.recipe
    opened: dict[str, Dispatcher] = {}
    try:
        for name, spec in recipe.all_teachers().items():
            teacher = opening.teachers.get(name) or open_teacher(spec, plan.base, opening.environment)
            opened[name] = Dispatcher(
                teacher, ledger, switch, opening.clock, in_flight=spec.limits.in_flight, attempts=spec.attempts
            )
        by_role = {role: opened[name] for role, name in recipe.roles.items()}
        dispatchers = {**opened, **by_role, "teacher": opened[recipe.teacher_for("teacher")]}
        roles = sorted({"teacher", *recipe.roles})
        teachers = {role: dispatchers[role].teacher.identity.model_dump() for role in roles}
        yield Door(
            ledger=ledger,
            dispatchers=dispatchers,
            sampling=Sampling(**recipe.sampling.model_dump(include=set(Sampling.model_fields))),
            frame=lambda prompt: framed(prompt, recipe.prompt.system, plan.template.fill),
            seed=recipe.seed,
            context=ledger.dim("context", {**plan.identity, "teachers": teachers}),
            switch=switch,
            clock=opening.clock,
            earlier=opening.reuse,
        )
    finally:
        for dispatcher in opened.values():
            await dispatcher.close()


@asynccontextmanager
async def open_panel(plan: Plan, door: Door) -> AsyncIterator[Panel]:
    """Yield the graders of a plan; end their workers at the end."""
    pool = WorkerPool(size=max(1, (os.cpu_count() or 2) - 1))
    try:
        yield Panel(
            [
                Marker(
                    chosen.plugin,
                    chosen.options,
                    door.ledger.dim(
                        "grader",
                        {
                            "grader": chosen.plugin.identity,
                            "type": chosen.plugin.traits["type"],
                            "options": chosen.options.model_dump(mode="json"),
                        },
                    ),
                )
                for chosen in plan.graders
            ],
            door.ledger.dim("grader", {"grader": STATUS_GRADER, "type": "verifier", "options": {}}),
            door.ledger,
            pool,
            door.switch,
        )
    finally:
        await pool.close()


def check_changes(plan: Plan, folder: RunFolder, ledger: Ledger, opening: Opening) -> None:
    """Say what a changed recipe means, and make sure that it may make new calls.

    Raises:
        InputError: where finished samples would not stand any more and nobody said yes.
    """
    now = plan.recipe.model_dump(mode="json")
    before = ledger.fact("recipe")
    old: dict[str, Any] = {} if before is None else _loads(before)
    changed = [key for key in now if before is not None and old.get(key) != now[key]]
    if changed:
        stages = {STAGES.get(key, "generate") for key in changed}
        first = next((stage for stage in ("generate", "grade", "select", "export") if stage in stages), "nothing")
        opening.say(f"the recipe has changed: {', '.join(changed)}; what is redone: {first}{_after(first)}")
        finished = int(ledger.scalar("SELECT count(*) FROM samples"))
        if _samples_fall(old, now) and finished and not opening.yes:
            raise InputError(
                f"with the changed {', '.join(changed)} the {finished:,} finished samples do not stand: "
                f"up to {finished:,} new calls",
                fix="Say `--yes` to go on in this folder, or choose another with `-o FOLDER`.",
            )
    ledger.remember("recipe", canonical_json(now).decode())


def _loads(text: str) -> dict[str, Any]:
    import orjson  # noqa: PLC0415

    return orjson.loads(text)


def _samples_fall(old: dict[str, Any], now: dict[str, Any]) -> bool:
    """Whether a change touches what a teacher sees or who answers."""

    def seen(recipe: dict[str, Any]) -> Any:
        sampling = {k: v for k, v in recipe["sampling"].items() if k not in ("want", "n", "max_attempts", "give_up_after")}
        teachers = {
            name: {k: spec.get(k) for k in ("address", "model", "revision")}
            for name, spec in {"teacher": recipe["teacher"] or {}, **recipe["teachers"]}.items()
        }
        prompt = {k: v for k, v in recipe["prompt"].items() if k != "answer_format"}
        return [recipe["task"], prompt, sampling, teachers, recipe["roles"], recipe["seed"]]

    return canonical_json(seen(old)) != canonical_json(seen(now))


def _after(first: str) -> str:
    order = ["generate", "grade", "select", "export"]
    later = order[order.index(first) + 1 :] if first in order else []
    return f", {', '.join(later)}" if later else ""
