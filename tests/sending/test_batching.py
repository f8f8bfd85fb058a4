"""Runs by batch interfaces: rounds, partial and expired batches, kills while one is out, the discount, and flat memory."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from gristmill.errors import InputError
from tests.runs import command, finish, query, recipe, run, tables
from tests.servers import Answer, Arrived, Reaction, completion, serving
from tests.teachers.batching import BatchServer, Fate

APIS = ["chat", "messages"]


def batched(folder: Path, url: str, api: str, **changes: Any) -> Path:
    """Write a recipe that hands its calls in to a local server."""
    teacher = {
        "address": url,
        "model": "m",
        "api": api,
        "batch": {"poll_s": 0.02},
        "attempts": 3,
        "price": {"input": 10.0, "output": 100.0},
    }
    sampling = {"want": 1, "max_attempts": 4, "temperature": 0.7, "max_tokens": 16}
    given: dict[str, Any] = {"sampling": sampling, "prompts": 60, **changes}
    return recipe(folder, teacher=teacher, **given)


@pytest.mark.parametrize("api", APIS)
def test_adaptive_sampling_goes_in_rounds(tmp_path: Path, api: str) -> None:
    """Each round is one batch with the next attempt of every prompt that has none accepted; nothing is handed in twice."""
    server = BatchServer()
    with serving(server) as served:
        found = run(batched(tmp_path, served.url, api), tmp_path / "out")
    assert found["exit_code"] == 0
    assert 2 <= len(server.batches) <= 4
    sizes = [len(batch.lines) for batch in server.batches.values()]
    assert sizes[0] == 60
    assert sizes == sorted(sizes, reverse=True)
    assert len(server.handed_in) == len(set(server.handed_in)) == found["calls"]["made"]
    assert sum(found["samples"].values()) == len(server.handed_in)
    assert found["accepted"] > 45
    rows = query(f"SELECT count(*), sum(cost_usd) FROM '{tmp_path}/out/tables/calls.parquet'")
    assert rows[0][0] == len(server.handed_in)
    assert rows[0][1] == pytest.approx(found["cost_usd"])


@pytest.mark.parametrize("api", APIS)
def test_partial_and_expired_batches(tmp_path: Path, api: str) -> None:
    """A bad request is refused for good, an error or an expiry is handed in again, at most as often as the recipe says."""
    seen: dict[str, int] = {}

    def fate(custom_id: str) -> Fate:
        number = int(custom_id[:4], 16) % 10
        if number == 0:
            return "bad_request"
        times = seen.get(custom_id, 0)
        if number == 1 and times < 2:
            return "server_error"
        return "expired" if number == 2 else "answer"

    server = BatchServer(fate=fate)

    def answering(arrived: Any) -> Any:
        reaction = server(arrived)
        for custom_id in server.handed_in:
            seen[custom_id] = server.handed_in.count(custom_id) - 1
        return reaction

    sampling = {"want": None, "n": 1, "temperature": 0.7, "max_tokens": 16}
    with serving(answering) as served:
        found = run(batched(tmp_path, served.url, api, sampling=sampling, prompts=40), tmp_path / "out")
    assert found["exit_code"] in (0, 6)
    times = {custom_id: server.handed_in.count(custom_id) for custom_id in server.handed_in}
    for custom_id, count in times.items():
        assert count == {0: 1, 1: 3, 2: 3}.get(int(custom_id[:4], 16) % 10, 1)
    reasons = dict(query(f"SELECT reason, count(*) FROM '{tmp_path}/out/tables/samples.parquet' GROUP BY reason"))
    expired = sum(int(c[:4], 16) % 10 == 2 for c in times)
    assert reasons.get("transient:expired", 0) == expired
    refused = sum(int(c[:4], 16) % 10 == 0 for c in times)
    assert sum(count for reason, count in reasons.items() if reason and not reason.startswith("transient")) == refused


@pytest.mark.parametrize("api", APIS)
def test_a_kill_while_a_batch_is_out_hands_nothing_in_twice(tmp_path: Path, api: str) -> None:
    """`kill -9` while it waits; the resume finds the batch by its id, and the result is that of a run that was let be."""
    with serving(BatchServer()) as served:
        (tmp_path / "calm").mkdir()
        assert run(batched(tmp_path / "calm", served.url, api), tmp_path / "calm/out")["exit_code"] == 0
    server = BatchServer(looks=10**9)
    with serving(server) as served:
        path = batched(tmp_path, served.url, api)
        process = command("run", str(path), "-o", str(tmp_path / "out"), "--yes")
        while not any(path.startswith("GET") for path in server.paths):
            assert process.poll() is None, process.communicate()
        process.kill()
        process.communicate()
        assert len(server.batches) == 1
        server.looks = 2
        code, _, err = finish(command("run", str(path), "-o", str(tmp_path / "out"), "--yes"))
    assert code == 0, err
    assert len(server.handed_in) == len(set(server.handed_in))
    assert tables(tmp_path / "out")["samples"] == tables(tmp_path / "calm/out")["samples"]
    with sqlite3.connect(tmp_path / "out/ledger.sqlite") as db:
        assert db.execute("SELECT count(*) FROM attempts WHERE possibly_billed").fetchone() == (0,)
        assert db.execute("SELECT count(*) FROM batches WHERE ended IS NULL").fetchone() == (0,)


def test_a_batch_whose_id_never_arrived_is_found_by_its_mark(tmp_path: Path) -> None:
    """The provider took it, but its answer was lost: the run goes on with that batch."""
    server = BatchServer(forgets=True)
    with serving(server) as served:
        assert run(batched(tmp_path, served.url, "chat"), tmp_path / "out")["exit_code"] == 0
    assert len(server.handed_in) == len(set(server.handed_in))
    assert "GET /v1/batches" in server.paths


def test_a_kill_between_handing_in_and_the_answer_is_found_too(tmp_path: Path) -> None:
    """The batch is on record before it is handed in, so the resume asks the provider for its mark."""
    server = BatchServer(looks=10**9)
    with serving(server) as served:
        path = batched(tmp_path, served.url, "chat")
        process = command("run", str(path), "-o", str(tmp_path / "out"), "--yes")
        while not server.batches:
            assert process.poll() is None, process.communicate()
        process.kill()
        process.communicate()
        with sqlite3.connect(tmp_path / "out/ledger.sqlite") as db:
            db.execute("UPDATE batches SET batch_id = NULL")  # as if the kill had come before the answer was on record
        server.looks = 2
        assert run(path, tmp_path / "out")["exit_code"] == 0
    assert len(server.handed_in) == len(set(server.handed_in))


def test_a_batch_that_fails_as_a_whole_stops_with_the_providers_words(tmp_path: Path) -> None:
    with serving(BatchServer(invalid=True)) as served:
        found = run(batched(tmp_path, served.url, "chat"), tmp_path / "out")
    assert found["exit_code"] == 6
    assert "line 3 is not valid" in found["error"]


class Odd:
    """A batch server that does something else for the first requests that begin so."""

    def __init__(self, begins: str, times: int, reaction: Reaction, server: BatchServer) -> None:
        self.server = server
        self._begins = begins
        self._left = times
        self._reaction = reaction

    def __call__(self, arrived: Arrived) -> Reaction:
        """Answer a request."""
        if self._left and f"{arrived.method} {arrived.path}".startswith(self._begins):
            self._left -= 1
            return self._reaction
        return self.server(arrived)


LIMITED = Answer(429, {"error": {"message": "slow down"}}, {"retry-after": "0.01"})
DOWN = Answer(500, {"error": {"message": "down"}})


@pytest.mark.parametrize(
    ("begins", "times", "reaction"),
    [
        ("POST /v1/messages/batches", 5, DOWN),
        ("POST /v1/messages/batches", 20, LIMITED),
        ("POST /v1/batches", 5, DOWN),
        ("POST /v1/batches", 20, LIMITED),
        ("POST /v1/files", 5, DOWN),
        ("GET /v1/batches/", 20, LIMITED),
        ("GET /v1/files/", 20, LIMITED),
        ("GET /v1/files/", 3, Answer(200, b'{"custom_id": "0", "respo')),
    ],
)
def test_what_passes_is_waited_for_and_costs_no_call_a_try(tmp_path: Path, begins: str, times: int, reaction: Answer) -> None:
    """More often than the recipe tries a call: a batch that was not taken, or not looked at, is none of its tries."""
    server = BatchServer()
    sampling = {"want": None, "n": 1, "temperature": 0.7, "max_tokens": 16}
    with serving(Odd(begins, times, reaction, server)) as served:
        api = "messages" if "messages" in begins else "chat"
        path = batched(tmp_path, served.url, api, sampling=sampling, prompts=12)
        found = run(path, tmp_path / "out")
        if isinstance(reaction.body, bytes):
            assert found["samples"] == {"error": 12}, "three batches were answered with what nobody can read"
            found = run(path, tmp_path / "out")
    assert (found["exit_code"], found["samples"]) == (0, {"complete": 12}), found["error"]


def test_a_provider_that_takes_no_batch_stops_the_run(tmp_path: Path) -> None:
    server = BatchServer()
    with serving(Odd("POST /v1/batches", 10**9, DOWN, server)) as served:
        path = batched(tmp_path, served.url, "chat", prompts=4)
        assert "the last 8 batches were not taken: HTTP 500: down" in run(path, tmp_path / "out")["error"]
    with serving(server) as served:
        path.write_text(path.read_text().replace(path.read_text().split("address: ")[1].split()[0], served.url))
        assert run(path, tmp_path / "out")["exit_code"] == 0


def test_a_line_that_cannot_be_read_takes_no_other_with_it(tmp_path: Path) -> None:
    server = BatchServer()
    spoilt: list[str] = []

    def spoiling(arrived: Arrived) -> Reaction:
        reaction = server(arrived)
        if "/files/" in arrived.path and arrived.method == "GET" and not spoilt and isinstance(reaction, Answer):
            assert isinstance(reaction.body, bytes)
            first, *rest = reaction.body.splitlines()
            spoilt.append(json.loads(first)["custom_id"])
            return reaction._replace(body=b"\n".join([first[:90], *rest]))
        return reaction

    sampling = {"want": None, "n": 1, "temperature": 0.7, "max_tokens": 16}
    with serving(spoiling) as served:
        found = run(batched(tmp_path, served.url, "chat", sampling=sampling, prompts=12), tmp_path / "out")
    assert (found["exit_code"], found["samples"]) == (0, {"complete": 12})
    assert [custom_id for custom_id in server.handed_in if server.handed_in.count(custom_id) > 1] == spoilt * 2


def test_a_batch_that_the_provider_does_not_know_is_said_to_be_gone(tmp_path: Path) -> None:
    server = BatchServer()
    with serving(Odd("GET /v1/batches/", 1, Answer(404, {"error": {"message": "No batch found"}}), server)) as served:
        found = run(batched(tmp_path, served.url, "chat", prompts=4), tmp_path / "out")
    assert (found["exit_code"], "No batch found" in found["error"]) == (6, True)


def test_calls_in_an_open_batch_are_not_asked_for_live_without_a_word(tmp_path: Path) -> None:
    """And where the person says so, the batch that is fetched later spoils nothing: its answers are a second bill."""
    server = BatchServer(looks=10**9)
    sampling = {"want": None, "n": 1, "temperature": 0.7, "max_tokens": 16}

    def both(arrived: Arrived) -> Reaction:
        if arrived.path.endswith("/chat/completions"):
            return Answer(200, completion("A"))
        return server(arrived)

    with serving(both) as served:
        path = batched(tmp_path, served.url, "chat", sampling=sampling, prompts=12, budget={"hours": 0.0008})
        waiting = run(path, tmp_path / "out")
        assert (waiting["exit_code"], waiting["calls"]["made"]) == (4, 12), "the hours are over while the batch is out"
        live = path.with_name("live.yaml")
        text = path.read_text().replace("hours: 0.0008", "hours: 9").replace("batch:\n    poll_s: 0.02", "batch: false")
        live.write_text(text)
        with pytest.raises(InputError, match="12 calls of `teacher` were handed in as a batch"):
            run(live, tmp_path / "out")
        assert run(live, tmp_path / "out", yes=True)["samples"] == {"complete": 12}
        server.looks = 0
        more = path.with_name("more.yaml")
        more.write_text(path.read_text().replace("hours: 0.0008", "hours: 9").replace("n: 1", "n: 2"))
        found = run(more, tmp_path / "out")
    assert (found["exit_code"], found["samples"]) == (0, {"complete": 24}), found["error"]
    with sqlite3.connect(tmp_path / "out/ledger.sqlite") as db:
        assert db.execute("SELECT count(*) FROM attempts WHERE code='answered_before' AND possibly_billed").fetchone() == (12,)


def test_a_target_does_not_hand_in_everything(tmp_path: Path) -> None:
    """The first batch is as large as the target may need, not as the plan is."""
    server = BatchServer()
    with serving(server) as served:
        found = run(batched(tmp_path, served.url, "chat", prompts=400, target={"rows": 30}), tmp_path / "out")
    assert found["exit_code"] == 0
    assert found["exported"] == 30
    assert len(next(iter(server.batches.values())).lines) <= 60
    assert len(server.handed_in) < 200


def test_a_budget_bounds_what_is_handed_in(tmp_path: Path) -> None:
    server = BatchServer()
    with serving(server) as served:
        path = batched(tmp_path, served.url, "chat", budget={"usd": 0.02})
        found = run(path, tmp_path / "out")
        assert found["exit_code"] == 4
        assert found["cost_usd"] <= 0.02
        path.write_text(path.read_text().replace("usd: 0.02", "usd: 50.0"))
        assert run(path, tmp_path / "out")["exit_code"] == 0
    assert len(server.handed_in) == len(set(server.handed_in))


def test_a_teacher_without_a_batch_interface_says_so(tmp_path: Path) -> None:
    path = recipe(tmp_path, teacher={"address": "scripted:", "batch": True})
    from gristmill.errors import InputError

    with pytest.raises(InputError, match="has no batch interface"):
        run(path, tmp_path / "out")
