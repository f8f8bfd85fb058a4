"""Python literals, as in `assert f(x) == ?`: equal in type and value.

`1` is not `True`, `(1,)` is not `[1]`, `'89'` is not `89`. A reference that is a string is also met by its bare text, because a
model that was asked for an output often leaves the quotes away; unbalanced quotes are not mended. Values are read by
`ast.literal_eval`, which evaluates nothing, within limits of size and depth.
"""

from __future__ import annotations

import ast
import re
import warnings
from typing import Any, NamedTuple

MAX_CHARACTERS = 20_000
MAX_DEPTH = 60
_ASSERTION = re.compile(r"\s*assert\b.*?==\s*(.+?)\s*", re.DOTALL)
_WRAPPED = re.compile(r"\s*(?:```(?:python|py)?\s*\n(.*?)\n?\s*```|`([^`\n]+)`)\s*", re.DOTALL)
_CALL = re.compile(r"\w[\w.]*\(.*\)\s*==\s*(.+)", re.DOTALL)
_SET_CALL = re.compile(r"(?:set|frozenset)\(\)")


class Literal(NamedTuple):
    """A Python value that a text is."""

    value: Any


class Compared(NamedTuple):
    """Whether an answer is the reference, by which rule; None where the reference cannot be read."""

    passed: bool | None
    reason: str
    method: str
    normalised: str | None = None


def read_literal(text: str) -> Literal | None:
    """Return the value of a Python literal, or None where the text is none or too large."""
    text = text.strip()
    if not text or len(text) > MAX_CHARACTERS or _depth(text) > MAX_DEPTH:
        return None
    if _SET_CALL.fullmatch(text):
        return Literal(set())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an escape that Python does not know is a warning, and the text is not ours
            return Literal(ast.literal_eval(text))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None


def _depth(text: str) -> int:
    depth = deepest = 0
    for letter in text:
        depth += (letter in "([{") - (letter in ")]}")
        deepest = max(deepest, depth)
    return deepest


def same(left: Any, right: Any) -> bool:
    """Whether two literals are equal in type and value, all the way down; NaN is NaN."""
    return type(left) is type(right) and _spelled(left) == _spelled(right)


def _spelled(value: Any) -> str:
    """Return a text that two literals share exactly when they are the same: `repr` tells 1 from True, and sets are in order."""
    if isinstance(value, dict):
        return f"dict({', '.join(sorted(map(_spelled, value.items())))})"  # pyright: ignore[reportUnknownArgumentType]
    if isinstance(value, set | list | tuple):
        parts = [_spelled(part) for part in value]  # pyright: ignore[reportUnknownVariableType]
        return f"{type(value).__name__}({', '.join(sorted(parts) if isinstance(value, set) else parts)})"  # pyright: ignore[reportUnknownArgumentType]
    return f"{type(value).__name__}:{value!r}"


def compare(reference: str, answer: str) -> Compared:
    """Compare an extracted answer with a reference that is a literal."""
    wanted = read_literal(reference)
    if wanted is None:
        return Compared(None, "reference_not_a_literal", "literal")
    text = unwrapped(answer)
    found = read_literal(text)
    if found is not None and same(found.value, wanted.value):
        return Compared(True, "equal", "literal", repr(found.value)[:200])
    if isinstance(wanted.value, str) and (how := _bare(text, answer, wanted.value)):
        return Compared(True, "equal", how, repr(wanted.value)[:200])
    if found is None:
        return Compared(False, "not_a_literal", "literal")
    return Compared(False, "different", "literal", repr(found.value)[:200])


def unwrapped(answer: str) -> str:
    """Return the literal inside a code fence, an assertion or a comparison with a call."""
    match = _WRAPPED.fullmatch(answer)
    text = (match[1] if match[1] is not None else match[2]) if match else answer
    match = _ASSERTION.fullmatch(text) or _CALL.fullmatch(text.strip())
    return match[1] if match and read_literal(text) is None else text


def _bare(text: str, answer: str, wanted: str) -> str | None:
    """Return how the bare text is the wanted string: as it stands, with its escapes once resolved, or not (None)."""
    for bare in dict.fromkeys((text, answer)):
        if bare == wanted:
            return "bare_text"
        if bare.replace("\\n", "\n").replace("\\t", "\t").replace("\\\\", "\\") == wanted:
            return "bare_text_unescaped"
    return None
