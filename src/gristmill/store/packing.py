"""Lists of row ids as bytes: four bytes each, little-endian, so a ledger can move between machines."""

from __future__ import annotations

import sys
from array import array
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


def pack_ids(rows: Sequence[int]) -> bytes:
    """Return row ids as bytes."""
    packed = array("I", rows)
    if sys.byteorder == "big":
        packed.byteswap()
    return packed.tobytes()


def unpack_ids(packed: bytes) -> list[int]:
    """Return what `pack_ids` packed."""
    rows = array("I")
    rows.frombytes(packed)
    if sys.byteorder == "big":
        rows.byteswap()
    return list(rows)
