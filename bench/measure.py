"""One measured figure and its floor; a recipe for the scripted teacher; a program run in a process of its own."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

from gristmill.recipe.document import dump_document


class Figure(NamedTuple):
    """A figure, what it is compared with, and what it should be."""

    name: str
    value: float
    unit: str
    floor: float | None
    floor_is: str
    goal: str
    met: bool | None
    """None where no goal is set."""

    def plain(self) -> dict[str, Any]:
        """Return the figure as JSON holds it."""
        return self._asdict()


class Spent(NamedTuple):
    """What a block or a process cost."""

    wall_s: float
    cpu_s: float
    peak_mb: float


def write_recipe(folder: Path, prompts: int, **changes: Any) -> Path:
    """Write a recipe with numbered prompts, a scripted teacher, and one plain sample per prompt."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "prompts.jsonl").open("w") as stream:
        for number in range(prompts):
            text = f"Question {number}: which letter is it? " + "A few words that make it as long as a real question is. " * 3
            stream.write(json.dumps({"prompt": text, "reference": "A"}) + "\n")
    content: dict[str, Any] = {
        "name": "bench",
        "prompts": {"path": "prompts.jsonl", "reference": "reference", "origin": "template"},
        "teacher": {"address": "scripted:", "script": {"answers": ["A", "B"], "cost_usd": 0.0001}, "limits": {"in_flight": 64}},
        "prompt": {"template": "plain", "answer_format": "literal"},
        "sampling": {"want": None, "n": 1, "temperature": 0.7},
        "grade": "exact",
        **changes,
    }
    path = folder / "recipe.yaml"
    path.write_text(dump_document(content))
    return path


RUN = """
import sys, json, time, resource
from gristmill import api
from gristmill.engine.opening import Opening
path, output, until = sys.argv[1:4]
plan = api.plan(api.load(path))
before, cpu = time.perf_counter(), time.process_time()
summary = api.run(plan, api.run_folder("bench", output), Opening(until=until if until != "-" else None))
usage = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({"wall_s": time.perf_counter() - before, "cpu_s": time.process_time() - cpu,
                  "peak_mb": usage.ru_maxrss / 1024, "samples": sum(summary.content["samples"].values()),
                  "made": summary.content["calls"]["made"]}))
"""


def run_apart(path: Path, output: Path, until: str = "-") -> dict[str, float]:
    """Run a recipe in a process of its own and return what it cost."""
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(path), str(output), until], capture_output=True, text=True, check=True, env=os.environ
    )
    return json.loads(done.stdout)


def spent(program: list[str]) -> Spent:
    """Run a program and return what it cost."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    subprocess.run(program, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Spent(time.perf_counter() - began, cpu, after.ru_maxrss / 1024)


def median(values: list[float]) -> float:
    """Return the middle value."""
    return sorted(values)[len(values) // 2]
