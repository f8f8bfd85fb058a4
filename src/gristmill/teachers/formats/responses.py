"""The wire format of OpenAI's responses, where it differs from chat completions.

What is asked is a list of items, what comes back too: messages, function calls, reasoning with a summary or its text. The limit
is `max_output_tokens`, a schema stands under `text.format`, and there is neither a seed nor a stop sequence. Nothing is stored at
the provider. Described at platform.openai.com/docs/api-reference/responses and …/responses-streaming.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gristmill.messages import Message, ToolCall
from gristmill.plain import as_count, as_list, as_object, as_text
from gristmill.records import Reply, Usage
from gristmill.teachers.formats.wire import Format, malformed, reasoning_kind, said, unsendable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydantic import JsonValue

    from gristmill.records import Finish, Request

_CUT: dict[str | None, Finish] = {"max_output_tokens": "length", "content_filter": "content_filter"}
_ENDS = ("response.completed", "response.incomplete", "response.failed")
_DELTAS = {
    "response.output_text.delta": "output_text",
    "response.refusal.delta": "refusal",
    "response.reasoning_text.delta": "reasoning_text",
    "response.reasoning_summary_text.delta": "summary_text",
    "response.function_call_arguments.delta": "arguments",
}


def response_body(request: Request, model: str) -> dict[str, Any]:
    """Return the body of a request.

    Raises:
        TeacherFault: `unsendable`, where the format cannot express it.
    """
    sampling = request.sampling
    if sampling.stop or sampling.top_k is not None:
        raise unsendable(f"the responses format has no `{'stop' if sampling.stop else 'top_k'}`")
    body: dict[str, Any] = {
        "model": model,
        "input": [item for message in request.messages for item in _items(message)],
        "store": False,
        **sampling.model_dump(include={"temperature", "top_p"}, exclude_none=True),
    }
    if sampling.max_tokens is not None:
        body["max_output_tokens"] = sampling.max_tokens
    if request.tools:
        body["tools"] = [_wire_tool(tool) for tool in request.tools]
    if request.response_format is not None:
        schema = as_object(request.response_format.get("json_schema")) or {}
        body["text"] = {"format": {"type": request.response_format.get("type"), **schema}}
    return body


def _items(message: Message) -> Iterator[dict[str, Any]]:
    if message.role == "tool":
        yield {"type": "function_call_output", "call_id": message.tool_call_id, "output": message.content}
        return
    if message.content or not message.tool_calls:
        yield {"role": message.role, "content": message.content}
    for call in message.tool_calls:
        yield {"type": "function_call", "call_id": call.id, "name": call.name, "arguments": call.arguments}


def _wire_tool(tool: Mapping[str, JsonValue]) -> dict[str, Any]:
    function = as_object(tool.get("function"))
    return dict(tool) if function is None else {"type": "function", **function}


def read_response(content: Mapping[str, Any], evidence: bytes) -> Reply:
    """Return the reply in a response.

    Raises:
        TeacherFault: `malformed`, where there is no output, an item cannot be read, or the provider says that it failed.
    """
    if content.get("status") == "failed":
        raise malformed(f"the provider failed: {said(content)}", evidence)
    output = as_list(content.get("output"))
    if output is None:
        raise malformed("the reply has no output", evidence)
    try:
        message, refused, summary, redacted = _message([item for item in map(as_object, output) if item is not None])
    except (KeyError, TypeError, ValueError):
        raise malformed("the reply's output cannot be read", evidence) from None
    usage = _usage(as_object(content.get("usage")) or {})
    return Reply(
        message=message,
        finish="content_filter" if refused else _finish(content, message),
        usage=usage,
        model=as_text(content.get("model")),
        provider_request_id=as_text(content.get("id")),
        meta={"reasoning": reasoning_kind(message, usage, summary=summary, redacted=redacted)},
    )


def _message(output: list[dict[str, Any]]) -> tuple[Message, bool, bool, bool]:
    """Return the message in output items, whether it refuses, whether its reasoning is a summary, and whether any is sealed."""
    parts = [part for item in output if item.get("type") == "message" for part in item["content"]]
    reasons = [item for item in output if item.get("type") == "reasoning"]
    whole = [part["text"] for item in reasons for part in as_list(item.get("content")) or ()]
    short = [part["text"] for item in reasons for part in as_list(item.get("summary")) or ()]
    thinking = "\n\n".join(whole or short)
    refusals = [part["refusal"] for part in parts if part["type"] == "refusal"]
    message = Message(
        role="assistant",
        content="".join([*(part["text"] for part in parts if part["type"] == "output_text"), *refusals]),
        thinking=thinking or None,
        tool_calls=tuple(
            ToolCall(id=item["call_id"], name=item["name"], arguments=item["arguments"])
            for item in output
            if item.get("type") == "function_call"
        ),
    )
    return message, bool(refusals), not whole, any(item.get("encrypted_content") for item in reasons)


def _finish(content: Mapping[str, Any], message: Message) -> Finish:
    if content.get("status") == "incomplete":
        return _CUT.get(as_text((as_object(content.get("incomplete_details")) or {}).get("reason")), "length")
    if content.get("status") != "completed":
        return "unknown"
    return "tool_calls" if message.tool_calls else "stop"


def _usage(usage: Mapping[str, Any]) -> Usage:
    read, written = as_object(usage.get("input_tokens_details")), as_object(usage.get("output_tokens_details"))
    return Usage(
        input_tokens=as_count(usage.get("input_tokens")),
        output_tokens=as_count(usage.get("output_tokens")),
        cached_tokens=as_count((read or {}).get("cached_tokens")),
        reasoning_tokens=as_count((written or {}).get("reasoning_tokens")),
    )


class ResponseFold:
    """The events of a streamed response; the last one holds it whole, the deltas are for one that is ended before."""

    def __init__(self) -> None:
        self._whole: dict[str, Any] = {}
        self._last: dict[str, Any] | None = None
        self._texts: dict[str, list[str]] = {}

    @property
    def finished(self) -> bool:
        """Whether the last event came."""
        return self._last is not None

    def take(self, event: Mapping[str, Any]) -> str:
        """Take an event and return its new text."""
        kind, response = str(event.get("type")), as_object(event.get("response"))
        if response is not None:
            self._whole = response
            self._last = response if kind in _ENDS else self._last
        name = _DELTAS.get(kind)
        text = as_text(event.get("delta")) or "" if name else ""
        if name:
            self._texts.setdefault(name, []).append(text)
        return text

    def body(self) -> dict[str, Any]:
        """Return the response: whole, or as far as it came."""
        if self._last is not None:
            return self._last
        texts = {name: "".join(pieces) for name, pieces in self._texts.items()}
        reasons = {
            "summary": [{"type": "summary_text", "text": texts["summary_text"]}] if "summary_text" in texts else [],
            "content": [{"type": "reasoning_text", "text": texts["reasoning_text"]}] if "reasoning_text" in texts else [],
        }
        said_so_far = [{"type": "output_text", "text": texts.get("output_text", "")}]
        output = [{"type": "reasoning", **reasons}, {"type": "message", "role": "assistant", "content": said_so_far}]
        return {**self._whole, "output": output}


RESPONSES = Format(
    path="/responses",
    body=response_body,
    read=read_response,
    fold=ResponseFold,
    streaming={"stream": True},
    key_header=("authorization", "Bearer "),
    headers={},
)
