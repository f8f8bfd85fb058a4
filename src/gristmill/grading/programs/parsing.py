"""Python as a syntax tree, and as a value, wherever it came from: what is no Python is None and never an exception."""

from __future__ import annotations

import ast
from typing import Any

_NOT_PYTHON = (SyntaxError, ValueError, TypeError, RecursionError, MemoryError)


def parsed(text: str) -> ast.Module | None:
    """Return the tree of a text, or None where it is no Python."""
    try:
        return ast.parse(text)
    except _NOT_PYTHON:
        return None


def literal(source: ast.expr | str) -> tuple[Any] | None:
    """Return the value of a literal, alone in a tuple since it may be None itself; None where it is no literal."""
    try:
        return (ast.literal_eval(source),)
    except _NOT_PYTHON:
        return None
