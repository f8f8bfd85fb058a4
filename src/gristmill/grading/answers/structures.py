r"""Answers with parts: tuples, intervals, sets and lists, split at their top level and compared part by part.

Brackets are part of the answer: `[0, 1)` is not `(0, 1)`. A tuple keeps its order, a set has none. `x = 2` is read as `2`, and
`0 < x \le 1` as the interval that it describes. A union is a set of intervals. What the parts are is none of this module's
business: each is compared by the cascade.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

Shape = Literal["tuple", "set", "union"]
MAX_PARTS = 200
_OPENING, _CLOSING = "([{", ")]}"
_ASSIGNED = re.compile(r"[A-Za-z](?:_\{?\w+\}?|\([A-Za-z]\))?\s*=\s*(?!=)(.+)", re.DOTALL)
_NAME = r"\\?[A-Za-z][\w{}() ]*"
_NAMED = re.compile(rf"\s*({_NAME}?)\s*=(?!=)")
_NAMED_LATER = re.compile(rf",\s*{_NAME}=(?!=)")
_MEMBER = re.compile(r"[A-Za-z]\s*\\in\s+(.+)", re.DOTALL)
_LABELLED = re.compile(r"([^\W\d_][^\d:,=]{0,40}?)\s*:\s*\S.*|[-+]?[$€£]?[\d.,/]+%?\s+([^\W\d_][^\d:,=]{0,40})", re.DOTALL)
_RELATION = r"(<=|>=|<|>)"
_BOTH_SIDES = re.compile(rf"([^<>=]+){_RELATION}\s*([A-Za-z])\s*{_RELATION}([^<>=]+)")
_OTHER_SIDE = re.compile(rf"([^<>=A-Za-z]+){_RELATION}\s*([A-Za-z])")
_TURNED = str.maketrans("<>", "><")
_ONE_SIDE = re.compile(rf"([A-Za-z])\s*{_RELATION}([^<>=]+)")
_COMMANDS = (
    (re.compile(r"\\(?:left|right|bigl?|bigr?|Bigl?|Bigr?)(?![a-zA-Z])\s*\.?"), ""),
    (re.compile(r"\\[!,;: ]|\\q?quad(?![a-zA-Z])|~"), " "),
    (re.compile(r"\\[dtc]frac(?![a-zA-Z])"), r"\\frac"),
    (re.compile(r"\\(?:leq?|leqslant)(?![a-zA-Z])|≤"), "<="),
    (re.compile(r"\\(?:geq?|geqslant)(?![a-zA-Z])|≥"), ">="),
    (re.compile(r"\\lt(?![a-zA-Z])"), "<"),
    (re.compile(r"\\gt(?![a-zA-Z])"), ">"),
    (re.compile(r"∞|\+\s*\\infty(?![a-zA-Z])"), r"\\infty"),
    (re.compile(r"∪"), r"\\cup "),
    (re.compile(r"\\lbrace(?![a-zA-Z])|\\\{"), "{"),
    (re.compile(r"\\rbrace(?![a-zA-Z])|\\\}"), "}"),
    (re.compile(r"\\(?:text|mathrm|mbox|textbf|mathbf|textit)\s*\{([^{}]*)\}"), r" \1 "),
    (re.compile(r"[−–－]"), "-"),
)


class Structure(NamedTuple):
    """An answer that has parts."""

    shape: Shape
    brackets: str
    """Opening and closing bracket; empty for a bare list."""
    parts: tuple[str, ...]


def tidy(text: str) -> str:
    r"""Return mathematics in one spelling: no `$`, `\left`, thin spaces, `\dfrac` or `\text`, and one minus sign."""
    text = text.strip().strip("$").strip()
    for pattern, plain in _COMMANDS:
        text = pattern.sub(plain, text)
    return " ".join(text.split()).rstrip(".").strip()


def without_name(text: str) -> str:
    r"""Return what stands after `x =` or `x \in`, where only that stands before."""
    if _NAMED_LATER.search(text):
        return text  # a list whose parts have names of their own
    match = _ASSIGNED.fullmatch(text) or _MEMBER.fullmatch(text)
    return match[1].strip() if match else text


def name_of(part: str) -> str | None:
    """Return whose value a tidied part gives (`x = 1`), or None; a number after the name only counts (`x_1`, `x_2`)."""
    match = _NAMED.match(part)
    return re.sub(r"_?\{?\d+\}?$|\s", "", match[1]) if match else None


def label_of(part: str) -> str | None:
    """Return what a part of a list is about (`Alice: 3`, `3 boys`, `x = 3`), or None."""
    match = _LABELLED.fullmatch(part)
    return name_of(part) or (" ".join((match[1] or match[2]).split()).casefold() if match else None)


def aligned(wanted: Structure, found: Structure) -> Structure:
    """Return a bare list in the order of another where both say of each part, and of one only, what it is about."""
    labels, others = ([label_of(part) for part in one.parts] for one in (wanted, found))
    if (
        wanted.brackets
        or found.brackets
        or None in labels
        or len({*labels}) != len(labels)
        or sorted(map(str, labels)) != sorted(map(str, others))
    ):
        return found
    return found._replace(parts=tuple(found.parts[others.index(label)] for label in labels))


def read_structure(text: str) -> Structure | None:
    """Return the parts of a tidied text that is a tuple, an interval, a set, a union or a bare list; else None."""
    if (described := _described(text)) is not None:
        return described
    if text[:1] == "]" or (text[-1:] == "[" and text[:1] == "["):  # open ends as the French write them
        text = ("(" if text[0] == "]" else "[") + text[1:-1] + (")" if text[-1] == "[" else "]")
    pieces = split_top(text, r"\cup")
    if len(pieces) > 1:
        return Structure("union", "", tuple(pieces))
    if text[:1] in _OPENING and text[-1:] in _CLOSING and len(text) > 2 and _closes_at_end(text):
        parts = split_top(text[1:-1], ",")
        brackets = text[0] + text[-1]
        if brackets == "{}":
            return Structure("set", brackets, tuple(parts))
        return Structure("tuple", brackets, tuple(parts)) if len(parts) > 1 or brackets == "[]" else None
    parts = split_top(text, ",")
    if len(parts) > 1 and not all(re.fullmatch(r"\d{3}", part) for part in parts[1:]):
        return Structure("tuple", "", tuple(parts))
    return None


def _described(text: str) -> Structure | None:
    """Return the interval that an inequality describes."""
    if match := _BOTH_SIDES.fullmatch(text):
        low, first, _, second, high = (part.strip() for part in match.groups())
        if (first[0], second[0]) == ("<", "<"):
            return Structure("tuple", ("[" if "=" in first else "(") + ("]" if "=" in second else ")"), (low, high))
        if (first[0], second[0]) == (">", ">"):
            return Structure("tuple", ("[" if "=" in second else "(") + ("]" if "=" in first else ")"), (high, low))
    if match := _OTHER_SIDE.fullmatch(text):
        bound, relation, name = (part.strip() for part in match.groups())
        text = f"{name} {relation.translate(_TURNED)} {bound}"
    if match := _ONE_SIDE.fullmatch(text):
        _, relation, bound = (part.strip() for part in match.groups())
        if relation[0] == "<":
            return Structure("tuple", "(" + ("]" if "=" in relation else ")"), (r"-\infty", bound))
        return Structure("tuple", ("[" if "=" in relation else "(") + ")", (bound, r"\infty"))
    return None


def split_top(text: str, mark: str) -> list[str]:
    """Split at a mark outside of all brackets; one piece where there is none or the brackets do not match."""
    pieces: list[str] = []
    depth, begin, at = 0, 0, 0
    while at < len(text):
        if text[at] in _OPENING:
            depth += 1
        elif text[at] in _CLOSING:
            depth -= 1
        elif depth == 0 and text.startswith(mark, at) and len(pieces) < MAX_PARTS:
            pieces.append(text[begin:at].strip())
            begin = at + len(mark)
        if depth < 0 and not pieces:
            return [text.strip()]
        at += 1
    pieces.append(text[begin:].strip())
    return pieces if all(pieces) else [text.strip()]


def _closes_at_end(text: str) -> bool:
    """Whether the first bracket is closed by the last character and by none before; half-open intervals mix kinds."""
    depth = 0
    for at, letter in enumerate(text):
        depth += (letter in _OPENING) - (letter in _CLOSING)
        if depth == 0:
            return at == len(text) - 1
    return False
