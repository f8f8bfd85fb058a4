"""Calls side by side with those that are accepted: values one by one, several calls as a whole.

Several calls are matched to several accepted answers by augmenting paths (Kuhn 1955), not greedily, so that the order of calls
never costs a right answer.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from gristmill.plain import as_list, as_object

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gristmill.grading.calls.reading import Call

_STRICT = re.compile(r"[\d@/\\_=<>+|&~{}\[\]$#%]")
_PUNCTUATION = re.compile(r"[\s,.;:!?'\"`*^()-]+")
OPTIONAL = ""
"""Among accepted values: the parameter may be left away."""


def accepts(call: Call, accepted: Call) -> bool:
    """Whether a call is one of the accepted ones: its tool, nothing missing, every value accepted."""
    if call.name != accepted.name:
        return False
    for name, values in accepted.arguments.items():
        options = as_list(values) if as_list(values) is not None else [values]
        if name not in call.arguments:
            if OPTIONAL not in (options or []):
                return False
        elif not any(accepts_value(call.arguments[name], option) for option in options or []):
            return False
    return all(name in accepted.arguments for name in call.arguments)


def accepts_value(value: Any, option: Any) -> bool:
    """Whether a value is an accepted one; inside objects the accepted side has lists of values.

    Numbers are equal as numbers and never equal a text. Free text is compared without case, spacing and punctuation; what has
    digits, slashes, underscores, an @ or an operator (ids, dates, paths, addresses, conditions) only without case and extra
    spaces.
    """
    if isinstance(value, bool) or isinstance(option, bool):
        return value is option
    if isinstance(value, int | float) and isinstance(option, int | float):
        return value == option
    if isinstance(value, str) and isinstance(option, str):
        return _folded(value, option) == _folded(option, option)
    fields, wanted = as_object(value), as_object(option)
    if fields is not None and wanted is not None:
        return _accepts_object(fields, wanted)
    items, options = as_list(value), as_list(option)
    if items is not None and options is not None:
        return len(items) == len(options) and all(accepts_value(one, other) for one, other in zip(items, options, strict=True))
    return value is None and option is None


def _accepts_object(fields: dict[str, Any], wanted: dict[str, Any]) -> bool:
    for name, values in wanted.items():
        options = as_list(values)
        several = [values] if options is None else options
        if name not in fields:
            if OPTIONAL not in several:
                return False
        elif not any(accepts_value(fields[name], option) for option in several):
            return False
    return all(name in wanted for name in fields)


def _folded(text: str, like: str) -> str:
    plain = " ".join(text.split()).casefold()
    return plain if _STRICT.search(like) else _PUNCTUATION.sub("", plain)


def matched(table: Sequence[Sequence[bool]]) -> int:
    """Return how many rows can be given a column of their own in which they are true."""
    owner: dict[int, int] = {}

    def place(row: int, seen: set[int]) -> bool:
        for column, fits in enumerate(table[row]):
            if fits and column not in seen:
                seen.add(column)
                if column not in owner or place(owner[column], seen):
                    owner[column] = row
                    return True
        return False

    return sum(place(row, set()) for row in range(len(table)))
