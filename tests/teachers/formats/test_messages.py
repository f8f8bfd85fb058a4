"""Anthropic's messages: what is sent, and what becomes of every block that comes back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.servers import Answer, serving
from tests.teachers.asking import KEY, a_request, ask, fault_of, http
from tests.teachers.bodies import EVENT_STREAM, Said, message_body, message_events, sse

from gristmill.messages import Message, ToolCall, user
from gristmill.records import Reply, Sampling, Usage
from gristmill.teachers.formats.anthropic import message_body as body_of

LIMITED = Sampling(max_tokens=64)
CALCULATOR: dict[str, Any] = {
    "type": "function",
    "function": {"name": "calc", "description": "Adds.", "parameters": {"type": "object", "properties": {}}},
}
THOUGHT = {"type": "thinking", "thinking": "two and two", "signature": "c2ln"}
SEALED = {"type": "redacted_thinking", "data": "ZW5j"}
TEXT = {"type": "text", "text": "4"}


def reply_to(body: Any) -> Reply:
    with serving(lambda _: Answer(200, body)) as server:
        return ask(http(server.url, api="messages"), a_request(sampling=LIMITED))[0]


def test_the_request_in_the_formats_own_words() -> None:
    sampling = Sampling(max_tokens=64, temperature=0.5, top_p=0.9, top_k=5, stop=("END",))
    request = a_request(messages=(Message(role="system", content="Be short."), user("2+2?")), sampling=sampling)
    with serving(lambda _: Answer(200, message_body(Said("4")))) as server:
        ask(http(server.url, api="messages", key=KEY), request)
        (arrived,) = server.requests
    assert arrived.path == "/v1/messages"
    assert arrived.body == {
        "model": "m",
        "max_tokens": 64,
        "system": [{"type": "text", "text": "Be short.", "cache_control": {"type": "ephemeral"}}],
        "messages": [{"role": "user", "content": "2+2?"}],
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": 5,
        "stop_sequences": ["END"],
    }
    headers = {name.lower(): value for name, value in arrived.headers.items()}
    assert headers["x-api-key"] == KEY
    assert headers["anthropic-version"] == "2023-06-01"
    assert "authorization" not in headers


def test_the_shared_prefix_is_marked_for_the_cache_once() -> None:
    def marks(**fields: Any) -> int:
        return json.dumps(body_of(a_request(sampling=LIMITED, **fields), "m")).count("cache_control")

    system = (Message(role="system", content="a"), Message(role="system", content="b"), user("q"))
    assert marks() == 0
    assert marks(messages=system) == marks(tools=(CALCULATOR, CALCULATOR)) == marks(messages=system, tools=(CALCULATOR,)) == 1


def test_a_conversation_with_tools_and_reasoning_goes_back_as_it_came() -> None:
    first = reply_to(message_body(Said(""), content=[THOUGHT, SEALED, TEXT, *(use(f"t{n}") for n in range(2))])).message
    results = (Message(role="tool", content="6", tool_call_id="t0"), Message(role="tool", content="7", tool_call_id="t1"))
    body = body_of(a_request(messages=(user("q"), first, *results, user("so?")), tools=(CALCULATOR,), sampling=LIMITED), "m")
    assert body["messages"] == [
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": [THOUGHT, SEALED, TEXT, use("t0"), use("t1")]},
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "t0", "content": "6"},
                {"type": "tool_result", "tool_use_id": "t1", "content": "7"},
            ],
        },
        {"role": "user", "content": "so?"},
    ]
    assert body["tools"] == [
        {
            "name": "calc",
            "description": "Adds.",
            "input_schema": {"type": "object", "properties": {}},
            "cache_control": {"type": "ephemeral"},
        }
    ]


def use(number: str) -> dict[str, Any]:
    return {"type": "tool_use", "id": number, "name": "calc", "input": {"x": 1.5}}


def test_a_single_signed_thought_goes_back_as_it_came() -> None:
    message = reply_to(message_body(Said("4", "two and two"))).message
    assert (message.thinking, message.thinking_signature) == ("two and two", "c2lnbmVk")
    body = body_of(a_request(messages=(user("q"), message, user("so?")), sampling=LIMITED), "m")
    thought = {"type": "thinking", "thinking": "two and two", "signature": "c2lnbmVk"}
    assert body["messages"][1] == {"role": "assistant", "content": [thought, TEXT]}


def test_reasoning_of_another_teacher_is_not_sent() -> None:
    message = Message(role="assistant", content="4", thinking="mine")
    body = body_of(a_request(messages=(user("q"), message, user("so?")), sampling=LIMITED), "m")
    assert body["messages"][1] == {"role": "assistant", "content": "4"}


def test_a_schema_becomes_the_output_format() -> None:
    shape = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}, "strict": True}}
    body = body_of(a_request(response_format=shape, sampling=LIMITED), "m")
    assert body["output_config"] == {"format": {"type": "json_schema", "schema": {"type": "object"}}}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"sampling": Sampling()}, "wants `max_tokens`"),
        ({"sampling": LIMITED, "response_format": {"type": "json_object"}}, "no response format `json_object`"),
        (
            {
                "sampling": LIMITED,
                "messages": (Message(role="assistant", content="", tool_calls=(ToolCall(id="t", name="f", arguments="{"),)),),
            },
            "arguments of the call `t` are not JSON",
        ),
    ],
)
def test_what_the_format_cannot_express_is_not_sent(fields: dict[str, Any], words: str) -> None:
    with serving() as server:
        fault = fault_of(http(server.url, api="messages"), a_request(**fields))
        assert server.requests == []
    assert (fault.kind, fault.code, fault.possibly_billed) == ("permanent", "unsendable", False)
    assert words in str(fault)


def test_usage_counts_the_cache_among_the_input() -> None:
    counts = {"input_tokens": 5, "output_tokens": 2, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 40}
    usage = {**counts, "output_tokens_details": {"thinking_tokens": 1}}
    reply = reply_to(message_body(Said("4"), usage=usage))
    assert reply.usage == Usage(input_tokens=145, output_tokens=2, cached_tokens=100, reasoning_tokens=1)
    assert reply.meta == {"reasoning": "hidden", "cache_write_tokens": 40}
    assert reply.provider_request_id == "msg_1"


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("refusal", "content_filter"),
        ("pause_turn", "unknown"),
        (None, "unknown"),
    ],
)
def test_stop_reasons(reason: str | None, finish: str) -> None:
    assert reply_to(message_body(Said("4"), stop_reason=reason)).finish == finish


@pytest.mark.parametrize(
    ("model", "content", "kind"),
    [
        ("claude-sonnet-4-5-20250929", [THOUGHT, TEXT], "summary"),
        ("claude-3-7-sonnet-20250219", [THOUGHT, TEXT], "visible"),
        ("deepseek-v3.2", [{**THOUGHT, "signature": ""}, TEXT], "visible"),
        ("claude-opus-4-7", [{**THOUGHT, "thinking": ""}, TEXT], "hidden"),
        ("claude-3-7-sonnet-20250219", [SEALED, TEXT], "hidden"),
        ("claude-3-7-sonnet-20250219", [SEALED, THOUGHT, TEXT], "visible"),
        ("claude-sonnet-4-5", [TEXT], "none"),
    ],
)
def test_what_is_seen_of_the_reasoning(model: str, content: list[dict[str, str]], kind: str) -> None:
    assert reply_to(message_body(Said("", model=model), content=content)).meta["reasoning"] == kind


def test_streamed_blocks_are_those_of_a_whole_message() -> None:
    content: list[dict[str, Any]] = [THOUGHT, SEALED, TEXT, use("t0"), {**use("t1"), "input": {}}]
    whole = reply_to(message_body(Said(""), content=content, stop_reason="tool_use"))
    events = sse(message_events(Said(""), content=content, stop_reason="tool_use"), named=True)
    with serving(lambda _: Answer(200, events, EVENT_STREAM)) as server:
        (streamed,) = ask(http(server.url, api="messages", stream=True), a_request(sampling=LIMITED))
    assert [call.arguments for call in whole.message.tool_calls] == ['{"x":1.5}', "{}"]
    assert [call.arguments for call in streamed.message.tool_calls] == ['{"x": 1.5}', "{}"]
    calls = whole.message.tool_calls
    assert streamed.model_copy(update={"message": streamed.message.model_copy(update={"tool_calls": calls})}) == whole


@pytest.mark.parametrize(
    "content", [..., None, "text", [None], [{"type": "text"}], [{"type": "text", "text": 4}], [{"type": "tool_use", "id": 1}]]
)
def test_blocks_that_cannot_be_read_are_malformed(content: Any) -> None:
    body = {key: value for key, value in message_body(Said("4"), content=content).items() if value is not ...}
    with serving(lambda _: Answer(200, body)) as server:
        fault = fault_of(http(server.url, api="messages"), a_request(sampling=LIMITED))
    assert (fault.code, fault.evidence) == ("malformed", json.dumps(body).encode())


def test_the_providers_words_in_an_error() -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}, "request_id": "req_1"}
    with serving(lambda _: Answer(529, error)) as server:
        fault = fault_of(http(server.url, api="messages"), a_request(sampling=LIMITED))
    assert (fault.kind, str(fault)) == ("transient", "HTTP 529: Overloaded")
