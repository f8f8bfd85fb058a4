"""Jobs in, results out: the sandbox as the rest of the package sees it.

A job is plain data: code, and what to do with it (call a function, run a program, let a referee's tests call it). A result is
plain data too: values, or why there are none. What would be right is no part of a job, so comparing is the caller's business.
As many jobs run side by side as there are cores; the others wait, and their time does not begin before they do.
"""

from __future__ import annotations

import asyncio
import os
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from gristmill.plain import as_list, as_object
from gristmill.sandbox.supervisor import Failed, Limits, Program, started

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from gristmill.sandbox.walls import Tier

Result = dict[str, Any]
OUTPUT_BYTES = 1024**2
STARVED = 0.2


class Runner:
    """Runs jobs within walls of one tier."""

    def __init__(self, tier: Tier, size: int | None = None) -> None:
        self.tier: Tier = tier
        self._size = size or max(1, os.cpu_count() or 1)
        self._free = asyncio.Semaphore(self._size)
        self._only = asyncio.Lock()
        self.programs = 0
        """Jobs that are done."""
        self._live = 0
        self._busy_s = 0.0
        """How long at least one job ran."""
        self._busy_since = 0.0

    @property
    def per_s(self) -> float | None:
        """Return how many jobs a second were done while there were any."""
        return round(self.programs / self._busy_s, 1) if self._busy_s else None

    async def run(self, job: Mapping[str, Any]) -> Result:
        """Run one job: `{mode, code, …}` with `calls` (function), `inputs` (stdio) or `tests` (referee).

        Returns:
            `results`, one for each call or input: `{value}`, `{code, out, whole}` or `{failed, detail}`; for a referee `referee`;
            besides `tier`, `wall_s`, `slowest_s` (the longest answer), `peak_bytes`, the last of what was printed, and
            `starved`: whether it waited for a core for a fifth of the time or more. A job may ask to run `alone`,
            and for a `hash_seed`.
        """
        limits = Limits(**{key: value for key, value in (as_object(job.get("limits")) or {}).items() if key in Limits._fields})
        async with self._places(self._size if job.get("alone") else 1):
            began = time.monotonic()
            async with started(self.tier, limits, job.get("hash_seed", 0)) as program:
                results = await _results(program, job, self.tier, limits)
                wall_s = time.monotonic() - began
            return {
                **results,
                "tier": self.tier,
                "wall_s": round(wall_s, 3),
                "slowest_s": round(program.slowest_s, 4),
                "peak_bytes": program.peak_bytes,
                "printed": program.output[-500:].decode(errors="replace"),
                "starved": not job.get("alone") and program.waited_s >= STARVED * wall_s,
            }

    @asynccontextmanager
    async def _places(self, count: int) -> AsyncGenerator[None]:
        """Take so many places; whoever wants several waits for them one after the other, and nobody else does meanwhile."""
        async with self._only:
            for _ in range(count):
                await self._free.acquire()
        self._live += 1
        if self._live == 1:
            self._busy_since = time.monotonic()
        try:
            yield
        finally:
            self._live -= 1
            self.programs += 1
            if not self._live:
                self._busy_s += time.monotonic() - self._busy_since
            for _ in range(count):
                self._free.release()


async def _results(program: Program, job: Mapping[str, Any], tier: Tier, limits: Limits) -> Result:
    mode = job["mode"]
    wanted: dict[str, Any] = {"mode": "stdio" if mode == "stdio" else "function", "code": job["code"]}
    wanted |= {"output_bytes": OUTPUT_BYTES} if mode == "stdio" else {"entry_point": job["entry_point"]}
    wanted |= {"relayed": True} if mode == "referee" else {}
    todo = as_list(job.get("inputs" if mode == "stdio" else "calls")) or []
    try:
        await program.load(wanted)
    except Failed as failure:
        return {"results": [_failed(failure)] * max(1, len(todo)), "loaded": False}
    if mode == "referee":
        return {"loaded": True, **await _referee(program, job, tier, limits)}
    results: list[Result] = []
    for one in todo:
        try:
            results.append(await _one(program, mode, one))
        except Failed as failure:
            results.append(_failed(failure))
            if failure.verdict != "error":
                break  # it is over, or cannot be trusted to be where we think it is
    last = results[-1] if results else {}
    return {"results": [*results, *[last] * (len(todo) - len(results))], "loaded": True}


async def _one(program: Program, mode: Any, one: Any) -> Result:
    if mode == "stdio":
        ran = await program.run(one)
        return {"code": ran.code, "out": ran.out.decode(errors="replace"), "whole": ran.whole}
    return {"value": await program.call(*one)}


def _failed(failure: Failed) -> Result:
    return {"failed": failure.verdict, "detail": failure.detail}


async def _referee(program: Program, job: Mapping[str, Any], tier: Tier, limits: Limits) -> Result:
    """Let tests in walls of their own call the candidate: every call passes through here, as data."""
    failures: list[Failed] = []
    async with started(tier, limits._replace(call_s=limits.total_s)) as referee:
        tests = {"mode": "referee", "code": job["tests"], **{key: job[key] for key in ("entry_point", "names", "run", "method")}}
        try:
            said = await _relayed(program, referee, tests, failures)
        except Failed as failure:
            said = {"broken": f"the tests: {failure}"}
    # tests may catch what the candidate raises, and `error` is only that; whatever else ended it decides
    fatal = next((failure for failure in failures if failure.verdict != "error"), None)
    if fatal is not None:
        return {"referee": _failed(fatal)}
    if "failed" in said and failures and str(said["failed"]).startswith("the code raised"):
        return {"referee": _failed(failures[-1])}
    return {"referee": said}


async def _relayed(program: Program, referee: Program, tests: dict[str, Any], failures: list[Failed]) -> Result:
    """Relay calls until the tests end."""
    await referee.begin(tests)
    while True:
        frame = await referee.receive(referee.limits.total_s)
        if "call" not in frame:
            return frame
        try:
            referee.send({"value": await program.call(str(frame["call"]), frame.get("args"), frame.get("kwargs"))})
        except Failed as failure:
            failures.append(failure)
            if failure.verdict != "error":
                return {"failed": str(failure)}
            referee.send({"error": failure.detail})
