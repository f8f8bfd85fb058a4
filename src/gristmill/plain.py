"""Plain values out of JSON, YAML and Parquet, narrowed: what is an object, a list, a text, a whole number."""

from __future__ import annotations

import re
from typing import Any

import orjson

_ESCAPE = re.compile(
    rb"\\(?:(u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.DOTALL
)
"""An escape in JSON: a whole surrogate pair, half of one, or any other."""


def read_json(data: bytes) -> Any:
    """Return what JSON holds; halves of characters, as of an emoji that was cut in two, become U+FFFD.

    Servers send them, and a reply that was paid for is not given up for one character.

    Raises:
        orjson.JSONDecodeError: where it is no JSON besides that.
    """
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        text = data.decode("utf-8", "replace").encode()
        mended = _ESCAPE.sub(lambda found: b"\\ufffd" if found[2] else found[0], text)
        if mended == data:
            raise
        return orjson.loads(mended)


def as_object(value: Any) -> dict[str, Any] | None:
    """Return `value` if it is an object with text keys, else None."""
    return value if isinstance(value, dict) else None  # pyright: ignore[reportUnknownVariableType] - this is where it is known


def as_list(value: Any) -> list[Any] | None:
    """Return `value` if it is a list, else None."""
    return value if isinstance(value, list) else None  # pyright: ignore[reportUnknownVariableType] - this is where it is known


def as_items(value: Any) -> list[Any]:
    """Return a list or tuple as a list, and anything else as the only item of one."""
    if isinstance(value, list | tuple):
        return list(value)  # pyright: ignore[reportUnknownArgumentType] - narrowed here
    return [value]


def as_text(value: Any) -> str | None:
    """Return `value` if it is a text, else None."""
    return value if isinstance(value, str) else None


def as_count(value: Any) -> int | None:
    """Return `value` if it is a whole number that is not negative (True is none), else None."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def references_in(schema: Any) -> list[str]:
    """Return every `$ref` and `$dynamicRef` of a JSON Schema; one that does not begin with `#` would be fetched."""
    if (content := as_object(schema)) is not None:
        own = as_text(content.get("$ref")) or as_text(content.get("$dynamicRef"))
        return ([own] if own else []) + [ref for part in content.values() for ref in references_in(part)]
    return [ref for part in as_list(schema) or () for ref in references_in(part)]
