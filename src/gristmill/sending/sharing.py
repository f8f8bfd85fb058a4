"""What is known of an endpoint, shared by every process of this user on this machine.

A small file in a private folder that does not outlive the machine's session, read and replaced under a lock that the system
lets go of when a process dies. There is none before something is to be shared: a limit that was declared, or the first refusal.
Processes take slices of the endpoint's time from it, so it is asked some ten times a second and not for every request; what a
process took and did not use before it died is lost for a tenth of a second. Where there is no folder or the lock does not come,
a process goes on with what it knows itself.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import filelock
from pydantic import TypeAdapter, ValidationError

from gristmill.sending.pacing import Pacing

if TYPE_CHECKING:
    from collections.abc import Sequence

T = TypeVar("T")
WINDOW_S = 60
"""`tpm` is kept in every stretch of this many seconds."""
_FORGET_AFTER_S = 600.0
"""What nobody touched for so long is no longer true."""
_LOCK_S = 0.2
_VERSION = 1


class Booked(NamedTuple):
    """Tokens of requests that were admitted in one second."""

    second: int
    tokens: int


class Known(NamedTuple):
    """What is known of an endpoint."""

    pacing: Pacing = Pacing()
    booked: tuple[Booked, ...] = ()
    """By second, of the last minute."""


class Kept(NamedTuple):
    """What is in the file."""

    version: int
    at: float
    """When it was written, in seconds since 1970."""
    known: Known


@cache
def _kept() -> TypeAdapter[Kept]:
    return TypeAdapter(Kept)


Change = Callable[[Known], tuple[Known, T]]


class Shared:
    """One endpoint's knowledge, and the one way to change it."""

    def __init__(self, name: str | None, folder: Path | None = None) -> None:
        """Name the endpoint; nothing is opened before the first change.

        Args:
            name: As `endpoint_name` gives it; None keeps the knowledge in this process.
            folder: Where it is kept; this user's own by default.
        """
        self._name = name
        self._folder = folder
        self._known = Known()
        self._lock: filelock.BaseFileLock | None = None
        self._file: int | None = None

    def change(self, now: float, change: Change[T]) -> T:
        """Apply a change to what is known and return what it returns.

        Args:
            now: Seconds since 1970.
            change: A function of what is known; of what this process itself knows, where the file cannot be used.
        """
        try:
            with self._locked() as shared:
                known = self._read(now) if shared else self._known
                self._known, result = change(known)
                if shared:
                    with suppress(OSError):  # a full disk: the others do not learn of it
                        self._write(now)
                return result
        except (OSError, filelock.Timeout):
            self._known, result = change(self._known)
            return result

    @contextmanager
    def _locked(self) -> Generator[bool]:
        """Hold the lock; yield whether there is one."""
        if self._lock is None and self._name is not None:
            folder = self._folder or shared_folder()
            if folder is None:
                self._name = None
            else:
                self._file = os.open(folder / f"{self._name}.json", os.O_RDWR | os.O_CREAT, 0o600)
                self._lock = filelock.FileLock(folder / f"{self._name}.lock", mode=0o600)
        if self._lock is None:
            yield False
            return
        with self._lock.acquire(timeout=_LOCK_S, poll_interval=0.001):
            yield True

    def _read(self, now: float) -> Known:
        assert self._file is not None
        try:
            kept = _kept().validate_json(os.pread(self._file, os.fstat(self._file).st_size, 0))
        except ValidationError:
            return Known()
        fresh = kept.version == _VERSION and now - _FORGET_AFTER_S < kept.at < now + WINDOW_S
        return kept.known if fresh else Known()

    def _write(self, now: float) -> None:
        assert self._file is not None
        data = _kept().dump_json(Kept(_VERSION, now, self._known))
        os.pwrite(self._file, data, 0)
        os.ftruncate(self._file, len(data))

    def close(self) -> None:
        """Close the file; what is in it stays for the other processes."""
        if self._file is not None:
            os.close(self._file)
            self._file = self._lock = None


def shared_folder() -> Path | None:
    """Return this user's folder for what processes share, made if need be, or None where there can be none that is private."""
    base = os.environ.get("XDG_RUNTIME_DIR")
    name = f"gristmill-{os.getuid()}" if hasattr(os, "getuid") else "gristmill"
    folder = Path(base) / "gristmill" if base else Path(tempfile.gettempdir()) / name
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return None
    mine = not hasattr(os, "getuid") or (found.st_uid == os.getuid() and not found.st_mode & 0o022)
    return folder if stat.S_ISDIR(found.st_mode) and mine else None


def endpoint_name(url: str, key_name: str | None) -> str:
    """Return the name of an endpoint: the same for the same URL and the same NAME of the key's variable."""
    return hashlib.sha256(f"{url}\n{key_name or ''}".encode()).hexdigest()[:32]


def book(booked: tuple[Booked, ...], now: float, tokens: int, most: int) -> tuple[tuple[Booked, ...], float]:
    """Book a request's tokens, if they fit into the last minute; return the bookings and the seconds to wait, 0 where they fit.

    Args:
        booked: What was booked before.
        now: Seconds since 1970.
        tokens: What the request may cost; one that is larger than the limit waits for an empty minute.
        most: Tokens a minute.
    """
    kept = tuple(item for item in booked if item.second > now - WINDOW_S - 1)
    excess = sum(item.tokens for item in kept) + min(tokens, most) - most
    if excess <= 0:
        second = int(now)
        before = kept[-1].tokens if kept and kept[-1].second == second else 0
        return (*(kept[:-1] if before else kept), Booked(second, before + tokens)), 0.0
    for item in kept:
        excess -= item.tokens
        if excess <= 0:
            return kept, max(0.001, item.second + WINDOW_S + 1 - now)
    return kept, 1.0


def correct(booked: tuple[Booked, ...], corrections: Sequence[Booked]) -> tuple[Booked, ...]:
    """Return bookings with tokens added, or taken away, in the seconds in which they were booked."""
    more: dict[int, int] = {}
    for correction in corrections:
        more[correction.second] = more.get(correction.second, 0) + correction.tokens
    return tuple(Booked(second, max(0, tokens + more.get(second, 0))) for second, tokens in booked)
