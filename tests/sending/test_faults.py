"""Whole runs against servers that fail in every way: each prompt ends with a reason, nothing that was answered is asked again."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any, get_args

import pytest

from gristmill.records import Status
from tests.runs import command, finish, keep, query, recipe, run
from tests.servers import Answer, Arrived, Never, Raw, Reaction, Script, completion, serving

TIMEOUT_S = 0.5
ERROR = {"error": {"message": "the provider's own words"}}
FAULTS: list[tuple[float, Reaction]] = [
    (0.10, Answer(429, ERROR)),
    (0.05, Answer(429, ERROR, {"retry-after": "0"})),
    (0.05, Answer(429, ERROR, {"retry-after-ms": "30", "retry-after": "1"})),
    (0.05, Answer(500, ERROR)),
    (0.02, Raw(reset=True)),
    (0.02, Answer(200, b'{"choices": [{"message": {"content": "cut o')),
    (0.01, Never()),
    (0.01, Answer(200, b"<html>hello</html>", {"content-type": "text/html"})),
    (0.01, Answer(200, completion(choices=[]))),
    (0.01, Answer(200, {**ERROR, "choices": []})),
]


class Flaky:
    """Answers by a hash of the body and of how often it came, so that the faults do not depend on the order of calls."""

    def __init__(self, faults: list[tuple[float, Reaction]]) -> None:
        self.faults = faults
        self.came = Counter[bytes]()
        self.answered = Counter[bytes]()

    def __call__(self, arrived: Arrived) -> Reaction:
        number = self.came[arrived.raw] = self.came[arrived.raw] + 1
        point = int.from_bytes(hashlib.sha256(arrived.raw + bytes([number])).digest()[:8], "big") / 2**64
        for share, reaction in self.faults:
            if point < share:
                return reaction
            point -= share
        self.answered[arrived.raw] += 1
        return Answer(200, completion("A" if number % 2 else "B"))


def asking(folder: Path, url: str, prompts: int = 40, **changes: Any) -> Path:
    """Write a recipe whose teacher is a server."""
    teacher = {"address": url, "model": "m", "timeout_s": TIMEOUT_S, **changes.pop("teacher", {})}
    return recipe(folder, prompts=prompts, teacher=teacher, sampling={"want": None, "n": 1, "temperature": 0.7}, **changes)


def run_against(script: Script, folder: Path, prompts: int = 40, **changes: Any) -> tuple[dict[str, Any], list[Arrived]]:
    """Run against a server and return the summary and what arrived."""
    with serving(script) as server:
        found = run(asking(folder, server.url, prompts, **changes), folder / "run", shared=folder)
        return found, server.requests


def test_a_third_of_all_requests_fail_and_nothing_is_lost_or_asked_again(tmp_path: Path) -> None:
    server, prompts = Flaky(FAULTS), 150
    found, arrived = run_against(server, tmp_path, prompts)
    assert found["status"] == "complete"
    assert len(server.came) == prompts
    assert set(server.answered.values()) == {1}, "what was answered is not asked again"
    assert len(arrived) <= 1.6 * prompts
    rows = query(f"SELECT status, count(*) FROM '{tmp_path}/run/tables/samples.parquet' GROUP BY status")
    assert sum(count for _, count in rows) == prompts
    assert {status for status, _ in rows} <= set(get_args(Status))
    assert dict(rows)["complete"] == len(server.answered), "no reply is lost"
    calls = query(f"SELECT sum(attempts) FROM '{tmp_path}/run/tables/calls.parquet'")
    assert calls == [(len(arrived),)]


def test_a_refusal_for_the_rate_costs_a_request_none_of_its_tries(tmp_path: Path) -> None:
    refused = Counter[bytes]()

    def twice(arrived: Arrived) -> Reaction:
        refused[arrived.raw] += 1
        return Answer(429, ERROR, {"retry-after": "0"}) if refused[arrived.raw] <= 2 else Answer(200, completion("A"))

    found, _ = run_against(twice, tmp_path, 4, teacher={"attempts": 1})
    assert (found["status"], found["accepted"]) == ("complete", 4)


def test_a_refusal_closes_the_endpoint_for_everybody(tmp_path: Path) -> None:
    """While the first of many requests is refused for a while, no other is sent."""
    arrivals: list[Arrived] = []

    def once(arrived: Arrived) -> Reaction:
        arrivals.append(arrived)
        return Answer(429, ERROR, {"retry-after": "11"}) if len(arrivals) == 1 else Answer(401, ERROR)

    said: list[str] = []
    with serving(once) as server:
        path = asking(tmp_path, server.url, 40, teacher={"limits": {"in_flight": 1}})
        process = command("run", str(path), "-o", str(tmp_path / "run"), XDG_RUNTIME_DIR=str(tmp_path))
        assert process.stderr is not None
        for line in process.stderr:
            said.append(line)
            if "takes no requests" in line:
                break
        process.terminate()
        finish(process)
    assert "the server takes no requests for 11 s: HTTP 429: the provider's own words" in said[-1]
    assert len(arrivals) == 1


@pytest.mark.parametrize("code", ["insufficient_quota", "billing_hard_limit_reached"])
def test_no_credit_stops_the_run_with_the_providers_words(tmp_path: Path, code: str) -> None:
    body = {"error": {"message": "You exceeded your current quota", "code": code}}
    found, arrived = run_against(lambda _: Answer(429, body), tmp_path, teacher={"limits": {"in_flight": 1}})
    assert (found["status"], found["exit_code"]) == ("stopped", 6)
    assert "HTTP 429: You exceeded your current quota" in found["error"]
    assert len(arrived) == 1


@pytest.mark.parametrize("status", [401, 402, 403, 404])
def test_what_meets_every_request_stops_the_run_at_once(tmp_path: Path, status: int) -> None:
    found, arrived = run_against(lambda _: Answer(status, ERROR), tmp_path, teacher={"limits": {"in_flight": 2}})
    assert (found["status"], found["exit_code"]) == ("stopped", 6)
    assert f"HTTP {status}: the provider's own words" in found["error"]
    assert len(arrived) <= 2


@pytest.mark.parametrize("status", [400, 413, 422])
def test_what_is_wrong_with_a_request_is_the_reason_of_its_row(tmp_path: Path, status: int) -> None:
    found, arrived = run_against(lambda _: Answer(status, ERROR), tmp_path, 4)
    assert len(arrived) == 4
    reasons = query(f"SELECT DISTINCT status, reason FROM '{tmp_path}/run/tables/samples.parquet'")
    assert reasons == [("error", f"http_{status}")]
    assert "the provider's own words" in found["error"]


def test_a_run_in_which_everything_fails_stops_and_its_first_line_says_why(tmp_path: Path) -> None:
    """The circuit breaker: twenty faults in a row and never an answer."""
    with serving(lambda _: Answer(500, {"error": {"message": "CUDA error: out of memory"}})) as server:
        path = asking(tmp_path, server.url, 100, teacher={"attempts": 100})
        code, out, err = finish(command("run", str(path), "-o", str(tmp_path / "run"), XDG_RUNTIME_DIR=str(tmp_path)))
    assert code == 6
    first = out.splitlines()[0]
    assert first.startswith("stopped: the last ")
    assert first.endswith("calls all failed: HTTP 500: CUDA error: out of memory")
    assert "HTTP 500: CUDA error: out of memory" in err


def test_a_slow_server_is_slow_and_not_failed(tmp_path: Path) -> None:
    """Answers just before the time-out are answers, and one request in ten that hangs stops nothing."""
    server = Flaky([(0.1, Never())])
    found, arrived = run_against(server, tmp_path, 60)
    assert (found["status"], len(server.answered)) == ("complete", 60)
    assert len(arrived) == sum(server.came.values()) <= 80


def test_what_the_server_says_is_left_is_heeded(tmp_path: Path) -> None:
    """After an answer that says nothing is left for a minute, nothing more is sent."""
    left = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1m0s"}
    arrivals: list[Arrived] = []

    def last(arrived: Arrived) -> Reaction:
        arrivals.append(arrived)
        return Answer(200, completion("A"), left)

    with serving(last) as server:
        path = asking(tmp_path, server.url, 20, teacher={"limits": {"in_flight": 1}})
        process = command("run", str(path), "-o", str(tmp_path / "run"), XDG_RUNTIME_DIR=str(tmp_path))
        status = tmp_path / "run/status.json"
        while not (status.exists() and json.loads(status.read_text()).get("samples", 0) >= 1):
            assert process.poll() is None
        process.terminate()
        finish(process)
    assert len(arrivals) == 1


def test_two_limits_of_one_endpoint_are_one(tmp_path: Path) -> None:
    """A refusal that one process met is on file for the next, under the same URL and key variable."""
    server = Flaky([(0.3, Answer(429, ERROR, {"retry-after": "0"}))])
    with serving(server) as running:
        for name in ("a", "b"):
            folder = tmp_path / name
            folder.mkdir()
            assert run(asking(folder, running.url, 15), folder / "run", shared=tmp_path, say=keep([]))["status"] == "complete"
    assert len(list(tmp_path.glob("*.json"))) == 1


def test_nothing_is_kept_where_nothing_limits(tmp_path: Path) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    with serving() as server:
        run(asking(tmp_path, server.url, 10), tmp_path / "run", shared=shared)
    assert list(shared.iterdir()) == []
