"""What does not grow: memory with the number of prompts, and the time to go on with what is finished."""

from __future__ import annotations

import json
import time
from pathlib import Path

from bench.measure import Figure, run_apart, write_recipe

FEW, MANY, FINISHED = 2_000, 200_000, 100_000


def figures(folder: Path) -> list[Figure]:
    """Measure 2,000 and 200,000 prompts, and go on with 100,000 finished samples."""
    few = run_apart(write_recipe(folder / "few", FEW), folder / "few/run", "grade")
    many = run_apart(write_recipe(folder / "many", MANY), folder / "many/run", "grade")
    ratio = many["peak_mb"] / few["peak_mb"]
    path = write_recipe(folder / "finished", FINISHED)
    run_apart(path, folder / "finished/run")
    again = run_apart(path, folder / "finished/run")
    assert again["made"] == 0
    floor = read_lines(folder / "finished/prompts.jsonl")
    return [
        Figure("memory, 200,000 prompts", many["peak_mb"], "MB", few["peak_mb"], "2,000 prompts", "1.3 x", ratio <= 1.3),
        Figure("resume of 100,000", again["wall_s"], "s", floor, "reading 100,000 JSON lines", "5", again["wall_s"] <= 5),
    ]


def read_lines(path: Path) -> float:
    """Return seconds to read and parse a JSONL file."""
    began = time.perf_counter()
    with path.open() as stream:
        assert sum(1 for line in stream if json.loads(line)) == FINISHED
    return time.perf_counter() - began
