"""A question that can be understood by somebody who never saw the text that it was made from.

Questions made from passages point at them ("according to the passage", "what does he do then?"), and a model that is trained on
those learns to answer what was never asked. The phrases are a list (`assets/phrases/pointing.txt`); besides, a question that
begins with or asks about a pronoun with nothing before it points at something outside. Rules of wording, English only: other
languages pass unseen.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from gristmill.grading.manner import phrases, plain_quotes
from gristmill.grading.registry import Needs, grader
from gristmill.messages import Frozen
from gristmill.records import Verdict

if TYPE_CHECKING:
    from gristmill.records import Prompt, Sample

MOST_CHARACTERS = 4_000
_PRONOUN = re.compile(
    r"^\W*(?:who|what|when|where|why|how|which|whose|whom)?\W*(?:many |much |long |often |old )?"
    r"(?:is|are|was|were|do|does|did|has|have|had|can|could|will|would|should|might|may)?\W*"
    r"(he|she|it|they|him|them|his|hers|its|their|theirs|this|these|those)\b"
    r"(?! (?:possible|true|correct|safe|legal|necessary|raining|take|takes|mean|means that|important|better|worth|cost|"
    r"considered|called|said that|common|allowed|recommended|ok|okay))",
    re.IGNORECASE,
)


class StandaloneOptions(Frozen):
    """Nothing to choose."""


@grader("standalone", version=2, options=StandaloneOptions, needs=Needs(whole=True))
def grade_standalone(_prompt: Prompt, sample: Sample, _options: StandaloneOptions) -> Verdict:
    """Refuse questions that point at a text which their reader does not see.

    The question is `question` of the sample's `meta`, or else its first user message. Reasons: `standalone`, `points_at_text`,
    `points_at_nothing` (a pronoun without a noun), `no_words`; and without a verdict `no_question`.
    """
    question = question_of(sample)
    if question is None:
        return Verdict(passed=None, reason="no_question")
    text = plain_quotes(question[:MOST_CHARACTERS].strip())
    if not any(map(str.isalpha, text)):
        return Verdict(passed=False, reason="no_words")
    if found := phrases("pointing", r"\b{}").search(text):
        return Verdict(passed=False, reason="points_at_text", evidence={"matched": found.group()[:200], "start": found.start()})
    if pronoun := _PRONOUN.match(text):
        return Verdict(
            passed=False, reason="points_at_nothing", evidence={"matched": pronoun.group(1), "start": pronoun.start(1)}
        )
    return Verdict(passed=True, reason="standalone")


def question_of(sample: Sample) -> str | None:
    """Return what a sample asks: as its task says, or its first user message."""
    said = sample.meta.get("question") or sample.meta.get("instruction")
    if isinstance(said, str) and said.strip():
        return said
    return next((message.content for message in sample.messages if message.role == "user" and message.content.strip()), None)
