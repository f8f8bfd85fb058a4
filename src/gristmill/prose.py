"""Prose as several rooms look at it: its words, and where it may be cut."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

CHARACTERS_PER_TOKEN = 4
"""A rough mean over English text; other scripts have fewer, and no tokenizer is asked."""


def words(text: str) -> list[str]:
    """Return the words of a text in one case, without what stands between them."""
    return re.findall(r"\w+", text.casefold())


def cut_at(text: str, most: int, borders: Sequence[str], least: int) -> int:
    """Return after how many characters a text is cut: at the best border, else at `most`; all of it where it is short enough.

    Args:
        text: What is cut; no more than `most` and one more character of it need be given.
        most: The most characters of a part.
        borders: Patterns of what a part may end with, best first; of one kind the last place counts.
        least: No part ends at a border within so many characters.
    """
    if len(text) <= most:
        return len(text)
    for border in borders:
        places = [match.end() for match in re.finditer(border, text) if least < match.end() <= most]
        if places:
            return places[-1]
    return most
