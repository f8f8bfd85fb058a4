"""Which parameters a route refuses, known before a call is paid for.

Parameters are never dropped in silence: what a route refuses is the person's to take away, because the samples would differ from
what the recipe says. The rules are the providers' own (platform.openai.com/docs/guides/reasoning, …/api-reference/chat/create,
platform.claude.com/docs/en/api/messages, …/build-with-claude/extended-thinking); a rule that is missing costs one refused call.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from gristmill.plain import as_object

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_REASONS = re.compile(r"^(o\d|gpt-5(?![.\d]*-chat))")
_OPENAI = ("openai", "azure")
_REMOVE = "take `{0}` out of `sampling`"


class Refused(NamedTuple):
    """A parameter of the recipe that a route refuses."""

    name: str
    reason: str
    fix: str


def openai_reasoning(provider: str, model: str) -> bool:
    """Whether a model is one of OpenAI's that reason first: the o-series and the gpt-5 family, chat variants aside."""
    return provider in _OPENAI and _REASONS.match(model.rsplit("/", 1)[-1]) is not None


def refused(provider: str, api: str, model: str, sampling: Mapping[str, Any], extra_body: Mapping[str, Any]) -> list[Refused]:
    """Return the parameters that a route refuses, in the order of the recipe.

    Args:
        provider: The address's kind: `openai`, `anthropic`, `vllm`, …
        api: The wire format: `chat`, `responses` or `messages`.
        model: The model's name there.
        sampling: The parameters; those that are None or empty are not sent.
        extra_body: Fields that the recipe adds to every body, which may change what is refused.
    """
    sent = {name: value for name, value in sampling.items() if value not in (None, (), [])}
    rules = {"messages": _messages, "responses": _responses}.get(api)
    found = list(rules(provider, sent, extra_body) if rules else ())
    if provider in _OPENAI:
        found += _openai(provider, model, sent, extra_body)
    order = list(sampling)
    return sorted({rule.name: rule for rule in reversed(found)}.values(), key=lambda rule: order.index(rule.name))


def _openai(provider: str, model: str, sent: Mapping[str, Any], extra_body: Mapping[str, Any]) -> Iterator[Refused]:
    if "top_k" in sent:
        yield Refused("top_k", "OpenAI has no `top_k`", _REMOVE.format("top_k"))
    effort = extra_body.get("reasoning_effort") or (as_object(extra_body.get("reasoning")) or {}).get("effort")
    if not openai_reasoning(provider, model) or effort == "none":
        return
    for name in ("temperature", "top_p", "stop"):
        if name in sent:
            yield Refused(name, f"`{model}` reasons, and OpenAI's reasoning models refuse `{name}`", _REMOVE.format(name))


def _responses(_: str, sent: Mapping[str, Any], __: Mapping[str, Any]) -> Iterator[Refused]:
    for name in ("top_k", "stop"):
        if name in sent:
            yield Refused(name, f"the responses format has no `{name}`", f"{_REMOVE.format(name)}, or use `api: chat`")


def _messages(provider: str, sent: Mapping[str, Any], extra_body: Mapping[str, Any]) -> Iterator[Refused]:
    if "max_tokens" not in sent:
        yield Refused(
            "max_tokens", "the messages format wants `max_tokens` in every request", "write `sampling: {max_tokens: 8192}`"
        )
    if provider != "anthropic":
        return
    if sent.get("temperature", 0) > 1:
        yield Refused("temperature", "Anthropic's temperatures go from 0 to 1", "write `temperature: 1` or less")
    thinking = (as_object(extra_body.get("thinking")) or {}).get("type")
    if thinking in ("enabled", "adaptive"):
        if sent.get("temperature", 1) != 1:
            yield Refused("temperature", "Anthropic refuses a temperature where thinking is on", _REMOVE.format("temperature"))
        if "top_k" in sent:
            yield Refused("top_k", "Anthropic refuses `top_k` where thinking is on", _REMOVE.format("top_k"))
