"""Whether an answer follows the checkable constraints that were put behind its instruction.

The constraints came with the prompt (`meta.constraints`: grader and options each), so this looks up graders of text and asks
them all; it adds no rule of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from gristmill.grading.registry import GRADERS, Needs, grader
from gristmill.messages import Frozen
from gristmill.plain import as_list, as_object
from gristmill.records import Verdict

if TYPE_CHECKING:
    from gristmill.records import Prompt, Sample


class ConstraintsOptions(Frozen):
    """Nothing to choose."""


@grader("constraints", version=1, options=ConstraintsOptions, needs=Needs(whole=True))
def grade_constraints(prompt: Prompt, sample: Sample, _options: ConstraintsOptions) -> Verdict:
    """Check every constraint that the prompt declares; a prompt without one passes.

    Reasons: `followed`, `none_declared`, or the first that is broken as `GRADER: REASON`; without a verdict `no_text`,
    `bad_constraint`. Score: the share that is followed.
    """
    declared = as_list(prompt.meta.get("constraints") or sample.meta.get("constraints")) or []
    if sample.answer is None:
        return Verdict(passed=None, reason="no_text")
    verdicts: list[tuple[str, Verdict]] = []
    for item in declared:
        constraint = as_object(item) or {}
        name = str(constraint.get("grader"))
        if name not in GRADERS or GRADERS.get(name).traits["asks"]:
            return Verdict(passed=None, reason="bad_constraint", evidence={"constraint": name[:100]})
        plugin = GRADERS.get(name)
        try:
            options = plugin.options.model_validate(constraint.get("options") or {})
        except ValidationError:
            return Verdict(passed=None, reason="bad_constraint", evidence={"constraint": name})
        function: Any = plugin.function
        verdict: Verdict = function(prompt, sample, options)
        verdicts.append((name, verdict))
    if not verdicts:
        return Verdict(passed=True, reason="none_declared")
    score = sum(verdict.passed is True for _, verdict in verdicts) / len(verdicts)
    for wanted in (False, None):
        for name, verdict in verdicts:
            if verdict.passed is wanted:
                return Verdict(passed=wanted, reason=f"{name}: {verdict.reason}", score=score, evidence=verdict.evidence)
    return Verdict(passed=True, reason="followed", score=score)
