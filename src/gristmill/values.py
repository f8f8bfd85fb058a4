"""Values across a wall as tagged JSON: exact types, nothing that runs.

A value is taken for what its type *is*, never for what it claims: a subclass of `int` that equals everything is not an int,
and comes out as `opaque`. Nothing is pickled, evaluated or printed to be read again. Sizes are bounded here, where the value
is, since a bomb is cheapest to refuse before it is written. The text of this module is also part of the program within the
sandbox, so it imports the standard library alone.
"""

from __future__ import annotations

import base64
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable
from typing import Any

MAX_DEPTH = 50
MAX_NODES = 200_000
MAX_INT_BITS = 1_000_000


class TooLarge(Exception):
    """The value is deeper or larger than may cross."""


class Opaque:
    """A value of a type that does not cross: whether it counts as true is known of it, and it equals nothing."""

    def __init__(self, name: str, *, truth: bool) -> None:
        self.name = name
        self.truth = truth

    def __bool__(self) -> bool:
        """Return what its own type said."""
        return self.truth

    def __eq__(self, other: object) -> bool:
        """Return False."""
        return False

    __hash__ = None  # pyright: ignore[reportAssignmentType]

    def __repr__(self) -> str:
        """Return what can be said of it."""
        return f"<a value of type {self.name}>"


def _whole_number(value: Any) -> list[Any]:
    if value.bit_length() > MAX_INT_BITS:
        raise TooLarge
    return ["i", hex(value)]


_SIMPLE: dict[type, Callable[[Any], list[Any]]] = {
    type(None): lambda _: ["n", 0],
    bool: lambda value: ["b", 1 if value else 0],
    int: _whole_number,
    float: lambda value: ["f", value.hex()],
    complex: lambda value: ["c", [value.real.hex(), value.imag.hex()]],
    str: lambda value: ["s", value],
    bytes: lambda value: ["y", base64.b64encode(value).decode()],
}
_SEVERAL: dict[type, str] = {list: "l", tuple: "t", set: "S", frozenset: "F"}
_MAPPINGS: frozenset[type] = frozenset({dict, Counter, OrderedDict, defaultdict})


def encode(value: Any, depth: int = 0, left: list[int] | None = None) -> list[Any]:
    """Return a value as `[tag, content]` of lists, texts and numbers that JSON holds.

    Raises:
        TooLarge: where it is deeper or larger than may cross.
    """
    left = [MAX_NODES] if left is None else left
    left[0] -= 1
    if left[0] < 0 or depth > MAX_DEPTH:
        raise TooLarge
    kind: type = type(value)  # pyright: ignore[reportUnknownVariableType]
    if kind in _SIMPLE:
        return _SIMPLE[kind](value)
    if kind in _SEVERAL:
        return [_SEVERAL[kind], [encode(part, depth + 1, left) for part in value]]
    if kind in _MAPPINGS:
        return ["d", [[encode(key, depth + 1, left), encode(part, depth + 1, left)] for key, part in value.items()]]
    return ["o", [str(kind.__name__)[:100], 1 if value else 0]]


def _text(content: Any) -> str:
    if type(content) is not str:
        raise ValueError("not a tagged value")
    return content


def _parts(content: Any, size: int | None = None) -> list[Any]:
    if not isinstance(content, list):
        raise ValueError("not a tagged value")  # noqa: TRY004 - one kind of error for whatever crosses wrongly
    parts: list[Any] = [*content]
    if size is not None and len(parts) != size:
        raise ValueError("not a tagged value")
    return parts


def _complex(content: Any) -> complex:
    real, imaginary = _parts(content, 2)
    return complex(float.fromhex(_text(real)), float.fromhex(_text(imaginary)))


def _opaque(content: Any) -> Opaque:
    name, truth = _parts(content, 2)
    return Opaque(_text(name), truth=bool(truth))


_READ: dict[str, Callable[[Any], Any]] = {
    "n": lambda _: None,
    "b": bool,
    "i": lambda content: int(_text(content), 16),
    "f": lambda content: float.fromhex(_text(content)),
    "c": _complex,
    "s": _text,
    "y": lambda content: base64.b64decode(_text(content)),
    "o": _opaque,
}
_READ_SEVERAL: dict[str, type] = {"l": list, "t": tuple, "S": set, "F": frozenset}


def decode(tagged: Any, depth: int = 0) -> Any:
    """Return the value of a tagged form.

    Raises:
        ValueError: for whatever is not one.
        TypeError: for a set or a mapping with parts that no set can hold.
    """
    tag, content = _parts(tagged, 2)
    if depth > MAX_DEPTH + 1 or type(tag) is not str:
        raise ValueError("not a tagged value")
    if tag in _READ:
        return _READ[tag](content)
    if tag in _READ_SEVERAL:
        return _READ_SEVERAL[tag]([decode(part, depth + 1) for part in _parts(content)])
    if tag == "d":
        pairs = [_parts(pair, 2) for pair in _parts(content)]
        return {decode(key, depth + 1): decode(part, depth + 1) for key, part in pairs}
    raise ValueError("not a tagged value")
