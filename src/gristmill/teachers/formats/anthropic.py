"""The wire format of Anthropic's messages: a request as a body, a body as a reply, events of a stream as a body.

Where it differs from chat completions: system messages stand at the top, `max_tokens` is a must, tool results are a user's
blocks, reasoning comes in blocks with a signature that the provider wants back unchanged, and input tokens are counted without
those of the cache. There is no seed. The shared prefix (tools and system) is marked for the cache. Described at
platform.claude.com/docs/en/api/messages, …/build-with-claude/extended-thinking, …/streaming and …/prompt-caching.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from gristmill.messages import Message, ToolCall
from gristmill.plain import as_count, as_list, as_object, as_text
from gristmill.records import Reply, Usage
from gristmill.teachers.formats.wire import Format, malformed, reasoning_kind, unsendable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic import JsonValue

    from gristmill.records import Finish, Request

VERSION = "2023-06-01"
_FINISH: dict[str | None, Finish] = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}
_CACHED = {"cache_control": {"type": "ephemeral"}}
_SHOWS_ALL = ("claude-3-7-",)
"""Claude models whose thinking is the whole of it; all later ones give a summary (extended thinking, "Summarized thinking")."""


def message_body(request: Request, model: str) -> dict[str, Any]:
    """Return the body of a request.

    Raises:
        TeacherFault: `unsendable`, where the format cannot express it.
    """
    sampling = request.sampling
    if sampling.max_tokens is None:
        raise unsendable("the messages format wants `max_tokens` in every request")
    body: dict[str, Any] = {
        "model": model,
        "max_tokens": sampling.max_tokens,
        "messages": _wire_messages([message for message in request.messages if message.role != "system"]),
        **sampling.model_dump(include={"temperature", "top_p", "top_k"}, exclude_none=True),
    }
    if sampling.stop:
        body["stop_sequences"] = list(sampling.stop)
    system = [{"type": "text", "text": message.content} for message in request.messages if message.role == "system"]
    tools = [_wire_tool(tool) for tool in request.tools]
    if system:
        body["system"] = [*system[:-1], {**system[-1], **_CACHED}]
    if tools:
        body["tools"] = tools if system else [*tools[:-1], {**tools[-1], **_CACHED}]
    if request.response_format is not None:
        body["output_config"] = {"format": _wire_format(request.response_format)}
    return body


def _wire_messages(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Return messages in the format; the results of tools that follow each other are one message of the user."""
    wire: list[dict[str, Any]] = []
    for message in messages:
        if message.role != "tool":
            wire.append({"role": message.role, "content": _blocks(message)})
            continue
        result = {"type": "tool_result", "tool_use_id": message.tool_call_id, "content": message.content}
        if wire and as_list(wire[-1]["content"]) and wire[-1]["content"][-1]["type"] == "tool_result":
            wire[-1]["content"].append(result)
        else:
            wire.append({"role": "user", "content": [result]})
    return wire


def _blocks(message: Message) -> str | list[Any]:
    if not message.tool_calls and message.thinking_signature is None:
        return message.content
    text = [{"type": "text", "text": message.content}] if message.content else []
    return [*_thinking_blocks(message), *text, *(_use(call) for call in message.tool_calls)]


def _thinking_blocks(message: Message) -> list[Any]:
    """Return the blocks of reasoning as they came: only those with a proof can be sent back."""
    proof = message.thinking_signature
    if proof is None:
        return []
    if proof.startswith("["):
        return list(orjson.loads(proof))
    return [{"type": "thinking", "thinking": message.thinking or "", "signature": proof}]


def _use(call: ToolCall) -> dict[str, Any]:
    try:
        return {"type": "tool_use", "id": call.id, "name": call.name, "input": orjson.loads(call.arguments or "{}")}
    except orjson.JSONDecodeError:
        raise unsendable(f"the arguments of the call `{call.id}` are not JSON, which the messages format wants") from None


def _wire_tool(tool: Mapping[str, JsonValue]) -> dict[str, Any]:
    function = as_object(tool.get("function"))
    if function is None:
        return dict(tool)
    described = {"description": function["description"]} if function.get("description") else {}
    return {"name": function.get("name"), **described, "input_schema": function.get("parameters") or {"type": "object"}}


def _wire_format(shape: Mapping[str, JsonValue]) -> dict[str, Any]:
    schema = (as_object(shape.get("json_schema")) or {}).get("schema")
    if shape.get("type") != "json_schema" or schema is None:
        raise unsendable(f"the messages format has no response format `{shape.get('type')}`: give a JSON Schema")
    return {"type": "json_schema", "schema": schema}


def read_message(content: Mapping[str, Any], evidence: bytes) -> Reply:
    """Return the reply in a message.

    Raises:
        TeacherFault: `malformed`, where there are no blocks or one cannot be read.
    """
    blocks = [as_object(block) for block in as_list(content.get("content")) or ()]
    if as_list(content.get("content")) is None or None in blocks:
        raise malformed("the reply has no content blocks", evidence)
    known = [block for block in blocks if block is not None]
    model = as_text(content.get("model"))
    try:
        message = Message(
            role="assistant",
            content="".join(block["text"] for block in known if block.get("type") == "text"),
            tool_calls=tuple(
                ToolCall(id=block["id"], name=block["name"], arguments=_arguments(block.get("input")))
                for block in known
                if block.get("type") == "tool_use"
            ),
            **_thinking(known),
        )
    except (KeyError, TypeError, ValueError):
        raise malformed("the reply's content blocks cannot be read", evidence) from None
    usage, written = _usage(as_object(content.get("usage")) or {})
    kind = reasoning_kind(
        message,
        usage,
        summary=model is not None and model.startswith("claude-") and not model.startswith(_SHOWS_ALL),
        redacted=message.thinking_signature is not None,
    )
    return Reply(
        message=message,
        finish=_FINISH.get(as_text(content.get("stop_reason")), "unknown"),
        usage=usage,
        model=model,
        provider_request_id=as_text(content.get("id")),
        meta={"reasoning": kind, **({"cache_write_tokens": written} if written else {})},
    )


def _thinking(blocks: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return the reasoning as text, and its proof: the signature of a single block, or the blocks as they came, as JSON."""
    own = [dict(block) for block in blocks if block.get("type") in ("thinking", "redacted_thinking")]
    if not own:
        return {}
    text = "\n\n".join(block["thinking"] for block in own if block["type"] == "thinking" and block["thinking"])
    alone = own[0].get("signature") if len(own) == 1 and own[0]["type"] == "thinking" else None
    signed = any(block.get("signature") or block.get("data") for block in own)
    proof = alone if isinstance(alone, str) else orjson.dumps(own).decode()
    return {**({"thinking": text} if text else {}), **({"thinking_signature": proof} if signed else {})}


def _arguments(value: Any) -> str:
    """Return a call's arguments: as the model wrote them where they were streamed, else written here, once."""
    return value if isinstance(value, str) else orjson.dumps(value or {}).decode()


def _usage(usage: Mapping[str, Any]) -> tuple[Usage, int | None]:
    """Return the usage with the cache's tokens among the input's, and how many were written to the cache."""
    fresh, read = as_count(usage.get("input_tokens")), as_count(usage.get("cache_read_input_tokens"))
    written = as_count(usage.get("cache_creation_input_tokens"))
    details = as_object(usage.get("output_tokens_details")) or {}
    counted = Usage(
        input_tokens=None if fresh is None else fresh + (read or 0) + (written or 0),
        output_tokens=as_count(usage.get("output_tokens")),
        cached_tokens=read,
        reasoning_tokens=as_count(details.get("thinking_tokens")),
    )
    return counted, written


class MessageFold:
    """The events of a streamed message, folded into the whole one."""

    def __init__(self) -> None:
        self._whole: dict[str, Any] = {}
        self._usage: dict[str, Any] = {}
        self._blocks: dict[int, dict[str, Any]] = {}
        self._pieces: dict[tuple[int, str], list[str]] = {}

    @property
    def finished(self) -> bool:
        """Whether an event had the reason why the reply ended."""
        return self._whole.get("stop_reason") is not None

    def take(self, event: Mapping[str, Any]) -> str:
        """Take an event and return its new text."""
        index, kind = as_count(event.get("index")) or 0, event.get("type")
        if kind == "message_start":
            self._whole = dict(as_object(event.get("message")) or {})
            self._usage = dict(as_object(self._whole.get("usage")) or {})
        elif kind == "content_block_start":
            self._blocks[index] = dict(as_object(event.get("content_block")) or {})
        elif kind == "content_block_delta":
            return self._delta(index, as_object(event.get("delta")) or {})
        elif kind == "message_delta":
            self._whole.update(as_object(event.get("delta")) or {})
            self._usage.update({k: v for k, v in (as_object(event.get("usage")) or {}).items() if v is not None})
        return ""

    def _delta(self, index: int, delta: Mapping[str, Any]) -> str:
        name = {
            "text_delta": "text",
            "thinking_delta": "thinking",
            "signature_delta": "signature",
            "input_json_delta": "input",
        }.get(str(delta.get("type")))
        piece = as_text(delta.get("partial_json" if name == "input" else name or "")) or ""
        if name is None:
            return ""
        self._pieces.setdefault((index, name), []).append(piece)
        return "" if name == "signature" else piece

    def body(self) -> dict[str, Any]:
        """Return the message as far as it came."""
        blocks = {index: dict(block) for index, block in self._blocks.items()}
        for (index, name), pieces in self._pieces.items():
            block = blocks.setdefault(index, {"type": {"thinking": "thinking", "signature": "thinking"}.get(name, "text")})
            start = as_text(block.get(name)) or ""
            block[name] = start + "".join(pieces) or block.get(name)
        return {**self._whole, "usage": self._usage, "content": [block for _, block in sorted(blocks.items())]}


MESSAGES = Format(
    path="/messages",
    body=message_body,
    read=read_message,
    fold=MessageFold,
    streaming={"stream": True},
    key_header=("x-api-key", ""),
    headers={"anthropic-version": VERSION},
)
