"""Graders called by name, as the engine calls them; their computations run here, since a worker has tests of its own."""

from __future__ import annotations

import asyncio
from typing import Any

from gristmill import grading
from gristmill.grading import GRADERS
from gristmill.grading.registry import COMPUTATIONS
from gristmill.messages import Message, user
from gristmill.ports import ComputationFailed
from gristmill.records import Prompt, Sample, Verdict
from gristmill.sandbox.opening import Sandbox

assert grading


class Computing:
    """The part of a session that verifiers use."""

    def __init__(self, sandbox: Sandbox | None = None) -> None:
        self.sandbox = sandbox or Sandbox()

    async def run_code(self, job: Any) -> dict[str, Any]:
        """Run a program within the sandbox."""
        return await self.sandbox.run(job)

    async def compute(self, computation: str, **arguments: Any) -> Any:
        """Run a computation at once."""
        try:
            return COMPUTATIONS.get(computation).function(**arguments)
        except Exception as error:
            raise ComputationFailed("error", repr(error)) from error


def graded_by(grader: str, answer: str | None, reference: str | None = None, **options: Any) -> Verdict:
    """Return what a grader says about an answer to some question."""
    messages = (
        user("What is the secret?"),
        Message(role="assistant", content=answer or "", thinking="the secret is hidden"),
    )
    prompt = Prompt(id="p", messages=messages[:1], reference=reference)
    sample = Sample(id="s", prompt_id="p", index=0, messages=messages, answer=answer, status="complete")
    return verdict_of(grader, prompt, sample, **options)


def verdict_of(grader: str, prompt: Prompt, sample: Sample, **options: Any) -> Verdict:
    """Return what a grader says about a sample."""
    plugin = GRADERS.get(grader)
    function: Any = plugin.function
    checked = plugin.options(**options)
    if not plugin.traits["asks"]:
        return function(prompt, sample, checked)
    return asyncio.run(function(prompt, sample, checked, Computing()))
