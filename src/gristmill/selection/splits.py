"""Splits by prompt, never by row: all samples of a prompt are on one side, so nothing trained on is tested on.

The side is a hash of seed and prompt id, so adding or removing other prompts moves none.
"""

from __future__ import annotations

import hashlib


def split_of(prompt_id: str, seed: int, *, validation: float, test: float) -> str:
    """Return `train`, `validation` or `test` for a prompt; the shares hold in expectation."""
    if not validation and not test:
        return "train"
    digest = hashlib.sha256(f"split|{seed}|{prompt_id}".encode()).digest()
    place = int.from_bytes(digest[:8], "big") / 2**64
    if place < test:
        return "test"
    return "validation" if place < test + validation else "train"
