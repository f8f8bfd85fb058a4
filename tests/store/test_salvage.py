"""A damaged page: it is named, the rest is kept, the lost is counted, and the run goes on."""

from __future__ import annotations

import json
import random
import sqlite3
from pathlib import Path

import pytest

from gristmill.errors import LedgerError
from gristmill.store.ledger import Ledger
from tests.runs import command, finish, keep, recipe, run


def pages_of(path: Path, table: str) -> list[int]:
    """Return the leaf pages of a table, by the library's own statistics."""
    with sqlite3.connect(path) as db:
        root = db.execute("SELECT rootpage FROM sqlite_schema WHERE name=?", (table,)).fetchone()[0]
        size = db.execute("PRAGMA page_size").fetchone()[0]
    data = path.read_bytes()
    page = data[(root - 1) * size : root * size]
    if page[0] == 0x0D:
        return [root]
    count = int.from_bytes(page[3:5], "big")
    pointers = [int.from_bytes(page[12 + 2 * i : 14 + 2 * i], "big") for i in range(count)]
    return [int.from_bytes(page[p : p + 4], "big") for p in pointers] + [int.from_bytes(page[8:12], "big")]


def damage(path: Path, page: int, *, clean: bool = False) -> None:
    """Overwrite a page with noise, and leave the ledger as a crash leaves it, or as a good end does."""
    with sqlite3.connect(path) as db:
        size = db.execute("PRAGMA page_size").fetchone()[0]
        db.execute("UPDATE meta SET value=? WHERE key='clean'", (str(int(clean)),))
    db.close()
    with path.open("r+b") as stream:
        stream.seek((page - 1) * size)
        stream.write(random.Random(page).randbytes(size))


@pytest.mark.parametrize("table", ["blobs", "replies", "samples", "requests", "prompts", "grades"])
def test_one_bad_page(tmp_path: Path, table: str) -> None:
    """The rest is kept, and only what was lost is asked for again."""
    path = recipe(tmp_path, prompts=300, script={"log": "log"})
    output = tmp_path / "run"
    before = run(path, output)
    ledger = output / "ledger.sqlite"
    pages = pages_of(ledger, table)
    assert len(pages) > 2
    damage(ledger, pages[len(pages) // 2])
    asked = len((tmp_path / "log").read_text().split())
    said: list[str] = []
    after = run(path, output, say=keep(said))
    assert after["exit_code"] == 0
    assert after["accepted"] == before["accepted"]
    assert any("damaged" in line for line in said)
    kept = next(line for line in said if line.startswith("kept"))
    assert "ledger.damaged-1.sqlite" in kept
    again = len((tmp_path / "log").read_text().split()) - asked
    assert again < asked / 2, "most of what was paid for is still there"
    assert table in kept


@pytest.mark.parametrize("table", ["blobs", "replies", "samples", "requests", "prompts", "grades"])
def test_a_bad_page_after_a_clean_end(tmp_path: Path, table: str) -> None:
    """It is found when it is read: one line and exit 6, and the next run names it and mends it."""
    output = tmp_path / "run"
    before = run(recipe(tmp_path, prompts=300), output)
    page = pages_of(output / "ledger.sqlite", table)[1]
    damage(output / "ledger.sqlite", page, clean=True)
    path = str(recipe(tmp_path, prompts=300, export=["rl", "messages"]))
    code, _, err = finish(command("run", path, "-o", str(output)))
    assert code == 6, err
    assert "Traceback" not in err
    assert "damaged" in err
    code, out, err = finish(command("run", path, "-o", str(output), "--json"))
    assert code == 0, err
    assert f"page {page} ({table})" in err
    assert json.loads(out)["accepted"] == before["accepted"]


def test_a_damaged_text(tmp_path: Path) -> None:
    """A flipped bit inside a text is found when it is read, and mended by the next run."""
    path = recipe(tmp_path, prompts=60, script={"answers": ["A", "B"]})
    output = tmp_path / "run"
    before = run(path, output)
    with sqlite3.connect(output / "ledger.sqlite") as db:
        row = db.execute("SELECT id, data FROM blobs WHERE substr(data, 1, 1) = x'01' LIMIT 1").fetchone()
        assert row, "a text long enough to be compressed"
        db.execute("UPDATE blobs SET data=? WHERE id=?", (row[1][:12] + b"\xff\xff\xff" + row[1][15:], row[0]))
    changed = recipe(tmp_path, prompts=60, script={"answers": ["A", "B"]}, export=["rl"])
    with pytest.raises(LedgerError, match="damaged"):
        run(changed, output)
    said: list[str] = []
    after = run(changed, output, say=keep(said))
    assert "damaged" in said[0]
    assert after["accepted"] == before["accepted"]


def test_the_damage_is_told_on_the_command_line(tmp_path: Path) -> None:
    """The page's number and the counts are in the output, and the command goes on."""
    path = recipe(tmp_path, prompts=300)
    run(path, tmp_path / "run")
    ledger = tmp_path / "run/ledger.sqlite"
    page = pages_of(ledger, "blobs")[1]
    damage(ledger, page)
    code, _, err = finish(command("run", str(path), "-o", str(tmp_path / "run")))
    assert code == 0, err
    assert f"page {page} (blobs)" in err
    assert "lost" in err


def test_a_file_that_is_no_ledger(tmp_path: Path) -> None:
    """Noise in the place of a ledger is kept aside, and said to be lost."""
    (tmp_path / "l.sqlite").write_bytes(b"\x01noise" * 2000)
    ledger = Ledger(tmp_path / "l.sqlite")
    assert "damaged" in ledger.notes[0]
    assert "lost all there was" in ledger.notes[1]
    assert (tmp_path / "l.damaged-1.sqlite").exists()
    ledger.close()
