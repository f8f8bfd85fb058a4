"""The wire format of OpenAI's chat completions: a request as a body, a body as a reply.

Several teachers speak it (servers over HTTP, a model in this process), so it is written once. A reply is either well-formed or a
`malformed` fault with the bytes as evidence. The format is described at platform.openai.com/docs/api-reference/chat.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gristmill.messages import Message, ToolCall
from gristmill.plain import as_count, as_list, as_object, as_text
from gristmill.ports import TeacherFault
from gristmill.records import Reply, Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gristmill.records import Finish, Request

_FINISH: dict[str | None, Finish] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}


def wire_body(request: Request, model: str) -> dict[str, Any]:
    """Return the body of a request; parameters that the recipe does not set are not sent."""
    body: dict[str, Any] = {
        "model": model,
        "messages": [_wire_message(message) for message in request.messages],
        "seed": request.seed,
        **request.sampling.model_dump(exclude_none=True, exclude_defaults=True),
    }
    if request.tools:
        body["tools"] = list(request.tools)
    if request.response_format is not None:
        body["response_format"] = request.response_format
    return body


def _wire_message(message: Message) -> dict[str, Any]:
    wire: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.tool_calls:
        wire["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
    if message.tool_call_id is not None:
        wire["tool_call_id"] = message.tool_call_id
    return wire


def malformed(text: str, evidence: bytes) -> TeacherFault:
    """Return the fault of a reply that cannot be read; it may be tried again, and may have been billed."""
    return TeacherFault(text, kind="transient", code="malformed", evidence=evidence, possibly_billed=True)


def said(content: Any) -> str:
    """Return the provider's own words out of an error body."""
    body = as_object(content)
    error = body.get("error", body) if body is not None else content
    detail = as_object(error)
    if detail is not None:
        error = detail.get("message") or detail.get("detail") or detail
    return str(error)[:500]


def read_completion(content: Mapping[str, Any], evidence: bytes) -> Reply:
    """Return the reply in a chat completion.

    Raises:
        TeacherFault: `malformed`, where there is no choice with a message.
    """
    choices = as_list(content.get("choices"))
    choice = as_object(choices[0]) if choices else None
    if choice is None:
        raise malformed("the reply has no choices", evidence)
    message = as_object(choice.get("message"))
    text = as_text((message or {}).get("content") or "")
    if message is None or text is None:
        raise malformed("the reply's choice has no message", evidence)
    fingerprint = as_text(content.get("system_fingerprint"))
    return Reply(
        message=Message(
            role="assistant",
            content=text,
            thinking=as_text(message.get("reasoning_content") or message.get("reasoning")),
            tool_calls=_tool_calls(message.get("tool_calls"), evidence),
        ),
        finish=_FINISH.get(as_text(choice.get("finish_reason")), "unknown"),
        usage=_usage(as_object(content.get("usage"))),
        model=as_text(content.get("model")),
        provider_request_id=as_text(content.get("id")),
        meta={"system_fingerprint": fingerprint} if fingerprint else {},
    )


def _tool_calls(value: Any, evidence: bytes) -> tuple[ToolCall, ...]:
    try:
        return tuple(
            ToolCall(id=str(call["id"]), name=call["function"]["name"], arguments=call["function"]["arguments"])
            for call in value or ()
        )
    except (KeyError, TypeError, ValueError):
        raise malformed("the reply's tool calls cannot be read", evidence) from None


def _usage(usage: dict[str, Any] | None) -> Usage:
    if usage is None:
        return Usage()
    read, written = as_object(usage.get("prompt_tokens_details")), as_object(usage.get("completion_tokens_details"))
    return Usage(
        input_tokens=as_count(usage.get("prompt_tokens")),
        output_tokens=as_count(usage.get("completion_tokens")),
        cached_tokens=as_count((read or {}).get("cached_tokens")),
        reasoning_tokens=as_count((written or {}).get("reasoning_tokens")),
    )
