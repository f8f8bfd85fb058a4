"""The wire format of OpenAI's chat completions: a request as a body, a body as a reply, chunks of a stream as a body.

Several teachers speak it (servers over HTTP, a model in this process), so it is written once. A reply is either well-formed or a
`malformed` fault with the bytes as evidence. The format is described at platform.openai.com/docs/api-reference/chat; reasoning
stands in `reasoning_content` (DeepSeek, SGLang), in `reasoning` (OpenRouter, vLLM, Ollama) or in the text between `<think>` tags.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from gristmill.messages import Message, ToolCall
from gristmill.plain import as_count, as_list, as_object, as_text
from gristmill.ports import TeacherFault
from gristmill.records import Reply, Usage, plain_sampling
from gristmill.teachers.formats.parameters import openai_reasoning
from gristmill.teachers.formats.wire import Format, malformed, reasoning_kind, said

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
_THOUGHT = re.compile(r"\s*<think>(.*?)</think>\s*(.*)", re.DOTALL)


def wire_body(request: Request, model: str) -> dict[str, Any]:
    """Return the body of a request; parameters that the recipe does not set are not sent.

    Args:
        request: What is asked.
        model: The model's name there.
    """
    body: dict[str, Any] = {
        "model": model,
        "messages": [_wire_message(message) for message in request.messages],
        "seed": request.seed,
        **{name: value for name, value in plain_sampling(request.sampling).items() if value != ()},
    }
    if "max_tokens" in body and openai_reasoning(request.identity.provider, model):
        body["max_completion_tokens"] = body.pop("max_tokens")
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


def read_completion(content: Mapping[str, Any], evidence: bytes) -> Reply:
    """Return the reply in a chat completion, the first where there are several.

    Raises:
        TeacherFault: `malformed`, where there is no choice with a message.
    """
    choices = as_list(content.get("choices"))
    if not choices:
        raise malformed("the reply has no choices", evidence)
    return _reply(content, choices[0], _usage(as_object(content.get("usage"))), evidence)


def read_completions(content: Mapping[str, Any], evidence: bytes) -> list[Reply | TeacherFault]:
    """Return every reply in a chat completion that was asked for several (`n`), or the fault of one that cannot be read.

    The provider reports one usage for all of them, and each has it.

    Raises:
        TeacherFault: `malformed`, where there is no choice.
    """
    choices = as_list(content.get("choices"))
    if not choices:
        raise malformed("the reply has no choices", evidence)
    usage = _usage(as_object(content.get("usage")))
    replies: list[Reply | TeacherFault] = []
    for choice in choices:
        try:
            replies.append(_reply(content, choice, usage, evidence))
        except TeacherFault as fault:
            replies.append(fault)
    return replies


def _reply(content: Mapping[str, Any], choice: Any, usage: Usage, evidence: bytes) -> Reply:
    one = as_object(choice)
    if one is None:
        raise malformed("the reply has no choices", evidence)
    if one.get("error"):  # a router says so in the place of the answer that the provider broke off
        raise malformed(f"the reply's choice is an error: {said(one)}", evidence)
    wire = as_object(one.get("message"))
    parts = None if wire is None else _said(wire.get("content"))
    if wire is None or parts is None:
        raise malformed("the reply's choice has no message", evidence)
    thought, text = parts
    finish = _FINISH.get(as_text(one.get("finish_reason")), "unknown")
    if not text and as_text(wire.get("refusal")):
        text, finish = wire["refusal"], "content_filter"
    thinking = as_text(wire.get("reasoning_content") or wire.get("reasoning")) or thought
    if not thinking:
        thinking, text = split_thinking(text, cut=finish == "length")
    message = Message(role="assistant", content=text, thinking=thinking, tool_calls=_tool_calls(wire.get("tool_calls"), evidence))
    kinds = {str((as_object(detail) or {}).get("type")) for detail in as_list(wire.get("reasoning_details")) or ()}
    seen = reasoning_kind(
        message,
        usage,
        summary="reasoning.summary" in kinds and "reasoning.text" not in kinds,
        redacted="reasoning.encrypted" in kinds,
    )
    known = {"system_fingerprint": as_text(content.get("system_fingerprint")), "logprobs": as_object(one.get("logprobs"))}
    return Reply(
        message=message,
        finish=finish,
        usage=usage,
        model=as_text(content.get("model")) or None,
        provider_request_id=as_text(content.get("id")),
        meta={"reasoning": seen, **{name: value for name, value in known.items() if value}},
    )


def _said(content: Any) -> tuple[str, str] | None:
    """Return the reasoning and the text in a message's content, or None where it is neither a text nor parts that can be read.

    Parts are how Mistral's reasoning models answer: `thinking` with texts in it, then `text`
    (docs.mistral.ai/studio-api/conversations/reasoning).
    """
    parts = as_list(content)
    if parts is None:
        text = as_text(content or "")
        return None if text is None else ("", text)
    texts: dict[str, list[str]] = {"thinking": [], "text": []}
    for part in map(as_object, parts):
        kind = as_text((part or {}).get("type")) or ""
        inner = None if part is None or kind not in texts else part.get(kind)
        said = None if inner is None else _said(inner)
        if said is None:
            return None
        texts[kind].append("".join(said))
    return "".join(texts["thinking"]), "".join(texts["text"])


def split_thinking(text: str, *, cut: bool) -> tuple[str | None, str]:
    """Return the reasoning that stands at the start of a text between `<think>` tags, and the text after it.

    Args:
        text: What the model wrote.
        cut: Whether it was cut off: then reasoning that is not closed is reasoning too.
    """
    found = _THOUGHT.fullmatch(text)
    if found:
        return found[1].strip(), found[2]
    opened = text.lstrip()
    if cut and opened.startswith("<think>"):
        return opened.removeprefix("<think>").strip(), ""
    if text.count("</think>") == 1 and "<think>" not in text:  # templates of R1 and others open the tag in the prompt
        before, _, after = text.partition("</think>")
        return before.strip(), after.lstrip()
    return None, text


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


class _Call(NamedTuple):
    """A tool call as its pieces come."""

    head: dict[str, str]
    arguments: list[str]


class ChunkFold:
    """The chunks of a streamed chat completion, folded into the whole one; of several answers the first."""

    def __init__(self) -> None:
        self._whole: dict[str, Any] = {}
        self._texts: dict[str, list[str]] = {}
        self._calls: dict[int, _Call] = {}
        self._details: list[Any] = []
        self._logprobs: list[Any] = []
        self._finish: Any = None
        self._unread: Any = None
        """A content that nobody can read, kept so that the whole is malformed and not half."""

    @property
    def finished(self) -> bool:
        """Whether a chunk had the reason why the reply ended."""
        return self._finish is not None

    def take(self, event: Mapping[str, Any]) -> str:
        """Take a chunk and return its new text."""
        for name in ("id", "model", "system_fingerprint", "usage"):  # usage comes last, in a chunk without choices
            if event.get(name):
                self._whole[name] = event[name]
        choice = next((one for one in map(as_object, as_list(event.get("choices")) or ()) if one and not one.get("index")), None)
        if choice is None:
            return ""
        self._finish = choice.get("finish_reason") or self._finish
        self._logprobs += as_list((as_object(choice.get("logprobs")) or {}).get("content")) or []
        delta = as_object(choice.get("delta")) or {}
        self._details += as_list(delta.get("reasoning_details")) or []
        fresh: list[str] = []
        said = _said(delta.get("content"))
        if said is None:
            self._unread = delta["content"]
        thought, content = said or ("", "")
        for name, text in (
            ("reasoning_content", as_text(delta.get("reasoning_content")) or thought),
            ("reasoning", as_text(delta.get("reasoning"))),
            ("content", content),
            ("refusal", as_text(delta.get("refusal"))),
        ):
            if text:
                self._texts.setdefault(name, []).append(text)
                fresh.append(text)
        return "".join([*fresh, *(self._call(call) for call in map(as_object, as_list(delta.get("tool_calls")) or ()) if call)])

    def _call(self, piece: Mapping[str, Any]) -> str:
        call = self._calls.setdefault(as_count(piece.get("index")) or 0, _Call({}, []))
        function = as_object(piece.get("function")) or {}
        for name, value in (("id", as_text(piece.get("id"))), ("name", as_text(function.get("name")))):
            if value:
                call.head.setdefault(name, value)
        arguments = as_text(function.get("arguments")) or ""
        call.arguments.append(arguments)
        return arguments

    def body(self) -> dict[str, Any]:
        """Return the completion as far as it came."""
        message: dict[str, Any] = {"role": "assistant", **{name: "".join(texts) for name, texts in self._texts.items()}}
        if self._unread is not None:
            message["content"] = self._unread
        if self._details:
            message["reasoning_details"] = self._details
        if self._calls:
            message["tool_calls"] = [
                {"id": call.head.get("id"), "function": {"name": call.head.get("name"), "arguments": "".join(call.arguments)}}
                for _, call in sorted(self._calls.items())
            ]
        choice: dict[str, Any] = {"index": 0, "message": message, "finish_reason": self._finish}
        if self._logprobs:
            choice["logprobs"] = {"content": self._logprobs}
        return {**self._whole, "choices": [choice]}


CHAT = Format(
    path="/chat/completions",
    body=wire_body,
    read=read_completion,
    fold=ChunkFold,
    streaming={"stream": True, "stream_options": {"include_usage": True}},
    key_header=("authorization", "Bearer "),
    headers={},
    several=read_completions,
)
