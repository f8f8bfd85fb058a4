"""Samples a second through the sandbox, each in a fresh one, beside bare Python processes that do the same without walls."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

from bench.measure import Figure
from gristmill.sandbox.opening import Sandbox
from gristmill.values import encode

SAMPLES = 60
CODE = "def f(n):\n    return sum(i * i for i in range(n))\n"
BARE = f"{CODE}\nfor n in range(3): f(n)\n"
LEAST_PER_S = 14


async def ours() -> float:
    """Return samples a second, three calls each."""
    sandbox = Sandbox()
    await sandbox.open()
    calls = [["f", encode([n]), encode({})] for n in range(3)]
    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        tasks = [
            group.create_task(sandbox.run({"mode": "function", "code": CODE, "entry_point": "f", "calls": calls}))
            for _ in range(SAMPLES)
        ]
    assert all(len(task.result()["results"]) == 3 for task in tasks)
    return SAMPLES / (time.perf_counter() - began)


def bare() -> float:
    """Return bare processes a second, as many side by side as there are cores."""
    cores = os.cpu_count() or 1
    began = time.perf_counter()
    for _ in range(SAMPLES // cores):
        running = [subprocess.Popen([sys.executable, "-I", "-S", "-c", BARE]) for _ in range(cores)]
        assert all(process.wait() == 0 for process in running)
    return SAMPLES // cores * cores / (time.perf_counter() - began)


def figures(_folder: Path) -> list[Figure]:
    """Measure both in turn."""
    per_s, floor = asyncio.run(ours()), bare()
    return [Figure("a sample in a fresh sandbox", 1000 / per_s, "ms", 1000 / floor, "a bare Python process", 1000 / LEAST_PER_S)]
