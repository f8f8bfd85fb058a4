"""What a document is once it is read: one text, its title, its headings; or the reason why there is none."""

from __future__ import annotations

import re
from typing import NamedTuple

_HIDDEN = re.compile("[\u200b\u2060\ufeff\u00ad\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ue000-\uf8ff\U000e0000-\U000e007f]")
"""Characters that are not seen, turn the direction of the text round, or mean nothing outside of one font."""
_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


class Heading(NamedTuple):
    """A heading of a document."""

    at: int
    """Characters from the beginning of the text."""
    level: int
    """1 is the highest."""
    title: str


class Document(NamedTuple):
    """A document's text, levelled: one kind of line end, nothing in it is hidden."""

    text: str
    title: str | None = None
    headings: tuple[Heading, ...] = ()
    hidden_characters: int = 0
    """Characters that were taken out because nobody sees them."""


class Unreadable(Exception):
    """A document that cannot be read: `reason` is a short word for the tables."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def level(text: str) -> tuple[str, int]:
    """Return a text without what cannot be seen, with one kind of line end, and how many characters that took out.

    Text that runs from right to left keeps its letters; only the marks that override directions go, since they make a reader see
    something else than what is trained on.
    """
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\u2028", "\n").replace("\u2029", "\n\n")
    text, hidden = _HIDDEN.subn("", text)
    text, control = _CONTROL.subn("", text)
    return text, hidden + control
