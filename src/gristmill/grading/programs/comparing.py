"""Values side by side, as Python's `==` says of plain data; floats nearly. Nothing of a candidate's runs in a comparison."""

from __future__ import annotations

import math
from typing import Any

from gristmill.plain import as_object

RELATIVE, ABSOLUTE = 1e-6, 1e-9
"""How far a float may be from an expected float."""


def same_value(value: Any, expected: Any) -> bool:
    """Whether a value is the expected one, as Python's `==` says of plain data; a float may be off by 1e-6 where one is expected.

    Both sides are data that was decoded here, so nothing of the candidate's runs in the comparison.
    """
    if value == expected:
        return True
    if isinstance(expected, float) and type(value) in (int, float):
        both_nan = math.isnan(value) and math.isnan(expected)
        return both_nan or abs(value - expected) <= max(ABSOLUTE, RELATIVE * abs(expected))
    if _is_list(expected, value):
        mine, theirs = _parts(value), _parts(expected)
        return len(mine) == len(theirs) and all(map(same_value, mine, theirs))
    got, want = as_object(value), as_object(expected)
    if got is None or want is None:
        return False
    return got.keys() == want.keys() and all(same_value(got[key], want[key]) for key in want)


def _is_list(expected: Any, value: Any) -> bool:
    """Whether both are lists or both are tuples."""
    return any(isinstance(expected, kind) and isinstance(value, kind) for kind in (list, tuple))


def _parts(value: Any) -> list[Any]:
    return list(value)
