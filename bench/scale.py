"""What does not grow: memory with the number of prompts, and the time to go on with what is finished.

One folder of 200,000 prompts serves both: half of them are sampled first, gone on with, and then the rest. The memory is the
largest of the run that indexes all prompts and the run that has all samples.
"""

from __future__ import annotations

import itertools
import json
from functools import partial
from pathlib import Path
from statistics import median

from bench.measure import Figure, cost, run_apart, write_recipe

FEW, MANY, FINISHED = 2_000, 200_000, 100_000
ROUNDS = 3


def figures(folder: Path) -> list[Figure]:
    """Measure 2,000 and 200,000 prompts, and go on with 100,000 finished samples."""
    few = run_apart(write_recipe(folder / "few", FEW), folder / "few/run")
    recipe, output = write_recipe(folder / "many", MANY), folder / "many/run"
    half = run_apart(recipe, output, limit=FINISHED)
    again = [run_apart(recipe, output, limit=FINISHED) for _ in range(ROUNDS)]
    rest = run_apart(recipe, output, until="grade")
    assert (half.made, rest.made) == (FINISHED, MANY - FINISHED)
    assert not any(one.made for one in again)
    peak = max(half.peak_mb, rest.peak_mb)
    lines = [cost(partial(read_lines, folder / "many/prompts.jsonl")) for _ in range(ROUNDS)]
    wall, cpu = median(one.wall_s for one in lines), median(one.cpu_s for one in lines)
    floor_is = "reading 100,000 JSON lines"
    return [
        Figure("memory, 200,000 prompts", peak, "MB", few.peak_mb, "2,000 prompts", 1.3, goal_is_ratio=True),
        Figure("resume of 100,000", median(one.wall_s for one in again), "s", wall, floor_is, 5),
        Figure("resume of 100,000, CPU", median(one.cpu_s for one in again), "s", cpu, floor_is),
    ]


def read_lines(path: Path) -> None:
    """Read and parse 100,000 lines of a JSONL file."""
    with path.open() as stream:
        assert sum(1 for line in itertools.islice(stream, FINISHED) if json.loads(line)) == FINISHED
