r"""Compare a short numeric answer with the reference, exactly.

The first honest version: integers, decimals, fractions, with the units and LaTeX that models put around them. What it
cannot read it says so about (`passed` is None), instead of guessing: a wrong pass goes into training data, a wrong fail
teaches a gate a wrong acceptance rate. Algebra, intervals, sets and matrices are not read here; their references give
`reference_not_a_number`, so a recipe can send them to another grader.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gristmill.grading.extraction import AnswerFormat, extract
from gristmill.grading.numbers import Number, equal, read, show
from gristmill.grading.registry import grader
from gristmill.messages import Frozen
from gristmill.records import Verdict

if TYPE_CHECKING:
    from pydantic import JsonValue

    from gristmill.records import Prompt, Sample

EVIDENCE_CHARACTERS = 200


class MathOptions(Frozen):
    """How `math` finds the answer."""

    answer_format: AnswerFormat = "auto"
    """`auto`, `boxed`, `hash`, `line:PREFIX`, `json:FIELD`, `tag:NAME`, `literal` or `last_number`."""


@grader("math", version=1, options=MathOptions)
def grade_math(prompt: Prompt, sample: Sample, options: MathOptions) -> Verdict:
    r"""Compare exact integers, decimals and fractions with the reference.

    The reference is a number, or a worked solution that ends in `#### 72` or `\boxed{72}`. Reasons: `equal`,
    `different`, `unsimplified` (arithmetic that was not worked out), `not_a_number`, `no_answer` (the declared format
    is not there); and without a verdict `unparsable` (several numbers, a hedge, a time of day), `no_text`,
    `no_reference`, `reference_not_a_number`.
    """
    if prompt.reference is None:
        return Verdict(passed=None, reason="no_reference")
    reference = reference_number(prompt.reference)
    if reference is None:
        return Verdict(passed=None, reason="reference_not_a_number", evidence={"reference": _cut(prompt.reference)})
    if sample.answer is None:
        return Verdict(passed=None, reason="no_text", evidence={"reference": _cut(show(reference))})
    found = extract(sample.answer, options.answer_format)
    evidence: dict[str, JsonValue] = {
        "extracted": None if found.answer is None else _cut(found.answer),
        "normalised": None,
        "reference": _cut(show(reference)),
        "method": found.method,
        "multi_answer": found.multi_answer,
    }
    if found.answer is None:
        return Verdict(passed=False, reason="no_answer", evidence=evidence)
    number, problem = read(found.answer)
    if number is None:
        passed = None if problem == "unparsable" else False
        return Verdict(passed=passed, reason=problem or "unparsable", evidence=evidence)
    evidence["normalised"] = _cut(show(number))
    same = equal(number, reference)
    return Verdict(passed=same, reason="equal" if same else "different", evidence=evidence)


def reference_number(reference: str) -> Number | None:
    r"""Return the number that a reference states: by itself, after its last `####`, or in its last `\boxed{}`."""
    for form in ("hash", "boxed", "literal"):
        stated = extract(reference, form).answer
        if stated is not None:
            return read(stated).number
    return None


def _cut(text: str) -> str:
    return text if len(text) <= EVIDENCE_CHARACTERS else f"{text[: EVIDENCE_CHARACTERS - 1]}…"
