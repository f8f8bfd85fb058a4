"""What passes between people, models and tools, and the frozen base of every noun.

Nouns are pydantic models that cannot be changed, refuse unknown fields and refuse NaN: "could not be graded" is `None`,
never a number that JSON turns into null and a metric into zero.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict

from gristmill.plain import as_items, as_object

Role = Literal["system", "user", "assistant", "tool"]


class Frozen(BaseModel):
    """The base of every noun: immutable, closed, no NaN, docs beside the fields."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True, validate_default=False
    )


class ToolCall(Frozen):
    """One call that a model asks for."""

    id: str
    name: str
    arguments: str
    """The arguments as the JSON text that the model wrote; never re-serialised, so nothing is silently rewritten."""


class Message(Frozen):
    """One message of a conversation."""

    role: Role
    content: str
    thinking: str | None = None
    """Visible reasoning that came before the content, if the model shows it."""
    thinking_signature: str | None = None
    """A provider's opaque proof of the reasoning, kept because some providers want it back."""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    """For role `tool`: the call that this answers."""

    def canonical(self) -> dict[str, Any]:
        """Return the plain form that is hashed and stored: fields that say nothing are left out."""
        plain: dict[str, Any] = {"role": self.role, "content": self.content}
        if self.thinking is not None:
            plain["thinking"] = self.thinking
        if self.thinking_signature is not None:
            plain["thinking_signature"] = self.thinking_signature
        if self.tool_calls:
            plain["tool_calls"] = [{"id": c.id, "name": c.name, "arguments": c.arguments} for c in self.tool_calls]
        if self.tool_call_id is not None:
            plain["tool_call_id"] = self.tool_call_id
        return plain


def read_message(given: Any) -> Message:
    """Return a message as data sets and providers write it.

    Keys that are null are as good as not there, an assistant or a tool may say nothing, and a call may stand under `function`.

    Raises:
        ValidationError: where it is none.
    """
    content = as_object(given)
    if content is None:
        return Message.model_validate(given)
    told = {key: value for key, value in content.items() if value is not None}
    if content.get("role") in ("assistant", "tool") and ("content" in content or "tool_calls" in told):
        told.setdefault("content", "")
    if "tool_calls" in told:
        told["tool_calls"] = [_plain_call(call) for call in as_items(told["tool_calls"])]
    return Message.model_validate(told)


def _plain_call(given: Any) -> Any:
    """Return a call that may be in OpenAI's form with its name and arguments beside its id; arguments as their text."""
    content = as_object(given)
    if content is None:
        return given
    told = {key: value for key, value in content.items() if value is not None and (key, value) != ("type", "function")}
    told |= as_object(told.pop("function", None)) or {}
    if as_object(told.get("arguments")) is not None:
        with suppress(orjson.JSONEncodeError):  # too deep, or no JSON at all: then it is refused as it stands
            told["arguments"] = orjson.dumps(told["arguments"]).decode()
    return told


def system(text: str) -> Message:
    """Return a system message."""
    return Message(role="system", content=text)


def user(text: str) -> Message:
    """Return a user's message."""
    return Message(role="user", content=text)
