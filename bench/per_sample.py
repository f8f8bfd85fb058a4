"""Our CPU per sample, and what a sample costs the ledger in bytes and microseconds."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median

from bench.measure import SCRIPT, Figure, Ran, cost, request, run_apart, write_recipe
from gristmill.records import Request, TeacherIdentity
from gristmill.store.schema import TABLES
from gristmill.teachers.scripted import Script, ScriptedTeacher

SCRIPTED = TeacherIdentity(provider="scripted", model="scripted")
SAMPLES, ROUNDS = 5_000, 3
WRITTEN = ("requests", "attempts", "replies", "samples", "grades")


def figures(folder: Path) -> list[Figure]:
    """Measure with 5,000 samples; medians of three, ours and the floors by turns."""
    recipe = write_recipe(folder / "sample", SAMPLES)
    requests = [request(number, SCRIPTED) for number in range(SAMPLES)]
    indexed: list[Ran] = []
    ran: list[Ran] = []
    floors: dict[str, list[float]] = {"loop": [], "inserts": [], "rows": []}
    before = size = 0
    for round_ in range(ROUNDS):
        output = folder / f"sample/run{round_}"
        indexed.append(run_apart(recipe, output, until="index"))
        before, blobs = ledger_bytes(output), last_blob(output)
        ran.append(run_apart(recipe, output))
        size = ledger_bytes(output) - before
        rows = rows_of(output, blobs)
        floors["loop"].append(cost(partial(bare_loop, requests, folder / "bare.jsonl")).cpu_s)
        floors["inserts"].append(cost(bare_inserts(folder / f"bare{round_}.sqlite", size // SAMPLES)).cpu_s)
        floors["rows"].append(cost(partial(write_rows, folder / f"rows{round_}.sqlite", rows)).cpu_s)
    bare, inserts, written = (each(floors[name]) for name in ("loop", "inserts", "rows"))
    stages = {name: each([one.stages[name] for one in ran]) for name in ran[0].stages}
    whole = each([one.cpu_s for one in ran])
    insert_is = "one insert of as many bytes, sqlite3, one transaction"
    return [
        Figure("CPU per sample, generation", stages["generate"], "µs", bare, "the teacher in a bare loop, a JSON line each", 500),
        Figure("  of it the ledger's thread", stages["writer"], "µs", inserts, insert_is),
        Figure("CPU per sample, deciding, export", stages["decide"], "µs"),
        Figure("CPU per sample, tables", stages["tables"], "µs"),
        Figure("CPU per sample, all but indexing", whole, "µs", bare, "the teacher in a bare loop, a JSON line each"),
        Figure("ledger rows of a sample", written, "µs", inserts, insert_is),
        Figure("ledger bytes of a sample", size / SAMPLES, "B"),
        Figure("CPU per prompt, indexing", each([one.stages["index"] for one in indexed]), "µs"),
        Figure("ledger bytes of a prompt", before / SAMPLES, "B"),
    ]


def each(seconds: list[float]) -> float:
    """Return microseconds per sample, by the median."""
    return median(seconds) / SAMPLES * 1e6


def ledger_bytes(output: Path) -> int:
    """Return the size of a closed ledger."""
    return (output / "ledger.sqlite").stat().st_size


def last_blob(output: Path) -> int:
    """Return the last row of a ledger's texts."""
    with contextlib.closing(sqlite3.connect(output / "ledger.sqlite")) as db:
        return int(db.execute("SELECT max(id) FROM blobs").fetchone()[0])


def bare_loop(requests: list[Request], path: Path) -> None:
    """Ask the scripted teacher, 64 at a time, and write a JSON line per sample, with one fsync at the end."""

    async def loop() -> None:
        teacher = ScriptedTeacher(Script.model_validate(SCRIPT))
        with path.open("w") as stream:
            for begin in range(0, len(requests), 64):
                some = requests[begin : begin + 64]
                async with asyncio.TaskGroup() as group:
                    tasks = [group.create_task(teacher.complete(one)) for one in some]
                for one, task in zip(some, tasks, strict=True):
                    texts = [one.messages[0].content, task.result().message.content]
                    stream.write(json.dumps({"id": one.id, "messages": texts}) + "\n")
            stream.flush()
            os.fsync(stream.fileno())

    asyncio.run(loop())


def bare_inserts(path: Path, size: int) -> Callable[[], None]:
    """Return what inserts rows of `size` bytes in one transaction."""
    rows = [(number, os.urandom(size)) for number in range(SAMPLES)]

    def insert() -> None:
        with contextlib.closing(sqlite3.connect(path)) as db, db:
            db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, data BLOB)")
            db.executemany("INSERT INTO t VALUES(?,?)", rows)

    return insert


def rows_of(output: Path, blobs: int) -> dict[str, list[tuple[object, ...]]]:
    """Return the rows that a run's samples have, and their texts after row `blobs`, by table."""
    with contextlib.closing(sqlite3.connect(output / "ledger.sqlite")) as db:
        rows = {table: db.execute(f"SELECT * FROM {table}").fetchall() for table in WRITTEN}
        return {**rows, "blobs": db.execute("SELECT * FROM blobs WHERE id>?", (blobs,)).fetchall()}


def write_rows(path: Path, rows: dict[str, list[tuple[object, ...]]]) -> None:
    """Write the same rows to a fresh ledger's tables in one transaction."""
    with contextlib.closing(sqlite3.connect(path)) as db, db:
        db.executescript(TABLES)
        for table, content in rows.items():
            db.executemany(f"INSERT INTO {table} VALUES({','.join('?' * len(content[0]))})", content)
