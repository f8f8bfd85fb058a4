"""Which hashes may have been seen: a Bloom filter (Bloom 1970, CACM 13:422-426), so that a new text costs no look-up on disk.

Whoever is not in it was certainly not seen; whoever is may have been, and is looked up. Its size is fixed: two megabytes are
enough for some millions of texts, and with more it only looks things up more often.
"""

from __future__ import annotations

BITS = 1 << 24
_MASK = BITS - 1


class Seen:
    """A set that never forgets and sometimes remembers too much."""

    def __init__(self) -> None:
        self._bits = bytearray(BITS >> 3)

    def add(self, digest: bytes) -> bool:
        """Note a hash of at least 9 bytes, and return whether it may have been noted before."""
        bits, before = self._bits, 1
        number = int.from_bytes(digest[:9], "big")
        for place in (number & _MASK, number >> 24 & _MASK, number >> 48 & _MASK):
            byte, bit = place >> 3, place & 7
            before &= bits[byte] >> bit
            bits[byte] |= 1 << bit
        return bool(before)
