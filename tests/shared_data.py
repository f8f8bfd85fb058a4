"""Data that are too large for the repository, where they are; a test that needs them says so where they are not."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest


def shared(name: str) -> Path:
    """Return the folder `shared/NAME` beside the project, or skip the test."""
    folder = next((one for above in Path(__file__).resolve().parents if (one := above / "shared" / name).is_dir()), None)
    if folder is None:
        pytest.skip(f"the folder shared/{name} is not there")
    return folder


def recorded(name: str) -> list[dict[str, Any]]:
    """Return the rows of a file in `shared/data`, compressed or not."""
    raw = (shared("data") / name).read_bytes()
    return [json.loads(line) for line in (gzip.decompress(raw) if name.endswith(".gz") else raw).split(b"\n") if line]
