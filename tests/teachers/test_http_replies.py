"""`http`: what is sent, and what becomes of a well-formed reply."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest
from tests.servers import Answer, completion, serving
from tests.teachers.asking import IDENTITY, KEY, a_request, ask, http

from gristmill.messages import Message, ToolCall, user
from gristmill.ports import TeacherFault
from gristmill.records import Reply, Sampling, TeacherIdentity, Usage
from gristmill.teachers.http import HttpTeacher, Server


def reply_to(body: Any) -> Reply:
    with serving(lambda _: Answer(200, body)) as server:
        return ask(http(server.url), a_request())[0]


def test_the_body_is_the_request_and_nothing_else() -> None:
    request = a_request(sampling=Sampling(temperature=0.0, max_tokens=7, stop=("\n",)))
    with serving() as server:
        ask(http(server.url, key=KEY, headers={"x-extra": "1"}), request)
        (arrived,) = server.requests
    assert arrived.path == "/v1/chat/completions"
    assert arrived.body == {
        "model": "m",
        "messages": [{"role": "user", "content": "2+2?"}],
        "seed": request.seed,
        "temperature": 0.0,
        "max_tokens": 7,
        "stop": ["\n"],
    }
    headers = {name.lower(): value for name, value in arrived.headers.items()}
    assert headers["authorization"] == f"Bearer {KEY}"
    assert headers["content-type"] == "application/json"
    assert headers["x-extra"] == "1"


def test_parameters_that_are_unknown_are_not_sent_and_without_a_key_no_header_is() -> None:
    with serving() as server:
        ask(http(server.url), a_request())
        (arrived,) = server.requests
    assert set(arrived.body) == {"model", "messages", "seed"}
    assert "authorization" not in {name.lower() for name in arrived.headers}


def test_tools_formats_and_a_whole_conversation_are_sent() -> None:
    messages = (
        Message(role="system", content="s"),
        user("q"),
        Message(role="assistant", content="", tool_calls=(ToolCall(id="c1", name="calc", arguments='{"x": 1.50}'),)),
        Message(role="tool", content="6", tool_call_id="c1"),
    )
    tool = {"type": "function", "function": {"name": "calc", "parameters": {"type": "object"}}}
    request = a_request(messages=messages, tools=(tool,), response_format={"type": "json_object"})
    with serving() as server:
        extra = {"chat_template_kwargs": {"enable_thinking": True}}
        teacher = HttpTeacher(Server(server.url + "/"), IDENTITY, stream=False, extra_body=extra)
        ask(teacher, request)
        (arrived,) = server.requests
    assert arrived.body["tools"] == [tool]
    assert arrived.body["response_format"] == {"type": "json_object"}
    assert arrived.body["chat_template_kwargs"] == {"enable_thinking": True}
    call = {"id": "c1", "type": "function", "function": {"name": "calc", "arguments": '{"x": 1.50}'}}
    assert arrived.body["messages"][2:] == [
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "content": "6", "tool_call_id": "c1"},
    ]


def test_a_reply_with_everything() -> None:
    body = completion(
        "4",
        message={"reasoning_content": "two and two"},
        system_fingerprint="fp_1",
        usage={
            "prompt_tokens": 5,
            "completion_tokens": 2,
            "prompt_tokens_details": {"cached_tokens": 3},
            "completion_tokens_details": {"reasoning_tokens": 1},
        },
    )
    assert reply_to(body) == Reply(
        message=Message(role="assistant", content="4", thinking="two and two"),
        finish="stop",
        usage=Usage(input_tokens=5, output_tokens=2, cached_tokens=3, reasoning_tokens=1),
        model="served-model",
        provider_request_id="chatcmpl-1",
        meta={"reasoning": "visible", "system_fingerprint": "fp_1"},
    )


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_visible_reasoning_under_both_names(name: str) -> None:
    assert reply_to(completion(message={name: "hm"})).message.thinking == "hm"


@pytest.mark.parametrize("usage", [..., None, {}, {"prompt_tokens": None}, {"prompt_tokens": "5"}, [1], {"prompt_tokens": True}])
def test_missing_or_odd_usage_is_estimated_and_marked(usage: Any) -> None:
    """`2+2?` has four bytes, a token; `naïve` has six, two tokens."""
    assert reply_to(completion("naïve", usage=usage)).usage == Usage(input_tokens=1, output_tokens=2, estimated=True)


def test_a_count_that_is_known_is_not_estimated() -> None:
    usage = {"completion_tokens": 9, "completion_tokens_details": {"reasoning_tokens": 7}}
    expected = Usage(input_tokens=1, output_tokens=9, reasoning_tokens=7, estimated=True)
    assert reply_to(completion(usage=usage)).usage == expected


def test_the_cost_is_unknown_without_a_price() -> None:
    assert reply_to(completion()).cost_usd is None


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("stop", "stop"),
        ("length", "length"),
        ("tool_calls", "tool_calls"),
        ("function_call", "tool_calls"),
        ("content_filter", "content_filter"),
        ("eos", "unknown"),
        (None, "unknown"),
        (7, "unknown"),
    ],
)
def test_finish_reasons(said: Any, meant: str) -> None:
    assert reply_to(completion(finish_reason=said)).finish == meant


def test_tool_calls_keep_their_arguments_as_they_were_written() -> None:
    arguments = '{"b": 1.50,  "a": "\\u00e9"}'
    call = {"id": "c1", "type": "function", "function": {"name": "calc", "arguments": arguments}}
    reply = reply_to(completion(None, message={"tool_calls": [call]}, finish_reason="tool_calls"))
    assert reply.message.content == ""
    assert reply.message.tool_calls == (ToolCall(id="c1", name="calc", arguments=arguments),)


@pytest.mark.parametrize("calls", [None, []])
def test_no_tool_calls(calls: Any) -> None:
    assert reply_to(completion(message={"tool_calls": calls})).message.tool_calls == ()


@pytest.mark.parametrize("content", [None, ""])
def test_an_empty_answer_is_an_answer(content: Any) -> None:
    assert reply_to(completion(content)).message.content == ""


def test_a_truncated_reply_is_a_reply() -> None:
    reply = reply_to(completion("half of th", finish_reason="length"))
    assert (reply.message.content, reply.finish) == ("half of th", "length")


def test_a_wrong_content_type_does_not_matter_where_the_body_is_right() -> None:
    with serving(lambda _: Answer(200, completion("4"), {"content-type": "text/html; charset=latin-1"})) as server:
        assert ask(http(server.url), a_request())[0].message.content == "4"


def test_a_compressed_body_is_unpacked() -> None:
    body = gzip.compress(json.dumps(completion("4")).encode())
    with serving(lambda _: Answer(200, body, {"content-encoding": "gzip"})) as server:
        assert ask(http(server.url), a_request())[0].message.content == "4"


def test_a_large_body_within_the_limit_is_read_whole() -> None:
    text = "x" * 3_000_000
    assert reply_to(completion(text)).message.content == text


@pytest.mark.parametrize(
    ("text", "finish", "thinking", "answer"),
    [
        ("<think>two and two</think>4", "stop", "two and two", "4"),
        ("\n<think>\ntwo\n\nand two\n</think>\n\nIt is 4", "stop", "two\n\nand two", "It is 4"),
        ("<think>a</think>b</think>c", "stop", "a", "b</think>c"),
        ("<think></think>4", "stop", "", "4"),
        ("<think>two and", "length", "two and", ""),
        ("<think>two and", "stop", None, "<think>two and"),
        ("two and two</think>\n4", "stop", "two and two", "4"),
        ("a</think>b</think>c", "stop", None, "a</think>b</think>c"),
        ("4 <think>late</think>", "stop", None, "4 <think>late</think>"),
        ("4", "length", None, "4"),
    ],
)
def test_reasoning_between_tags_at_the_start_is_reasoning(text: str, finish: str, thinking: str | None, answer: str) -> None:
    reply = reply_to(completion(text, finish_reason=finish))
    assert (reply.message.thinking, reply.message.content) == (thinking, answer)
    assert reply.meta["reasoning"] == ("visible" if thinking else "none")


def test_an_answer_in_parts_is_reasoning_and_text() -> None:
    """As Mistral's reasoning models answer."""
    thought = {
        "type": "thinking",
        "thinking": [{"type": "text", "text": "2 and 2 "}, {"type": "text", "text": "is 4"}],
        "closed": True,
    }
    reply = reply_to(completion([thought, {"type": "text", "text": "The answer "}, {"type": "text", "text": "is 4."}]))
    assert (reply.message.thinking, reply.message.content) == ("2 and 2 is 4", "The answer is 4.")
    assert reply.meta["reasoning"] == "visible"


def test_a_name_that_is_empty_is_none() -> None:
    names = iter(["a", "", "a"])
    with serving(lambda _: Answer(200, completion(model=next(names)))) as server:
        replies = ask(http(server.url), *(a_request(index=index) for index in range(3)))
    assert [reply.model for reply in replies] == ["a", None, "a"]


def test_tags_are_text_where_the_provider_splits() -> None:
    reply = reply_to(completion("<think>x</think>4", message={"reasoning": "mine"}))
    assert (reply.message.thinking, reply.message.content) == ("mine", "<think>x</think>4")


@pytest.mark.parametrize(
    ("message", "usage", "kind"),
    [
        ({"reasoning_content": "all"}, {}, "visible"),
        ({}, {"completion_tokens_details": {"reasoning_tokens": 9}}, "hidden"),
        ({"reasoning_details": [{"type": "reasoning.encrypted", "data": "x"}]}, {}, "hidden"),
        ({"reasoning": "some", "reasoning_details": [{"type": "reasoning.summary", "summary": "some"}]}, {}, "summary"),
        ({"reasoning": "all", "reasoning_details": [{"type": "reasoning.text", "text": "all"}]}, {}, "visible"),
        ({}, {"completion_tokens_details": {"reasoning_tokens": 0}}, "none"),
    ],
)
def test_what_is_seen_of_the_reasoning(message: dict[str, Any], usage: dict[str, Any], kind: str) -> None:
    assert reply_to(completion(message=message, usage=usage)).meta["reasoning"] == kind


def test_logprobs_are_kept_where_they_come() -> None:
    found = {"content": [{"token": "4", "logprob": -0.1}]}
    body = completion()
    body["choices"][0]["logprobs"] = found
    assert reply_to(body).meta["logprobs"] == found
    assert "logprobs" not in reply_to(completion()).meta


def test_a_refusal_in_words_is_a_refusal() -> None:
    reply = reply_to(completion(None, message={"refusal": "I will not."}))
    assert (reply.message.content, reply.finish) == ("I will not.", "content_filter")


def test_another_model_than_before_ends_the_run() -> None:
    names = iter(["a", "a", "b"])
    with serving(lambda _: Answer(200, completion(model=next(names)))) as server, pytest.raises(TeacherFault) as caught:
        ask(http(server.url), *(a_request(index=index) for index in range(3)))
    assert (caught.value.kind, caught.value.code, caught.value.possibly_billed) == ("fatal", "model_changed", True)
    assert str(caught.value) == "the server answered as `a` and now answers as `b`"
    assert b'"4"' in caught.value.evidence


def test_a_router_may_answer_as_whom_it_likes() -> None:
    names = iter(["a", "b", None])
    identity = TeacherIdentity(provider="openrouter", model="m")
    with serving(lambda _: Answer(200, completion(model=next(names)))) as server:
        replies = ask(HttpTeacher(Server(server.url), identity), *(a_request(index=index) for index in range(3)))
    assert [reply.model for reply in replies] == ["a", "b", None]
