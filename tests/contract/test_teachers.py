"""The contract of every teacher, whatever answers behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

import pytest

from gristmill.files.writing import write_jsonl
from gristmill.messages import user
from gristmill.ports import Teacher, TeacherFault
from gristmill.recipe.model import TeacherSpec
from gristmill.records import Reply, Request, Sampling, TeacherIdentity
from gristmill.teachers.addresses import Environment, open_teacher
from tests.servers import Answer, Arrived, Reaction, serving
from tests.teachers.asking import a_request, ask
from tests.teachers.bodies import PATHS, echoing, speaking
from tests.teachers.test_serving import served

if TYPE_CHECKING:
    from pathlib import Path

QUESTIONS = ["2+2?", "3+3?", "naïve “question”\u2028 with\ttabs?"]


class Case(NamedTuple):
    """One kind of teacher, how it is opened, and how it is opened elsewhere."""

    open: Callable[[], Teacher]
    elsewhere: Callable[[], Teacher]
    """The same teacher at another address."""
    failing: Callable[[], Teacher]
    """One that has no good reply to the first question."""
    bills: bool


@pytest.fixture(scope="module")
def builtins() -> Iterator[list[TeacherSpec]]:
    """Two servers of the model that ships, and what it is called there by mistake."""
    with served("builtin") as first, served("builtin", "--slots", "2") as second:
        yield [first.spec(), second.spec(), first.spec().model_copy(update={"model": "other"})]


WIRES = {f"{api}{' streamed' if stream else ''}": (api, stream) for api in PATHS for stream in (False, True)}


@pytest.fixture(params=["recorded", "scripted", "served", *WIRES])
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Case]:
    def opener(spec: TeacherSpec, base: Path = tmp_path) -> Callable[[], Teacher]:
        return lambda: open_teacher(spec, base, Environment({}))

    with ExitStack() as stack:
        if request.param == "recorded":
            spec = TeacherSpec(address="recorded:c.jsonl")
            rows = [{"prompt": question, "completions": [f"{question} {n}" for n in range(3)]} for question in QUESTIONS]
            for folder in (tmp_path, tmp_path / "elsewhere"):
                write_jsonl(folder / "c.jsonl", rows)
            write_jsonl(tmp_path / "failing" / "c.jsonl", [{"prompt": "other", "completions": ["x"]}])
            yield Case(opener(spec), opener(spec, tmp_path / "elsewhere"), opener(spec, tmp_path / "failing"), bills=False)
        elif request.param == "scripted":
            spec = TeacherSpec(address="scripted:")
            failing = TeacherSpec(address="scripted:", script={"permanent": 1.0})
            yield Case(opener(spec), opener(spec, tmp_path / "elsewhere"), opener(failing), bills=True)
        elif request.param == "served":
            here, there, wrong = request.getfixturevalue("builtins")
            yield Case(opener(here), opener(there), opener(wrong), bills=True)
        else:
            api, stream = WIRES[request.param]
            answers = (speaking(api, echoing), speaking(api, echoing), refuse)
            servers = [stack.enter_context(serving(answer)) for answer in answers]
            given = {"model": "m", "revision": "r", "api": api, "stream": stream}
            specs = [TeacherSpec.model_validate({"address": server.url, **given}) for server in servers]
            yield Case(opener(specs[0]), opener(specs[1]), opener(specs[2]), bills=True)


def asking(question: str, index: int = 0) -> Request:
    """Return a request; what tells two samples apart is in its text, since not every format has a seed."""
    return a_request(question, index, messages=(user(f"sample {index}"), user(question)), sampling=Sampling(max_tokens=64))


def said(replies: list[Reply]) -> list[Reply]:
    """Return replies without the number that a provider gives each."""
    return [reply.model_copy(update={"provider_request_id": None}) for reply in replies]


def refuse(_: Arrived) -> Reaction:
    return Answer(400, {"error": {"message": "content policy"}})


def test_the_identity_is_stable_and_does_not_hold_the_address(case: Case) -> None:
    first, again, elsewhere = case.open(), case.open(), case.elsewhere()
    assert isinstance(first.identity, TeacherIdentity)
    assert first.identity == first.identity == again.identity == elsewhere.identity
    assert not {"127.0.0.1", "elsewhere", "/"} & set(first.identity.model_dump().values())
    assert "127.0.0.1" not in first.identity.model_dump_json()
    for teacher in (first, again, elsewhere):
        ask(teacher)


def test_whether_it_bills_is_known_before_it_is_asked(case: Case) -> None:
    teacher = case.open()
    assert teacher.bills is case.bills
    ask(teacher)


def test_a_reply_is_one_well_formed_answer(case: Case) -> None:
    for reply in ask(case.open(), *(asking(question) for question in QUESTIONS)):
        assert isinstance(reply, Reply)
        assert reply.message.role == "assistant"
        assert reply.message.content
        assert reply.finish == "stop"
        assert reply.model
        assert Reply.model_validate_json(reply.model_dump_json()) == reply


def test_the_same_request_gives_the_same_text_in_any_order_and_anywhere(case: Case) -> None:
    requests = [asking(question, index) for question in QUESTIONS for index in range(3)]
    first = ask(case.open(), *requests)
    assert said(ask(case.open(), *reversed(requests))) == said(first)[::-1]
    assert said(ask(case.elsewhere(), *requests)) == said(first)
    assert len({reply.message.content for reply in first}) > 1


def test_requests_side_by_side_get_their_own_answers(case: Case) -> None:
    requests = [asking(question, index) for question in QUESTIONS for index in range(3)]

    async def work(teacher: Teacher) -> list[Reply]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(teacher.complete(request)) for request in requests]
        await teacher.close()
        return [task.result() for task in tasks]

    assert said(asyncio.run(work(case.open()))) == said(ask(case.open(), *requests))


def test_a_failure_is_a_fault_with_kind_code_and_words(case: Case) -> None:
    teacher = case.failing()
    with pytest.raises(TeacherFault) as caught:
        ask(teacher, asking(QUESTIONS[0]))
    fault = caught.value
    assert fault.kind in ("transient", "permanent", "fatal", "exhausted")
    assert fault.code
    assert fault.code.replace("_", "").isalnum()
    assert str(fault)
    assert "\n" not in str(fault)
    assert isinstance(fault.evidence, bytes)
    assert fault.evidence or fault.kind == "exhausted"


def test_closing_twice_is_fine(case: Case) -> None:
    async def work(teacher: Teacher) -> None:
        await teacher.complete(asking(QUESTIONS[0]))
        await teacher.close()
        await teacher.close()

    asyncio.run(work(case.open()))


def test_closing_without_a_call_is_fine(case: Case) -> None:
    ask(case.open())
