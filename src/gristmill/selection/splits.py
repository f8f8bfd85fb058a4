"""Splits by what is asked, never by row, so nothing trained on is tested on.

Whatever comes from one question, persona or document is on one side. The side is a hash of seed and of what is asked, so adding
or removing other prompts moves none.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from gristmill.ids import content_digest

if TYPE_CHECKING:
    from gristmill.records import Prompt


def together_of(prompt: Prompt) -> bytes:
    """Return what prompts that belong on one side have in common: their document, or without one what the last user says.

    Kinds that ask several things of one row leave both as they are, and white space makes no other question.
    """
    document = prompt.meta.get("document")
    if isinstance(document, str) and document:
        return content_digest("together", ["document", document])
    asked = next((message for message in reversed(prompt.messages) if message.role == "user"), prompt.messages[-1])
    return content_digest("together", ["text", " ".join(asked.content.split())])


def split_of(together: str, seed: int, *, validation: float, test: float) -> str:
    """Return `train`, `validation` or `test` for prompts that belong together; the shares hold in expectation."""
    if not validation and not test:
        return "train"
    digest = hashlib.sha256(f"split|{seed}|{together}".encode()).digest()
    place = int.from_bytes(digest[:8], "big") / 2**64
    if place < test:
        return "test"
    return "validation" if place < test + validation else "train"
