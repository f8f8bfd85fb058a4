"""Programs within the walls: what they may, what ends them, and that they cannot say that they are right."""

from __future__ import annotations

import asyncio
import json
import os
import platform
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from gristmill.errors import InputError
from gristmill.grading.code import CodeOptions, grade_code
from gristmill.messages import user
from gristmill.records import Prompt, Sample, Verdict
from gristmill.sandbox import opening
from gristmill.sandbox import probe as probing
from gristmill.sandbox.opening import Sandbox
from gristmill.sandbox.probe import probe
from gristmill.sandbox.runner import Runner
from gristmill.sandbox.walls import Tier
from gristmill.values import encode
from tests.cli.commands import SCRIPT
from tests.grading.asking import Computing
from tests.sandbox.walls_here import called, calls, needs_bubblewrap
from tests.shared_data import shared

pytestmark = needs_bubblewrap
QUICK: dict[str, Any] = {"call_s": 2.0, "total_s": 4.0}


def test_values_in_values_out() -> None:
    code = "def f(*a, **k):\n    print('chatter')\n    return [a, {'x': (1.5, None)}]\n"
    assert calls(code, [(1, "é"), ()]) == [[(1, "é"), {"x": (1.5, None)}], [(), {"x": (1.5, None)}]]
    assert called("from dataclasses import dataclass\n@dataclass\nclass P:\n    x: int\ndef f():\n    return P(3).x\n") == 3
    assert called("state = []\ndef f():\n    state.append(1)\n    return len(state)\n") == 1


@pytest.mark.parametrize("tier", ["strong", "medium", "weak"])
def test_sets_come_in_the_order_that_is_asked_for(tier: Any) -> None:
    """The same with the same seed, in every walls, and another with another."""
    code = "def f():\n    return hash('a')\n"
    call: list[Any] = ["f", encode([]), encode({})]
    job = {"mode": "function", "code": code, "entry_point": "f", "calls": [call]}

    async def hashes() -> list[Any]:
        runner = Runner(tier)
        return [(await runner.run({**job, "hash_seed": seed}))["results"][0]["value"] for seed in (0, 0, 1)]

    first, again, other = asyncio.run(hashes())
    assert first == again != other


MANY = """
import os, time
def f():
    for _ in range(8):
        if os.fork() == 0:
            x = b"1" * (400 << 20)
            time.sleep(9)
    time.sleep(9)
"""
SPEAKS = """
import os
for descriptor in range(3, 64):
    try:
        os.write(descriptor, b"{}")
    except OSError:
        pass
def f(): pass
"""
ENDS = {
    "loops": ("def f():\n    while True: pass\n", "timeout"),
    "sleeps": ("import time\ndef f():\n    time.sleep(99)\n", "timeout"),
    "loads for ever": ("while True: pass\n", "timeout"),
    "raises": ("def f():\n    raise ValueError('no')\n", "error"),
    "does not parse": ("def f(:\n", "error"),
    "is not there": ("def g(): pass\n", "error"),
    "leaves": ("import os\ndef f():\n    os._exit(0)\n", "crash"),
    "is killed": ("import os\ndef f():\n    os.kill(os.getpid(), 9)\n", "crash"),
    "faults": ("import ctypes\ndef f():\n    ctypes.string_at(0)\n", "crash"),
    "eats memory": ("def f():\n    return len(bytearray(3 << 30))\n", "memory"),
    "eats memory in many": (MANY, "memory"),
    "floods": ("import os\ndef f():\n    while True: os.write(2, b'x' * 65536)\n", "output-limit"),
    "speaks out of turn": (SPEAKS, "protocol"),
    "is too deep": ("def f():\n    a = []\n    a.append(a)\n    return a\n", "error"),
}


@pytest.mark.parametrize("name", list(ENDS))
def test_what_ends_a_program(name: str) -> None:
    code, verdict = ENDS[name]
    assert called(code, **QUICK)[0] == verdict


DAEMON = """
import os, time
def f():
    open("/tmp/x", "w").write("y")
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            open("/proc/self/comm", "w").write("MARK")
            time.sleep(60)
        os._exit(0)
    return sorted(os.listdir("/tmp"))
"""


def test_nothing_stays_behind(tmp_path: Path) -> None:
    """A daemon of a daemon dies with its walls, and what was written is gone."""
    mark = f"mark{os.getpid()}x"
    code = DAEMON.replace("MARK", mark)
    assert called(code) == ["x"]
    left = [one for one in Path("/proc").glob("[0-9]*/comm") if mark in _text(one)]
    assert not left
    assert called("import os\ndef f():\n    return os.listdir('/tmp')\n") == []
    assert not list(tmp_path.iterdir())


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def test_the_probe_sees_what_holds_and_what_does_not() -> None:
    for tier in ("strong", "medium"):
        seen = asyncio.run(probe(tier))
        assert (seen.tier, seen.broken, len(seen.checks)) == (tier, {}, 13)
    weak = asyncio.run(probe("weak"))
    assert weak.tier == "weak"
    assert {"secret", "canary", "tcp", "udp", "signal", "daemon"} <= set(weak.broken)


@pytest.mark.parametrize("tier", ["strong", "medium"])
def test_the_walls_hold_where_the_memory_of_all_forks_is_seen(tier: Tier, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine the watch comes by while all of them are there; it is their number that is tried, not their memory."""
    slow = probing.FORKS.replace("return made", "time.sleep(0.3)\n    return made")
    monkeypatch.setattr(probing, "FORKS", slow)
    assert asyncio.run(probe(tier)).broken == {}


def test_without_bubblewrap_the_next_tier_is_taken_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gristmill.sandbox.walls.bubblewrap", lambda: None)
    seen = asyncio.run(opening.tried("medium"))
    assert (seen.tier, seen.better) == ("medium", ("strong: bubblewrap is not installed",))
    with pytest.raises(InputError, match="no sandbox holds here") as refused:
        asyncio.run(opening.tried("strong"))
    assert "apt install bubblewrap" in refused.value.fix
    assert "--sandbox weak" in refused.value.fix


@pytest.mark.skipif(platform.machine() != "x86_64", reason="the denying filter is written for x86-64")
def test_where_no_namespaces_can_be_made_the_middle_tier_holds() -> None:
    """As in a container under Docker's default filter, with bubblewrap installed."""
    command = [sys.executable, "-m", "tests.sandbox.no_namespaces", str(SCRIPT), "doctor"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).resolve().parents[2])
    line = next(line for line in done.stdout.splitlines() if " sandbox " in line)
    assert "medium: 13 of 13 attacks failed; not strong: it does not start" in line
    assert "namespace" in line
    assert "In a container allow user namespaces" in done.stdout


def test_weak_walls_only_where_the_person_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gristmill.sandbox.walls.bubblewrap", lambda: None)
    monkeypatch.setattr("gristmill.sandbox.seccomp.supported", lambda: False)
    with pytest.raises(InputError, match="no sandbox holds here"):
        asyncio.run(opening.tried("medium"))
    assert asyncio.run(opening.tried("weak")).tier == "weak"


# --- the hostile corpus, where it is


def corpus() -> list[dict[str, Any]]:
    folder = shared("hostile")
    return [json.loads(line) for line in (folder / "hostile.jsonl").read_text().splitlines()]


@contextmanager
def baited(folder: Path) -> Generator[dict[str, str]]:
    """Put out what the programs are after; yield what takes the place of their marks."""
    folder.chmod(0o777)
    (folder / "secret.txt").write_text("SECRET of the test")
    connected: list[Any] = []
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        tcp.settimeout(0.2)

        def listen() -> None:
            while not connected:
                try:
                    connected.append(tcp.accept())
                except OSError:
                    if ended.is_set():
                        return

        ended = threading.Event()
        thread = threading.Thread(target=listen, daemon=True)
        victim = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(300)"])
        thread.start()
        try:
            yield {
                "@@DIR@@": str(folder),
                "@@PORT@@": str(tcp.getsockname()[1]),
                "@@UDP@@": str(udp.getsockname()[1]),
                "@@VICTIM_PID@@": str(victim.pid),
                "@@MARKNUM@@": "7346021",
                "@@MARK@@": "qzjxw",
            }
            assert victim.poll() is None, "a process outside was signalled"
        finally:
            ended.set()
            thread.join()
            victim.kill()
            victim.wait()
    assert not connected, "a connection was made"


@pytest.mark.shared_data
@pytest.mark.parametrize("tier", ["strong", "medium"])
def test_hostile_programs(tmp_path: Path, tier: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """No attack passes, every control does, no canary is touched, nothing is left behind, and each ends in its time.

    A program that a loaded machine gave no core runs once more with twice the time, so each run is held against its own limit.
    """
    if tier == "medium":
        monkeypatch.setattr("gristmill.sandbox.walls.bubblewrap", lambda: None)
    sandbox = Sandbox()
    rows = corpus()

    session: Any = Timed(sandbox)

    async def graded(row: dict[str, Any], marks: dict[str, str]) -> Verdict:
        code = row["code"]
        for mark, value in marks.items():
            code = code.replace(mark, value)
        prompt = Prompt(id="p", messages=(user(""),), reference=json.dumps(row["task"]))
        sample = Sample(id="s", prompt_id="p", index=0, messages=(), answer=code, status="complete")
        return await grade_code(prompt, sample, CodeOptions(take="whole"), session)

    async def all_of_them(marks: dict[str, str]) -> list[Verdict]:
        assert (await sandbox.open()).tier == tier
        return [await graded(row, marks) for row in rows]

    with baited(tmp_path) as marks:
        found = asyncio.run(all_of_them(marks))
    for row, verdict in zip(rows, found, strict=True):
        if row["kind"] == "control":
            assert verdict.passed is True, (row["id"], verdict)
        else:
            assert verdict.passed is not True, (row["id"], verdict)
            allowed = row["expect"].get("verdict_any_of")
            assert not allowed or verdict.reason in {*allowed, "protocol", "broken_tests"}, (row["id"], verdict)
    assert {limit_s for limit_s, _ in session.walls} <= {10.0, 20.0}
    assert not [(limit_s, wall_s) for limit_s, wall_s in session.walls if wall_s > limit_s + 2]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["secret.txt"]
    assert not left_behind()


class Timed(Computing):
    """Keeps the limit of each program and how long it ran, in seconds."""

    def __init__(self, sandbox: Sandbox) -> None:
        super().__init__(sandbox)
        self.walls: list[tuple[float, float]] = []

    async def run_code(self, job: Any) -> dict[str, Any]:
        """Run a program, and wait until all of it is over."""
        began = time.monotonic()
        result = await super().run_code(job)
        self.walls.append((job["limits"]["total_s"], time.monotonic() - began))
        return result


ORDINARY = 65534


@pytest.mark.shared_data
def test_hostile_programs_of_an_ordinary_user(tmp_path: Path) -> None:
    """Limits of processes, and who may build walls, differ between root and everybody else."""
    corpus()
    if os.geteuid() != 0:
        pytest.skip("this is an ordinary user already")
    root = Path(__file__).resolve().parents[2]
    paths = os.pathsep.join([str(root / "src"), *(path for path in sys.path if path.endswith("-packages"))])
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}
    drop = ["setpriv", "--reuid", str(ORDINARY), "--regid", str(ORDINARY), "--clear-groups"]
    pythons = [sys.executable, f"/usr/bin/python3.{sys.version_info.minor}"]

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([*drop, *command], check=False, cwd=root, env=environment, capture_output=True, text=True)

    needed = "import subprocess, sys, gristmill, pytest; subprocess.run([sys.executable, '-c', ''], check=True)"
    python = next((one for one in pythons if Path(one).exists() and run(one, "-c", needed).returncode == 0), None)
    if python is None:
        pytest.skip("an ordinary user may not run this Python, or read this folder")
    with tempfile.TemporaryDirectory() as folder:
        os.chown(folder, ORDINARY, ORDINARY)
        options = ["-q", "-p", "no:cacheprovider", "-p", "no:randomly", "--rootdir", str(root), "--basetemp", f"{folder}/t"]
        test = f"{__file__}::{test_hostile_programs.__name__}[strong]"
        done = run(python, "-m", "pytest", *options, test)
    assert done.returncode == 0, done.stdout[-3000:]
    assert "1 passed" in done.stdout


def left_behind() -> list[int]:
    """Return the programs that stay though nobody has them any more.

    One of a test beside this, whose process was killed just now, is without a parent for the moment in which its walls end it.
    """
    pids = set(_orphans())
    _, alive = psutil.wait_procs([process for process in psutil.process_iter() if process.pid in pids], timeout=5)
    return [process.pid for process in alive]


def _orphans() -> list[int]:
    """Return the programs that this process started, and those that nobody does any more: not those of tests beside it."""
    programs = {int(one.parent.name) for one in Path("/proc").glob("[0-9]*/cmdline") if b"def serve_function" in _bytes(one)}
    parents = {pid: _parent(pid) for pid in programs}
    return [pid for pid, parent in parents.items() if parent in (1, os.getpid())]


def _parent(pid: int) -> int:
    """Return a process's parent; 0 where it has ended meanwhile."""
    status = _bytes(Path(f"/proc/{pid}/status")).decode().split("\nPPid:\t")
    return int(status[1].split("\n")[0]) if len(status) > 1 else 0


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
