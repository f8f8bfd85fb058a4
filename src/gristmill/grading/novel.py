"""A new instruction is none of its seeds in other words.

Measured as Self-Instruct does (Wang et al. 2022, arXiv 2212.10560, which drops what has ROUGE-L of 0.7 or more with an
instruction that is there): the longest common subsequence of words, as F1. The seeds are those that the prompt showed; what was
made before in the same run is compared by `select.dedup.near`, since only selection sees all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from gristmill.grading.registry import Needs, grader
from gristmill.grading.standalone import question_of
from gristmill.messages import Frozen
from gristmill.plain import as_list
from gristmill.prose import words
from gristmill.records import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic import JsonValue

    from gristmill.records import Prompt, Sample

MOST_WORDS = 400
"""Words of a text that are compared; the cost grows with the product."""


class NovelOptions(Frozen):
    """How like its seeds an instruction may be."""

    most: float = Field(default=0.7, gt=0, le=1)
    """The ROUGE-L F1 from which it is a copy."""


@grader("novel", version=1, options=NovelOptions, needs=Needs(whole=True))
def grade_novel(prompt: Prompt, sample: Sample, options: NovelOptions) -> Verdict:
    """Want an instruction to differ from the seeds that it was made from, by ROUGE-L.

    Reasons: `novel`, `like_seed`; without a verdict `no_question`, `no_seeds`.
    """
    instruction = question_of(sample)
    seeds = [str(seed) for seed in as_list(prompt.meta.get("seeds") or sample.meta.get("seeds")) or []]
    if instruction is None or not seeds:
        return Verdict(passed=None, reason="no_seeds" if instruction else "no_question")
    new = words(instruction)[:MOST_WORDS]
    score, nearest = max((rouge_l(new, words(seed)[:MOST_WORDS]), seed) for seed in seeds)
    evidence: dict[str, JsonValue] = {"rouge_l": round(score, 4), "seed": nearest[:200]}
    return Verdict(
        passed=score < options.most, reason="novel" if score < options.most else "like_seed", score=1 - score, evidence=evidence
    )


def rouge_l(one: Sequence[str], other: Sequence[str]) -> float:
    """Return the F1 of the longest common subsequence of two lists of words (Lin 2004)."""
    if not one or not other:
        return 0.0
    row = [0] * (len(other) + 1)
    for word in one:
        before = 0
        for at, same in enumerate(other, 1):
            kept, row[at] = row[at], before + 1 if word == same else max(row[at], row[at - 1])
            before = kept
    return 2 * row[-1] / (len(one) + len(other))
