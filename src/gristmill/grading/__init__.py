"""Graders: what says whether a sample is right, and why.

Importing this package puts every built-in grader on the shelf `GRADERS`; a recipe finds them there by name. Each module
holds one family: `math` for numbers, `text` for rules about the text itself, `judge` for asking a model. `extraction` and
`numbers` are the pure
reading that they share.
"""

from __future__ import annotations

from gristmill.grading import (
    closed_book,
    code,
    dialogue,
    evidence,
    following,
    judge,
    manner,
    math,
    novel,
    preserved,
    requirements,
    reward,
    standalone,
    text,
    tool_call,
)
from gristmill.grading.registry import GRADERS, grader

__all__ = [
    "GRADERS",
    "closed_book",
    "code",
    "dialogue",
    "evidence",
    "following",
    "grader",
    "judge",
    "manner",
    "math",
    "novel",
    "preserved",
    "requirements",
    "reward",
    "standalone",
    "text",
    "tool_call",
]
