"""`reasoning`: one question, one answer with its reasoning: the teacher is asked once per sample.

This is the kind behind rejection sampling (DeepSeek-R1, arXiv 2501.12948, §2.3.3: sample several responses, keep only the
correct ones): the sampling is adaptive in the engine, the correctness is the graders' business, so the task itself is one call.
What cannot be trained on as reasoning is refused by name: a reply whose reasoning the provider hides or sums up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from gristmill.messages import Frozen
from gristmill.tasks.building import sample_from
from gristmill.tasks.registry import task

if TYPE_CHECKING:
    from gristmill.ports import Session
    from gristmill.records import Prompt, Reply, Sample


class ReasoningOptions(Frozen):
    """What is wanted of a reply."""

    thinking: Literal["required", "answer_only"] | None = None
    """What of its reasoning the teacher must show; by default what the teacher's own `thinking` says."""


@task("reasoning", version=1, options=ReasoningOptions, holds_prompt=True)
async def reasoning(prompt: Prompt, session: Session, options: ReasoningOptions) -> Sample:
    """Ask the question once and take the answer."""
    messages = session.frame(prompt)
    reply = await session.complete(messages, step="answer")
    sample = sample_from(prompt, session, messages, [reply])
    if sample.status == "complete" and not shows_enough(reply, options.thinking):
        return sample.model_copy(update={"status": "malformed", "reason": "no_visible_reasoning"})
    return sample


def shows_enough(reply: Reply, thinking: Literal["required", "answer_only"] | None) -> bool:
    """Whether a reply shows what is wanted of its reasoning; one of a model that does not reason shows all there is."""
    if thinking == "answer_only":
        return True
    seen = reply.meta.get("reasoning", "visible" if reply.message.thinking else "none")
    return seen == "visible" or (seen == "none" and thinking is None)
