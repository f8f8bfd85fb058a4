"""What a server says of itself before it is asked: whether it is up, and which model it serves.

`GET /models` is the question: vLLM and SGLang answer it as soon as their model is loaded (docs.vllm.ai, "OpenAI-Compatible
Server"). A server that does not know that route is up too. A fault that would pass is waited out, for as long as the recipe says.
"""

from __future__ import annotations

import asyncio
import re
from time import monotonic
from typing import TYPE_CHECKING, Any

import orjson

from gristmill.errors import InputError, TeacherDown
from gristmill.plain import as_list, as_object, as_text
from gristmill.ports import TeacherFault
from gristmill.records import TeacherIdentity

if TYPE_CHECKING:
    from collections.abc import Callable

    from gristmill.teachers.http import HttpTeacher

POLL_S = 2.0
"""Between two questions to a server that is not up."""
TELL_EVERY = 30
"""Questions after which a person is told again."""
_COMMIT = re.compile(r"(?<![0-9a-f])[0-9a-f]{40}(?![0-9a-f])")


async def make_ready(teacher: HttpTeacher, say: Callable[[str], None]) -> None:
    """Wait until a teacher's server is up, and take the model's name from it where the recipe has none.

    Raises:
        InputError: where the server serves several models and the recipe names none.
        TeacherDown: where it does not come up in time, or does not say what it serves.
    """
    until = monotonic() + teacher.patience_s
    asked = 0
    while True:
        try:
            models = await _models(teacher)
            break
        except TeacherFault as fault:
            left = until - monotonic()
            if fault.kind not in ("transient", "limited") or left <= 0:
                raise TeacherDown(
                    f"the server does not answer: {fault}",
                    fix="Is it up, and the address right? `wait_for: 20m` beside the address waits for it.",
                ) from None
            if asked % TELL_EVERY == 0:
                say(f"waiting for {teacher.wire.url('')}, at most {left / 60:.0f} min more: {fault}")
            asked += 1
            await asyncio.sleep(POLL_S)
    if not teacher.identity.model:
        teacher.identify(_identity(models, teacher))


async def _models(teacher: HttpTeacher) -> list[dict[str, Any]]:
    """Ask once which models are served; none where the server does not know the question.

    Raises:
        TeacherFault: where no answer came, or a refusal.
    """
    async with teacher.wire.opened("GET", "/models") as response:
        data = await teacher.wire.whole(response)
        if response.status not in (200, 404, 405):
            raise teacher.refusal(response, data)
    try:
        content = orjson.loads(data)
    except orjson.JSONDecodeError:
        return []
    found = as_object(content) or {}
    return [model for model in map(as_object, as_list(found.get("data")) or ()) if model and as_text(model.get("id"))]


def _identity(models: list[dict[str, Any]], teacher: HttpTeacher) -> TeacherIdentity:
    place = teacher.wire.url("")
    names = [str(model["id"]) for model in models]
    if not names:
        raise TeacherDown(f"{place} does not say which model it serves", fix="Write `model: NAME` beside the address.")
    if len(names) > 1:
        raise InputError(f"{place} serves {len(names)} models: {', '.join(names)}", fix="Write `model: NAME` beside the address.")
    declared = teacher.identity
    return TeacherIdentity(provider=declared.provider, model=names[0], revision=declared.revision or _revision(models[0]))


def _revision(model: dict[str, Any]) -> str | None:
    """Return what is known of a model's exact version: the commit in the path it was loaded from, or the name behind an alias."""
    root = as_text(model.get("root")) or ""
    commit = _COMMIT.search(root)
    if commit:
        return commit[0]
    return root if root and root != model["id"] and not root.startswith(("/", ".", "~")) else None
