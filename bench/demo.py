"""How long the demo takes, beside the bare model answering the same requests, and how much memory."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from importlib import resources
from pathlib import Path

from bench.measure import ROOT, Figure
from bench.startup import PROGRAM
from gristmill.files.querying import querying
from gristmill.messages import user
from gristmill.records import Request, Sampling
from gristmill.sources.word_problems import word_problem
from gristmill.teachers.gguf import GgufTeacher

INSTRUCTION = "\nSolve step by step. End with #### and the number."
GOAL_S, GOAL_MB = 60.0, 400.0


def figures(folder: Path) -> list[Figure]:
    """Run the demo once, then its requests against the bare model."""
    folder.mkdir(parents=True, exist_ok=True)
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-c", PROGRAM, "demo", "-o", str(folder / "demo")], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    wall_s = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"the demo ended with {process.returncode}")
    words = [sys.executable, "-m", "bench.demo", str(folder / "demo/tables")]
    bare = json.loads(subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT).stdout)
    return [
        Figure("gristmill demo, 500 rows", wall_s, "s", bare["wall_s"], f"the bare model, {bare['requests']:,} requests", GOAL_S),
        Figure("gristmill demo, peak memory", usage.ru_maxrss / 1024, "MB", goal=GOAL_MB),
    ]


async def bare_model(tables: Path) -> dict[str, float]:
    """Ask the model what the demo asked, as many at a time, and keep nothing."""
    with querying(tables) as ask:
        asked = ask("SELECT p.source_id, c.seed FROM calls c JOIN prompts p USING (prompt_id)")
    model = resources.files("gristmill.assets") / "models" / "builtin-teacher.f16.gguf"
    began = time.perf_counter()
    teacher = GgufTeacher(Path(str(model)), provider="builtin")
    gate = asyncio.Semaphore(64)

    async def one(source_id: str, seed: int) -> None:
        text = word_problem(0, int(source_id.rpartition("#")[2])).text + INSTRUCTION
        async with gate:
            await teacher.complete(
                Request(
                    id="0" * 32,
                    role="teacher",
                    identity=teacher.identity,
                    messages=(user(text),),
                    sampling=Sampling(temperature=0.8, max_tokens=400),
                    seed=seed,
                    prompt_id="0" * 32,
                    sample_index=0,
                    step="answer",
                    occurrence=0,
                )
            )

    async with asyncio.TaskGroup() as group:
        for source_id, seed in asked:
            group.create_task(one(source_id, seed))
    await teacher.close()
    return {"wall_s": time.perf_counter() - began, "requests": len(asked)}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(bare_model(Path(sys.argv[1])))))
