"""Requests to ask teachers with, and one way to ask."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from gristmill.ids import content_id, seed_for
from gristmill.messages import user
from gristmill.ports import TeacherFault
from gristmill.records import Reply, Request, Sampling, TeacherIdentity
from gristmill.teachers.http import HttpTeacher, Server

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gristmill.ports import Teacher

IDENTITY = TeacherIdentity(provider="http", model="m", revision="r")
KEY = "sk-very-secret-0123456789"


def a_request(text: str = "2+2?", index: int = 0, identity: TeacherIdentity = IDENTITY, **fields: Any) -> Request:
    """Return a request as the session would make it."""
    given: dict[str, Any] = {"messages": (user(text),), "sampling": Sampling(), **fields}
    return Request(
        id=content_id("request", [text, index, identity.model_dump()]),
        role="teacher",
        identity=identity,
        seed=seed_for(text, index),
        prompt_id=content_id("prompt", text),
        sample_index=index,
        step="answer",
        occurrence=0,
        **given,
    )


def ask(teacher: Teacher, *requests: Request) -> list[Reply]:
    """Ask one request after the other and close the teacher."""

    async def work() -> list[Reply]:
        try:
            return [await teacher.complete(request) for request in requests]
        finally:
            await teacher.close()

    return asyncio.run(work())


def fault_of(teacher: Teacher, request: Request) -> TeacherFault:
    """Return the fault in which a request ends."""
    with pytest.raises(TeacherFault) as caught:
        ask(teacher, request)
    return caught.value


def http(
    url: str,
    *,
    key: str | None = None,
    timeout_s: float = 20.0,
    headers: Mapping[str, str] | None = None,
    api: str = "chat",
    stream: bool | None = False,
) -> HttpTeacher:
    """Return an HTTP teacher at a URL; nothing is streamed unless it is asked for."""
    return HttpTeacher(Server(url, api, key, timeout_s=timeout_s, headers=headers or {}), IDENTITY, stream=stream)
