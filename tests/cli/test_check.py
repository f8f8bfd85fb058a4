"""`check`: what a route refuses, and `--call`: one tiny call to each teacher, outside of every ledger."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.commands import RECIPE, inside, put
from tests.servers import Answer, Script, completion, serving
from tests.teachers.bodies import Said, message_body, speaking

if TYPE_CHECKING:
    from pathlib import Path

HIDDEN = {"prompt_tokens": 5, "completion_tokens": 9, "completion_tokens_details": {"reasoning_tokens": 7}}


def write(folder: Path, sampling: str = "{max_tokens: 64, temperature: 0.5}", **teacher: Any) -> None:
    put(
        folder,
        [],
        RECIPE.replace("recorded:c.jsonl", json.dumps(teacher)) + f"sampling: {sampling}\nprompt: {{system: Be short.}}\n",
    )
    text = (folder / "tiny.yaml").read_text().replace("prompt: {template: plain, answer_format: hash}\n", "")
    (folder / "tiny.yaml").write_text(text)


@pytest.mark.parametrize(
    ("sampling", "teacher", "words"),
    [
        ("{temperature: 0.5}", {"address": "openai:o3"}, "`temperature` cannot be sent to `openai:o3`"),
        ("{top_p: 0.9}", {"address": "openai:gpt-5-mini"}, "`top_p` cannot be sent to `openai:gpt-5-mini`"),
        ("{top_k: 9}", {"address": "openai:gpt-4o"}, "OpenAI has no `top_k`"),
        ("{temperature: 1}", {"address": "anthropic:claude-sonnet-4-5"}, "wants `max_tokens`"),
        ("{stop: [x]}", {"address": "http://h/v1", "model": "m", "api": "responses"}, "the responses format has no `stop`"),
    ],
)
def test_a_parameter_that_the_route_refuses_is_an_error_with_its_place(
    tmp_path: Path, sampling: str, teacher: dict[str, str], words: str
) -> None:
    write(tmp_path, sampling, **teacher)
    for command in ("check", "run", "preview"):
        done = inside(tmp_path, command, "tiny.yaml")
        assert done.code == 2
        assert words in done.err
        assert "tiny.yaml:5:" in done.err
        assert "sampling" in done.err


def called(folder: Path, answer: Script, *words: str, **teacher: Any) -> tuple[int, str, list[dict[str, Any]]]:
    with serving(answer) as server:
        write(folder, address=server.url, model="m", **teacher)
        done = inside(folder, "check", "tiny.yaml", "--call", *words)
        return done.code, done.out + done.err, [arrived.body for arrived in server.requests]


def test_nothing_is_called_without_the_flag(tmp_path: Path) -> None:
    with serving() as server:
        write(tmp_path, address=server.url, model="m")
        assert inside(tmp_path, "check", "tiny.yaml").code == 0
        assert server.requests == []


def test_one_call_with_the_real_parameters_and_what_came_back(tmp_path: Path) -> None:
    headers = {"x-ratelimit-remaining-requests": "59", "x-secret": "no"}
    code, out, bodies = called(tmp_path, lambda _: Answer(200, completion("It is\n5", usage=HIDDEN), headers))
    assert code == 0
    (body,) = bodies
    assert body["messages"][0] == {"role": "system", "content": "Be short."}
    assert "2 + 3" in body["messages"][1]["content"]
    assert (body["temperature"], body["max_tokens"]) == (0.5, 64)
    assert "teacher: served-model · finish stop · tokens 5 in, 9 out, 7 reasoning · " in out
    assert "reasoning hidden: the `reasoning` task refuses" in out
    assert "limit x-ratelimit-remaining-requests: 59" in out
    assert "x-secret" not in out
    assert "| It is\n  | 5" not in out
    assert [line.strip() for line in out.splitlines() if line.strip().startswith("|")] == ["| It is", "| 5"]
    assert "no ledger" in out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.jsonl", "q.jsonl", "tiny.yaml"]


def test_estimates_are_marked_and_answers_alone_are_no_surprise(tmp_path: Path) -> None:
    _, out, _ = called(tmp_path, lambda _: Answer(200, completion("5", usage=None)), thinking="answer_only")
    assert "(estimated)" in out
    assert "refuses" not in out


@pytest.mark.parametrize(
    ("heeded", "words"),
    [
        (True, "3 of 3 answers by one request\n"),
        (False, "1 of 3 answers by one request: it takes no notice of `n`, so leave `choices` away\n"),
    ],
)
def test_several_answers_are_asked_for_by_one_request(tmp_path: Path, heeded: bool, words: str) -> None:
    body = completion("5")
    answers = {**body, "choices": body["choices"] * (3 if heeded else 1)}
    code, out, bodies = called(tmp_path, lambda _: Answer(200, answers), choices=3)
    assert code == 0
    assert [sent["n"] for sent in bodies] == [3]
    assert words in out


def test_what_the_provider_says_against_it_in_one_line(tmp_path: Path) -> None:
    refusal = Answer(400, {"error": {"message": "max_tokens is\ntoo large"}})
    code, out, _ = called(tmp_path, lambda _: refusal)
    assert code == 6
    assert "teacher: HTTP 400: max_tokens is too large\n" in out
    assert "next: gristmill preview" not in out
    assert "error: no reply from teacher" in out


def test_as_one_json_object(tmp_path: Path) -> None:
    with serving(speaking("messages", lambda _: Said("5", "hm"))) as server:
        write(tmp_path, address=server.url, model="m", api="messages")
        done = inside(tmp_path, "check", "tiny.yaml", "--call", "--json")
    (call,) = done.object["calls"]
    assert (call["text"], call["thinking"], call["reasoning"], call["finish"]) == ("5", "hm", "visible", "stop")
    assert call["usage"]["input_tokens"] == message_body(Said("5"))["usage"]["input_tokens"]
    assert "error" not in call


def test_the_model_that_is_served_is_named(tmp_path: Path) -> None:
    def answer(arrived: Any) -> Answer:
        return Answer(
            200, {"data": [{"id": "q", "root": "Qwen/Qwen3-8B"}]} if arrived.path == "/v1/models" else completion(model="q")
        )

    with serving(answer) as server:
        write(tmp_path, address=f"vllm:{server.url}")
        done = inside(tmp_path, "check", "tiny.yaml", "--call")
    assert "teacher: the model that is served at" in done.out
    assert "teacher: q@Qwen/Qwen3-8B" in done.out


def test_local_teachers_are_called_too(tmp_path: Path) -> None:
    put(tmp_path, [], RECIPE.replace("recorded:c.jsonl", "{address: 'scripted:', script: {answers: ['five']}}"))
    done = inside(tmp_path, "check", "tiny.yaml", "--call")
    assert done.code == 0
    assert "| five" in done.out
