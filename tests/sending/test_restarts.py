"""A server that is restarted in the middle of a run: with `wait_for` it is ridden through, however few tries a call has."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from tests.runs import command, finish, recipe
from tests.servers import Answer, Arrived, Reaction, completion, serving


def test_a_restart_is_ridden_through(tmp_path: Path) -> None:
    asked: list[str] = []

    def answer(arrived: Arrived) -> Reaction:
        if arrived.path.endswith("/models"):
            return Answer(200, {"object": "list", "data": [{"id": "m", "object": "model"}]})
        asked.append(str(arrived.body["messages"]))
        return Answer(200, completion("A"))

    teacher = {"model": "m", "attempts": 2, "wait_for": "2m", "limits": {"in_flight": 4}}
    ledger = tmp_path / "out/ledger.sqlite"
    with serving(answer) as first:
        path = recipe(tmp_path, prompts=300, teacher={"address": first.url, **teacher}, sampling={"want": 1, "max_attempts": 2})
        process = command("run", str(path), "-o", str(tmp_path / "out"))
        while len(asked) < 20:
            assert process.poll() is None
    refused = 0
    while refused < 12:  # more than the four calls in flight could bring with two tries each
        assert process.poll() is None, process.communicate()
        with sqlite3.connect(f"file:{ledger}?mode=ro", uri=True) as db:
            refused = db.execute("SELECT count(*) FROM attempts WHERE code = 'connect'").fetchone()[0]
    with serving(answer, port=first.port):
        code, _, err = finish(process)
    assert code == 0, err
    with sqlite3.connect(ledger) as db:
        assert db.execute("SELECT count(*) FROM replies").fetchone() == (300,)
        assert dict(db.execute("SELECT status, count(*) FROM samples GROUP BY status").fetchall()) == {"complete": 300}
