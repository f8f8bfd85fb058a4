"""Ask a reward model for a number and pass what reaches a threshold.

A reward model is a judge that says a number instead of words: it is asked through the session, paid once, on record, and
`uncalibrated` until labels say what its threshold is worth. Its scale is its own (logits, probabilities, points), so the
threshold has no default; `score` is the number squeezed into 0 to 1 where the recipe gives the scale's ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import model_validator

from gristmill.grading.registry import grader
from gristmill.messages import Frozen, Message
from gristmill.records import Sampling, Verdict

if TYPE_CHECKING:
    from typing import Self

    from pydantic import JsonValue

    from gristmill.ports import Session
    from gristmill.records import Prompt, Sample


class RewardOptions(Frozen):
    """From which number on an answer passes."""

    pass_at: float
    """The least number that passes, on the model's own scale."""
    scale: tuple[float, float] | None = None
    """The ends of that scale, for `score`."""

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        if self.scale is not None and self.scale[0] >= self.scale[1]:
            raise ValueError(f"`scale` is [{self.scale[0]}, {self.scale[1]}]: the lower end comes first")
        return self


@grader("reward", version=1, options=RewardOptions, kind="judge", short="pass_at")
async def grade_reward(prompt: Prompt, sample: Sample, options: RewardOptions, session: Session) -> Verdict:
    """Ask a reward model (`api: score`) about the question and the answer.

    Reasons: `reward`; and without a verdict `no_text`, `no_number`. Model failures keep their own reasons.
    """
    if sample.answer is None:
        return Verdict(passed=None, reason="no_text")
    messages = (*prompt.messages, Message(role="assistant", content=sample.answer))
    reply = await session.complete(messages, step="score", role="judge", sampling=Sampling())
    try:
        number = float(reply.message.content)
    except ValueError:
        return Verdict(passed=None, reason="no_number", evidence={"said": reply.message.content[:200]})
    evidence: dict[str, JsonValue] = {"reward": number}
    score = None
    if options.scale is not None:
        low, high = options.scale
        score = min(1.0, max(0.0, (number - low) / (high - low)))
    return Verdict(passed=number >= options.pass_at, reason="reward", score=score, evidence=evidence)
