"""A server that takes 100 requests a second and does not say so: how near one process, and two together, come to that.

The server is a token bucket in a process of its own. Runs are started against it, and ended after 25 seconds; what counts is what
the server saw: of the time after the first ten seconds the share of its limit that was used, and the share of requests that it
refused. `python -m bench.limited RATE BURST RETRY_AFTER PORT` is the server alone.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from bench.measure import ROOT, Figure, write_recipe

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

RATE, BURST = 100.0, 100.0
LATENCY_S = 0.05
SETTLED_S, SECONDS = 10.0, 25.0
"""The learning, and the whole."""


def figures(folder: Path) -> list[Figure]:
    """Measure one process and two."""
    found: list[Figure] = []
    for processes, name in ((1, "one process"), (2, "two processes")):
        arrivals = drive(folder / str(processes), processes)
        used, refused = settled(arrivals, RATE)
        found += [
            Figure(f"limit left unused, {name}", 100 * (1 - used), "%", goal=10),
            Figure(f"requests refused, {name}", 100 * refused, "%", goal=5),
        ]
    return found


def settled(arrivals: list[tuple[float, bool]], rate: float) -> tuple[float, float]:
    """Return the share of the limit that was used after the learning, and the share of requests that were refused."""
    start = arrivals[0][0] + SETTLED_S
    later = [taken for at, taken in arrivals if start <= at < start + SECONDS - SETTLED_S]
    return sum(later) / rate / (SECONDS - SETTLED_S), 1 - sum(later) / len(later)


def drive(
    folder: Path, processes: int, rate: float = RATE, burst: float = BURST, retry_after: str = "-"
) -> list[tuple[float, bool]]:
    """Let runs drive a server and return what arrived there: when, and whether it was taken."""
    with served(rate, burst, retry_after) as url:
        runs: list[subprocess.Popen[bytes]] = []
        shared = folder / "shared"
        shared.mkdir(parents=True)
        for number in range(processes):
            recipe = write_recipe(
                folder / str(number), int(rate * SECONDS * 2) + 2000, teacher={"address": f"{url}/v1", "model": "m"}
            )
            words = [sys.executable, "-m", "bench.one_run", str(recipe), str(folder / f"{number}/run"), "grade", "-"]
            runs.append(subprocess.Popen(words, cwd=ROOT, env={**os.environ, "XDG_RUNTIME_DIR": str(shared)}))
        try:
            while not (arrivals := seen(url)) or arrivals[-1][0] - arrivals[0][0] < SECONDS:
                time.sleep(0.5)
        finally:
            for run in runs:
                run.kill()
                run.wait()
        return arrivals


def seen(url: str) -> list[tuple[float, bool]]:
    """Return what arrived at a server so far."""
    with urllib.request.urlopen(f"{url}/seen") as response:
        return json.load(response)


@contextmanager
def served(rate: float, burst: float, retry_after: str) -> Generator[str]:
    """Run the server in a process of its own and yield where it is."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [sys.executable, "-m", "bench.limited", str(rate), str(burst), retry_after, str(port)]
    server = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE)
    assert server.stdout is not None
    try:
        assert server.stdout.readline() == b"ready\n"
        yield f"http://127.0.0.1:{port}"
    finally:
        server.kill()
        server.wait()
        server.stdout.close()


class Bucket:
    """A token bucket."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate, self._burst, self._level = rate, burst, burst
        self._at = time.monotonic()

    def take(self) -> bool:
        """Return whether a request is let through now."""
        now = time.monotonic()
        self._level = min(self._burst, self._level + (now - self._at) * self._rate)
        self._at = now
        if self._level < 1:
            return False
        self._level -= 1
        return True


async def serve(rate: float, burst: float, retry_after: str, port: int) -> None:
    """Answer, or refuse, until the process is ended."""
    from aiohttp import web

    bucket, arrivals = Bucket(rate, burst), list[tuple[float, bool]]()
    message: dict[str, Any] = {"role": "assistant", "content": "A"}
    usage = {"prompt_tokens": 50, "completion_tokens": 1}
    answer = json.dumps({"choices": [{"finish_reason": "stop", "message": message}], "usage": usage})
    refusal = json.dumps({"error": {"message": "Rate limit reached", "code": "rate_limit_exceeded"}})
    headers = {} if retry_after == "-" else {"retry-after": retry_after}

    async def handle(request: web.BaseRequest) -> web.Response:
        if request.path == "/seen":
            return web.json_response(arrivals)
        taken = bucket.take()
        arrivals.append((time.time(), taken))
        if not taken:
            return web.Response(status=429, text=refusal, headers=headers, content_type="application/json")
        await asyncio.sleep(LATENCY_S)
        return web.Response(text=answer, content_type="application/json")

    runner = web.ServerRunner(web.Server(handle))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1]), float(sys.argv[2]), sys.argv[3], int(sys.argv[4])))
