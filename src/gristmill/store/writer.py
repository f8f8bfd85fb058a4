"""One thread that writes, and commits what is queued as soon as the previous commit ends.

Waiting for a disk is the slowest thing a durable run does, so all writes that come while a commit is on its way share the
next one: at one call in flight a commit carries one reply, at 512 it carries hundreds. Nothing here knows what is written.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from typing import TYPE_CHECKING, Any

from gristmill.errors import LedgerError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Operation = tuple[str, "Sequence[Any]"]


class Batch:
    """Writes that become durable together."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self.callbacks: list[Callable[[], None]] = []
        self.waiters: dict[asyncio.AbstractEventLoop, asyncio.Event] = {}
        """One event a loop, whoever waits in it: waking a loop is a system call."""

    def wait(self) -> asyncio.Event:
        """Return the event that is set in the running loop when the batch is on disk."""
        return self.waiters.setdefault(asyncio.get_running_loop(), asyncio.Event())


class Writer:
    """Owns the writing connection; every other thread only queues."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._condition = threading.Condition()
        self._batch = Batch()
        self._closing = False
        self._idle = True
        self.failure: LedgerError | None = None
        self._thread = threading.Thread(target=self._run, name="ledger-writer", daemon=True)
        self._thread.start()

    def put(self, sql: str, values: Sequence[Any]) -> None:
        """Queue one write.

        Raises:
            LedgerError: where an earlier write failed.
        """
        if self.failure is not None:
            raise self.failure
        with self._condition:
            self._batch.operations.append((sql, values))
            self._condition.notify()

    def when_durable(self, callback: Callable[[], None]) -> None:
        """Call `callback`, in the writer's thread, when everything queued so far is on disk."""
        with self._condition:
            self._batch.callbacks.append(callback)

    async def durable(self) -> None:
        """Wait until everything queued so far is on disk.

        Raises:
            LedgerError: where it could not be written.
        """
        with self._condition:
            batch = self._batch
            if batch.operations:
                event = batch.wait()
            elif self._idle:
                event = None
            else:
                event = batch.wait()  # an empty batch is still committed after the one on its way
                self._condition.notify()
        if event is not None:
            await event.wait()
        if self.failure is not None:
            raise self.failure

    def drain(self) -> None:
        """Wait, in any thread but the writer's, until everything queued so far is on disk.

        Raises:
            LedgerError: where it could not be written.
        """
        done = threading.Event()
        with self._condition:
            self._batch.callbacks.append(done.set)
            self._condition.notify()
        while not done.wait(0.2):
            if not self._thread.is_alive():
                break
        if self.failure is not None:
            raise self.failure

    def close(self) -> None:
        """Write what is queued and end the thread."""
        with self._condition:
            self._closing = True
            self._condition.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._condition:
                self._idle = True
                while not (self._batch.operations or self._batch.callbacks or self._batch.waiters or self._closing):
                    self._condition.wait()
                batch, self._batch = self._batch, Batch()
                self._idle = False
                ends = self._closing and not (batch.operations or batch.callbacks or batch.waiters)
            if ends:
                return
            self._commit(batch)

    def _commit(self, batch: Batch) -> None:
        if self.failure is None and batch.operations:
            try:
                execute = self._connection.execute
                execute("BEGIN IMMEDIATE")
                for sql, values in batch.operations:
                    execute(sql, values)
                execute("COMMIT")
            except sqlite3.Error as error:
                self.failure = ledger_failure(error)
                self._roll_back()
        for callback in batch.callbacks:
            callback()
        for loop, event in batch.waiters.items():
            loop.call_soon_threadsafe(event.set)

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")


def is_damage(error: sqlite3.Error) -> bool:
    """Whether a database error says that the file itself is damaged."""
    return "malformed" in str(error) or "not a database" in str(error)


def ledger_failure(error: sqlite3.Error) -> LedgerError:
    """Return what a database error means to the person who runs this."""
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
