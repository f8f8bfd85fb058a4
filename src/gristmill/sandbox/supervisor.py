"""Talks to one program within its walls: a frame out, one frame back, with a clock, and an end.

The supervisor trusts nothing that comes back. A frame has a length within bounds, is JSON, answers the request that was made
and stands alone; anything else ends the program and the verdict is `protocol`. Deadlines are kept here, on a clock that the
program cannot reach; memory is watched over the whole family of processes, since a limit for each process is none for
sixty-four. When it is over the outermost process is killed, and the kernel ends everything within its walls.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import os
import secrets
import signal
import tempfile
import time
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import orjson

from gristmill.plain import as_object
from gristmill.sandbox import seccomp
from gristmill.sandbox.walls import FILTER, FIRST_USER, USERS, walls
from gristmill.values import decode

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Mapping

    from gristmill.sandbox.walls import Tier, Walls

MAX_FRAME_BYTES = 4 * 1024**2
OUTPUT_BYTES = 1024**2
KEPT_OUTPUT = 8 * 1024
WATCH_EVERY_S = 0.05
ENDED_WITHIN_S = 3.0
"""Everything that was started is gone so soon after the kill, or it is not within our walls."""
START_S = 20.0
"""A busy machine takes this long to start a program; the candidate's own time begins after."""
Failure = Literal["error", "timeout", "memory", "output-limit", "crash", "protocol"]


class Limits(NamedTuple):
    """What one program may use."""

    call_s: float = 5.0
    """For loading, and for each call."""
    total_s: float = 10.0
    memory_bytes: int = 1024**3
    processes: int = 64


class Failed(Exception):
    """The program did not answer as it should."""

    def __init__(self, verdict: Failure, detail: str = "") -> None:
        super().__init__(f"{verdict}: {detail}" if detail else verdict)
        self.verdict: Failure = verdict
        self.detail = detail


class Ran(NamedTuple):
    """One run of a stdio program."""

    code: int
    out: bytes
    whole: bool
    """False where it wrote more than it may."""


_slots = itertools.count(secrets.randbelow(USERS))


class Program:
    """A program within its walls, from its start to its end."""

    def __init__(self, process: asyncio.subprocess.Process, limits: Limits) -> None:
        self._process = process
        self.pid = process.pid
        self.limits = limits
        self._ends = 0.0
        self._count = 0
        self._began = False
        self.slowest_s = 0.0
        """The longest that it took for one answer."""
        self.peak_bytes = 0
        self.waited_s = 0.0
        """How long its threads were ready to run and had no core, all together, as far as it was seen."""
        self.output = b""
        """The last of what it wrote to its standard output and error."""
        self._written = 0
        self._why: Failed | None = None
        self._listening = asyncio.create_task(self._listen())
        self._watching = asyncio.create_task(self._watch())
        self.outlived = False
        """Whether something that it started held on to its output after it was killed."""

    async def _listen(self) -> None:
        """Drain what it prints; too much ends it."""
        stream = self._process.stderr
        assert stream is not None
        while chunk := await stream.read(65536):
            self._written += len(chunk)
            self.output = (self.output + chunk)[-KEPT_OUTPUT:]
            if self._written > OUTPUT_BYTES:
                self._stop(Failed("output-limit", f"more than {OUTPUT_BYTES:,} bytes were printed"))

    async def _drain(self) -> None:
        """Read what is left of the answers, so that their pipe comes to its end."""
        stream = self._process.stdout
        assert stream is not None
        while await stream.read(65536):
            pass

    async def _watch(self) -> None:
        """Look at the memory of the whole family; too much ends it."""
        while True:
            used, waited_s = _family(self._process.pid)
            self.peak_bytes, self.waited_s = max(self.peak_bytes, used), max(self.waited_s, waited_s)
            if used > self.limits.memory_bytes:
                self._stop(Failed("memory", f"{used:,} bytes in all its processes"))
                return
            await asyncio.sleep(WATCH_EVERY_S)

    def _stop(self, why: Failed) -> None:
        self._why = self._why or why
        kill(self._process)

    async def load(self, job: Mapping[str, Any]) -> None:
        """Send the job and wait until the code is loaded.

        Raises:
            Failed: where it is not.
        """
        await self.begin(job)
        await self._answer(0, self.limits.call_s)

    async def begin(self, job: Mapping[str, Any]) -> None:
        """Wait until the program runs, then send the job: its time begins now.

        Raises:
            Failed: where it does not start.
        """
        self._ends = time.monotonic() + START_S
        await self._answer(-1, START_S)
        memory, processes = self.limits.memory_bytes, self.limits.processes
        limits = {
            "RLIMIT_AS": memory,
            "RLIMIT_CORE": 0,
            "RLIMIT_FSIZE": 64 * 1024**2,
            "RLIMIT_NPROC": processes,
            "RLIMIT_NOFILE": 256,
            "RLIMIT_CPU": int(self.limits.total_s) + 2,
        }
        self._began = True
        self._put({**job, "limits": limits})
        self._ends = time.monotonic() + self.limits.total_s

    async def call(self, name: str, arguments: Any, keywords: Any) -> Any:
        """Call a function of the loaded code with tagged values and return a tagged one.

        Raises:
            Failed: where it raises, or brings no value.
        """
        self._count += 1
        self._put({"i": self._count, "name": name, "args": arguments, "kwargs": keywords})
        answer = await self._answer(self._count, self.limits.call_s)
        try:
            decode(answer["value"])
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise Failed("protocol", f"not a value: {error}") from None
        return answer["value"]

    async def run(self, stdin: str) -> Ran:
        """Run the loaded program once with an input.

        Raises:
            Failed: where it does not end in time.
        """
        self._count += 1
        self._put({"i": self._count, "stdin": stdin})
        answer = await self._answer(self._count, self.limits.call_s)
        try:
            return Ran(int(answer["code"]), base64.b64decode(answer["out"]), answer["whole"] is True)
        except (KeyError, TypeError, ValueError) as error:
            raise Failed("protocol", f"not a result: {error}") from None

    def _put(self, content: Mapping[str, Any]) -> None:
        data = orjson.dumps(content)
        assert self._process.stdin is not None
        self._process.stdin.write(len(data).to_bytes(4, "big") + data)

    async def receive(self, limit_s: float) -> dict[str, Any]:
        """Return the next frame.

        Raises:
            Failed: where none comes in time, or it is none.
        """
        assert self._process.stdout is not None
        left = min(limit_s, self._ends - time.monotonic()) if self._ends else limit_s
        try:
            async with asyncio.timeout(max(0.0, left)):
                size = int.from_bytes(await self._process.stdout.readexactly(4), "big")
                if size > MAX_FRAME_BYTES:
                    raise Failed("protocol", f"a frame of {size:,} bytes")
                data = await self._process.stdout.readexactly(size)
        except TimeoutError:
            kill(self._process)
            raise self._why or Failed("timeout", f"no answer within {left:.1f} s") from None
        except (asyncio.IncompleteReadError, ConnectionError):
            raise await self._crashed() from None
        try:
            content = as_object(orjson.loads(data))
        except orjson.JSONDecodeError:
            content = None
        if content is None:
            raise Failed("protocol", "a frame that is no object")
        return content

    async def _answer(self, number: int, limit_s: float) -> dict[str, Any]:
        began = time.monotonic()
        content = await self.receive(limit_s)
        self.slowest_s = max(self.slowest_s, time.monotonic() - began) if number >= 0 else 0.0
        if content.get("i") != number:
            raise Failed("protocol", "a frame that answers nothing")
        if "error" in content:
            words = str(content["error"])[:500]
            raise Failed("memory" if words.startswith("MemoryError") else "error", words)
        return content

    async def _crashed(self) -> Failed:
        code = await self._process.wait()
        if self._why is not None:
            return self._why
        number = -code if code < 0 else code - 128 if code > 128 else 0
        name = f"signal {number}" if number else f"exit code {code}"
        if not self._count and not self._began:  # nothing of the candidate's ran: the words are those of the walls
            await asyncio.wait([self._listening], timeout=ENDED_WITHIN_S)
            name += "".join(f": {line}" for line in self.output.decode(errors="replace").splitlines()[:1])
        return Failed("timeout" if number == signal.SIGXCPU else "crash", f"it ended by {name}")

    def send(self, content: Mapping[str, Any]) -> None:
        """Send a frame that is not a request of ours: an answer to a referee."""
        self._put(content)

    async def end(self) -> None:
        """End it and everything that it started."""
        kill(self._process)
        self._watching.cancel()
        await asyncio.wait([self._watching])
        pipes = [self._listening, asyncio.create_task(self._drain())]
        _, running = await asyncio.wait(pipes, timeout=ENDED_WITHIN_S)
        self.outlived = bool(running)
        for task in pipes:
            task.cancel()
        await asyncio.wait(pipes)
        if self._process.stdin is not None:
            self._process.stdin.close()
        await self._process.wait()


@asynccontextmanager
async def started(tier: Tier, limits: Limits, hash_seed: int = 0) -> AsyncGenerator[Program]:
    """Start the program within fresh walls, and end it; sets come in the order of the hash seed.

    Raises:
        FileNotFoundError: where the tier's walls cannot be built here.
    """
    slot = next(_slots) % USERS
    with _work_place(tier, slot) as work:
        async with _within(walls(tier, slot, work, hash_seed), limits) as program:
            yield program


@contextmanager
def _work_place(tier: Tier, slot: int) -> Generator[str]:
    """Make a folder on the disk where the walls have none of their own, and remove it."""
    if tier != "medium":
        yield ""
        return
    with tempfile.TemporaryDirectory(prefix="gristmill-work-", ignore_cleanup_errors=True) as folder:
        if os.geteuid() == 0:
            os.chown(folder, FIRST_USER + slot, FIRST_USER + slot)
        yield folder


@asynccontextmanager
async def _within(built: Walls, limits: Limits) -> AsyncGenerator[Program]:
    descriptor = filter_file() if built.filtered else -1
    command = [str(descriptor) if word == FILTER else word for word in built.command]
    user: dict[str, Any] = {} if built.user is None else {"user": built.user, "group": built.user, "extra_groups": []}
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=built.environment,
            cwd="/",
            start_new_session=True,
            pass_fds=(descriptor,) if built.filtered else (),
            limit=MAX_FRAME_BYTES,
            **user,
        )
    finally:
        if built.filtered:
            os.close(descriptor)
    if built.tier != "strong" and built.user is None:
        limits = limits._replace(processes=limits.processes + _processes_of_ours())
    program = Program(process, limits)
    try:
        yield program
    finally:
        await program.end()


def _processes_of_ours() -> int:
    """Return how many processes and threads run as our user: outside of namespaces a limit counts them all."""
    found = 0
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if folder.name.isdigit() and folder.stat().st_uid == os.getuid():
                found += sum(1 for _ in (folder / "task").iterdir())
    return found


def filter_file() -> int:
    """Return a descriptor of the system call filter, as bubblewrap reads it."""
    descriptor = os.memfd_create("filter", 0)
    os.write(descriptor, seccomp.program())
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def kill(process: asyncio.subprocess.Process) -> None:
    """Kill the outermost process and its session; within bubblewrap's namespace nothing outlives it."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


def _family(pid: int) -> tuple[int, float]:
    """Return the resident memory of a process and all below it, and the seconds that their threads waited for a core."""
    total, waited_ns, todo = 0, 0, [pid]
    page = os.sysconf("SC_PAGE_SIZE")
    while todo:
        one = todo.pop()
        with contextlib.suppress(OSError, ValueError, IndexError):
            total += int(Path(f"/proc/{one}/statm").read_text().split()[1]) * page
            for thread in Path(f"/proc/{one}/task").iterdir():
                todo += map(int, (thread / "children").read_text().split())
                waited_ns += _waited_ns(thread)
    return total, waited_ns / 1e9


def _waited_ns(thread: Path) -> int:
    """Return the nanoseconds that a thread waited for a core (proc_pid_schedstat); 0 where the kernel does not count them."""
    try:
        return int((thread / "schedstat").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 0
