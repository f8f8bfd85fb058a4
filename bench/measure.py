"""One measured figure and its floor; a recipe for the scripted teacher; a program run in a process of its own."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from gristmill.messages import user
from gristmill.recipe.document import dump_document
from gristmill.records import Request, Sampling, TeacherIdentity

ROOT = Path(__file__).resolve().parent.parent
ANSWERS = ("A", "B")
SCRIPT: dict[str, Any] = {"answers": list(ANSWERS), "cost_usd": 0.0001}


class Figure(NamedTuple):
    """A figure, what it is compared with, and the most that it should be."""

    name: str
    value: float
    unit: str
    floor: float | None = None
    floor_is: str = ""
    goal: float | None = None
    """None where no goal is set; in the figure's unit, or with `goal_is_ratio` in floors."""
    goal_is_ratio: bool = False

    @property
    def met(self) -> bool | None:
        """Whether the figure is what it should be."""
        if self.goal is None:
            return None
        return self.value <= self.goal * (self.floor if self.goal_is_ratio and self.floor else 1)

    def plain(self) -> dict[str, Any]:
        """Return the figure as JSON holds it."""
        return {**self._asdict(), "met": self.met}


class Ran(NamedTuple):
    """What one run cost."""

    wall_s: float
    cpu_s: float
    """User and system time of all threads."""
    system_s: float
    peak_mb: float
    made: int
    """Calls."""
    stages: dict[str, float]
    """Seconds of CPU by stage."""
    generate_s: float
    """Seconds of wall time that sampling and grading took."""


def question(number: int) -> str:
    """Return one question, about as long as a real one is."""
    return f"Question {number}: which letter is it? " + "A few words that make it as long as a real question is. " * 3


def request(number: int, identity: TeacherIdentity) -> Request:
    """Return the request of one question."""
    return Request(
        id=f"{number:032x}",
        role="teacher",
        identity=identity,
        messages=(user(question(number)),),
        sampling=Sampling(temperature=0.7),
        seed=number,
        prompt_id="0" * 32,
        sample_index=0,
        step="answer",
        occurrence=0,
    )


def write_recipe(folder: Path, prompts: int, script: dict[str, Any] | None = None, teacher: dict[str, Any] | None = None) -> Path:
    """Write a recipe with numbered prompts, a scripted teacher or another, and one plain sample per prompt."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "prompts.jsonl").open("w") as stream:
        for number in range(prompts):
            stream.write(json.dumps({"prompt": question(number), "reference": "A"}) + "\n")
    content: dict[str, Any] = {
        "name": "bench",
        "prompts": {"path": "prompts.jsonl", "reference": "reference", "origin": "template"},
        "teacher": teacher or {"address": "scripted:", "script": {**SCRIPT, **(script or {})}, "limits": {"in_flight": 64}},
        "prompt": {"template": "plain", "answer_format": "literal"},
        "sampling": {"want": None, "n": 1, "temperature": 0.7},
        "grade": "exact",
    }
    path = folder / "recipe.yaml"
    path.write_text(dump_document(content))
    return path


def run_apart(recipe: Path, output: Path, *, until: str = "-", limit: int | None = None) -> Ran:
    """Run a recipe in a process of its own and return what it cost."""
    words = [str(recipe), str(output), until, "-" if limit is None else str(limit)]
    done = subprocess.run(
        [sys.executable, "-m", "bench.one_run", *words], stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT
    )
    return Ran(**json.loads(done.stdout))


class Spent(NamedTuple):
    """What a program or a call cost."""

    wall_s: float
    cpu_s: float


def spent(program: list[str]) -> Spent:
    """Run a program and return what it cost."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(program, check=True, capture_output=True, cwd=ROOT)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Spent(time.perf_counter() - began, cpu)


def cost(call: Callable[[], object]) -> Spent:
    """Call and return what it cost in this process."""
    cpu, began = time.process_time(), time.perf_counter()
    call()
    return Spent(time.perf_counter() - began, time.process_time() - cpu)
