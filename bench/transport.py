"""Requests a second over HTTP: the whole engine and its transport with the ledger, each against a bare aiohttp loop.

All three talk to the same server in a process of its own, by turns, with fsync on. The bare loop sends the bodies that the engine
sends and reads the text out of each reply; it keeps nothing.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import aiohttp
import orjson

from bench.measure import ROOT, Figure, question, request, run_apart, write_recipe
from gristmill.ids import canonical_json
from gristmill.records import TeacherIdentity
from gristmill.store.effects import Place, put_attempt, put_reply, put_request
from gristmill.store.ledger import Ledger
from gristmill.teachers.http import HttpTeacher, Server

FLIGHTS = {1: 1_500, 64: 6_000, 512: 6_000}
"""Calls in flight, and how many requests are made."""
ROUNDS = 3
Ask = Callable[[int], Awaitable[None]]


@contextmanager
def served() -> Generator[str]:
    """Run the server and yield its base URL."""
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.server"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    )
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
    finally:
        process.terminate()
        process.communicate()


def figures(folder: Path) -> list[Figure]:
    """Measure at each number in flight, medians of three, by turns."""
    found: list[Figure] = []
    with served() as url:
        for flight, count in FLIGHTS.items():
            whole: list[float] = []
            ledgered: list[float] = []
            bare: list[float] = []
            cpu: list[float] = []
            for round_ in range(ROUNDS):
                place = folder / f"transport/{flight}-{round_}"
                bare.append(asyncio.run(bare_loop(url, count, flight)))
                (place / "ledger").mkdir(parents=True)
                ledgered.append(asyncio.run(with_ledger(url, count, flight, place / "ledger")))
                ran = run_apart(recipe(place, url, count, flight), place / "run", until="grade")
                whole.append(count / ran.generate_s)
                cpu.append(ran.stages["generate"] / count * 1e6)
            floor = median(bare)
            floor_is = "requests/s of a bare aiohttp loop"
            found += [
                Figure(f"engine, {flight} in flight", median(whole), "1/s", floor, floor_is),
                Figure(f"transport + ledger, {flight} in flight", median(ledgered), "1/s", floor, floor_is),
                Figure(f"engine CPU per request, {flight} in flight", median(cpu), "µs", goal=500),
            ]
            if flight == 1:
                alone_ms, bare_ms = 1000 / median(whole), 1000 / floor
                found.append(Figure("added latency, alone", alone_ms - bare_ms, "ms", bare_ms, "ms of a bare call", goal=5))
    return found


def recipe(folder: Path, url: str, count: int, flight: int) -> Path:
    """Write a recipe with one plain sample per prompt against the server."""
    path = write_recipe(folder, count)
    lines = path.read_text().splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("teacher:"))
    end = next(number for number in range(start + 1, len(lines)) if not lines[number].startswith(" "))
    teacher = f"teacher: {{address: '{url}', model: bench, stream: false, limits: {{in_flight: {flight}}}}}"
    path.write_text("\n".join([*lines[:start], teacher, *lines[end:]]) + "\n")
    return path


async def paced(count: int, flight: int, ask: Ask) -> float:
    """Ask `count` times, so many in flight; return how many a second."""
    numbers = iter(range(count))

    async def work() -> None:
        for number in numbers:
            await ask(number)

    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(flight):
            group.create_task(work())
    return count / (time.perf_counter() - began)


async def bare_loop(url: str, count: int, flight: int) -> float:
    """Post and read, and nothing else."""
    connector = aiohttp.TCPConnector(limit=flight)
    async with aiohttp.ClientSession(connector=connector, headers={"content-type": "application/json"}) as client:

        async def ask(number: int) -> None:
            messages = [{"role": "user", "content": question(number)}]
            body = {"model": "bench", "messages": messages, "seed": number, "temperature": 0.7}
            async with client.post(f"{url}/chat/completions", data=orjson.dumps(body)) as response:
                content = orjson.loads(await response.read())
                assert content["choices"][0]["message"]["content"]

        return await paced(count, flight, ask)


async def with_ledger(url: str, count: int, flight: int, folder: Path) -> float:
    """Call through our transport; the intent is on disk before, the reply after."""
    ledger = Ledger(folder / "l.sqlite")
    identity = TeacherIdentity(provider="http", model="bench")
    teacher = HttpTeacher(Server(url, in_flight=flight), identity, stream=False)

    async def ask(number: int) -> None:
        asked = request(number, identity)
        texts = [ledger.blob(canonical_json(message.canonical())) for message in asked.messages]
        row = put_request(ledger, asked, Place(1, 1, texts))
        attempt = put_attempt(ledger, row, 1, time.time())
        await ledger.durable()
        put_reply(ledger, row, attempt, await teacher.complete(asked), at=time.time(), ms=None)
        await ledger.durable()

    speed = await paced(count, flight, ask)
    await teacher.close()
    ledger.close()
    return speed


if __name__ == "__main__":
    print(json.dumps([figure.plain() for figure in figures(Path(sys.argv[1]))]))
