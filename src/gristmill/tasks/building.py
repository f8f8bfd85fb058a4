"""From replies to a sample: status, usage and cost, the same way for every task."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gristmill.records import Sample, Status, Usage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic import JsonValue

    from gristmill.messages import Message
    from gristmill.ports import Session
    from gristmill.records import Prompt, Reply

_STATUS: dict[str, tuple[Status, str | None]] = {
    "stop": ("complete", None),
    "tool_calls": ("complete", None),
    "unknown": ("complete", None),
    "length": ("truncated", "max_tokens"),
    "content_filter": ("refused", "content_filter"),
}


def sample_from(prompt: Prompt, session: Session, messages: Sequence[Message], replies: Sequence[Reply]) -> Sample:
    """Return the sample whose conversation is `messages` and the last reply.

    The id is given by the session's owner, which knows the requests. A truncated reply makes a truncated sample: its text is
    kept and shown, and it is not graded as an answer.
    """
    last = replies[-1]
    status, reason = _STATUS[last.finish]
    if status == "complete" and not last.message.content.strip() and not last.message.tool_calls:
        status, reason = "malformed", "empty_answer"
    return Sample(
        id="",
        prompt_id=prompt.id,
        index=session.sample_index,
        messages=(*messages, last.message),
        answer=last.message.content,
        status=status,
        reason=reason,
        usage=total_usage([reply.usage for reply in replies]),
        cost_usd=total_cost([reply.cost_usd for reply in replies]),
    )


def made(
    prompt: Prompt,
    session: Session,
    *,
    messages: Sequence[Message],
    replies: Sequence[Reply],
    meta: dict[str, JsonValue] | None = None,
) -> Sample:
    """Return a complete sample whose conversation the task put together itself; its answer is the last message."""
    return Sample(
        id="",
        prompt_id=prompt.id,
        index=session.sample_index,
        messages=tuple(messages),
        answer=messages[-1].content,
        status="complete" if messages[-1].content.strip() else "malformed",
        reason=None if messages[-1].content.strip() else "empty_answer",
        usage=total_usage([reply.usage for reply in replies]),
        cost_usd=total_cost([reply.cost_usd for reply in replies]),
        meta=meta or {},
    )


def unreadable(prompt: Prompt, session: Session, replies: Sequence[Reply], reason: str, problem: str | None) -> Sample:
    """Return the sample of replies from which nothing could be read: truncated or refused where the last one was."""
    sample = sample_from(prompt, session, prompt.messages, replies)
    meta: dict[str, JsonValue] = {"repairs": len(replies) - 1, "problem": problem}
    if sample.status != "complete":
        return sample.model_copy(update={"meta": meta})
    return sample.model_copy(update={"status": "malformed", "reason": reason, "meta": meta})


def total_usage(usages: Sequence[Usage]) -> Usage:
    """Add up usages; a count is unknown where any part of it is."""
    if len(usages) == 1:
        return usages[0]

    def add(counts: list[int | None]) -> int | None:
        known = [count for count in counts if count is not None]
        return sum(known) if len(known) == len(counts) and counts else None

    return Usage(
        input_tokens=add([usage.input_tokens for usage in usages]),
        output_tokens=add([usage.output_tokens for usage in usages]),
        cached_tokens=add([usage.cached_tokens for usage in usages]),
        reasoning_tokens=add([usage.reasoning_tokens for usage in usages]),
        estimated=any(usage.estimated for usage in usages),
    )


def total_cost(costs: Sequence[float | None]) -> float | None:
    """Add up costs; unknown where any part is unknown."""
    known = [cost for cost in costs if cost is not None]
    return sum(known) if len(known) == len(costs) else None
