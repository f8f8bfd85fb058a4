"""The ledger as a file: texts once, versions, clean and unclean ends."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.errors import LedgerError
from gristmill.recipe.model import SourceSpec
from gristmill.sources.rows import RowSource
from gristmill.store import schema
from gristmill.store.ledger import Ledger
from gristmill.store.packing import pack_ids, unpack_ids
from gristmill.store.prompts import index_prompts


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


def test_an_old_sqlite_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sqlite3.sqlite_version_info", (3, 26, 0))
    with pytest.raises(LedgerError, match=r"needs 3\.33\.0"):
        Ledger(tmp_path / "l.sqlite")
    assert not (tmp_path / "l.sqlite").exists()


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
    now, then = schema.VERSION + 1, schema.VERSION
    assert ledger.notes == [f"the ledger was brought from version {then} to {now}; the earlier one is l.v{then}"]
    ledger.close()
    with sqlite3.connect(tmp_path / f"l.v{then}") as old:
        assert "note" not in {row[1] for row in old.execute("PRAGMA table_info(samples)")}


def first_version(path: Path) -> None:
    """Make an empty ledger of version 1."""
    Ledger(path).close()
    with sqlite3.connect(path) as db:
        db.execute("DROP INDEX attempts_in")
        db.execute("DROP TABLE batches")
        for table, column in (
            ("attempts", "reserved_usd"), ("attempts", "reserved_tokens"), ("attempts", "batch"), ("prompts", "prefix"),
            ("prompts", "together"),
        ):  # fmt: skip
            db.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
        db.execute("PRAGMA user_version=1")


def test_the_first_version_becomes_this_one(tmp_path: Path) -> None:
    """After its migrations it has the tables and columns of a new ledger, in the same order."""
    first_version(tmp_path / "old.sqlite")
    Ledger(tmp_path / "old.sqlite").close()
    Ledger(tmp_path / "new.sqlite").close()
    shapes: list[dict[str, list[str]]] = []
    for name in ("old", "new"):
        with sqlite3.connect(tmp_path / f"{name}.sqlite") as db:
            assert db.execute("PRAGMA user_version").fetchone() == (schema.VERSION,)
            names = [
                row[0] for row in db.execute("SELECT name FROM sqlite_schema WHERE type IN ('table', 'index') ORDER BY name")
            ]
            shapes.append({name: [row[1] for row in db.execute(f"PRAGMA table_info({name})")] for name in names})
    assert shapes[0] == shapes[1]


def test_a_failed_migration_leaves_the_ledger(tmp_path: Path) -> None:
    """The ledger is whole and of its version after a step that raises."""
    path = tmp_path / "l.sqlite"
    Ledger(path).close()

    def fail(db: sqlite3.Connection) -> None:
        db.execute("CREATE TABLE half(x)")
        raise sqlite3.OperationalError("no")

    with pytest.raises(LedgerError):
        Ledger(path, version=schema.VERSION + 1, migrations={schema.VERSION: fail})
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


def test_prompts_with_a_long_beginning_in_common_stand_side_by_side(tmp_path: Path) -> None:
    """So that a provider's cache is still warm; short prompts keep the order of their own hash."""
    documents = {name: f"Document {name}. " + f"It says {name} again and again. " * 200 for name in "abcde"}
    rows = [{"prompt": f"{documents[name]}\nQuestion {n}?"} for n in range(12) for name in documents]
    rows += [{"prompt": f"A short question {n}?"} for n in range(40)]
    (tmp_path / "p.jsonl").write_text("\n".join(map(json.dumps, rows)))
    ledger = Ledger(tmp_path / "l.sqlite")
    index_prompts(ledger, [RowSource(SourceSpec(path="p.jsonl"), tmp_path / "p.jsonl")], 3)
    order = [
        ledger.json(body)["messages"][0]["content"].partition(".")[0]
        for (body,) in ledger.query("SELECT p.body FROM plan l JOIN prompts p ON p.id = l.prompt ORDER BY l.position")
    ]
    assert len(order) == 100
    for name in documents:
        places = [place for place, text in enumerate(order) if text == f"Document {name}"]
        assert places == list(range(places[0], places[0] + 12))
    ledger.close()
