"""The only place that sends.

A dispatcher belongs to one teacher: it sends what its gate lets through, writes the intent before and the reply after every
exchange, tries passing faults again with growing, jittered waits, and turns the stop switch when nothing would succeed any
more. A refusal for the rate closes the gate for everybody and costs the request none of its tries. An exchange belongs to the
dispatcher and not to the task that asked: cancelling the task never cancels a request that was sent; its reply is recorded and
waits for the replay. Requests wait in one queue, and as many senders as the gate's window has places take from it, one request
after the other: with a task for each request an engine takes a third more time.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from itertools import count
from typing import TYPE_CHECKING, NamedTuple

from gristmill.errors import LedgerError, TeacherDown
from gristmill.ids import seed_for
from gristmill.ports import CONTENT_FILTER, Parked, TeacherFault
from gristmill.store.effects import end_attempt, put_attempt, put_reply
from gristmill.store.place import check_space

if TYPE_CHECKING:
    from gristmill.ports import Teacher
    from gristmill.pricing.budget import Amount
    from gristmill.records import Reply, Request
    from gristmill.sending.gate import Gate
    from gristmill.sending.spending import Meter
    from gristmill.sending.stopping import StopSwitch
    from gristmill.store.ledger import Ledger

FIRST_WAIT_S = 0.5
LONGEST_WAIT_S = 60.0
DOWN_AFTER_FAULTS = 20
"""Faults in a row, without one answer between them, after which a teacher may be down …"""
DOWN_AFTER_S = 300.0
"""… if they also span this long, so that a restart of the server is ridden through …"""
NEVER_UP_AFTER_S = 5.0
"""… or only this long, if it has never answered at all."""
DOUBTED_FROM = 5
"""From so many refusals in the same words on, without an answer between them, it is hardly the prompt: it is tried again …"""
REFUSED_ALIKE = 20
"""… and after so many the run stops."""
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


class Asked(NamedTuple):
    """A request that waits to be sent, and where its reply is waited for."""

    outgoing: Outgoing
    answer: asyncio.Future[Reply]


class Alike(NamedTuple):
    """Refusals in a row in the same words."""

    words: str
    times: int


class Dispatcher:
    """Sends the requests of one teacher."""

    def __init__(
        self,
        teacher: Teacher,
        ledger: Ledger,
        switch: StopSwitch,
        *,
        meter: Meter,
        gate: Gate,
        attempts: int,
        max_calls: int | None = None,
    ) -> None:
        self.teacher = teacher
        self.meter = meter
        self.calls = 0
        self.gate = gate
        self.faults: dict[str, int] = {}
        self._ledger = ledger
        self._switch = switch
        self._clock = gate.clock
        self._attempts = attempts
        self._patience_s = float(getattr(teacher, "patience_s", 0.0))
        """How long a server that is being restarted is waited for."""
        self._max_calls = max_calls
        self._begun = 0
        """Calls that were let through, also those that wait for money or the disk."""
        self._queue: deque[Asked] = deque()
        self._senders: set[asyncio.Task[None]] = set()
        self._busy = 0
        """Senders that do something else than wait before another try."""
        self._faults_in_row = 0
        self._refusals = Alike("", 0)
        self._last_answer_s: float | None = None
        self._first_fault_s: float | None = None
        self._space_checked_s = float("-inf")

    @property
    def in_flight(self) -> int:
        """Return how many requests are under way; those that wait for the gate or for their next try are not."""
        return self.gate.in_flight

    @property
    def _ended(self) -> bool:
        """Whether nothing more is sent."""
        return self._switch.on or (self._max_calls is not None and self._begun >= self._max_calls)

    async def send(self, outgoing: Outgoing) -> Reply:
        """Return the reply to a request that is on record.

        Raises:
            CallRefused: where no answer will come.
            Exhausted: where the teacher has no further answer to this prompt.
            Parked: where the run is stopping.
        """
        asked = Asked(outgoing, asyncio.get_running_loop().create_future())
        self._queue.append(asked)
        self._hire()
        return await asked.answer

    def _hire(self) -> None:
        """Start as many senders as requests wait and the gate's window has places for."""
        while self._queue and self._busy < self.gate.places:
            self._busy += 1
            sender = asyncio.create_task(self._work(self._queue.popleft()))
            self._senders.add(sender)
            sender.add_done_callback(self._senders.discard)

    async def _work(self, asked: Asked | None) -> None:
        """Send a request, and what waits after it, until nothing does or there are more senders than places."""
        try:
            while asked is not None:
                await self._serve(asked)
                asked = self._queue.popleft() if self._queue and self._busy <= self.gate.places else None
                self._hire()  # the window may have grown
        finally:
            self._busy -= 1

    async def _serve(self, asked: Asked) -> None:
        """Send a request and tell whoever asked, unless that was cancelled."""
        outgoing, answer = asked
        if answer.done():
            return
        try:
            reply = await self._tries(outgoing)
        except asyncio.CancelledError:
            answer.cancel()
            raise
        except BaseException as error:  # noqa: BLE001 - it is raised where the request was asked for
            if not answer.done():
                answer.set_exception(error)
        else:
            if not answer.done():
                answer.set_result(reply)

    async def drain(self) -> None:
        """Wait for everything that was sent."""
        while self._senders:
            await asyncio.wait(set(self._senders))

    async def close(self) -> None:
        """Wait for everything that was sent, then close the teacher."""
        await self.drain()
        self.gate.close()
        await self.teacher.close()

    async def _tries(self, outgoing: Outgoing) -> Reply:
        jitter: random.Random | None = None
        failures = 0
        for number in count(outgoing.tries + 1):
            try:
                return await self._try(outgoing, number)
            except TeacherFault as fault:
                self._judge(fault)
                if fault.kind == "exhausted":
                    raise Exhausted(str(fault), fault.code) from None
                if fault.kind == "fatal":
                    raise Parked from None
                if fault.kind == "limited":
                    continue
                if fault.code != "connect" or not self._patience_s:  # a server that is away is waited for, not tried in vain
                    failures += 1
                if fault.kind == "permanent" or failures == self._attempts:
                    raise CallRefused(str(fault), code=fault.code, transient=fault.kind == "transient") from None
                jitter = jitter or random.Random(seed_for(outgoing.request.id, "wait"))
                told_s = fault.retry_after_s
                await self._pause(told_s or _backoff(max(1, failures), jitter))
        raise AssertionError("numbers do not end")

    async def _pause(self, seconds: float) -> None:
        """Wait before another try, and let another sender work meanwhile."""
        self._busy -= 1
        self._hire()
        try:
            await self._switch.pause(seconds)
        finally:
            self._busy += 1

    async def _try(self, outgoing: Outgoing, number: int) -> Reply:
        if self._ended:
            raise Parked
        passed = await self.gate.enter(outgoing.request)
        try:
            reply = await self._admitted(outgoing, number)
        except TeacherFault as fault:
            self.gate.failed(passed, fault)
            raise
        except BaseException:
            self.gate.dropped()
            raise
        self.gate.answered(passed, reply)
        return reply

    async def _admitted(self, outgoing: Outgoing, number: int) -> Reply:
        """Send a request that the gate let through, once the budget allows it."""
        if self._ended:
            raise Parked
        self._begun += 1
        self._check_space()
        need, purse = self.meter.need(outgoing.request), self.meter.purse
        await purse.admit(need)
        try:
            reply = await self._paid(outgoing, number, need)
        except TeacherFault as fault:
            purse.fail(need, possibly_billed=fault.possibly_billed)
            raise
        except BaseException:
            purse.fail(need, possibly_billed=True)
            raise
        purse.settle(need, reply)
        return reply

    async def _paid(self, outgoing: Outgoing, number: int, need: Amount) -> Reply:
        """Send a request whose worst case is set aside: the intent is on disk before, the reply after."""
        started = self._clock.time()
        attempt = put_attempt(self._ledger, outgoing.row, number, started, self.meter.reserved(need))
        try:
            if self.teacher.bills:
                await self._ledger.durable()
            self.calls += 1
            before = self._clock.monotonic()
            mark = self.meter.begin()
            try:
                reply = self.meter.priced(outgoing.request, await self.teacher.complete(outgoing.request), mark)
            except TeacherFault as given:
                fault = self._doubted(given)
                end_attempt(self._ledger, attempt, self._clock.time(), fault)
                if fault.kind not in ("transient", "limited"):
                    await self._ledger.durable()
                raise fault from None
            finally:
                self.meter.end()
            ms = (self._clock.monotonic() - before) * 1000
            put_reply(self._ledger, outgoing.row, attempt, reply, at=self._clock.time(), ms=ms)
            await self._ledger.durable()
        except LedgerError as error:
            self._switch.stop(error)
            raise Parked from None
        self._faults_in_row, self._last_answer_s = 0, self._clock.monotonic()
        self._refusals = Alike("", 0)
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
        patience = max(self._patience_s, NEVER_UP_AFTER_S if self._last_answer_s is None else DOWN_AFTER_S)
        if self._faults_in_row >= DOWN_AFTER_FAULTS and span >= patience:
            self._switch.stop(
                TeacherDown(
                    f"the last {self._faults_in_row} calls all failed: {fault}",
                    fix="Is the server up, and the address right? Run again to go on.",
                )
            )

    def _doubted(self, fault: TeacherFault) -> TeacherFault:
        """Return a refusal as what it is: of one prompt for good, or, where the same words meet every prompt, of none of them."""
        if fault.kind != "permanent" or fault.code == CONTENT_FILTER:
            return fault
        words = str(fault)
        self._refusals = Alike(words, self._refusals.times + 1 if words == self._refusals.words else 1)
        if self._refusals.times < DOUBTED_FROM:
            return fault
        if self._refusals.times == REFUSED_ALIKE:
            self._switch.stop(
                TeacherDown(
                    f"the last {REFUSED_ALIKE} calls were all refused in the same words: {words}",
                    fix="Mend what they name (the account, the key, a parameter of the recipe) and run again to go on.",
                )
            )
        return TeacherFault(words, kind="transient", code=fault.code, evidence=fault.evidence, pace=fault.pace)


def _backoff(number: int, rng: random.Random) -> float:
    """Return seconds to wait after try `number`: doubling, with full jitter in the upper half."""
    return min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** (number - 1)) * (0.5 + rng.random() / 2)
