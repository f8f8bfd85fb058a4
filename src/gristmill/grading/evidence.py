"""Quoted evidence is really in the text that it is said to be from, and where.

A model that is asked for a quotation makes one up more readily than a person: near enough to look right. So the check is exact,
on text in which only what carries no meaning is levelled (white space, quotation marks, dashes, case, Unicode's compatibility
forms); parts that are joined by an ellipsis must all be there, in order. Offsets are those of the original text, so that a
report can mark the span. The trade-off is on the strict side: a quotation with one word changed is no quotation.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, NamedTuple

from pydantic import Field

from gristmill.grading.registry import Needs, grader
from gristmill.messages import Frozen
from gristmill.records import Verdict

if TYPE_CHECKING:
    from pydantic import JsonValue

    from gristmill.records import Prompt, Sample

SHOWN = 200
_LEVELLED = str.maketrans({"“": '"', "”": '"', "„": '"', "«": '"', "»": '"', "‘": "'", "’": "'", "‚": "'", "`": "'",
                           "–": "-", "—": "-", "−": "-", "‐": "-", "‑": "-"})  # fmt: skip
_ELLIPSIS = re.compile(r"\s*(?:\[\s*(?:\.\.\.|…)\s*\]|\.{3,}|…)\s*")
_AROUND = " \t\n\"'*_>“”„‘’‚«»"


class EvidenceOptions(Frozen):
    """What counts as evidence."""

    min_words: int = Field(default=3, ge=1)
    """The least words that prove anything; a shorter one passes only where it is a whole answer."""
    max_share: float = Field(default=0.8, gt=0, le=1)
    """The largest share of the text that evidence may be: the whole of it points at nothing."""
    parts: int = Field(default=3, ge=1)
    """The most parts that ellipses may join."""


class Span(NamedTuple):
    """Where a part of a text is."""

    start: int
    """Characters from the beginning."""
    end: int


@grader("evidence", version=2, options=EvidenceOptions, needs=Needs(whole=True))
def grade_evidence(prompt: Prompt, sample: Sample, options: EvidenceOptions) -> Verdict:
    """Want the quoted evidence to stand in the source text, word for word.

    The text is the prompt's last message, the quotation is `evidence` of the sample's `meta`. Reasons: `in_source` with `spans`
    in characters; `not_in_source`, `too_short`, `whole_text`, `too_many_parts`; without a verdict `no_evidence`.
    """
    quoted = sample.meta.get("evidence")
    if not isinstance(quoted, str) or not quoted.strip():
        return Verdict(passed=None, reason="no_evidence")
    text = prompt.messages[-1].content
    parts = _parts(quoted)
    if len(parts) > options.parts or not parts:
        return Verdict(passed=False, reason="too_many_parts", evidence={"parts": len(parts)})
    spans = find(parts, text)
    if spans is None:
        return Verdict(passed=False, reason="not_in_source", evidence={"quoted": quoted[:SHOWN]})
    covered = sum(span.end - span.start for span in spans)
    shown: dict[str, JsonValue] = {"spans": [[*span] for span in spans], "share": round(covered / len(text), 4)}
    words = sum(len(part.split()) for part in parts)
    if words < options.min_words and _level(sample.answer or "")[0].strip(" .") != _level(parts[0])[0].strip(" ."):
        return Verdict(passed=False, reason="too_short", evidence=shown)
    if covered > options.max_share * len(text.strip()) and len(text.split()) > 2 * options.min_words:
        return Verdict(passed=False, reason="whole_text", evidence=shown)
    return Verdict(passed=True, reason="in_source", evidence=shown)


def quoted_spans(quoted: str, text: str) -> list[Span]:
    """Return where the parts of a quotation stand in a text; none where it does not."""
    return find(_parts(quoted), text) or []


def _parts(quoted: str) -> list[str]:
    return [part for piece in _ELLIPSIS.split(quoted.strip(_AROUND)) if (part := piece.strip(_AROUND))]


def find(parts: list[str], text: str) -> list[Span] | None:
    """Return where the parts stand in a text, one after the other, or None where one is not there."""
    level, places = _level(text)
    spans: list[Span] = []
    at = 0
    for part in parts:
        wanted = _level(part)[0].strip()
        at = _whole(level, wanted, at)
        if at < 0 or not wanted:
            return None
        end = at + len(wanted)
        spans.append(Span(places[at], places[end - 1] + 1))
        at = end
    return spans


def _whole(text: str, wanted: str, at: int) -> int:
    """Return where `wanted` stands as whole words, from `at` on, or -1."""
    while (at := text.find(wanted, at)) >= 0:
        end = at + len(wanted)
        cut = (at > 0 and text[at - 1].isalnum() and wanted[0].isalnum()) or (
            end < len(text) and text[end].isalnum() and wanted[-1].isalnum()
        )
        if not cut:
            return at
        at += 1
    return -1


def _level(text: str) -> tuple[str, list[int]]:
    """Return a text without what carries no meaning, and the place of each of its characters in the original."""
    letters: list[str] = []
    places: list[int] = []
    space = True
    for place, character in enumerate(text.translate(_LEVELLED)):
        plain = character if character.isascii() else unicodedata.normalize("NFKC", character)
        for letter in plain.casefold():
            if letter.isspace():
                if not space:
                    letters.append(" ")
                    places.append(place)
                space = True
                continue
            letters.append(letter)
            places.append(place)
            space = False
    return "".join(letters), places
