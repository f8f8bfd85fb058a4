"""Identity is a hash of content, computed in one place.

Every id is the first 16 bytes of SHA-256 over canonical JSON (keys sorted, no spaces, UTF-8) of `[kind, version,
content]`. The trade-off: text is hashed as it is, without Unicode normalisation, because two requests that differ in one
code point are two requests to a teacher. Golden tests pin the ids: changing this module orphans every ledger.
"""

from __future__ import annotations

import hashlib
from typing import Any

import orjson

IDENTITY_VERSION = 1
ID_BYTES = 16


def canonical_json(content: Any) -> bytes:
    """Serialise `content` so that equal content gives equal bytes.

    Raises:
        TypeError: for content that JSON cannot hold. NaN and infinity are refused by the nouns before they get here.
    """
    return orjson.dumps(content, option=orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS)


def content_id(kind: str, content: Any) -> str:
    """Return the 32 hexadecimal digits that name `content` of a `kind` (`prompt`, `request`, `sample`, `record`, …)."""
    return content_digest(kind, content).hex()


def content_digest(kind: str, content: Any) -> bytes:
    """Return the 16 bytes that name `content`; `content_id` is the same in hexadecimal."""
    return hashlib.sha256(canonical_json([kind, IDENTITY_VERSION, content])).digest()[:ID_BYTES]


def text_digest(data: bytes) -> bytes:
    """Return the 16 bytes under which a blob of text is stored."""
    return hashlib.sha256(data).digest()[:ID_BYTES]


def seed_for(*parts: str | int) -> int:
    """Derive a seed of 31 bits from `parts`; 31 because several providers refuse larger or negative seeds."""
    digest = hashlib.sha256(canonical_json(["seed", IDENTITY_VERSION, list(parts)])).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def plan_key(seed: int, prompt_id: str) -> int:
    """Return the place of a prompt in plan order: 63 bits that depend on the run's seed and the prompt alone."""
    digest = hashlib.sha256(f"plan|{seed}|{prompt_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1
