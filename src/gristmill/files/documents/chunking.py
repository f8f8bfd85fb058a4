"""A document in passages: cut where its author cut it, with some overlap, and nothing is lost.

Passages end before a heading where one is near, else between paragraphs, lines, sentences, words, and only then anywhere. Each
begins a little before the last one ended, so that what stands on a border is whole in one of them. Sizes are in tokens by a
rule of thumb, since the teacher's tokenizer is not known here.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple

from gristmill.prose import CHARACTERS_PER_TOKEN, cut_at

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gristmill.files.documents.document import Document

_BORDERS = (r"\n[ \t]*\n\s*", r"\n", r"(?<=[.!?。！？])\s+", r"\s+")
"""Where a text may be cut, best first."""


class Chunk(NamedTuple):
    """A passage: `text[start:end]` of its document."""

    start: int
    end: int
    new: int
    """Where what the passage before did not have begins."""
    heading: str
    """The headings above it, from the highest on: `Limits > Rates`."""


def chunks(document: Document, tokens: int, overlap: int) -> Iterator[Chunk]:
    """Yield the passages of a document, of at most `tokens` with the overlap.

    Args:
        document: What is cut.
        tokens: The most tokens of a passage.
        overlap: Tokens of the end of a passage that the next one begins with.
    """
    text, most = document.text, (tokens - overlap) * CHARACTERS_PER_TOKEN
    places = [heading.at for heading in document.headings]
    at = 0
    while at < len(text):
        end = at + _length(text[at : at + most + 1], most, [place - at for place in places[bisect_right(places, at) :][:200]])
        if text[at:end].strip():
            start = _begin(text, at, overlap * CHARACTERS_PER_TOKEN)
            yield Chunk(start, _trimmed_end(text, end), at, _path(document, at, end))
        at = end


def _length(text: str, most: int, headings: list[int]) -> int:
    """Return after how many characters to cut."""
    near = [place for place in headings if most // 3 < place <= most]
    if near and len(text) > most:
        return near[-1]
    return cut_at(text, most, _BORDERS, most // 3)


def _begin(text: str, at: int, overlap: int) -> int:
    """Return where a passage begins: at a border at most `overlap` characters before its new text, past white space."""
    if at and overlap:
        early = max(0, at - overlap)
        for border in _BORDERS[1:]:
            found = re.search(border, text[early:at])
            if found and found.end() < at - early:
                at = early + found.end()
                break
    while at < len(text) and text[at].isspace():
        at += 1
    return at


def _trimmed_end(text: str, end: int) -> int:
    while end and text[end - 1].isspace():
        end -= 1
    return end


def _path(document: Document, at: int, end: int) -> str:
    """Return the headings above a passage; one that it begins with counts."""
    while at < end and document.text[at].isspace():
        at += 1
    open_ones: list[tuple[int, str]] = []
    for heading in document.headings:
        if heading.at > at:
            break
        open_ones = [one for one in open_ones if one[0] < heading.level]
        open_ones.append((heading.level, heading.title))
    return " > ".join(title for _, title in open_ones)
