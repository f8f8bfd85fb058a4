"""`reasoning`: one question, one answer with its reasoning: the teacher is asked once per sample.

This is the kind behind rejection sampling (DeepSeek-R1, arXiv 2501.12948, §2.3.3: sample several responses, keep only the
correct ones): the sampling is adaptive in the engine, the correctness is the graders' business, so the task itself is one call.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gristmill.messages import Frozen
from gristmill.tasks.building import sample_from
from gristmill.tasks.registry import task

if TYPE_CHECKING:
    from gristmill.ports import Session
    from gristmill.records import Prompt, Sample


class ReasoningOptions(Frozen):
    """The `reasoning` task has no options."""


@task("reasoning", version=1, options=ReasoningOptions)
async def reasoning(prompt: Prompt, session: Session, options: ReasoningOptions) -> Sample:  # noqa: ARG001 - the port
    """Ask the question once and take the answer."""
    messages = session.frame(prompt)
    reply = await session.complete(messages, step="answer")
    return sample_from(prompt, session, messages, [reply])
