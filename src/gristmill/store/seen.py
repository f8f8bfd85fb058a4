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

    def add(self, digest: bytes) -> None:
        """Note a hash of at least 9 bytes."""
        bits = self._bits
        for place in _places(digest):
            bits[place >> 3] |= 1 << (place & 7)

    def __contains__(self, digest: bytes) -> bool:
        """Whether a hash may have been noted."""
        bits = self._bits
        return all(bits[place >> 3] >> (place & 7) & 1 for place in _places(digest))


def _places(digest: bytes) -> tuple[int, int, int]:
    number = int.from_bytes(digest[:9], "big")
    return number & _MASK, number >> 24 & _MASK, number >> 48 & _MASK
