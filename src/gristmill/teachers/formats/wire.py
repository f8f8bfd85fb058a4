"""What the wire formats share: how a format is put together, faults with evidence, usage, and which reasoning was seen.

A format is three pure functions: a request becomes a body, a body becomes a `Reply`, and the events of a stream are folded into
the body that would have come whole, so there is one reader a format. Nothing here opens a connection; `http` does that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol

from gristmill.messages import Message
from gristmill.plain import as_object
from gristmill.ports import TeacherFault
from gristmill.records import Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from gristmill.records import Reply, Request

ReasoningKind = Literal["visible", "summary", "hidden", "none"]
"""What a reply shows of its reasoning: its text, a summary of it, only that there was some, or that there was none."""
BYTES_PER_TOKEN = 4
"""For estimates. OpenAI's help page "What are tokens and how to count them?" gives about four characters of English a token;
bytes instead of characters, because byte-level tokenizers need more tokens for other scripts."""


class Fold(Protocol):
    """The events of one stream, folded into the body that would have come whole."""

    def take(self, event: Mapping[str, Any]) -> str:
        """Take the next event and return the text that it adds, reasoning included."""
        ...

    @property
    def finished(self) -> bool:
        """Whether the provider said how the reply ended."""
        ...

    def body(self) -> dict[str, Any]:
        """Return the body as far as it came."""
        ...


class Format(NamedTuple):
    """One wire format."""

    path: str
    """Where requests go, after the base URL."""
    body: Callable[[Request, str], dict[str, Any]]
    """A request and the model's name there become a body."""
    read: Callable[[Mapping[str, Any], bytes], Reply]
    """A body and its bytes as evidence become a reply, or a `malformed` fault."""
    fold: Callable[[], Fold]
    streaming: Mapping[str, Any]
    """Fields that ask for a stream."""
    key_header: tuple[str, str]
    """The header that carries the key, and what stands before the key."""
    headers: Mapping[str, str]
    """Headers that every request has besides."""
    several: Callable[[Mapping[str, Any], bytes], list[Reply | TeacherFault]] | None = None
    """Every reply in a body, where a request can ask for several (`n`), each with the usage of all; or the fault in its place."""


def malformed(text: str, evidence: bytes) -> TeacherFault:
    """Return the fault of a reply that cannot be read; it may be tried again, and may have been billed."""
    return TeacherFault(text, kind="transient", code="malformed", evidence=evidence, possibly_billed=True)


def unsendable(text: str) -> TeacherFault:
    """Return the fault of a request that a format cannot express: nothing was sent."""
    return TeacherFault(text, kind="permanent", code="unsendable")


def said(content: Any) -> str:
    """Return the provider's own words out of an error body, at most 500 characters."""
    body = as_object(content)
    error = body.get("error", body) if body is not None else content
    detail = as_object(error)
    if detail is not None:
        error = detail.get("message") or detail.get("detail") or detail
    return str(error)[:500]


def reasoning_kind(message: Message, usage: Usage, *, summary: bool = False, redacted: bool = False) -> ReasoningKind:
    """Return what a reply shows of its reasoning.

    Args:
        message: The reply's message.
        usage: Its tokens; those of reasoning tell of reasoning that is not shown.
        summary: Whether the provider gives summaries in the place of the reasoning.
        redacted: Whether the provider sent reasoning that cannot be read.
    """
    if message.thinking and message.thinking.strip():
        return "summary" if summary else "visible"
    return "hidden" if redacted or usage.reasoning_tokens else "none"


def estimated(usage: Usage, request: Request, *messages: Message) -> Usage:
    """Return `usage` with what the provider did not report filled in by estimate, and marked so.

    Tokens are UTF-8 bytes / 4, rounded up, of all texts that were sent or came back. Reasoning that is not shown is not in it.
    """
    if usage.input_tokens is not None and usage.output_tokens is not None:
        return usage
    sent = [text for one in request.messages for text in _texts(one)]
    return usage.model_copy(
        update={
            "input_tokens": _tokens(sent) if usage.input_tokens is None else usage.input_tokens,
            "output_tokens": _tokens([text for one in messages for text in _texts(one)])
            if usage.output_tokens is None
            else usage.output_tokens,
            "estimated": True,
        }
    )


def _texts(message: Message) -> tuple[str, ...]:
    return (
        message.content,
        message.thinking or "",
        *(text for call in message.tool_calls for text in (call.name, call.arguments)),
    )


def _tokens(texts: Sequence[str]) -> int:
    return -(-sum(len(text.encode()) for text in texts) // BYTES_PER_TOKEN)
