"""One run in a process of its own: `python -m bench.one_run RECIPE FOLDER UNTIL LIMIT` prints what it cost as JSON.

The stages are timed by putting a clock around the names that `gristmill.engine.run` calls, so that nothing in the package knows
of the bench. CPU is user and system time of all threads.
"""

from __future__ import annotations

import json
import resource
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gristmill import api
from gristmill.engine import run as story
from gristmill.engine.generate import Generation

CPU: dict[str, float] = {}
"""Seconds of CPU by stage."""
WALL = {"generate": 0.0}
"""Seconds of wall time."""


class TimedGeneration(Generation):
    """Generation with a clock around it."""

    async def run(self) -> None:
        """Run, and note the CPU that it took."""
        began, wall = time.process_time(), time.perf_counter()
        await super().run()
        CPU["generate"] = time.process_time() - began
        WALL["generate"] = time.perf_counter() - wall
        CPU["writer"] = sum(thread_cpu(thread) for thread in threading.enumerate() if thread.name == "ledger-writer")


def thread_cpu(thread: threading.Thread) -> float:
    """Return the seconds of CPU that a thread used; 0 where the system does not say."""
    if thread.ident is None or not hasattr(time, "pthread_getcpuclockid"):
        return 0.0
    return time.clock_gettime(time.pthread_getcpuclockid(thread.ident))


def timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return `function` with a clock around it."""

    def call(*arguments: Any) -> Any:
        began = time.process_time()
        try:
            return function(*arguments)
        finally:
            CPU[name] = time.process_time() - began

    return call


def peak_mb() -> float:
    """Return this process's largest resident memory; what it was before it became this program does not count on Linux."""
    status = Path("/proc/self/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20  # bytes on macOS


def main() -> None:
    """Run a recipe and print what it cost."""
    recipe, output, until, limit = sys.argv[1:]
    names = story.__dict__
    names["Generation"] = TimedGeneration
    for stage, name in {"index": "index_prompts", "decide": "finish", "tables": "write_tables"}.items():
        names[name] = timed(stage, names[name])
    began, cpu, usage = time.perf_counter(), time.process_time(), resource.getrusage(resource.RUSAGE_SELF)
    opening = api.Opening(until=None if until == "-" else api.stage(until), limit=None if limit == "-" else int(limit))
    summary = api.run(api.plan(api.load(recipe)), api.run_folder("bench", output), opening)
    after = resource.getrusage(resource.RUSAGE_SELF)
    print(
        json.dumps(
            {
                "wall_s": time.perf_counter() - began,
                "cpu_s": time.process_time() - cpu,
                "system_s": after.ru_stime - usage.ru_stime,
                "peak_mb": peak_mb(),
                "made": summary.content["calls"]["made"],
                "stages": CPU,
                "generate_s": WALL["generate"],
            }
        )
    )


if __name__ == "__main__":
    main()
