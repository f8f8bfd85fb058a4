"""Killable workers: computations that may hang on hostile text run in processes that can be ended.

A thread cannot be killed and an alarm works in one thread only, so a computation that may hang (a user's regular expression, a
symbolic engine) gets a process, a time limit per job and a memory limit. A job that overruns or crashes its worker has no value
and a reason, and the next job gets a fresh worker. Jobs travel as JSON, so nothing is unpickled.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import orjson

from gristmill.grading.registry import COMPUTATIONS
from gristmill.ports import ComputationFailed

if TYPE_CHECKING:
    from pydantic import JsonValue

TIME_LIMIT_S = 2.0
START_LIMIT_S = 60.0
MEMORY_LIMIT_BYTES = 2 * 1024**3
JOBS_PER_WORKER = 500


class WorkerPool:
    """A few processes that compute."""

    def __init__(self, size: int, time_limit_s: float = TIME_LIMIT_S) -> None:
        self.time_limit_s = time_limit_s
        self._free: asyncio.LifoQueue[_Worker] = asyncio.LifoQueue()
        for _ in range(size):
            self._free.put_nowait(_Worker())

    async def compute(self, computation: str, **arguments: JsonValue) -> JsonValue:
        """Run one registered computation in a worker.

        Raises:
            ComputationFailed: where it brought no value in time.
        """
        worker = await self._free.get()
        try:
            await self._load(worker, computation)
            job = orjson.dumps({"computation": computation, "arguments": arguments})
            return await worker.run(job, self.time_limit_s)
        finally:
            self._free.put_nowait(worker)

    async def warm(self, computation: str) -> None:
        """Start every worker and let it load what a computation needs, so that no job waits for it."""
        workers = [await self._free.get() for _ in range(self._free.qsize())]
        for worker in workers:
            try:
                await self._load(worker, computation)
            finally:
                self._free.put_nowait(worker)

    async def _load(self, worker: _Worker, computation: str) -> None:
        first = COMPUTATIONS.get(computation).traits["first"]
        if first is not None and computation not in worker.loaded:
            await worker.run(orjson.dumps({"computation": computation, "arguments": first}), START_LIMIT_S)
            worker.loaded.add(computation)

    async def close(self) -> None:
        """End every worker."""
        while not self._free.empty():
            await self._free.get_nowait().end()


class _Worker:
    """One process, started when it is first needed and after it was ended."""

    def __init__(self) -> None:
        self._process: asyncio.subprocess.Process | None = None
        self._jobs = 0
        self.loaded: set[str] = set()
        """Computations that have loaded what they need."""

    async def run(self, job: bytes, time_limit_s: float) -> JsonValue:
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
            raise ComputationFailed("timeout", f"no value within {time_limit_s:g} s") from None
        except (asyncio.IncompleteReadError, ConnectionError):
            code = await process.wait()
            self._process = None
            self.loaded.clear()
            raise ComputationFailed("crash", f"the worker ended with exit code {code}") from None
        except BaseException:
            await self.end()
            raise
        self._jobs += 1
        if self._jobs >= JOBS_PER_WORKER:
            await self.end()
        content = orjson.loads(answer)
        if "failed" in content:
            raise ComputationFailed(content["failed"], content["detail"])
        return content["value"]

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
            self.loaded.clear()
            assert self._process.stdout is not None
            async with asyncio.timeout(START_LIMIT_S):
                await self._process.stdout.readexactly(1)
        return self._process

    async def end(self) -> None:
        """Kill the process, if there is one."""
        process, self._process = self._process, None
        self.loaded.clear()
        if process is not None and process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
