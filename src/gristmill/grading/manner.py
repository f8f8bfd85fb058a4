"""How an answer speaks: its language, whether it refuses, talks about itself, or copies what it was given.

Rules of wording catch what every post-training set has to lose: refusals that a model learns as answers, chat around what was
meant to be the text alone, and paraphrases that are copies. They look at the ends of a text, where such things stand, and at
whole phrases (lists in `assets/phrases`), since a single word ("sorry", "sure") says little. The phrases are English; other
languages pass them unseen.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import import_module, resources
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, model_validator

from gristmill.grading.registry import grader
from gristmill.messages import Frozen
from gristmill.prose import words
from gristmill.records import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Self

    from pydantic import JsonValue

    from gristmill.records import Prompt, Sample

LETTERS_AT_LEAST = 20
"""Fewer letters than this are no language to speak of: a number, a formula, a name."""
READ_CHARACTERS = 4_000
"""A language shows in its first few thousand characters."""
_CANNOT = "can(?:'t|not| not)"
_START = r"\s*[*_#>\"'(\s]*{}"
"""Marks that may stand before the first word."""
_FENCED = re.compile(r"```[^`]*```|`[^`\n]*`|\$\$[^$]*\$\$|\$[^$\n]*\$|https?://\S+")


class LanguageOptions(Frozen):
    """Which language an answer must be in."""

    language: str = Field(pattern=r"^[a-z]{2,3}$")
    """An ISO 639 code: `en`, `de`, `zh`."""
    confidence: float = Field(default=0.8, ge=0, le=1)
    """Below this the language is not known and the sample not graded."""

    @model_validator(mode="after")
    def _there(self) -> Self:
        if find_spec("py3langid") is None:
            raise ValueError('the `language` grader needs its extra: run `pip install "gristmill[language]"`')
        return self


@grader("language", version=1, options=LanguageOptions, short="language")
def grade_language(_prompt: Prompt, sample: Sample, options: LanguageOptions) -> Verdict:
    """Want the answer's prose to be in one language; code, formulas and links do not count."""
    if sample.answer is None:
        return Verdict(passed=None, reason="no_text")
    prose = _FENCED.sub(" ", sample.answer[: 4 * READ_CHARACTERS])[:READ_CHARACTERS]
    if sum(map(str.isalpha, prose)) < LETTERS_AT_LEAST and not any(map(_is_wide, prose)):
        return Verdict(passed=None, reason="too_little_text")
    found, confidence = _languages()(prose)
    evidence: dict[str, JsonValue] = {"language": found, "confidence": round(confidence, 4)}
    if confidence < options.confidence:
        return Verdict(passed=None, reason="unclear_language", evidence=evidence)
    same = found == options.language
    return Verdict(passed=same, reason="language" if same else "other_language", evidence=evidence)


def _is_wide(letter: str) -> bool:
    """Whether a letter belongs to a script that writes a word with one or two signs."""
    return "\u3040" <= letter <= "\u9fff" or "\uac00" <= letter <= "\ud7af"


@cache
def _languages() -> Callable[[str], tuple[str, float]]:
    """Return what names a text's language: the model of langid.py (Lui and Baldwin 2012) for 97; loading takes half a second."""
    langid: Any = import_module("py3langid.langid")
    known = langid.LanguageIdentifier.from_model_file(langid.MODEL_FILE, norm_probs=True)

    def classify(text: str) -> tuple[str, float]:
        language, confidence = known.classify(text)
        return str(language), float(confidence)

    return classify


@cache
def phrases(name: str, around: str) -> re.Pattern[str]:
    """Return a list of phrases that ships, as one expression; `{}` in `around` is where any of them stands."""
    lines = (resources.files("gristmill.assets") / "phrases" / f"{name}.txt").read_text("utf-8").splitlines()
    phrases = "|".join(line.replace("CANNOT", _CANNOT) for line in lines if line and not line.startswith("#"))
    return re.compile(around.replace("{}", f"(?:{phrases})"), re.IGNORECASE)


class PhraseOptions(Frozen):
    """Nothing to choose."""


REFUSAL_WITHIN = 240
"""A refusal comes first; a phrase later is part of an answer (a story, a dialogue, an example)."""


@grader("refusal", version=1, options=PhraseOptions)
def grade_refusal(_prompt: Prompt, sample: Sample, _options: PhraseOptions) -> Verdict:
    """Refuse answers that decline to answer."""
    if sample.answer is None:
        return Verdict(passed=None, reason="no_text")
    found = phrases("refusals", r"\b{}").search(plain_quotes(sample.answer.lstrip()[:REFUSAL_WITHIN]))
    if found is None:
        return Verdict(passed=True, reason="answers")
    return Verdict(passed=False, reason="refusal", evidence={"matched": found.group()[:200], "start": found.start()})


CLOSER_WITHIN = 260
"""Characters from the end in which a closing phrase is one."""


@grader("meta_talk", version=1, options=PhraseOptions)
def grade_meta_talk(_prompt: Prompt, sample: Sample, _options: PhraseOptions) -> Verdict:
    """Refuse text with chat around it: "Here is the rewritten text:", "I hope this helps!"."""
    if sample.answer is None:
        return Verdict(passed=None, reason="no_text")
    text = plain_quotes(sample.answer.strip())
    if opener := phrases("openers", _START).match(text[:400]):
        return Verdict(passed=False, reason="opens_with_chat", evidence={"matched": opener.group().strip()[:200], "start": 0})
    tail = max(0, len(text) - CLOSER_WITHIN)
    if closer := phrases("closers", "{}").search(text, tail):
        evidence: dict[str, JsonValue] = {"matched": closer.group()[:200], "start": closer.start()}
        return Verdict(passed=False, reason="closes_with_chat", evidence=evidence)
    return Verdict(passed=True, reason="text_alone")


def plain_quotes(text: str) -> str:
    """Return a text with straight single quotation marks."""
    return text.replace("\u2019", "'").replace("\u2018", "'")


class LengthRatioOptions(Frozen):
    """How long an answer may be beside what it was given."""

    min: float = Field(default=0.5, ge=0)
    """The least words for one of the source's."""
    max: float = Field(default=2.0, gt=0)
    """The most."""

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        if self.min > self.max:
            raise ValueError(f"no text can pass: `min` {self.min} is more than `max` {self.max}")
        return self


@grader("length_ratio", version=1, options=LengthRatioOptions)
def grade_length_ratio(prompt: Prompt, sample: Sample, options: LengthRatioOptions) -> Verdict:
    """Want a rewriting to be about as long as its source, the prompt's last message, in words."""
    if sample.answer is None:
        return Verdict(passed=None, reason="no_text")
    source, size = len(words(prompt.messages[-1].content)), len(words(sample.answer))
    if not source:
        return Verdict(passed=None, reason="too_little_text")
    ratio = size / source
    reason = "too_short" if ratio < options.min else "too_long" if ratio > options.max else "within"
    return Verdict(passed=reason == "within", reason=reason, evidence={"ratio": round(ratio, 4), "words": size})


class CopyingOptions(Frozen):
    """How much of an answer may be taken over from what it was given."""

    source: Literal["prompt", "reference"] = "prompt"
    """What it may not copy."""
    n: int = Field(default=8, ge=2, le=50)
    """Words in a row that count as copied."""
    min_share: float = Field(default=0.0, ge=0, le=1)
    """The least share of copied words that passes: a rewriting that keeps nothing has lost its source."""
    max_share: float = Field(default=0.5, ge=0, le=1)
    """The largest share that passes."""

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        if self.min_share > self.max_share:
            raise ValueError(f"no text can pass: `min_share` {self.min_share} is more than `max_share` {self.max_share}")
        return self


@grader("copying", version=1, options=CopyingOptions)
def grade_copying(prompt: Prompt, sample: Sample, options: CopyingOptions) -> Verdict:
    """Measure which share of the answer's words stands in runs that the prompt or the reference has too."""
    if sample.answer is None:
        return Verdict(passed=None, reason="no_text")
    given = prompt.reference if options.source == "reference" else "\n".join(message.content for message in prompt.messages)
    if given is None:
        return Verdict(passed=None, reason="no_reference")
    share = copied_share(words(sample.answer), words(given), options.n)
    if share is None:
        return Verdict(passed=None, reason="too_little_text")
    reason = "copied" if share > options.max_share else "nothing_kept" if share < options.min_share else "own_words"
    return Verdict(passed=reason == "own_words", reason=reason, score=1 - share, evidence={"share": round(share, 4)})


def copied_share(answer: Sequence[str], source: Sequence[str], n: int) -> float | None:
    """Return the share of words inside runs of `n` that the source has too, or None for fewer than `n` words."""
    if len(answer) < n:
        return None
    known = {hash(tuple(source[at : at + n])) for at in range(len(source) - n + 1)}
    covered, end = 0, 0
    for at in range(len(answer) - n + 1):
        if hash(tuple(answer[at : at + n])) in known:
            covered += at + n - max(at, end)
            end = at + n
    return covered / len(answer)
