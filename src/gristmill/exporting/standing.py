"""Which files of an export are ours, and whether they are still as they were written.

An export is a folder that people work in: they add notes, cut files, copy it elsewhere. What is theirs is kept when a new export
takes its place, and what is ours is known by its checksum, so a file that was lost or changed is seen and written again.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from gristmill.exporting.files import SPLITS
from gristmill.exporting.registry import EXPORTERS

CARD = "README.md"
_SUFFIXES = (".jsonl", ".parquet")


def is_ours(path: Path) -> bool:
    """Return whether a path within an export is one that gristmill writes."""
    if path == Path(CARD):
        return True
    return len(path.parts) == 2 and path.parts[0] in EXPORTERS and path.stem in SPLITS and path.suffix in _SUFFIXES


def checksums(export: Path) -> dict[str, str]:
    """Return the SHA-256 of every data file of an export by its path there, in order."""
    found: dict[str, str] = {}
    for path in sorted(export.glob("*/*")):
        relative = path.relative_to(export)
        if is_ours(relative) and path.is_file():
            with path.open("rb") as stream:
                found[relative.as_posix()] = hashlib.file_digest(stream, "sha256").hexdigest()
    return found
