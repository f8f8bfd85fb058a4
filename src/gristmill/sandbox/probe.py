"""Do the walls hold? Thirteen small attacks, made before the first program of a run, and the tier that was seen.

What is configured is a hope, what was tried is known: a container without user namespaces, a hardened kernel or a missing filter
show here and not in a report afterwards. Each check succeeds only if the attack fails. All hold: the tier that was tried. Else
`weak`, with the names of those that did not.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from gristmill.plain import as_list, as_object
from gristmill.sandbox.supervisor import Failed, Limits, started
from gristmill.values import decode, encode

if TYPE_CHECKING:
    from collections.abc import Generator

    from gristmill.sandbox.walls import Tier

_ATTEMPTS = """
def attempt(folder, tcp, udp, victim):
    import os, signal, socket
    found = {}
    def reads():
        return open(folder + '/secret.txt').read()
    def writes():
        open(folder + '/canary', 'w').close()
        return True
    def connects():
        socket.create_connection(('127.0.0.1', tcp), timeout=1).close()
        return True
    def sends():
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        one.settimeout(0.3)
        one.sendto(b'?', ('127.0.0.1', udp))
        return one.recv(9) == b'ack'
    def signals():
        os.kill(victim, signal.SIGTERM)
        return True
    def sees():
        return sorted(os.environ.values())
    for one in (reads, writes, connects, sends, signals, sees):
        try:
            found[one.__name__] = one()
        except BaseException as error:
            found[one.__name__] = None
    return found
"""
_DAEMON = """
def attempt():
    import os, time
    if os.fork() == 0:
        try:
            os.setsid()
        except OSError:
            pass
        if os.fork() == 0:
            time.sleep(60)
        os._exit(0)
    os.wait()
    return True
"""
FORKS = """
def attempt():
    import os, time
    made = 0
    for _ in range(200):
        try:
            if os.fork() == 0:
                time.sleep(60)
                os._exit(0)
            made += 1
        except OSError:
            break
    return made
"""
_MEMORY = "def attempt():\n    return len(bytearray(3 << 30))\n"
_OUTPUT = "def attempt():\n    import os\n    while True:\n        os.write(1, b'x' * 65536)\n"
_EXIT = "import os\nos._exit(0)\n"
_EQUAL = "class E(int):\n    __eq__ = lambda s, o: True\n    __hash__ = int.__hash__\ndef attempt():\n    return E(1)\n"
_LOOP = "def attempt():\n    while True:\n        pass\n"
_QUICK = Limits(call_s=5.0, total_s=8.0, memory_bytes=256 * 2**20, processes=32)
_ROOMY = Limits(call_s=30.0, total_s=40.0, memory_bytes=2**30, processes=32)
"""For the forks: thirty of them hold more than a quarter of a GiB, and it is their number that must end them."""


class Check(NamedTuple):
    """One attack: whether the walls held, and what was seen."""

    name: str
    held: bool
    seen: str = ""


class Probed(NamedTuple):
    """What was seen of walls."""

    tier: Tier
    checks: tuple[Check, ...]
    better: tuple[str, ...] = ()
    """Why no better tier was taken."""

    @property
    def broken(self) -> dict[str, str]:
        """Return the checks that did not hold, with what was seen."""
        return {check.name: check.seen for check in self.checks if not check.held}


async def probe(tier: Tier) -> Probed:
    """Lean against the walls of a tier and return what was seen.

    Raises:
        FileNotFoundError: where they cannot be built here.
        Failed: where the plainest program does not run within them.
    """
    async with started(tier, _QUICK) as program:
        await program.load({"mode": "function", "code": "def attempt():\n    return 7\n", "entry_point": "attempt"})
        assert decode(await program.call("attempt", encode([]), encode({}))) == 7
    with _bait() as bait:
        checks = await _attempts(tier, bait)
    checks += [
        Check("daemon", held=False, seen="not tried: nothing here would end it") if tier == "weak" else await _daemon(tier),
        await _bounded(tier),
        await _refused(tier, "memory", _MEMORY, ("memory",)),
        await _refused(tier, "output", _OUTPUT, ("output-limit",)),
        await _refused(tier, "forged exit", _EXIT, ("crash",)),
        await _forged(tier),
        await _refused(tier, "timeout", _LOOP, ("timeout",), _QUICK._replace(call_s=0.5)),
    ]
    seen: Tier = tier if all(check.held for check in checks) else "weak"
    return Probed(seen, tuple(checks))


class Bait(NamedTuple):
    """What an attack would want: a folder with a secret, ports of listeners, a process."""

    folder: Path
    tcp: int
    udp: int
    victim: int
    secret: str

    @property
    def canary(self) -> bool:
        """Return whether somebody wrote into the folder."""
        return (self.folder / "canary").exists()

    @property
    def alive(self) -> bool:
        """Return whether the process still runs."""
        stat = Path(f"/proc/{self.victim}/stat")
        return stat.exists() and stat.read_text().rsplit(")", 1)[1].split()[0] != "Z"


@contextlib.contextmanager
def _bait() -> Generator[Bait]:
    """Put it out, and take it away."""
    secret = secrets.token_hex(16)
    with tempfile.TemporaryDirectory(prefix="gristmill-probe-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        folder.chmod(0o777)
        (folder / "secret.txt").write_text(secret)
        (folder / "secret.txt").chmod(0o644)
        tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        udp.bind(("127.0.0.1", 0))
        udp.setblocking(False)
        loop = asyncio.get_running_loop()

        def answer() -> None:
            with contextlib.suppress(OSError):
                _, sender = udp.recvfrom(9)
                udp.sendto(b"ack", sender)

        loop.add_reader(udp.fileno(), answer)
        stack.callback(loop.remove_reader, udp.fileno())
        victim = subprocess.Popen([sys.executable, "-I", "-S", "-c", "import time; time.sleep(60)"], env={})
        stack.callback(victim.wait)
        stack.callback(victim.kill)
        yield Bait(folder, tcp.getsockname()[1], udp.getsockname()[1], victim.pid, secret)


async def _attempts(tier: Tier, bait: Bait) -> list[Check]:
    """Return what one program that tries everything at once gets."""
    async with started(tier, _QUICK) as program:
        await program.load({"mode": "function", "code": _ATTEMPTS, "entry_point": "attempt"})
        wants = encode([str(bait.folder), bait.tcp, bait.udp, bait.victim])
        found = as_object(decode(await program.call("attempt", wants, encode({})))) or {}
    ours = set(os.environ.values()) - {"C.UTF-8", "0", "/tmp", "/"}  # noqa: S108 - what the walls themselves set
    told = sum(value in ours for value in as_list(found.get("sees")) or [])
    attacks = {
        "secret": (found.get("reads") == bait.secret, "a file outside was read"),
        "canary": (bait.canary, "a file outside was written"),
        "tcp": (bool(found.get("connects")), "a connection was made"),
        "udp": (bool(found.get("sends")), "a datagram was answered"),
        "signal": (bool(found.get("signals")) or not bait.alive, "a process was signalled"),
        "environment": (told > 0, f"{told} of our variables are seen"),
    }
    return [Check(name, not succeeded, seen if succeeded else "") for name, (succeeded, seen) in attacks.items()]


async def _daemon(tier: Tier) -> Check:
    """Whether nothing that a program started outlives it."""
    async with started(tier, _QUICK) as program:
        await program.load({"mode": "function", "code": _DAEMON, "entry_point": "attempt"})
        await program.call("attempt", encode([]), encode({}))
    return Check("daemon", not program.outlived, "a process outlived the program" if program.outlived else "")


async def _bounded(tier: Tier) -> Check:
    """Whether the number of processes is bounded."""
    made = await _value(tier, FORKS, _ROOMY)
    if isinstance(made, Failed):
        return Check("forks", held=False, seen=str(made))
    return Check("forks", made < 100, f"{made} processes were made")


async def _forged(tier: Tier) -> Check:
    """Whether a value that equals everything stays what it is."""
    value = await _value(tier, _EQUAL, _QUICK)
    return Check("forged equality", not isinstance(value, int) and value != 5, f"it came out as {value!r}")


async def _refused(tier: Tier, name: str, code: str, verdicts: tuple[str, ...], limits: Limits = _QUICK) -> Check:
    """Whether a program ends with one of these verdicts."""
    value = await _value(tier, code, limits)
    seen = value.verdict if isinstance(value, Failed) else f"a value, {value!r:.40}"
    return Check(name, isinstance(value, Failed) and value.verdict in verdicts, seen)


async def _value(tier: Tier, code: str, limits: Limits) -> Any:
    try:
        async with started(tier, limits) as program:
            await program.load({"mode": "function", "code": code, "entry_point": "attempt"})
            return decode(await program.call("attempt", encode([]), encode({})))
    except Failed as failure:
        return failure
