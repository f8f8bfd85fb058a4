"""Marks around hostile text: it cannot hold them, since they are a hash of it."""

from __future__ import annotations

import hashlib


def fence_for(text: str) -> str:
    """Return the line that stands before and after a text in what a model is asked."""
    return f"=== TEXT {hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:16]} ==="
