"""The only place that sends.

A dispatcher belongs to one teacher: it bounds what is in flight, writes the intent before and the reply after every exchange,
tries passing faults again with growing, jittered waits, and turns the stop switch when nothing would succeed any more. An
exchange belongs to the dispatcher and not to the task that asked: cancelling the task never cancels a request that was sent;
its reply is recorded and waits for the replay.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from gristmill.errors import LedgerError, TeacherDown
from gristmill.ids import seed_for
from gristmill.ports import Parked, TeacherFault
from gristmill.store.effects import end_attempt, put_attempt, put_reply
from gristmill.store.place import check_space

if TYPE_CHECKING:
    from gristmill.engine.stopping import StopSwitch
    from gristmill.ports import Clock, Teacher
    from gristmill.records import Reply, Request
    from gristmill.store.ledger import Ledger

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 60.0
DOWN_AFTER_FAULTS = 20
"""Faults in a row, without one answer between them, after which a teacher may be down …"""
DOWN_AFTER_S = 300.0
"""… if they also span this long, so that a restart of the server is ridden through …"""
NEVER_UP_AFTER_S = 5.0
"""… or only this long, if it has never answered at all."""
SPACE_EVERY_S = 1.0


class CallRefused(Exception):
    """A call that will bring no answer: refused for good, or every try failed. A task may catch it."""

    def __init__(self, message: str, *, code: str, transient: bool) -> None:
        super().__init__(message)
        self.code = code
        self.transient = transient


class Exhausted(BaseException):
    """The teacher has no further answer to this prompt."""

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message)
        self.code = code


class Outgoing(NamedTuple):
    """A request on its way, with its row in the ledger and how often it was tried before."""

    request: Request
    row: int
    tries: int


class Dispatcher:
    """Sends the requests of one teacher."""

    def __init__(
        self,
        teacher: Teacher,
        ledger: Ledger,
        switch: StopSwitch,
        clock: Clock,
        *,
        in_flight: int,
        attempts: int,
        max_calls: int | None = None,
    ) -> None:
        self.teacher = teacher
        self.calls = 0
        self.in_flight = 0
        """Exchanges under way: sent, or between two tries. Those that wait for a slot are not."""
        self.faults: dict[str, int] = {}
        self._ledger = ledger
        self._switch = switch
        self._clock = clock
        self._slots = asyncio.Semaphore(in_flight)
        self._attempts = attempts
        self._max_calls = max_calls
        self._live: set[asyncio.Task[Reply]] = set()
        self._faults_in_row = 0
        self._last_answer_s: float | None = None
        self._first_fault_s: float | None = None
        self._space_checked_s = float("-inf")
        self._stopped = asyncio.Event()
        switch.listen(self._stopped.set)

    async def send(self, outgoing: Outgoing) -> Reply:
        """Return the reply to a request that is on record.

        Raises:
            CallRefused: where no answer will come.
            Exhausted: where the teacher has no further answer to this prompt.
            Parked: where the run is stopping.
        """
        exchange = asyncio.create_task(self._exchange(outgoing))
        self._live.add(exchange)
        exchange.add_done_callback(self._done)
        return await asyncio.shield(exchange)

    def _done(self, exchange: asyncio.Task[Reply]) -> None:
        self._live.discard(exchange)
        if not exchange.cancelled():
            exchange.exception()  # read, so that an exchange nobody waits for any more is not reported as lost

    async def drain(self) -> None:
        """Wait for everything that was sent."""
        while self._live:
            await asyncio.wait(set(self._live))

    async def close(self) -> None:
        """Wait for everything that was sent, then close the teacher."""
        await self.drain()
        await self.teacher.close()

    async def _exchange(self, outgoing: Outgoing) -> Reply:
        async with self._slots:
            self.in_flight += 1
            try:
                return await self._tries(outgoing)
            finally:
                self.in_flight -= 1

    async def _tries(self, outgoing: Outgoing) -> Reply:
        wait_s = random.Random(seed_for(outgoing.request.id, "wait"))
        for number in range(1, self._attempts + 1):
            try:
                return await self._try(outgoing, outgoing.tries + number)
            except TeacherFault as fault:
                self._judge(fault)
                if fault.kind == "exhausted":
                    raise Exhausted(str(fault), fault.code) from None
                if fault.kind == "fatal":
                    raise Parked from None
                if fault.kind == "permanent" or number == self._attempts:
                    raise CallRefused(str(fault), code=fault.code, transient=fault.kind == "transient") from None
                await self._pause(fault.retry_after_s or _backoff(number, wait_s))
        raise AssertionError("a teacher is tried at least once")

    async def _try(self, outgoing: Outgoing, number: int) -> Reply:
        if self._switch.on or self.calls == self._max_calls:
            raise Parked
        self._check_space()
        started = self._clock.time()
        attempt = put_attempt(self._ledger, outgoing.row, number, started)
        try:
            if self.teacher.bills:
                await self._ledger.durable()
            self.calls += 1
            before = self._clock.monotonic()
            try:
                reply = await self.teacher.complete(outgoing.request)
            except TeacherFault as fault:
                end_attempt(self._ledger, attempt, self._clock.time(), fault)
                if fault.kind != "transient":
                    await self._ledger.durable()
                raise
            ms = (self._clock.monotonic() - before) * 1000
            put_reply(self._ledger, outgoing.row, attempt, reply, at=self._clock.time(), ms=ms)
            await self._ledger.durable()
        except LedgerError as error:
            self._switch.stop(error)
            raise Parked from None
        self._faults_in_row, self._last_answer_s = 0, self._clock.monotonic()
        return reply

    def _check_space(self) -> None:
        now = self._clock.monotonic()
        if now - self._space_checked_s < SPACE_EVERY_S:
            return
        self._space_checked_s = now
        try:
            check_space(self._ledger.path.parent)
        except LedgerError as error:
            self._switch.stop(error)
            raise Parked from None

    def _judge(self, fault: TeacherFault) -> None:
        """Count a fault, and stop the run where nothing would succeed any more."""
        self.faults[fault.code] = self.faults.get(fault.code, 0) + 1
        now = self._clock.monotonic()
        if fault.kind == "fatal":
            self._switch.stop(
                TeacherDown(f"the teacher refused: {fault}", fix="Mend the key, model or address and run again to go on.")
            )
        if fault.kind != "transient":
            return
        self._faults_in_row += 1
        if self._faults_in_row == 1:
            self._first_fault_s = now
        span = now - (self._first_fault_s or now)
        patience = NEVER_UP_AFTER_S if self._last_answer_s is None else DOWN_AFTER_S
        if self._faults_in_row >= DOWN_AFTER_FAULTS and span >= patience:
            self._switch.stop(
                TeacherDown(
                    f"the last {self._faults_in_row} calls all failed: {fault}",
                    fix="Is the server up, and the address right? Run again to go on.",
                )
            )

    async def _pause(self, seconds: float) -> None:
        """Wait before the next try, but not longer than the run goes on."""
        if not self._switch.on:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._stopped.wait()


def _backoff(number: int, rng: random.Random) -> float:
    """Return seconds to wait after try `number`: doubling, with full jitter in the upper half."""
    return min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** (number - 1)) * (0.5 + rng.random() / 2)
