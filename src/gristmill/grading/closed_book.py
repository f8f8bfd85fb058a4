"""Is the passage needed, and is it enough? A model answers the question without it and with it.

A question that a model answers without the passage teaches nothing that it does not know; one that it cannot answer with the
passage has a wrong answer or none. Both probes are calls on record, paid once. Answers are compared as SQuAD does (Rajpurkar et
al. 2016, arXiv 1606.05250: lower case, no articles or punctuation, F1 over words), or by the short answer standing whole in the
long one; that is weaker than equivalence by a judge and costs nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from gristmill.grading.judge import MOST_CHARACTERS, Question, quoted_messages
from gristmill.grading.registry import Needs, grader
from gristmill.grading.standalone import question_of
from gristmill.messages import Frozen
from gristmill.prose import words
from gristmill.records import Sampling, Verdict

if TYPE_CHECKING:
    from pydantic import JsonValue

    from gristmill.ports import Session
    from gristmill.records import Prompt, Sample

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
SHORT_WORDS = 6
"""An answer of so many words or fewer may stand whole within a longer one."""


class ClosedBookOptions(Frozen):
    """How the probes are made and what they must show."""

    known: Literal["drop", "keep"] = "drop"
    """Whether a question that is answered without the passage fails."""
    with_passage: bool = True
    """Whether it is also asked with the passage, and fails where it is not answered then."""
    same: float = Field(default=0.6, gt=0, le=1)
    """The F1 over words from which two answers are the same."""
    max_tokens: int = Field(default=128, ge=16)
    """The longest answer."""


@grader("closed_book", version=1, options=ClosedBookOptions, kind="judge", needs=Needs(whole=True))
async def grade_closed_book(prompt: Prompt, sample: Sample, options: ClosedBookOptions, session: Session) -> Verdict:
    """Ask the question without the passage and with it.

    Reasons: `needs_passage`, `known` (answered without it), `unanswerable` (not answered with it); without a verdict
    `no_question`, `no_text`, `too_long`.
    """
    question = question_of(sample)
    if question is None or sample.answer is None:
        return Verdict(passed=None, reason="no_question" if question is None else "no_text")
    passage = prompt.messages[-1].content
    if len(passage) > MOST_CHARACTERS:
        return Verdict(passed=None, reason="too_long", evidence={"characters": len(passage)})
    sampling = Sampling(max_tokens=options.max_tokens)

    async def answered(shown: Question, step: str) -> tuple[str, bool]:
        reply = await session.complete(quoted_messages("closed_book", shown), step=step, role="judge", sampling=sampling)
        said = reply.message.content.strip()
        return said[:200], same_answer(said, sample.answer or "", options.same)

    said, known = await answered(Question(question, None, ""), "without")
    evidence: dict[str, JsonValue] = {"without": said, "known": known}
    if known and options.known == "drop":
        return Verdict(passed=False, reason="known", evidence=evidence)
    if options.with_passage:
        said, found = await answered(Question(question, passage, ""), "with")
        evidence |= {"with": said}
        if not found:
            return Verdict(passed=False, reason="unanswerable", evidence=evidence)
    return Verdict(passed=True, reason="known_kept" if known else "needs_passage", evidence=evidence)


def same_answer(one: str, other: str, at_least: float) -> bool:
    """Whether two short answers say the same: F1 over words, or a short one whole within the other."""
    first, second = _words(one), _words(other)
    if not first or not second:
        return False
    common = sum((Counter(first) & Counter(second)).values())
    if 2 * common / (len(first) + len(second)) >= at_least:
        return True
    short, long = sorted((first, second), key=len)
    return len(short) <= SHORT_WORDS and any(long[at : at + len(short)] == short for at in range(len(long) - len(short) + 1))


def _words(text: str) -> list[str]:
    return words(_ARTICLES.sub(" ", text.casefold()))
