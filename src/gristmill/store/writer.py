"""One thread that writes, and commits what is queued as soon as the previous commit ends.

Waiting for a disk is the slowest thing a durable run does, so all writes that come while a commit is on its way share the
next one: at one call in flight a commit carries one reply, at 512 it carries hundreds. Many rows of a table are one statement,
because for every statement the thread gives the interpreter up and has to wait for it again. Nothing here knows what is written.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

from gristmill.errors import LedgerError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence


class Statement(NamedTuple):
    """A statement that is written for many rows at once.

    Rows are added in the order in which they were queued, before any is changed: a change is of a row that stands already or is
    added beside it, and no row that was changed is added again.
    """

    head: str
    """What stands before the rows: `INSERT INTO plan VALUES`."""
    marks: str
    """What stands for one row: `(?,?)`."""
    tail: str = ""
    changes: bool = False
    """Whether rows are changed instead of added."""
    prepare: Callable[[Any], Sequence[Any]] | None = None
    """What is done with a row in the writer's thread before it is written."""


_AT_ONCE = (64, 32, 16, 8, 4, 2, 1)
"""Rows of one statement: few sizes, so that each is prepared once."""


class Waiting(NamedTuple):
    """A task that waits for what was queued before it."""

    loop: asyncio.AbstractEventLoop
    future: asyncio.Future[None]


_Write = tuple[Statement | str, "Sequence[Any]"]
_Queued = _Write | Waiting | threading.Event | None
"""None ends the thread."""


class Writer:
    """Owns the writing connection; every other thread only queues."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._queue: queue.SimpleQueue[_Queued] = queue.SimpleQueue()
        self.failure: LedgerError | None = None
        self._thread = threading.Thread(target=self._run, name="ledger-writer", daemon=True)
        self._thread.start()

    def put(self, what: Statement | str, values: Sequence[Any]) -> None:
        """Queue one write: a row of many, or a statement of its own, which keeps its place among them.

        Raises:
            LedgerError: where an earlier write failed.
        """
        if self.failure is not None:
            raise self.failure
        self._queue.put((what, values))

    async def durable(self) -> None:
        """Wait until everything queued so far is on disk.

        Raises:
            LedgerError: where it could not be written.
        """
        if self.failure is None:
            loop = asyncio.get_running_loop()
            future = loop.create_future()
            self._queue.put(Waiting(loop, future))
            await future
        if self.failure is not None:
            raise self.failure

    def drain(self) -> None:
        """Wait, in any thread but the writer's, until everything queued so far is on disk.

        Raises:
            LedgerError: where it could not be written.
        """
        done = self.mark()
        while not done.wait(0.2):
            if not self._thread.is_alive():
                break
        if self.failure is not None:
            raise self.failure

    def mark(self) -> threading.Event:
        """Return an event that is set when everything queued so far is on disk."""
        done = threading.Event()
        self._queue.put(done)
        return done

    def close(self) -> None:
        """Write what is queued and end the thread."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        ended = False
        while not ended:
            batch = [self._queue.get()]
            batch += [self._queue.get_nowait() for _ in range(self._queue.qsize())]  # nobody else takes anything
            try:
                self._commit([item for item in batch if isinstance(item, tuple) and not isinstance(item, Waiting)])
            finally:
                _tell(batch)
            ended = None in batch

    def _commit(self, writes: list[_Write]) -> None:
        if self.failure is not None or not writes:
            return
        try:
            execute = self._connection.execute
            execute("BEGIN IMMEDIATE")
            rows: dict[Statement, list[Sequence[Any]]] = {}
            for what, values in writes:
                if isinstance(what, Statement):
                    rows.setdefault(what, []).append(values)
                else:
                    self._write(rows)
                    rows = {}
                    execute(what, values)
            self._write(rows)
            execute("COMMIT")
        except (sqlite3.Error, ArithmeticError, TypeError, ValueError) as error:  # what SQLite, or a value, cannot hold
            self.failure = ledger_failure(error)
            self._roll_back()
        except BaseException as error:  # the thread ends with it, and nobody may wait for a thread that is gone
            self.failure = ledger_failure(error)
            raise

    def _write(self, rows: dict[Statement, list[Sequence[Any]]]) -> None:
        """Write rows of several tables: those that are added first."""
        for what in sorted(rows, key=lambda kind: kind.changes):
            given = rows[what] if what.prepare is None else [what.prepare(values) for values in rows[what]]
            start = 0
            for size in _AT_ONCE:
                while len(given) - start >= size:
                    sql = what.head + ",".join([what.marks] * size) + what.tail
                    self._connection.execute(sql, list(chain.from_iterable(given[start : start + size])))
                    start += size

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")


def _tell(batch: Iterable[_Queued]) -> None:
    """Wake whoever waits; each loop once, because waking one is a system call."""
    waiting: dict[asyncio.AbstractEventLoop, list[asyncio.Future[None]]] = {}
    for item in batch:
        if isinstance(item, Waiting):
            waiting.setdefault(item.loop, []).append(item.future)
        elif isinstance(item, threading.Event):
            item.set()
    for loop, futures in waiting.items():
        with contextlib.suppress(RuntimeError):  # the loop ended, and with it whoever waited
            loop.call_soon_threadsafe(_wake, futures)


def _wake(futures: Sequence[asyncio.Future[None]]) -> None:
    for future in futures:
        if not future.done():  # its task was cancelled meanwhile
            future.set_result(None)


def is_damage(error: BaseException) -> bool:
    """Whether a database error says that the file itself is damaged."""
    return "malformed" in str(error) or "not a database" in str(error)


def ledger_failure(error: BaseException) -> LedgerError:
    """Return what an error of the database means to the person who runs this."""
    text = str(error)
    if "full" in text:
        return LedgerError(
            "the disk is full: the ledger cannot grow",
            fix="Free some space and run again: nothing that was recorded is lost.",
        )
    if is_damage(error):
        return LedgerError(f"the ledger is damaged ({text})", fix="Run again: the damage is named and what is whole is kept.")
    if "readonly" in text or "disk I/O" in text or "unable to open" in text:
        return LedgerError(f"the ledger cannot be written ({text})", fix="Check the disk and run again.")
    return LedgerError(f"the ledger failed: {text}", fix="Run again to go on.")
