"""The header of a GGUF file, read before the file is given to the runtime.

A model runtime that is handed a broken file says little or ends the process, so the header is read here first: is it GGUF, is it
whole, which architecture, how much context. The format is described in ggml's docs/gguf.md; little-endian, version 2 and 3.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from gristmill.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

MAGIC = b"GGUF"
MOST_TEXT, MOST_ITEMS = 16 * 1024 * 1024, 4_000_000
_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_TEXT, _LIST = 8, 9
_BLOCKS: dict[int, tuple[int, int]] = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 10: (256, 84), 11: (256, 110),
    12: (256, 144), 13: (256, 176), 14: (256, 210), 30: (1, 2),
}  # fmt: skip
"""Tensor type to values and bytes per block; of other types only the beginning is checked."""


class GgufHeader(NamedTuple):
    """What a GGUF file says of itself."""

    architecture: str
    name: str | None
    context: int | None
    """Tokens that the model was made for."""
    has_chat_template: bool


def read_header(path: Path) -> GgufHeader:
    """Read the header of a GGUF file and make sure that the file is whole.

    Raises:
        InputError: where the file is not there, is no GGUF, or is cut off.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            return _read(stream, path, size)
    except FileNotFoundError:
        raise InputError(
            f"there is no model file {path}", fix="Check the path; in a recipe it is relative to the recipe."
        ) from None
    except (struct.error, EOFError, UnicodeDecodeError):
        raise _cut_off(path) from None
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}", fix="Check the path and its permissions.") from None


def _cut_off(path: Path) -> InputError:
    return InputError(f"{path} is a GGUF file that is cut off or damaged", fix="Copy or download it again, and compare its size.")


def _read(stream: BinaryIO, path: Path, size: int) -> GgufHeader:
    head = stream.read(4)
    if head != MAGIC:
        raise InputError(f"{path} is not a GGUF file: it begins with {head!r}", fix="Convert the model to GGUF first.")
    version, tensors, pairs = struct.unpack("<IQQ", stream.read(20))
    if version not in (2, 3):
        raise InputError(f"{path} has GGUF version {version}; 2 and 3 are read", fix="Convert the model again.")
    if tensors > MOST_ITEMS or pairs > MOST_ITEMS:
        raise _cut_off(path)
    facts = {_text(stream): _value(stream, _number(stream, "I")) for _ in range(pairs)}
    ends = [_tensor(stream) for _ in range(tensors)]
    alignment = int(facts.get("general.alignment", 32))
    start = -(-stream.tell() // alignment) * alignment
    if not ends or start + max(ends) > size:
        raise _cut_off(path)
    architecture = str(facts.get("general.architecture", "unknown"))
    name, context = facts.get("general.name"), facts.get(f"{architecture}.context_length")
    return GgufHeader(
        architecture,
        str(name) if name else None,
        int(context) if context else None,
        "tokenizer.chat_template" in facts,
    )


def _number(stream: BinaryIO, code: str) -> Any:
    data = stream.read(struct.calcsize(f"<{code}"))
    return struct.unpack(f"<{code}", data)[0]


def _text(stream: BinaryIO) -> str:
    length = _number(stream, "Q")
    if length > MOST_TEXT:
        raise EOFError
    data = stream.read(length)
    if len(data) < length:
        raise EOFError
    return data.decode("utf-8", errors="replace")


def _value(stream: BinaryIO, kind: int) -> Any:
    if kind == _TEXT:
        return _text(stream)
    if kind == _LIST:
        inner, count = _number(stream, "I"), _number(stream, "Q")
        if count > MOST_ITEMS or inner == _LIST:
            raise EOFError
        for _ in range(count):
            _value(stream, inner)
        return None
    if kind not in _SCALARS:
        raise EOFError
    return _number(stream, _SCALARS[kind])


def _tensor(stream: BinaryIO) -> int:
    """Return where a tensor ends, counted from the beginning of the data."""
    _text(stream)
    shape = [_number(stream, "Q") for _ in range(min(_number(stream, "I"), 8))]
    kind, offset = _number(stream, "I"), _number(stream, "Q")
    values = 1
    for side in shape:
        values *= side
    per_block, size = _BLOCKS.get(kind, (values or 1, 1))
    return offset + -(-values // per_block) * size
