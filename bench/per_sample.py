"""Our CPU per sample, and what a sample costs the ledger in bytes and microseconds."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import time
from pathlib import Path

from bench.measure import Figure, run_apart, write_recipe
from gristmill.messages import user
from gristmill.records import Request, Sampling
from gristmill.teachers.scripted import Script, ScriptedTeacher

SAMPLES = 10_000


def figures(folder: Path) -> list[Figure]:
    """Measure with 10,000 samples."""
    path = write_recipe(folder / "sample", SAMPLES)
    index = run_apart(path, folder / "sample/run", "index")
    size_before = ledger_bytes(folder / "sample/run")
    ran = run_apart(path, folder / "sample/run", "grade")
    size = ledger_bytes(folder / "sample/run") - size_before
    bare = bare_loop(folder / "bare.jsonl")
    cpu = ran["cpu_s"] / SAMPLES * 1e6
    inserts = bare_inserts(folder / "bare.sqlite", size // SAMPLES)
    written = replayed_writes(folder / "sample/run", folder / "copy.sqlite")
    return [
        Figure(
            "our CPU per sample", cpu, "µs", bare, "the scripted teacher in a bare loop, one JSON line each", "500", cpu <= 500
        ),
        Figure("ledger, bytes per sample", size / SAMPLES, "B", None, "", "", None),
        Figure("ledger, writes per sample", written, "µs", inserts, "one insert of as many bytes in bare sqlite3", "", None),
        Figure("indexing per prompt", index["cpu_s"] / SAMPLES * 1e6, "µs", None, "", "", None),
        Figure("ledger, bytes per prompt", size_before / SAMPLES, "B", None, "", "", None),
    ]


def ledger_bytes(output: Path) -> int:
    """Return the size of a closed ledger."""
    return (output / "ledger.sqlite").stat().st_size


def bare_loop(path: Path) -> float:
    """Return microseconds of CPU per call of the scripted teacher and a JSON line, 64 at a time, with one fsync."""

    async def loop() -> None:
        teacher = ScriptedTeacher(Script(answers=("A", "B"), cost_usd=0.0001))
        with path.open("w") as stream:
            for begin in range(0, SAMPLES, 64):
                async with asyncio.TaskGroup() as group:
                    tasks = [group.create_task(teacher.complete(request(n))) for n in range(begin, min(begin + 64, SAMPLES))]
                stream.writelines(json.dumps({"text": task.result().message.content}) + "\n" for task in tasks)
            stream.flush()
            os.fsync(stream.fileno())

    began = time.process_time()
    asyncio.run(loop())
    return (time.process_time() - began) / SAMPLES * 1e6


def request(number: int) -> Request:
    """Return one request."""
    teacher = ScriptedTeacher(Script())
    return Request(
        id=f"{number:032x}",
        role="teacher",
        identity=teacher.identity,
        messages=(user(f"Question {number}"),),
        sampling=Sampling(temperature=0.7),
        seed=number,
        prompt_id="0" * 32,
        sample_index=0,
        step="answer",
        occurrence=0,
    )


def bare_inserts(path: Path, size: int) -> float:
    """Return microseconds per insert of `size` bytes in one transaction."""
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, data BLOB)")
        began = time.process_time()
        for number in range(SAMPLES):
            db.execute("INSERT INTO t VALUES(?,?)", (number, os.urandom(size)))
        db.commit()
        return (time.process_time() - began) / SAMPLES * 1e6


def replayed_writes(output: Path, path: Path) -> float:
    """Return microseconds per sample to write the rows that a sample has into a fresh ledger's tables."""
    from gristmill.store.schema import TABLES

    tables = ("requests", "attempts", "replies", "samples", "grades")
    with sqlite3.connect(output / "ledger.sqlite") as old:
        rows = {table: old.execute(f"SELECT * FROM {table}").fetchall() for table in tables}
    with sqlite3.connect(path) as new:
        new.executescript(TABLES)
        began = time.process_time()
        for table in tables:
            for row in rows[table]:
                new.execute(f"INSERT INTO {table} VALUES({','.join('?' * len(row))})", row)
        new.commit()
        return (time.process_time() - began) / SAMPLES * 1e6
