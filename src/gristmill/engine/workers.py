"""Killable workers: graders that may hang on hostile text run in processes that can be ended.

A thread cannot be killed and an alarm works in one thread only, so a grader that may hang (a user's regular expression, a
symbolic engine) gets a process, a time limit per job and a memory limit. A job that overruns or crashes its worker is an
ungraded sample with a reason, and the next job gets a fresh worker. Jobs travel as JSON, so nothing is unpickled.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import orjson

from gristmill.records import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping

TIME_LIMIT_S = 2.0
START_LIMIT_S = 60.0
MEMORY_LIMIT_BYTES = 2 * 1024**3
JOBS_PER_WORKER = 500


class WorkerPool:
    """A few processes that grade."""

    def __init__(self, size: int, time_limit_s: float = TIME_LIMIT_S) -> None:
        self.time_limit_s = time_limit_s
        self._free: asyncio.LifoQueue[_Worker] = asyncio.LifoQueue()
        for _ in range(size):
            self._free.put_nowait(_Worker())

    async def grade(self, job: Mapping[str, Any]) -> Verdict:
        """Run one job in a worker: grader, options, prompt and sample as plain data."""
        worker = await self._free.get()
        try:
            return await worker.run(orjson.dumps(job), self.time_limit_s)
        finally:
            self._free.put_nowait(worker)

    async def close(self) -> None:
        """End every worker."""
        while not self._free.empty():
            await self._free.get_nowait().end()


class _Worker:
    """One process, started when it is first needed and after it was ended."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._jobs = 0

    async def run(self, job: bytes, time_limit_s: float) -> Verdict:
        process = await self._running()
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            process.stdin.write(len(job).to_bytes(4, "big") + job)
            await process.stdin.drain()
            async with asyncio.timeout(time_limit_s):
                size = int.from_bytes(await process.stdout.readexactly(4), "big")
                answer = await process.stdout.readexactly(size)
        except TimeoutError:
            await self.end()
            return Verdict(passed=None, reason="timeout", evidence={"limit_s": time_limit_s})
        except (asyncio.IncompleteReadError, ConnectionError):
            code = await process.wait()
            self._process = None
            return Verdict(passed=None, reason="crash", evidence={"exit_code": code})
        except BaseException:
            await self.end()
            raise
        self._jobs += 1
        if self._jobs >= JOBS_PER_WORKER:
            await self.end()
        return Verdict.model_validate_json(answer)

    async def _running(self) -> asyncio.subprocess.Process:
        if self._process is None or self._process.returncode is not None:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "gristmill.engine.worker",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=64 * 1024 * 1024,
                start_new_session=True,
            )
            self._jobs = 0
            assert self._process.stdout is not None
            async with asyncio.timeout(START_LIMIT_S):
                await self._process.stdout.readexactly(1)
        return self._process

    async def end(self) -> None:
        """Kill the process, if there is one."""
        process, self._process = self._process, None
        if process is not None and process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
