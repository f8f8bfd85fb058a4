"""Servers that speak the wire formats, small and faithful: the same answer to the same request, as a body or as a stream.

Bodies and events follow the providers' public documentation: platform.openai.com/docs/api-reference/chat/object and
…/chat-streaming, …/responses/object and …/responses-streaming, platform.claude.com/docs/en/api/messages and
…/build-with-claude/streaming.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from tests.servers import Answer, Arrived, Reaction, completion

EVENT_STREAM = {"content-type": "text/event-stream; charset=utf-8"}


class Said(NamedTuple):
    """What a model is to answer, whatever the format."""

    text: str
    thinking: str = ""
    model: str = "served-model"


def pieces(text: str, size: int = 7) -> list[str]:
    """Return a text cut into pieces, as a stream brings it."""
    return [text[start : start + size] for start in range(0, len(text), size)]


def sse(events: Iterable[Any], *, named: bool = False, done: bool = False) -> bytes:
    """Return events as bytes: with their names where the provider sends them, and `[DONE]` where it ends so."""
    parts = [(f"event: {event['type']}\n" if named else "") + f"data: {json.dumps(event)}\n\n" for event in events]
    return "".join([*parts, "data: [DONE]\n\n" if done else ""]).encode()


def chat_body(said: Said) -> dict[str, Any]:
    """Return a chat completion."""
    return completion(said.text, message={"reasoning_content": said.thinking} if said.thinking else {}, model=said.model)


def chat_chunks(said: Said, finish: str | None = "stop", usage: Any = ...) -> list[dict[str, Any]]:
    """Return the chunks of a streamed chat completion; usage comes last, without choices."""
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": said.model}
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"reasoning_content": piece} for piece in pieces(said.thinking)]
    deltas += [{"content": piece} for piece in pieces(said.text)]
    ends: list[tuple[dict[str, Any], str | None]] = [*((delta, None) for delta in deltas), *([({}, finish)] if finish else [])]
    chunks = [_chunk(head, delta, end) for delta, end in ends]
    known = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7} if usage is ... else usage
    return [*chunks, {**head, "choices": [], "usage": known}] if known else chunks


def _chunk(head: dict[str, Any], delta: dict[str, Any], finish: str | None) -> dict[str, Any]:
    return {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], "usage": None}


def response_body(said: Said, **fields: Any) -> dict[str, Any]:
    """Return a response; `fields` replace parts of it."""
    text: dict[str, Any] = {"type": "output_text", "text": said.text, "annotations": []}
    message: dict[str, Any] = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [text]}
    summary = [{"type": "summary_text", "text": said.thinking}] if said.thinking else []
    reasoning = {"type": "reasoning", "id": "rs_1", "summary": summary}
    usage = {
        "input_tokens": 5,
        "input_tokens_details": {"cached_tokens": 3},
        "output_tokens": 2,
        "output_tokens_details": {"reasoning_tokens": 1 if said.thinking else 0},
        "total_tokens": 7,
    }
    whole: dict[str, Any] = {
        "id": "resp_1",
        "object": "response",
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "model": said.model,
        "output": [*([reasoning] if said.thinking else []), message],
        "usage": usage,
    }
    return {**whole, **fields}


def response_events(said: Said, **fields: Any) -> list[dict[str, Any]]:
    """Return the events of a streamed response."""
    whole = response_body(said, **fields)
    begun: dict[str, Any] = {**whole, "status": "in_progress", "output": [], "usage": None}
    events: list[dict[str, Any]] = [{"type": kind, "response": begun} for kind in ("response.created", "response.in_progress")]
    events += [{"type": "response.reasoning_summary_text.delta", "delta": piece} for piece in pieces(said.thinking)]
    events += [{"type": "response.output_text.delta", "item_id": "msg_1", "delta": piece} for piece in pieces(said.text)]
    return [*events, {"type": f"response.{whole['status']}", "response": whole}]


def message_body(said: Said, **fields: Any) -> dict[str, Any]:
    """Return a message; `fields` replace parts of it."""
    thought = {"type": "thinking", "thinking": said.thinking, "signature": "c2lnbmVk"}
    whole: dict[str, Any] = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": said.model,
        "content": [*([thought] if said.thinking else []), {"type": "text", "text": said.text}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 5, "output_tokens": 2, "cache_read_input_tokens": 0, "cache_creation_input_tokens": 0},
    }
    return {**whole, **fields}


def message_events(said: Said, **fields: Any) -> list[dict[str, Any]]:
    """Return the events of a streamed message, whatever its blocks."""
    whole = message_body(said, **fields)
    usage = {**whole["usage"], "output_tokens": 1}
    begun: dict[str, Any] = {**whole, "content": [], "stop_reason": None, "usage": usage}
    events: list[dict[str, Any]] = [{"type": "message_start", "message": begun}, {"type": "ping"}]
    for index, block in enumerate(whole["content"]):
        events += [{**event, "index": index} for event in _block_events(block)]
    end = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
    delta = {"type": "message_delta", "delta": end, "usage": {"output_tokens": whole["usage"]["output_tokens"]}}
    return [*events, delta, {"type": "message_stop"}]


def _block_events(block: dict[str, Any]) -> list[dict[str, Any]]:
    begun: dict[str, Any]
    deltas: list[dict[str, Any]]
    if block["type"] == "text":
        begun, deltas = {"type": "text", "text": ""}, [{"type": "text_delta", "text": p} for p in pieces(block["text"])]
    elif block["type"] == "thinking":
        begun = {"type": "thinking", "thinking": "", "signature": ""}
        deltas = [{"type": "thinking_delta", "thinking": piece} for piece in pieces(block["thinking"])]
        deltas.append({"type": "signature_delta", "signature": block["signature"]})
    elif block["type"] == "tool_use":
        begun = {**block, "input": {}}
        deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in ["", *pieces(json.dumps(block["input"]))]]
    else:
        begun, deltas = block, []
    return [
        {"type": "content_block_start", "content_block": begun},
        *({"type": "content_block_delta", "delta": delta} for delta in deltas),
        {"type": "content_block_stop"},
    ]


WHOLE: dict[str, Callable[[Said], dict[str, Any]]] = {"chat": chat_body, "responses": response_body, "messages": message_body}
STREAMED: dict[str, Callable[[Said], bytes]] = {
    "chat": lambda said: sse(chat_chunks(said), done=True),
    "responses": lambda said: sse(response_events(said), named=True),
    "messages": lambda said: sse(message_events(said), named=True),
}
PATHS = {"chat": "/v1/chat/completions", "responses": "/v1/responses", "messages": "/v1/messages"}


def speaking(api: str, say: Callable[[Arrived], Said]) -> Callable[[Arrived], Reaction]:
    """Return the answers of a server that speaks a format: a stream where one is asked for."""

    def answer(arrived: Arrived) -> Reaction:
        if arrived.path != PATHS[api]:
            return Answer(404, {"error": {"message": f"no {arrived.path} here"}})
        if arrived.body.get("stream"):
            return Answer(200, STREAMED[api](say(arrived)), EVENT_STREAM)
        return Answer(200, WHOLE[api](say(arrived)))

    return answer


def echoing(arrived: Arrived) -> Said:
    """Say a text that depends on the question alone; formats without a seed have the sample's number in it."""
    return Said(f"answer {hashlib.sha256(arrived.raw).hexdigest()[:12]} ü")
