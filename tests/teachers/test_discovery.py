"""Servers that say what they serve, and servers that are not up yet."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.runs import keep
from tests.servers import Answer, Arrived, Reaction, Script, completion, serving
from tests.teachers.asking import a_request

from gristmill.errors import GristmillError, InputError, TeacherDown
from gristmill.ports import Teacher
from gristmill.recipe.model import TeacherSpec
from gristmill.teachers import discovery
from gristmill.teachers.addresses import Environment, open_ready, open_teacher

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "POLL_S", 0.0)


def model(name: str = "Qwen/Qwen3-8B", **fields: Any) -> dict[str, Any]:
    """Return a model's card as vLLM and SGLang give it (docs.vllm.ai, `GET /v1/models`)."""
    return {"id": name, "object": "model", "owned_by": "vllm", "root": name, "max_model_len": 4096, **fields}


def listing(*models: dict[str, Any]) -> Script:
    def answer(arrived: Arrived) -> Reaction:
        found = (
            {"object": "list", "data": list(models)} if arrived.path == "/v1/models" else completion(model=arrived.body["model"])
        )
        return Answer(200, found)

    return answer


def always(status: int, body: Any) -> Script:
    return lambda _: Answer(status, body)


def opened(address: str, said: list[str] | None = None, **fields: Any) -> Teacher:
    """Open a teacher, ready to be asked, and close it."""

    async def work() -> Teacher:
        spec = TeacherSpec(address=address, **fields)
        teacher = await open_ready(spec, Path(), Environment({}), keep([] if said is None else said))
        try:
            await teacher.complete(a_request(identity=teacher.identity))
        finally:
            await teacher.close()
        return teacher

    return asyncio.run(work())


@pytest.mark.parametrize("kind", ["vllm", "sglang"])
def test_the_one_model_that_is_served_is_asked(kind: str) -> None:
    with serving(listing(model())) as server:
        identity = opened(f"{kind}:{server.url}").identity
        assert [arrived.path for arrived in server.requests] == ["/v1/models", "/v1/chat/completions"]
        assert server.requests[1].body["model"] == "Qwen/Qwen3-8B"
    assert (identity.provider, identity.model, identity.revision) == (kind, "Qwen/Qwen3-8B", None)


@pytest.mark.parametrize(
    ("root", "revision"),
    [
        (f"/hub/models--Qwen--Qwen3-8B/snapshots/{COMMIT}", COMMIT),
        ("Qwen/Qwen3-8B-FP8", "Qwen/Qwen3-8B-FP8"),
        ("/srv/models/mine", None),
        ("Qwen/Qwen3-8B", None),
        (None, None),
    ],
)
def test_the_revision_is_what_the_server_knows_of_it(root: str | None, revision: str | None) -> None:
    with serving(listing(model(root=root))) as server:
        assert opened(f"vllm:{server.url}").identity.revision == revision
        assert opened(f"vllm:{server.url}", revision="mine").identity.revision == "mine"


def test_a_model_that_the_recipe_names_is_not_asked_for() -> None:
    with serving(listing()) as server:
        assert opened(f"vllm:{server.url}", model="m").identity.model == "m"
        assert [arrived.path for arrived in server.requests] == ["/v1/chat/completions"]


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (listing(), TeacherDown, "does not say which model"),
        (always(404, {"detail": "Not Found"}), TeacherDown, "does not say which model"),
        (always(200, b"<html>"), TeacherDown, "does not say which model"),
        (listing(model("a"), model("b")), InputError, "serves 2 models: a, b"),
        (always(401, {"error": "no key"}), TeacherDown, "HTTP 401: no key"),
        (always(503, {"error": "loading"}), TeacherDown, "HTTP 503: loading"),
    ],
)
def test_a_server_that_does_not_say_what_it_serves(answer: Script, kind: type[GristmillError], words: str) -> None:
    with serving(answer) as server, pytest.raises(kind, match=words) as caught:
        opened(f"vllm:{server.url}")
    assert caught.value.fix


def slow(answers: Iterator[Reaction]) -> Script:
    def answer(arrived: Arrived) -> Reaction:
        return next(answers) if arrived.path == "/v1/models" else Answer(200, completion())

    return answer


def test_a_server_that_is_not_up_is_waited_for_and_that_is_said() -> None:
    loading = [Answer(503, {"error": "loading"}), Answer(429, {"error": "busy"}), Answer(502, b"bad gateway")]
    said: list[str] = []
    with serving(slow(iter([*loading, Answer(200, {"data": [model("m")]})]))) as server:
        assert opened(f"vllm:{server.url}", said, wait_for="20m").identity.model == "m"
        assert len(server.requests) == 5
        assert said == [f"waiting for {server.url}, at most 20 min more: HTTP 503: loading"]


def test_any_server_is_waited_for_where_the_recipe_says_so() -> None:
    with serving(slow(iter([Answer(503), Answer(404)]))) as server:
        assert opened(server.url, model="m", wait_for="20m").identity.model == "m"
        assert len(server.requests) == 3


def test_a_wait_ends() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"vllm:http://127.0.0.1:{free.getsockname()[1]}/v1"
        for wait_for in (None, "0.01s"):
            with pytest.raises(TeacherDown, match="cannot connect") as caught:
                opened(address, wait_for=wait_for)
            assert "wait_for" in caught.value.fix


def test_what_will_not_pass_is_not_waited_for() -> None:
    with serving(lambda _: Answer(403, {"error": "no"})) as server:
        with pytest.raises(TeacherDown, match="HTTP 403: no"):
            opened(server.url, model="m", wait_for="2h")
        assert len(server.requests) == 1


def test_a_teacher_says_how_patient_to_be(tmp_path: Path) -> None:
    spec = TeacherSpec(address="vllm:http://127.0.0.1:1/v1", model="m", wait_for="20m")
    assert getattr(open_teacher(spec, tmp_path, Environment({})), "patience_s", None) == 1200.0
