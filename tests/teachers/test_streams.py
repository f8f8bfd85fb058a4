"""Streams: folded into the body that would have come whole, ended early where they loop, and evidence where they break."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.servers import Answer, Raw, Reaction, Server, Stream, serving
from tests.teachers.asking import KEY, a_request, ask, fault_of, http
from tests.teachers.bodies import (
    EVENT_STREAM,
    PATHS,
    STREAMED,
    WHOLE,
    Said,
    chat_chunks,
    message_events,
    response_events,
    speaking,
    sse,
)  # fmt: skip

from gristmill.ports import TeacherFault
from gristmill.records import Reply, Request, Sampling, Usage

SAID = Said("4, naïve “text”\n\u2028 with\ttabs", "two and two, step by step")
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
LIMITED = Sampling(max_tokens=64)


def streamed(reaction: Reaction, api: str = "chat", request: Request | None = None, key: str | None = None) -> Reply:
    with serving(lambda _: reaction) as server:
        return ask(http(server.url, api=api, stream=True, key=key), request or a_request(sampling=LIMITED))[0]


def broken(reaction: Reaction, api: str = "chat", key: str | None = None) -> TeacherFault:
    with serving(lambda _: reaction) as server:
        return fault_of(http(server.url, api=api, stream=True, key=key), a_request(sampling=LIMITED))


@pytest.mark.parametrize("api", PATHS)
def test_a_stream_and_a_whole_body_are_the_same_reply(api: str) -> None:
    with serving(speaking(api, lambda _: SAID)) as server:
        replies = [ask(http(server.url, api=api, stream=stream), a_request(sampling=LIMITED))[0] for stream in (False, True)]
        bodies = [arrived.body for arrived in server.requests]
    assert replies[0] == replies[1]
    assert replies[0].message.content == SAID.text
    assert replies[0].message.thinking == SAID.thinking
    assert [body.get("stream", False) for body in bodies] == [False, True]


@pytest.mark.parametrize("api", PATHS)
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_how_bytes_are_cut_does_not_matter(api: str, size: int) -> None:
    data = STREAMED[api](SAID).replace(b"\n", b"\r\n") if size == 3 else STREAMED[api](SAID)
    cut = [data[start : start + size] for start in range(0, len(data), size)]
    assert streamed(Stream(cut), api).message.content == SAID.text


@pytest.mark.parametrize(
    ("given", "most", "streams"),
    [(None, None, True), (None, 2048, True), (None, 2047, False), (True, 16, True), (False, None, False)],
)
def test_long_chat_completions_are_streamed_unless_the_recipe_says_otherwise(
    given: bool | None, most: int | None, streams: bool
) -> None:
    with serving(speaking("chat", lambda _: SAID)) as server:
        ask(http(server.url, stream=given), a_request(sampling=Sampling(max_tokens=most)))
        (arrived,) = server.requests
    assert arrived.body.get("stream", False) is streams
    assert arrived.body.get("stream_options") == ({"include_usage": True} if streams else None)


@pytest.mark.parametrize("api", ["responses", "messages"])
def test_other_formats_are_streamed_where_the_recipe_says_so(api: str) -> None:
    with serving(speaking(api, lambda _: SAID)) as server:
        ask(http(server.url, api=api, stream=None), a_request(sampling=Sampling(max_tokens=9999)))
        assert "stream" not in server.requests[0].body


def test_a_server_that_does_not_stream_is_understood_too() -> None:
    assert streamed(Answer(200, WHOLE["chat"](SAID))).message.content == SAID.text


def test_streamed_tool_calls_and_logprobs_are_put_together() -> None:
    def delta(**fields: Any) -> dict[str, Any]:
        return {"choices": [{"index": 0, "delta": fields, "logprobs": {"content": [{"token": "a"}]}}]}

    calls = [
        {"index": 0, "id": "c1", "type": "function", "function": {"name": "calc", "arguments": ""}},
        {"index": 0, "function": {"arguments": '{"x": 1.5'}},
        {"index": 1, "id": "c2", "function": {"name": "calc", "arguments": "{}"}},
        {"index": 0, "function": {"arguments": "0}"}},
    ]
    chunks = [delta(tool_calls=[call]) for call in calls]
    end: dict[str, Any] = {"model": "m", "choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}
    reply = streamed(Answer(200, sse([*chunks, end]), EVENT_STREAM))
    assert [(call.id, call.arguments) for call in reply.message.tool_calls] == [("c1", '{"x": 1.50}'), ("c2", "{}")]
    assert reply.finish == "tool_calls"
    assert reply.meta["logprobs"] == {"content": [{"token": "a"}] * 4}


def test_of_several_streamed_answers_the_first_is_taken() -> None:
    chunks = [{"choices": [{"index": i, "delta": {"content": f"answer {i}"}, "finish_reason": "stop"}]} for i in (1, 0, 2)]
    assert streamed(Answer(200, sse(chunks, done=True), EVENT_STREAM)).message.content == "answer 0"


@pytest.mark.parametrize("known", [True, False])
def test_an_answer_that_is_streamed_in_parts_is_read_or_malformed(*, known: bool) -> None:
    thought = {"type": "thinking", "thinking": [{"type": "text", "text": "2 and 2"}]}
    other = {"type": "text", "text": " is 4"} if known else {"type": "image_url", "image_url": "x"}
    deltas: list[Any] = ["", [thought], [thought], [other], "."]
    chunks: list[dict[str, Any]] = [{"choices": [{"index": 0, "delta": {"content": delta}}]} for delta in deltas]
    whole: list[dict[str, Any]] = [*chunks, {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}]
    if known:
        reply = streamed(Answer(200, sse(whole, done=True), EVENT_STREAM))
        assert (reply.message.thinking, reply.message.content) == ("2 and 22 and 2", " is 4.")
    else:
        with pytest.raises(TeacherFault, match="no message"):
            streamed(Answer(200, sse(whole, done=True), EVENT_STREAM))


def loop_of(api: str, phrase: str) -> Iterator[dict[str, Any]]:
    """Yield the events of a stream that says a phrase for good."""
    events = {"chat": chat_chunks, "responses": response_events, "messages": message_events}[api](Said(phrase, ""))
    texts = [event for event in events if phrase[:3] in json.dumps(event) and "delta" in json.dumps(event)]
    yield from itertools.takewhile(lambda event: event not in texts, events)
    yield from itertools.cycle(texts)


@pytest.mark.parametrize("api", PATHS)
def test_an_answer_that_only_repeats_itself_is_ended_and_kept(api: str) -> None:
    """The server would go on for good, and sees that nobody reads any more."""
    phrase = "so x is"

    async def asked(server: Server) -> Reply:
        teacher = http(server.url, api=api, stream=True)
        reply = await teacher.complete(a_request(sampling=LIMITED))
        assert await asyncio.to_thread(server.left.wait, 20)
        await teacher.close()
        return reply

    with serving(lambda _: Stream(sse([event]) for event in loop_of(api, phrase))) as server:
        reply = asyncio.run(asked(server))
    assert reply.finish == "length"
    assert reply.meta["stopped"] == "loop"
    assert set(reply.message.content.split(phrase)) == {""}
    assert 1000 < len(reply.message.content) < 100_000
    assert reply.usage.estimated is (api != "messages")
    assert reply.usage.output_tokens


def test_usage_that_came_before_a_loop_was_ended_is_kept() -> None:
    chunks = ({**chunk, "usage": {"prompt_tokens": 3, "completion_tokens": 77}} for chunk in loop_of("chat", "so x is"))
    assert streamed(Stream(sse([chunk]) for chunk in chunks)).usage == Usage(input_tokens=3, output_tokens=77)


def test_reasoning_that_loops_is_ended_too() -> None:
    chunk = {"choices": [{"index": 0, "delta": {"reasoning": "wait, "}, "finish_reason": None}]}
    reply = streamed(Stream(itertools.repeat(sse([chunk]))))
    assert (reply.finish, reply.message.content) == ("length", "")
    assert reply.message.thinking is not None


@pytest.mark.parametrize("api", PATHS)
@pytest.mark.parametrize("cleanly", [True, False])
def test_a_truncated_stream_is_malformed_with_its_bytes(api: str, cleanly: bool) -> None:
    events = {"chat": chat_chunks, "responses": response_events, "messages": message_events}[api](SAID)
    data = sse(events[: len(events) // 2])
    wire = Raw(HEAD + f"{len(data):x}\r\n".encode() + data + (b"\r\n0\r\n\r\n" if cleanly else b"\r\n5\r\nda"))
    fault = broken(wire, api)
    assert (fault.kind, fault.code, fault.possibly_billed) == ("transient", "malformed", True)
    assert fault.evidence == data.replace(b"\n\n\n", b"\n\n")
    assert "before the reply did" in str(fault)


def test_a_stream_that_breaks_after_the_reply_is_whole_is_a_reply() -> None:
    data = sse(chat_chunks(SAID))
    assert streamed(Raw(HEAD + f"{len(data):x}\r\n".encode() + data + b"\r\n5\r\nda")).message.content == SAID.text


def test_a_stream_that_breaks_before_its_first_event_is_a_broken_connection() -> None:
    fault = broken(Raw(HEAD + b"5\r\nda"))
    assert (fault.kind, fault.code, fault.evidence) == ("transient", "reset", b"")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"data: {nonsense\n\n", "not JSON"),
        (b"data: [1]\n\n", "not an object"),
        (sse([{"error": {"message": "overloaded"}}]), "an error in the stream: overloaded"),
        (sse([{"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}]), "Overloaded"),
        (sse([{"object": "error", "message": "out of memory", "code": 500}]), "out of memory"),
        (b": ping\n\n", "ended after 0 events"),
    ],
)
def test_a_stream_that_cannot_be_read_is_malformed_with_its_bytes(data: bytes, words: str) -> None:
    fault = broken(Answer(200, data, EVENT_STREAM))
    assert (fault.kind, fault.code, fault.possibly_billed) == ("transient", "malformed", True)
    assert words in str(fault)
    assert fault.evidence == (b"" if data.startswith(b":") else data)


@pytest.mark.parametrize("last", [b"data: [DONE] \n\n", b"data: null\n\n", b"data: bye\n\n"])
def test_nothing_that_comes_after_its_end_spoils_a_reply(last: bytes) -> None:
    whole = STREAMED["chat"](SAID).replace(b"data: [DONE]\n\n", b"")
    assert streamed(Answer(200, whole + last, EVENT_STREAM)).message.content == SAID.text


@pytest.mark.parametrize("api", PATHS)
def test_a_stream_by_another_name_or_with_a_byte_order_mark_is_read(api: str) -> None:
    data = STREAMED[api](SAID)
    assert streamed(Answer(200, data, {"content-type": "text/plain"}), api).message.content == SAID.text
    assert streamed(Answer(200, b"\xef\xbb\xbf" + data, EVENT_STREAM), api).message.content == SAID.text


@pytest.mark.parametrize("api", ["responses", "messages"])
def test_after_the_last_event_nothing_is_waited_for(api: str) -> None:
    """Proxies keep a connection open with comments."""
    pieces = itertools.chain([STREAMED[api](SAID)], itertools.repeat(b": ping\n\n"))
    assert streamed(Stream(pieces), api).message.content == SAID.text


def test_an_emoji_that_was_cut_in_two_costs_no_reply() -> None:
    chunks = [b'{"choices":[{"index":0,"delta":{"content":"%b"}}]}' % half for half in (b"4 \\ud83d", b"\\ude00")]
    end = b'{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}'
    data = b"".join(b"data: %b\n\n" % chunk for chunk in [*chunks, end])
    assert streamed(Answer(200, data, EVENT_STREAM)).message.content == "4 \ufffd\ufffd"


def test_a_failed_response_is_a_fault_in_the_providers_words() -> None:
    events = response_events(SAID, status="failed", error={"code": "server_error", "message": "it broke"})
    assert "the provider failed: it broke" in str(broken(Answer(200, sse(events), EVENT_STREAM), "responses"))


@pytest.mark.parametrize("kind", ["text/html", "text/plain"])
def test_a_body_of_a_wrong_type_is_a_failure_with_evidence(kind: str) -> None:
    fault = broken(Answer(200, b"<html>login</html>", {"content-type": kind}))
    assert (fault.code, fault.evidence) == ("malformed", b"<html>login</html>")
    assert kind in str(fault)


@pytest.mark.parametrize("api", PATHS)
def test_a_key_that_comes_in_two_pieces_is_redacted(api: str) -> None:
    reply = streamed(Answer(200, STREAMED[api](Said(f"the key is {KEY}!", KEY)), EVENT_STREAM), api, key=KEY)
    assert reply.message.content == "the key is [key]!"
    assert KEY not in reply.model_dump_json()
    events = {"chat": chat_chunks, "responses": response_events, "messages": message_events}[api](Said(KEY * 3))
    fault = broken(Answer(200, sse(events[:-3]), EVENT_STREAM), api, key=KEY)
    assert KEY.encode() not in fault.evidence
