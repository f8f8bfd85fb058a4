r"""Short answers against a reference: `math` for numbers, quantities, structures and expressions, `literal` for Python values.

Rules decide what they can in microseconds; algebra is asked for the rest, in a worker that can be killed. What cannot be
decided says so (`passed` is None): a wrong pass goes into training data, a wrong fail teaches a gate a wrong acceptance rate.
A recipe sends what is unverifiable to another grader with `when: unverifiable`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pydantic import Field

from gristmill.grading.answers import literals
from gristmill.grading.answers.comparing import Compared, Pending, Rules, compare
from gristmill.grading.answers.extraction import AnswerFormat, extract, present
from gristmill.grading.answers.kinds import Kind, kind_of
from gristmill.grading.registry import Needs, grader
from gristmill.messages import Frozen
from gristmill.ports import ComputationFailed
from gristmill.records import Verdict

if TYPE_CHECKING:
    from pydantic import JsonValue

    from gristmill.grading.answers.extraction import Extraction
    from gristmill.ports import Session
    from gristmill.records import Prompt, Sample

EVIDENCE_CHARACTERS = 200


class MathOptions(Frozen):
    """How `math` finds the answer and what it is."""

    answer_format: AnswerFormat = "auto"
    """`auto`, `boxed`, `hash`, `line:PREFIX`, `json:FIELD`, `tag:NAME`, `literal` or `last_number`."""
    kind: Kind | None = None
    """What references are; by default each says so by its form."""
    decimals: int | None = Field(default=None, ge=0, le=12)
    """Compare numbers after rounding to so many decimal places; by default they are exact."""
    simplified: bool | None = None
    """Fail arithmetic in place of the result (`49 + 216`) or before it (`8 - 4 = 4`), even where its value is right; by default
    where the question asks for the answer alone."""
    ordered: bool | None = None
    """Whether the order of a bare list (`1, 2`) matters; by default where the question speaks of an order."""


def proof_of(reference: str, options: MathOptions | LiteralOptions) -> str:
    """Return a text that states the reference as the options want it."""
    answer = stated(reference) if isinstance(options, MathOptions) else reference
    return present(answer, options.answer_format)


@grader("math", version=4, options=MathOptions, needs=Needs(("same_expressions",)), proof=proof_of)
async def grade_math(prompt: Prompt, sample: Sample, options: MathOptions, session: Session) -> Verdict:
    r"""Compare a short answer with the reference: exact numbers, quantities, structures, expressions.

    The reference is the answer itself, or a worked solution that ends in `#### 72` or `\boxed{72}`. Reasons: `equal`,
    `different`, `unsimplified`, `not_a_number`, `no_answer` (the declared format is not there); and without a verdict
    `unparsable` (several numbers, a hedge), `unverifiable` (words that differ), `too_large`, `timeout`, `no_text`,
    `no_reference`.
    """
    if not (prompt.reference or "").strip():
        return Verdict(passed=None, reason="no_reference")
    reference = stated(prompt.reference or "")
    if sample.answer is None:
        return Verdict(passed=None, reason="no_text", evidence={"reference": _cut(reference)})
    found = extract(sample.answer, options.answer_format)
    kind = options.kind or kind_of(reference)
    evidence = _evidence(found, reference)
    evidence["kind"] = kind
    if found.answer is None:
        return Verdict(passed=False, reason="no_answer", evidence=evidence)
    ordered = is_ordered(prompt) if options.ordered is None else options.ordered
    simplified = asks_for_answer_alone(prompt) if options.simplified is None else options.simplified
    result = compare(reference, found.answer, kind, Rules(options.decimals, simplified, ordered))
    if isinstance(result, Pending):
        result = await _by_algebra(result, session)
    evidence["normalised"] = None if result.normalised is None else _cut(result.normalised)
    evidence["test"] = result.method
    return Verdict(passed=result.passed, reason=result.reason, evidence=evidence)


_ORDER = re.compile(
    r"\b(?:order(?:ed)?|sort(?:ed)?|ascending|descending|increasing|decreasing|smallest to|largest to|sequence|respectively|"
    r"rank(?:ed)?|arrange|coordinates?|pair|triple|tuple|vector)\b",
    re.IGNORECASE,
)


def is_ordered(prompt: Prompt) -> bool:
    """Whether a question asks for things in an order; where there is no question to look at, their order counts."""
    asked = " ".join(message.content for message in prompt.messages)
    return not asked or _ORDER.search(asked) is not None


_ALONE = re.compile(
    r"\b(?:answer|give|output|print|provide|reply|report|respond|return|state|write)\s+(?:\w+\s+){0,2}(?:only|just)\s+(?:\w+\s+){0,3}"
    r"(?:answer|integer|number|result|value)\b",
    re.IGNORECASE,
)


def asks_for_answer_alone(prompt: Prompt) -> bool:
    """Whether the question, or the system message, wants nothing but the result (`provide only the final answer`)."""
    return any(message.role in ("system", "user") and _ALONE.search(message.content) for message in prompt.messages)


async def _by_algebra(pending: Pending, session: Session) -> Compared:
    try:
        same = await session.compute("same_expressions", pairs=[list(pair) for pair in pending.pairs])
    except ComputationFailed as failure:
        return Compared(None, "unparsable" if failure.reason == "error" else failure.reason, "algebra")
    if same is None:
        return Compared(None, "unparsable", "algebra")
    return Compared(same is True, "equal" if same else "different", "algebra", pending.pairs[0][1])


def stated(reference: str) -> str:
    r"""Return the answer that a reference states: after its last `####`, in its last `\boxed{}`, or the whole of it."""
    for form in ("hash", "boxed"):
        answer = extract(reference, form).answer
        if answer is not None:
            return answer
    return reference.strip()


class LiteralOptions(Frozen):
    """How `literal` finds the answer."""

    answer_format: AnswerFormat = "literal"
    """As for `math`; `literal` takes the whole text."""


@grader("literal", version=1, options=LiteralOptions, proof=proof_of)
def grade_literal(prompt: Prompt, sample: Sample, options: LiteralOptions) -> Verdict:
    """Compare a Python literal with the reference, in type and value.

    Reasons: `equal`, `different`, `not_a_literal`, `no_answer`; and without a verdict `reference_not_a_literal`, `no_text`,
    `no_reference`.
    """
    if prompt.reference is None:
        return Verdict(passed=None, reason="no_reference")
    if sample.answer is None:
        return Verdict(passed=None, reason="no_text")
    found = extract(sample.answer, options.answer_format, verbatim=True)
    evidence = _evidence(found, prompt.reference)
    if found.answer is None:
        return Verdict(passed=False, reason="no_answer", evidence=evidence)
    result = literals.compare(prompt.reference, found.answer)
    evidence["normalised"] = None if result.normalised is None else _cut(result.normalised)
    evidence["test"] = result.method
    return Verdict(passed=result.passed, reason=result.reason, evidence=evidence)


def _evidence(found: Extraction, reference: str) -> dict[str, JsonValue]:
    return {
        "extracted": None if found.answer is None else _cut(found.answer),
        "normalised": None,
        "reference": _cut(reference),
        "method": found.method,
        "multi_answer": found.multi_answer,
    }


def _cut(text: str) -> str:
    return text if len(text) <= EVIDENCE_CHARACTERS else f"{text[: EVIDENCE_CHARACTERS - 1]}…"
