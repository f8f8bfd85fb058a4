"""One tiny call to each teacher, with the real parameters, to see what comes back before anything is bought.

The call goes through no ledger: nothing is recorded, and a run asks anew. What a teacher says is given as it is, refusals too.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from gristmill.engine.opening import SystemClock
from gristmill.errors import GristmillError
from gristmill.ids import content_id, seed_for
from gristmill.messages import Message, user
from gristmill.ports import TeacherFault
from gristmill.records import Request
from gristmill.teachers.addresses import open_ready
from gristmill.teachers.together import MISSING

if TYPE_CHECKING:
    from collections.abc import Callable

    from gristmill.engine.planning import Plan
    from gristmill.ports import Clock, Teacher
    from gristmill.recipe.model import TeacherSpec
    from gristmill.records import Reply
    from gristmill.teachers.addresses import Environment

QUESTION = "What is 2 + 3? Answer with the number."


def probe(plan: Plan, environment: Environment, say: Callable[[str], None], clock: Clock | None = None) -> list[dict[str, Any]]:
    """Ask each teacher of a plan once and return what came back, in the order of the recipe.

    Each has `name`, and either `error` (in the provider's words, one line) or `text`, `thinking`, `model`, `finish`, `usage`,
    `reasoning`, `ms`, `choices`, the number of answers, and `limits`, the headers that tell of limits.
    """
    return asyncio.run(_probe(plan, environment, say, clock or SystemClock()))


async def _probe(plan: Plan, environment: Environment, say: Callable[[str], None], clock: Clock) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for name, spec in plan.recipe.all_teachers().items():
        try:
            teacher = await open_ready(spec, plan.base, environment, say)
            try:
                found.append({"name": name, **await _ask(plan, spec, teacher, clock)})
            finally:
                await teacher.close()
        except (GristmillError, TeacherFault) as error:
            found.append({"name": name, "error": " ".join(str(error).split()), "fix": getattr(error, "fix", "")})
    return found


async def _ask(plan: Plan, spec: TeacherSpec, teacher: Teacher, clock: Clock) -> dict[str, Any]:
    """Ask once, for as many answers as the recipe wants of one request.

    Raises:
        TeacherFault: where no well-formed reply came back.
    """
    recipe = plan.recipe
    system = (Message(role="system", content=recipe.prompt.system),) if recipe.prompt.system else ()
    request = Request(
        id=content_id("request", [QUESTION, recipe.seed]),
        role="teacher",
        identity=teacher.identity,
        messages=(*system, user(QUESTION)),
        sampling=recipe.sampling.sent,
        seed=seed_for(recipe.seed, QUESTION),
        prompt_id=content_id("prompt", QUESTION),
        sample_index=0,
        step="check",
        occurrence=0,
    )
    before = clock.monotonic()
    reply, *others = await _answers(teacher, request, spec.choices)
    return {
        "choices": 1 + len(others),
        "choices_wanted": spec.choices,
        "text": reply.message.content,
        "thinking": reply.message.thinking,
        "tool_calls": [call.model_dump() for call in reply.message.tool_calls],
        "model": reply.model,
        "revision": teacher.identity.revision,
        "finish": reply.finish,
        "usage": reply.usage.model_dump(),
        "reasoning": reply.meta.get("reasoning"),
        "wanted": spec.thinking,
        "ms": round((clock.monotonic() - before) * 1000),
        "limits": dict(getattr(teacher, "limits", {})),
    }


async def _answers(teacher: Teacher, request: Request, count: int) -> list[Reply]:
    """Return the answers to a request that is made for several samples at once: as many as came.

    Raises:
        TeacherFault: where none did.
    """

    async def answer(index: int) -> Reply | None:
        try:
            return await teacher.complete(request._replace(id=f"{request.id}{index}", sample_index=index))
        except TeacherFault as fault:
            if fault.code == MISSING:
                return None
            raise

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(answer(index)) for index in range(count)]
    except* TeacherFault as faults:
        failed = faults.exceptions[0]
    else:
        return [reply for task in tasks if (reply := task.result()) is not None]
    raise failed
