"""OpenAI's responses, where they differ from chat completions."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.servers import Answer, serving
from tests.teachers.asking import KEY, a_request, ask, fault_of, http
from tests.teachers.bodies import Said, response_body

from gristmill.messages import Message, ToolCall, user
from gristmill.records import Reply, Sampling, Usage
from gristmill.teachers.formats.responses import response_body as body_of


def reply_to(body: Any) -> Reply:
    with serving(lambda _: Answer(200, body)) as server:
        return ask(http(server.url, api="responses"), a_request())[0]


def test_the_request_in_the_formats_own_words() -> None:
    messages = (
        Message(role="system", content="Be short."),
        user("q"),
        Message(role="assistant", content="", tool_calls=(ToolCall(id="c1", name="calc", arguments='{"x": 1.50}'),)),
        Message(role="tool", content="6", tool_call_id="c1"),
    )
    tool = {"type": "function", "function": {"name": "calc", "parameters": {"type": "object"}}}
    shape = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}, "strict": True}}
    sampling = Sampling(temperature=0.5, top_p=0.9, max_tokens=64)
    request = a_request(messages=messages, tools=(tool,), response_format=shape, sampling=sampling)
    with serving(lambda _: Answer(200, response_body(Said("4")))) as server:
        ask(http(server.url, api="responses", key=KEY), request)
        (arrived,) = server.requests
    assert arrived.path == "/v1/responses"
    assert arrived.body == {
        "model": "m",
        "input": [
            {"role": "system", "content": "Be short."},
            {"role": "user", "content": "q"},
            {"type": "function_call", "call_id": "c1", "name": "calc", "arguments": '{"x": 1.50}'},
            {"type": "function_call_output", "call_id": "c1", "output": "6"},
        ],
        "store": False,
        "temperature": 0.5,
        "top_p": 0.9,
        "max_output_tokens": 64,
        "tools": [{"type": "function", "name": "calc", "parameters": {"type": "object"}}],
        "text": {"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True}},
    }
    assert {name.lower(): value for name, value in arrived.headers.items()}["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("sampling", [Sampling(stop=("x",)), Sampling(top_k=3)])
def test_what_the_format_has_no_word_for_is_not_dropped(sampling: Sampling) -> None:
    fault = fault_of(http("http://127.0.0.1:1/v1", api="responses"), a_request(sampling=sampling))
    assert (fault.kind, fault.code) == ("permanent", "unsendable")


def test_a_reply_with_a_summary() -> None:
    assert reply_to(response_body(Said("4", "two and two"))) == Reply(
        message=Message(role="assistant", content="4", thinking="two and two"),
        finish="stop",
        usage=Usage(input_tokens=5, output_tokens=2, cached_tokens=3, reasoning_tokens=1),
        model="served-model",
        provider_request_id="resp_1",
        meta={"reasoning": "summary"},
    )


@pytest.mark.parametrize(
    ("item", "tokens", "kind"),
    [
        ({"summary": [], "content": [{"type": "reasoning_text", "text": "all"}]}, 1, "visible"),
        ({"summary": [{"type": "summary_text", "text": "some"}]}, 1, "summary"),
        ({"summary": [], "encrypted_content": "ZW5j"}, 0, "hidden"),
        ({"summary": []}, 9, "hidden"),
        ({"summary": []}, 0, "none"),
    ],
)
def test_what_is_seen_of_the_reasoning(item: dict[str, Any], tokens: int, kind: str) -> None:
    body = response_body(Said("4"))
    body["output"].insert(0, {"type": "reasoning", "id": "rs_1", **item})
    body["usage"]["output_tokens_details"]["reasoning_tokens"] = tokens
    assert reply_to(body).meta == {"reasoning": kind}


@pytest.mark.parametrize(
    ("fields", "finish"),
    [
        ({"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}, "length"),
        ({"status": "incomplete", "incomplete_details": {"reason": "content_filter"}}, "content_filter"),
        ({"status": "incomplete"}, "length"),
        ({"status": "completed"}, "stop"),
        ({"status": None}, "unknown"),
    ],
)
def test_how_a_reply_ended(fields: dict[str, Any], finish: str) -> None:
    assert reply_to(response_body(Said("4"), **fields)).finish == finish


def test_function_calls_and_refusals() -> None:
    call = {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "calc", "arguments": '{"x": 1.50}'}
    reply = reply_to(response_body(Said(""), output=[call]))
    assert reply.message.tool_calls == (ToolCall(id="c1", name="calc", arguments='{"x": 1.50}'),)
    assert reply.finish == "tool_calls"
    refusal = {"type": "message", "content": [{"type": "refusal", "refusal": "I will not."}]}
    reply = reply_to(response_body(Said(""), output=[refusal]))
    assert (reply.message.content, reply.finish) == ("I will not.", "content_filter")


@pytest.mark.parametrize(
    "fields",
    [
        {"output": None},
        {"output": [{"type": "message"}]},
        {"output": [{"type": "message", "content": [{"type": "output_text"}]}]},
        {"output": [{"type": "function_call", "name": "f"}]},
        {"status": "failed", "error": None},
    ],
)
def test_what_cannot_be_read_is_malformed(fields: dict[str, Any]) -> None:
    body = response_body(Said("4"), **fields)
    with serving(lambda _: Answer(200, body)) as server:
        fault = fault_of(http(server.url, api="responses"), a_request())
    assert (fault.code, fault.evidence, fault.possibly_billed) == ("malformed", json.dumps(body).encode(), True)


def test_the_body_alone_is_a_pure_function() -> None:
    assert body_of(a_request(), "m") == {"model": "m", "input": [{"role": "user", "content": "2+2?"}], "store": False}
