"""Several answers by one request: one sending, one bill for the prompt, and every sample has an answer or a fault of its own."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.runs import query, recipe, run
from tests.servers import Answer, Arrived, Reaction, completion, serving
from tests.teachers.asking import IDENTITY, a_request

from gristmill.errors import InputError, RecipeError
from gristmill.ports import TeacherFault
from gristmill.records import Reply, Request, Sampling
from gristmill.teachers.http import HttpTeacher, Server
from gristmill.teachers.together import shared

if TYPE_CHECKING:
    from pathlib import Path

USAGE = {"prompt_tokens": 50, "completion_tokens": 100, "total_tokens": 150}


def several(arrived: Arrived) -> Reaction:
    """Answer as often as was asked for, each time with another text."""
    return Answer(200, choices_of(*(f"{'word ' * number}{number}" for number in range(arrived.body.get("n", 1)))))


def choices_of(*texts: str | None) -> dict[str, Any]:
    body = completion(usage=USAGE)
    message = {"role": "assistant"}
    body["choices"] = [
        {"index": number, "finish_reason": "stop", "message": {**message, "content": text} if text is not None else None}
        for number, text in enumerate(texts)
    ]
    return body


def ask_together(url: str, requests: list[Request], choices: int) -> list[Reply | TeacherFault]:
    """Ask all at once and return what became of each."""

    async def work() -> list[Reply | TeacherFault]:
        teacher = HttpTeacher(Server(url), IDENTITY, choices=choices)

        async def one(request: Request) -> Reply | TeacherFault:
            try:
                return await teacher.complete(request)
            except TeacherFault as fault:
                return fault

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(request)) for request in requests]
        await teacher.close()
        return [task.result() for task in tasks]

    return asyncio.run(work())


def replies_of(found: list[Reply | TeacherFault]) -> list[Reply]:
    return [one for one in found if isinstance(one, Reply)]


def test_samples_of_a_prompt_are_one_request() -> None:
    with serving(several) as server:
        found = ask_together(server.url, [a_request(index=index) for index in range(4)], 8)
        (arrived,) = server.requests
    assert arrived.body["n"] == 4
    assert "stream" not in arrived.body
    replies = replies_of(found)
    assert [reply.message.content for reply in replies] == ["0", "word 1", "word word 2", "word word word 3"]
    assert sum(reply.usage.output_tokens or 0 for reply in replies) == 100
    assert [reply.usage.input_tokens for reply in replies] == [50, 0, 0, 0]
    outputs = [reply.usage.output_tokens or 0 for reply in replies]
    assert outputs == sorted(outputs), "who wrote more has the larger part"
    assert outputs[0] < outputs[-1]
    assert all(reply.usage.estimated for reply in replies)


def test_what_differs_is_sent_apart() -> None:
    requests = [
        a_request("one"),
        a_request("one", 1, sampling=Sampling(temperature=0.1)),
        a_request("two"),
        a_request("two", 1),
        a_request("two", 2),
    ]
    with serving(several) as server:
        found = ask_together(server.url, requests, 2)
        sent = sorted(arrived.body.get("n", 1) for arrived in server.requests)
    assert len(replies_of(found)) == 5
    assert sent == [1, 1, 1, 2], "two prompts, two temperatures, and no more than two answers at once"


def test_a_single_request_is_as_it_always_was() -> None:
    with serving(several) as server:
        (reply,) = replies_of(ask_together(server.url, [a_request()], 8))
        (arrived,) = server.requests
    assert arrived.body["stream"] is True, "a long answer to one request is streamed"
    assert "n" not in arrived.body
    assert (reply.usage.output_tokens, reply.usage.estimated) == (100, False)


def test_a_server_that_knows_no_n_is_asked_one_by_one() -> None:
    """The answer that came is somebody's; the others are told to try again, and then each is sent alone."""
    with serving(lambda _: Answer(200, choices_of("only one"))) as server:
        found = ask_together(server.url, [a_request(index=index) for index in range(3)], 3)
        assert [one.code if isinstance(one, TeacherFault) else "reply" for one in found] == [
            "reply", "missing_choice", "missing_choice",
        ]  # fmt: skip
        assert replies_of(found)[0].usage.output_tokens == 100
        missing = next(one for one in found if isinstance(one, TeacherFault))
        assert (missing.kind, missing.possibly_billed) == ("transient", False)

    with serving(lambda _: Answer(200, choices_of("only one"))) as server:
        teacher = HttpTeacher(Server(server.url), IDENTITY, choices=3, stream=False)

        async def again() -> None:
            for round_ in range(2):
                async with asyncio.TaskGroup() as group:
                    for index in range(3):
                        group.create_task(quiet(teacher, a_request(str(round_), index)))
            await teacher.close()

        asyncio.run(again())
        assert [arrived.body.get("n", 1) for arrived in server.requests] == [3, 1, 1, 1]


async def quiet(teacher: HttpTeacher, request: Request) -> None:
    with contextlib.suppress(TeacherFault):
        await teacher.complete(request)


def test_one_answer_that_cannot_be_read_costs_the_others_nothing() -> None:
    with serving(lambda _: Answer(200, choices_of("good", None, "good too"))) as server:
        found = ask_together(server.url, [a_request(index=index) for index in range(3)], 3)
    assert [one.code if isinstance(one, TeacherFault) else "reply" for one in found] == ["reply", "malformed", "reply"]
    assert sum(reply.usage.output_tokens or 0 for reply in replies_of(found)) == 100


def test_a_refusal_is_everybodys() -> None:
    with serving(lambda _: Answer(429, {"error": {"message": "slower"}}, {"retry-after": "3"})) as server:
        found = ask_together(server.url, [a_request(index=index) for index in range(3)], 3)
        assert len(server.requests) == 1
    assert all(isinstance(one, TeacherFault) and one.kind == "limited" for one in found)


@given(st.integers(0, 10_000), st.lists(st.integers(1, 5000), min_size=1, max_size=16), st.integers(1, 4000) | st.none())
def test_parts_add_up_and_keep_to_the_limit(total: int, weights: list[int], most: int | None) -> None:
    found = [part or 0 for part in shared(total, weights, most)]
    assert sum(found) == total
    assert min(found) >= 0
    if most is not None and total <= most * len(weights):
        assert max(found) <= most
    assert shared(None, weights, most) == [None] * len(weights)


def test_a_run_pays_for_each_prompt_once(tmp_path: Path) -> None:
    """Twelve prompts with four samples each are twelve requests, and the tables add up to what the server counted."""
    with serving(lambda arrived: Answer(200, choices_of(*["A"] * arrived.body.get("n", 1)))) as server:
        teacher = {"address": server.url, "model": "m", "choices": 4, "price": {"input": 1.0, "output": 2.0}}
        sampling = {"want": None, "n": 4, "temperature": 0.7}
        path = recipe(tmp_path, prompts=12, teacher=teacher, sampling=sampling, select={"dedup": {"exact": False}})
        found = run(path, tmp_path / "run", shared=tmp_path)
        sent = [arrived.body.get("n", 1) for arrived in server.requests]
    assert (found["status"], found["accepted"]) == ("complete", 48)
    assert sent == [4] * 12
    table = f"'{tmp_path}/run/tables/calls.parquet'"
    assert query(f"SELECT count(*), sum(input_tokens), sum(output_tokens) FROM {table}") == [(48, 12 * 50, 12 * 100)]
    assert query(f"SELECT round(sum(cost_usd), 9) FROM {table}") == [(round(12 * (50 * 1.0 + 100 * 2.0) / 1e6, 9),)]
    assert query(f"SELECT count(DISTINCT prompt_id) FROM {table}") == [(12,)]


@pytest.mark.parametrize(
    ("teacher", "words"),
    [
        ({"address": "http://127.0.0.1:9/v1", "model": "m", "extra_body": {"n": 4}}, "buys answers that nobody reads"),
        ({"address": "http://127.0.0.1:9/v1", "model": "m", "choices": 4, "stream": True}, "neither `batch` nor `stream: true`"),
        ({"address": "openai:m", "choices": 4, "batch": True}, "neither `batch` nor `stream: true`"),
        ({"address": "anthropic:m", "choices": 4}, "gives one answer a request, and not 4"),
        ({"address": "builtin", "choices": 2}, "gives one answer a request, and not 2"),
    ],
    ids=["in the body", "streamed", "batch", "another format", "in this process"],
)
def test_what_cannot_be_had_together_is_said_before_a_call(tmp_path: Path, teacher: dict[str, Any], words: str) -> None:
    with pytest.raises((InputError, RecipeError), match=words):
        run(recipe(tmp_path, teacher=teacher), tmp_path / "run")
