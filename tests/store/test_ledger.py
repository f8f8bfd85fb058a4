"""The ledger as a file: texts once, versions, clean and unclean ends."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.errors import LedgerError
from gristmill.store import schema
from gristmill.store.ledger import Ledger
from gristmill.store.packing import pack_ids, unpack_ids


def test_a_text_is_stored_once(tmp_path: Path) -> None:
    """Equal texts share a row, also across lives."""
    first = Ledger(tmp_path / "l.sqlite")
    row = first.blob(b"hello " * 100)
    assert first.blob(b"hello " * 100) == row
    other = first.blob(b"short")
    first.close()
    second = Ledger(tmp_path / "l.sqlite")
    assert second.blob(b"hello " * 100) == row
    assert (second.text(row), second.text(other)) == (b"hello " * 100, b"short")
    assert second.scalar("SELECT count(*) FROM blobs") == 2
    second.close()


@settings(max_examples=30)
@given(texts=st.lists(st.binary(max_size=400), max_size=30))
def test_texts_come_back(tmp_path_factory: pytest.TempPathFactory, texts: list[bytes]) -> None:
    """Any bytes come back as they were."""
    ledger = Ledger(tmp_path_factory.mktemp("l") / "l.sqlite")
    rows = [ledger.blob(text) for text in texts]
    asyncio.run(ledger.durable())
    assert [ledger.text(row) for row in rows] == texts
    assert len(set(rows)) == len(set(texts))
    ledger.close()


@given(rows=st.lists(st.integers(0, 2**32 - 1)))
def test_packed_ids_come_back(rows: list[int]) -> None:
    """Packing row ids loses nothing."""
    assert unpack_ids(pack_ids(rows)) == rows


def test_a_newer_ledger_is_refused(tmp_path: Path) -> None:
    """One clear line, and the file is left as it was."""
    path = tmp_path / "l.sqlite"
    Ledger(path).close()
    with sqlite3.connect(path) as db:
        db.execute(f"PRAGMA user_version={schema.VERSION + 1}")
    before = path.read_bytes()
    with pytest.raises(LedgerError, match="newer gristmill") as caught:
        Ledger(path)
    assert "Upgrade" in caught.value.fix
    assert path.read_bytes() == before


def test_an_older_ledger_is_brought_forward_on_a_copy(tmp_path: Path) -> None:
    """Each step runs on a copy; the earlier file stays beside the new one."""
    path = tmp_path / "l.sqlite"
    Ledger(path).close()

    def add_column(db: sqlite3.Connection) -> None:
        db.execute("ALTER TABLE samples ADD COLUMN note TEXT")

    ledger = Ledger(path, version=schema.VERSION + 1, migrations={schema.VERSION: add_column})
    assert ledger.query("SELECT note FROM samples").fetchall() == []
    assert ledger.notes == [f"the ledger was brought from version 1 to 2; the earlier one is l.v{schema.VERSION}"]
    ledger.close()
    with sqlite3.connect(tmp_path / "l.v1") as old:
        assert "note" not in {row[1] for row in old.execute("PRAGMA table_info(samples)")}


def test_a_failed_migration_leaves_the_ledger(tmp_path: Path) -> None:
    """The ledger is whole and of its version after a step that raises."""
    path = tmp_path / "l.sqlite"
    Ledger(path).close()

    def fail(db: sqlite3.Connection) -> None:
        db.execute("CREATE TABLE half(x)")
        raise sqlite3.OperationalError("no")

    with pytest.raises(LedgerError):
        Ledger(path, version=2, migrations={1: fail})
    ledger = Ledger(path)
    assert ledger.query("SELECT count(*) FROM sqlite_schema WHERE name='half'").fetchone() == (0,)
    ledger.close()


def test_the_end_is_known_to_be_clean_or_not(tmp_path: Path) -> None:
    """Only a ledger that was closed counts as clean."""
    path = tmp_path / "l.sqlite"
    Ledger(path).close()
    again = Ledger(path)
    assert again.was_clean
    (tmp_path / "copy.sqlite").write_bytes(path.read_bytes())  # as a crash leaves it
    again.close()
    crashed = Ledger(tmp_path / "copy.sqlite")
    assert not crashed.was_clean
    assert crashed.notes == []
    crashed.close()


def test_a_failed_write_is_told_to_everyone(tmp_path: Path) -> None:
    """A full ledger fails the waiter and every later write, and keeps what was committed before."""

    async def fill(ledger: Ledger) -> int:
        kept = 0
        while True:
            ledger.event(0.0, "fill", "x" * 50_000)
            await ledger.durable()
            kept += 1

    ledger = Ledger(tmp_path / "l.sqlite")
    with ledger.bulk() as db:
        db.execute("PRAGMA max_page_count=60")
    with pytest.raises(LedgerError, match="disk is full"):
        asyncio.run(fill(ledger))
    with pytest.raises(LedgerError, match="disk is full"):
        ledger.event(0.0, "more", "")
    ledger.close()
    with sqlite3.connect(tmp_path / "l.sqlite") as db:
        assert db.execute("SELECT count(*) FROM events").fetchone()[0] >= 2
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
