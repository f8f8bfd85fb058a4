"""`scripted`: answers, faults and shares follow from the request alone."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from tests.teachers.asking import a_request, ask, fault_of

from gristmill.ports import TeacherFault
from gristmill.teachers.scripted import Script, ScriptedTeacher

if TYPE_CHECKING:
    from pathlib import Path

    from gristmill.ports import Teacher

REQUESTS = [a_request(f"question {number}") for number in range(400)]


def scripted(**script: Any) -> ScriptedTeacher:
    return ScriptedTeacher(Script(**script))


async def outcomes(teacher: Teacher, tries: int = 1) -> list[str]:
    found: list[str] = []
    for request in REQUESTS:
        for _ in range(tries):
            try:
                found.append((await teacher.complete(request)).finish)
            except TeacherFault as fault:
                found.append(fault.code)
    await teacher.close()
    return found


@pytest.mark.parametrize(
    ("what", "code"), [("permanent", "content_filter"), ("transient", "transient"), ("malformed", "malformed")]
)
def test_faults_come_in_their_share(what: str, code: str) -> None:
    found = asyncio.run(outcomes(scripted(**{what: 0.25})))
    assert 60 <= found.count(code) <= 140
    assert found.count(code) + found.count("stop") == len(REQUESTS)


def test_truncated_answers_come_in_their_share_and_say_so() -> None:
    found = asyncio.run(outcomes(scripted(truncated=0.25)))
    assert 60 <= found.count("length") <= 140


def test_a_passing_fault_passes() -> None:
    found = asyncio.run(outcomes(scripted(transient=1.0), tries=2))
    assert found == ["transient", "stop"] * len(REQUESTS)


def test_a_teacher_that_is_gone_stays_gone() -> None:
    found = asyncio.run(outcomes(scripted(fatal_after=3)))
    assert found == ["stop"] * 3 + ["http_401"] * (len(REQUESTS) - 3)
    assert fault_of(scripted(fatal_after=0), a_request()).kind == "fatal"


def test_every_arriving_request_is_logged_in_order(tmp_path: Path) -> None:
    ask(scripted(log=str(tmp_path / "log")), *REQUESTS[:3], REQUESTS[0])
    assert (tmp_path / "log").read_text().split() == [request.id for request in [*REQUESTS[:3], REQUESTS[0]]]


def test_answers_and_costs_are_as_told() -> None:
    replies = ask(scripted(answers=["a{n}", "b"], cost_usd=0.5), *REQUESTS)
    assert {reply.message.content[0] for reply in replies} == {"a", "b"}
    assert all(reply.cost_usd == 0.5 for reply in replies)
    assert all(reply.message.content[1:].isdecimal() for reply in replies if reply.message.content[0] == "a")
