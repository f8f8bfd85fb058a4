"""A damaged ledger: name the damage, keep every row that can still be read, count the lost.

Rows are copied table by table into a new file, in ranges that are halved around an unreadable row. Ids are dense, so what is
missing below the highest id is what was lost. The damaged file is kept beside the new one. A lost reply is bought again; a
lost finished sample runs again by replay, which asks for nothing that is still recorded.
"""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING

import zstandard

from gristmill.ids import text_digest
from gristmill.store import schema
from gristmill.store.packing import unpack_ids
from gristmill.store.pages import damaged_pages
from gristmill.store.reader import unpack_text

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_RANGE = 512
_DENSE = ("blobs", "batches", "dims", "prompts", "requests", "samples", "attempts", "plan")
"""Tables whose integer keys have no gaps, so that the lost can be counted; `_count_missing` counts the rest."""


def salvage(path: Path, damage: Sequence[str]) -> list[str]:
    """Replace the ledger at `path` by a copy of its readable rows.

    Args:
        path: The damaged ledger; it is kept as `ledger.damaged-N.sqlite`.
        damage: What `PRAGMA quick_check` said.

    Returns:
        Lines for people: the damage, what was kept and what was lost, and where the damaged file is.
    """
    named = _named(path)
    fresh = path.with_suffix(".salvaged")
    fresh.unlink(missing_ok=True)
    lost: dict[str, int] = {}
    kept = 0
    with contextlib.closing(sqlite3.connect(fresh)) as new, contextlib.closing(sqlite3.connect(path)) as old:
        new.executescript(schema.TABLES)
        for table in schema.NAMES:
            copied, missing = _copy(old, new, table)
            kept += copied
            if missing:
                lost[table] = missing
        _drop_damaged_texts(new, lost)
        _drop_orphans(new, lost)
        _count_missing(new, lost)
        new.execute(f"PRAGMA user_version={schema.VERSION}")
        new.commit()
    number = 1
    while (aside := path.with_name(f"{path.stem}.damaged-{number}{path.suffix}")).exists():
        number += 1
    path.replace(aside)
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    fresh.replace(path)
    counts = ", ".join(f"{count} {table}" for table, count in sorted(lost.items())) or ("no row" if kept else "all there was")
    first = named or damage[0].replace("\n", " ")[:160]
    return [
        f"the ledger was damaged: {first}",
        f"kept {kept:,} rows, lost {counts}; the damaged file is {aside.name}",
    ]


def _named(path: Path) -> str:
    """Say which pages are damaged and whose they are; nothing where the damage is not in a page's structure."""
    try:
        with contextlib.closing(sqlite3.connect(path)) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            roots = dict(db.execute("SELECT name, rootpage FROM sqlite_schema WHERE rootpage > 0").fetchall())
    except sqlite3.DatabaseError:
        roots = {}
    pages = damaged_pages(path, {"the list of tables": 1, **roots})
    return ", ".join(f"page {page.number} ({page.table})" for page in pages[:8])


def _drop_damaged_texts(new: sqlite3.Connection, lost: dict[str, int]) -> None:
    """Drop texts that do not match their hash."""
    unpacker = zstandard.ZstdDecompressor()

    def matches(digest: bytes, data: bytes) -> int:
        try:
            return int(text_digest(unpack_text(data, unpacker)) == digest)
        except zstandard.ZstdError:
            return 0

    new.create_function("matches", 2, matches, deterministic=True)
    gone = new.execute("DELETE FROM blobs WHERE NOT matches(hash, data)").rowcount
    if gone:
        lost["blobs"] = lost.get("blobs", 0) + gone


def _count_missing(new: sqlite3.Connection, lost: dict[str, int]) -> None:
    """Count what has no dense keys by what must be there: a reply for each answered attempt, a grade for each sample."""
    for table, missing in (
        (
            "replies",
            "count(DISTINCT request) FROM attempts WHERE code='answered' AND request NOT IN (SELECT request FROM replies)",
        ),
        ("grades", "count(*) FROM samples WHERE id NOT IN (SELECT sample FROM grades)"),
    ):
        gone = new.execute(f"SELECT {missing}").fetchone()[0]
        if gone:
            lost[table] = max(gone, lost.get(table, 0))


def _copy(old: sqlite3.Connection, new: sqlite3.Connection, table: str) -> tuple[int, int]:
    """Copy the readable rows of a table; return how many were copied and how many are missing."""
    if table in ("meta", "moments", "grades"):  # without integer keys: read as far as possible
        return _copy_ranges(old, new, table, None), 0
    key = {"plan": "position", "replies": "request", "decisions": "sample"}.get(table, "id")
    try:
        top = old.execute(f"SELECT max({key}) FROM {table}").fetchone()[0] or 0  # noqa: S608 - our own names
    except sqlite3.DatabaseError:
        top = _highest(old, table, key)
    copied = sum(_copy_ranges(old, new, table, (key, low, min(low + _RANGE, top + 1))) for low in range(0, top + 1, _RANGE))
    expected = top + 1 if table == "plan" and copied else top
    return copied, max(0, expected - copied) if table in _DENSE else 0


def _highest(old: sqlite3.Connection, table: str, key: str) -> int:
    """Find the highest readable key by doubling, where the last page itself is damaged."""
    top, step = 0, 1 << 20
    while step:
        with contextlib.suppress(sqlite3.DatabaseError):
            while old.execute(f"SELECT 1 FROM {table} WHERE {key}>=? LIMIT 1", (top + step,)).fetchone():  # noqa: S608
                top += step
        step //= 2
    return top


def _copy_ranges(old: sqlite3.Connection, new: sqlite3.Connection, table: str, span: tuple[str, int, int] | None) -> int:
    where, values = (f" WHERE {span[0]}>=? AND {span[0]}<?", span[1:]) if span else ("", ())
    copied = 0
    try:
        rows = old.execute(f"SELECT * FROM {table}{where}", values)  # noqa: S608 - our own names
        names = [column[0] for column in rows.description]  # those of an older version, where it is one
        put = f"INSERT OR IGNORE INTO {table}({','.join(names)}) VALUES({','.join('?' * len(names))})"
        for row in rows:
            copied += new.execute(put, row).rowcount
    except (sqlite3.DatabaseError, UnicodeDecodeError):
        if span and span[2] - span[1] > 1:
            middle = (span[1] + span[2]) // 2
            copied += _copy_ranges(old, new, table, (span[0], span[1], middle))
            copied += _copy_ranges(old, new, table, (span[0], middle, span[2]))
    return copied


def _drop_orphans(new: sqlite3.Connection, lost: dict[str, int]) -> None:
    """Drop rows whose texts are gone, so that nothing half-readable is replayed."""
    known = {row[0] for row in new.execute("SELECT id FROM blobs")}

    def whole(packed: bytes) -> int:
        return int(all(row in known for row in unpack_ids(packed)))

    def there(row: int | None) -> int:
        return int(not row or row in known)

    new.create_function("whole", 1, whole, deterministic=True)
    new.create_function("known", 1, there, deterministic=True)
    for table, condition in (
        ("prompts", "NOT known(body)"),
        ("requests", "NOT whole(messages) OR prompt NOT IN (SELECT id FROM prompts)"),
        ("replies", "NOT known(message) OR request NOT IN (SELECT id FROM requests)"),
        ("attempts", "request NOT IN (SELECT id FROM requests)"),
        ("samples", "NOT whole(messages) OR NOT known(answer) OR prompt NOT IN (SELECT id FROM prompts)"),
        ("moments", "prompt NOT IN (SELECT id FROM prompts)"),
        ("grades", "sample NOT IN (SELECT id FROM samples)"),
        ("decisions", "sample NOT IN (SELECT id FROM samples)"),
        ("plan", "prompt NOT IN (SELECT id FROM prompts)"),
    ):
        gone = new.execute(f"DELETE FROM {table} WHERE {condition}").rowcount  # noqa: S608 - our own names
        if gone:
            lost[table] = lost.get(table, 0) + gone
    new.execute("DELETE FROM meta WHERE key='plan'")
