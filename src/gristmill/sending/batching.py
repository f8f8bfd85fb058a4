"""Calls that are handed in together and answered within a day, at a discount: the dispatcher of a teacher with `batch`.

A call does not wait: it is on record, and its task unwinds (`Parked`), so fifty thousand of them cost no memory. When nothing
else runs, what was asked for is handed in as a batch; when it ends its replies are recorded, and the tasks run again by replay:
so adaptive sampling works in rounds, and a conversation goes turn by turn. A batch is on record before it is handed in and its id
before anything waits; a resume finds it again and hands nothing in twice.
"""

from __future__ import annotations

import secrets
from array import array
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from gristmill.errors import BudgetReached, InputError, TeacherDown
from gristmill.ports import Parked, TeacherFault
from gristmill.pricing.budget import Amount
from gristmill.recipe.model import BatchSpec
from gristmill.sending.dispatch import CallRefused
from gristmill.store.batches import OpenBatch, end_batch, load_request, name_batch, open_batches, put_batch, waiting_in
from gristmill.store.effects import end_attempt, is_answered, put_attempt, put_reply
from gristmill.teachers.batches import MOST_BYTES, MOST_REQUESTS, Batches

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gristmill.ports import Clock, Teacher
    from gristmill.recipe.model import TeacherSpec
    from gristmill.records import Reply, Request
    from gristmill.sending.dispatch import Outgoing
    from gristmill.sending.spending import Meter
    from gristmill.sending.stopping import StopSwitch
    from gristmill.store.batches import Waiting
    from gristmill.store.ledger import Ledger
    from gristmill.teachers.batches import Look
    from gristmill.teachers.http import HttpTeacher

FIRST_LOOK_S = 5.0
_DURABLE_EVERY = 512
GONE = (
    "The provider does not know it: is it the key of another project? Results are deleted after some weeks. "
    "`--fresh` begins anew, and pays for its calls again."
)
_TRIES = 6
"""How often the interface is asked again after a passing fault before the run stops."""
_MISSES = 8
"""Hand-ins in a row that were not taken before the run stops."""


class Office(NamedTuple):
    """What a batch dispatcher works with."""

    ledger: Ledger
    switch: StopSwitch
    clock: Clock
    name: str
    """The teacher's name in the recipe."""
    spec: TeacherSpec
    say: Callable[..., None]


def batch_dispatcher(teacher: Teacher, meter: Meter, office: Office) -> BatchDispatcher:
    """Return the dispatcher of a teacher with `batch`.

    Raises:
        InputError: where the teacher has no batch interface.
    """
    from gristmill.teachers.http import HttpTeacher  # brings the client library, which other teachers do not need

    if not isinstance(teacher, HttpTeacher):
        raise InputError(f"`{office.spec.address}` has no batch interface", fix="Take `batch` away from this teacher.")
    return BatchDispatcher(teacher, meter, office)


class BatchDispatcher:
    """Parks the requests of one teacher and hands them in together."""

    def __init__(self, teacher: HttpTeacher, meter: Meter, office: Office) -> None:
        self.teacher = teacher
        self.meter = meter
        self.calls = 0
        self.in_flight = 0
        """Requests in batches that have not ended."""
        self.faults: dict[str, int] = {}
        self._office = office
        self._batches = Batches(teacher)
        self._poll_s = (office.spec.batch if isinstance(office.spec.batch, BatchSpec) else BatchSpec()).poll_s
        self._parked = array("q")
        self._tries: dict[int, int] = {}
        """Of requests that were tried before; few."""
        self._failed: dict[int, int] = {}
        """In how many batches of this process that were taken a request had no answer."""
        self._misses = 0
        """Hand-ins in a row that were not taken, which cost no request a try."""
        self._put_back = False
        """Whether requests of a batch that was not taken are to be asked for again."""
        self._take_back()

    def _take_back(self) -> None:
        """Set aside again what batches of an earlier process may cost: it was booked as lost, and is not."""
        budget, ledger = self.meter.purse.budget, self._office.ledger
        for batch in open_batches(ledger, self._office.name):
            for item in waiting_in(ledger, batch.row):
                budget.lost = budget.lost.minus(_aside(item))
                budget.reserve(_aside(item))
                self.in_flight += 1

    async def send(self, outgoing: Outgoing) -> Reply:
        """Park a request that is on record.

        Raises:
            Parked: always, but
            CallRefused: where it was in as many batches without an answer as the recipe allows.
        """
        office = self._office
        failed = self._failed.get(outgoing.row, 0)
        if failed >= office.spec.attempts:
            raise CallRefused(f"no answer in {failed} batches", code="expired", transient=True)
        if not office.switch.on:
            self._parked.append(outgoing.row)
            if outgoing.tries:
                self._tries[outgoing.row] = outgoing.tries
            if len(self._parked) % _DURABLE_EVERY == 0:
                await office.ledger.durable()
        raise Parked

    async def drain(self) -> None:
        """Return at once: nothing is on its way in this process."""

    async def close(self) -> None:
        """Close the connections; batches go on without us."""
        await self.teacher.close()

    async def round(self) -> bool:
        """Hand in what is parked, wait until a batch ends, and record its results.

        Returns:
            Whether something was recorded or put back, so that tasks can go on. False when nothing waits, or the run stops.
        """
        office = self._office
        await office.ledger.durable()
        await self._hand_in()
        if self._put_back:
            self._put_back = False
            return not office.switch.on
        batches = open_batches(office.ledger, office.name)
        wait_s = min(FIRST_LOOK_S, self._poll_s)
        while batches and not office.switch.on:
            ended = [batch for batch in batches if await self._collected(batch)]
            await office.ledger.durable()
            if ended:
                return True
            await office.switch.pause(wait_s)
            wait_s = min(self._poll_s, 2 * wait_s)
        return False

    # -- handing in --------------------------------------------------------------------------------------------------

    async def _hand_in(self) -> None:
        """Hand in everything that is parked and in no batch yet, in as few batches as the limits allow."""
        office = self._office
        batches = open_batches(office.ledger, office.name)
        waiting = {item.request for batch in batches for item in waiting_in(office.ledger, batch.row)}
        rows = iter([row for row in self._parked if row not in waiting])
        self._parked = array("q")
        while not office.switch.on and (some := list(self._fitting(rows))):
            await self._submit(some)

    def _fitting(self, rows: Iterator[int]) -> Iterator[tuple[int, Amount]]:
        """Yield requests for one batch, each with its worst case set aside, as far as limits and budget allow."""
        size, purse, office = 0, self.meter.purse, self._office
        for row in islice(rows, MOST_REQUESTS):
            request = load_request(office.ledger, row)
            need = self.meter.need(request)
            obstacle = purse.budget.obstacle(need)
            if obstacle is not None:
                if not purse.budget.calls:
                    fix = "Raise `budget` in the recipe and run again to go on."
                    office.switch.stop(BudgetReached(f"the budget is reached: {obstacle}", fix=fix))
                return
            purse.budget.reserve(need)
            yield row, need
            size += sum(len(message.content.encode()) for message in request.messages) + 1024
            if size >= MOST_BYTES:
                return

    async def _submit(self, some: list[tuple[int, Amount]]) -> None:
        office = self._office
        mark, now = secrets.token_hex(8), office.clock.time()
        batch = put_batch(office.ledger, office.name, mark, now)
        for row, need in some:
            put_attempt(office.ledger, row, self._tries.pop(row, 0) + 1, now, self.meter.reserved(need), batch)
        await office.ledger.durable()
        self.calls += len(some)
        self.in_flight += len(some)
        requests = (load_request(office.ledger, row) for row, _ in some)
        try:
            batch_id = await self._batches.submit(requests, mark)
        except TeacherFault as fault:
            await self._not_taken(OpenBatch(batch, mark, None), fault)
            return
        self._misses = 0
        name_batch(office.ledger, batch, batch_id)
        await office.ledger.durable()
        office.say(f"{len(some):,} calls were handed in as batch {batch_id}; Ctrl-C leaves it there, run again to fetch it")

    async def _not_taken(self, batch: OpenBatch, fault: TeacherFault) -> None:
        """Decide what became of a batch whose handing in failed: it may have been taken all the same."""
        office = self._office
        if fault.kind == "transient" and self._batches.keeps_marks:
            await self._missed(fault)
            return  # the next look finds it by its mark, or learns that there is none
        self._end(batch, fault)
        if fault.kind in ("transient", "limited") and not fault.possibly_billed:
            self._put_back = True
            await self._missed(fault)
            return
        fix = "Mend it, and run again to go on."
        if fault.possibly_billed:
            fix = "It may have been taken: look at the provider's console. Running again hands it in anew."
        office.switch.stop(TeacherDown(f"the batch was not taken: {fault}", fix=fix))

    async def _missed(self, fault: TeacherFault) -> None:
        """Wait before the next hand-in, longer each time; where the server refuses for the rate, as long as it says."""
        office = self._office
        self._misses += fault.kind == "transient"
        if self._misses >= _MISSES:
            fix = "Nothing is lost: run again to go on."
            office.switch.stop(TeacherDown(f"the last {self._misses} batches were not taken: {fault}", fix=fix))
            return
        told_s = fault.retry_after_s
        wait_s = min(self._poll_s, FIRST_LOOK_S * 2.0 ** max(0, self._misses - 1))
        await office.switch.pause(wait_s if told_s is None else told_s)

    # -- looking -----------------------------------------------------------------------------------------------------

    async def _collected(self, batch: OpenBatch) -> bool:
        """Record a batch's results if it has ended; return whether it has."""
        office, failures = self._office, 0
        while not office.switch.on:
            try:
                return await self._look(batch)
            except TeacherFault as fault:
                self.faults[fault.code] = self.faults.get(fault.code, 0) + 1
                failures += fault.kind != "limited"
                if fault.kind not in ("transient", "limited") or failures == _TRIES:
                    fix = GONE if fault.code == "http_404" else "The batch stays with the provider; run again to fetch it."
                    office.switch.stop(TeacherDown(f"batch {batch.batch_id or 'of unknown id'}: {fault}", fix=fix))
                    return False
                told_s = fault.retry_after_s
                await office.switch.pause(min(self._poll_s, 2.0 ** max(1, failures)) if told_s is None else told_s)
        return False

    async def _look(self, batch: OpenBatch) -> bool:
        office = self._office
        batch_id = batch.batch_id or await self._batches.find(batch.mark)
        if batch_id is None:
            lost = not self._batches.keeps_marks
            words = "it is not known whether the batch was taken" if lost else "the batch was never taken"
            self._end(batch, TeacherFault(words, kind="transient", code="not_taken", possibly_billed=lost))
            return True
        if batch.batch_id is None:
            name_batch(office.ledger, batch.row, batch_id)
        look = await self._batches.look(batch_id)
        if look.state == "waiting":
            return False
        if look.state == "failed":
            self._end(batch, TeacherFault(look.words, kind="transient", code="batch_failed"))
            office.switch.stop(TeacherDown(f"the batch failed: {look.words}", fix="Mend it, and run again to go on."))
            return True
        await self._record(batch, look)
        return True

    async def _record(self, batch: OpenBatch, look: Look) -> None:
        office = self._office
        items = {item.request_id: item for item in waiting_in(office.ledger, batch.row)}
        number = 0
        async for result in self._batches.results(look):
            number += 1
            item = items.pop(result.request_id, None)
            if item is None:
                continue
            if is_answered(office.ledger, item.request):  # it was asked without a batch meanwhile
                words = "another call was answered before"
                self._fault(item, TeacherFault(words, kind="transient", code="answered_before", possibly_billed=True))
            elif isinstance(result.outcome, TeacherFault):
                self._unanswered(item, result.outcome)
            else:
                self._reply(item, load_request(office.ledger, item.request), result.outcome)
            if number % _DURABLE_EVERY == 0:
                await office.ledger.durable()
        for item in items.values():
            self._unanswered(item, TeacherFault("the batch ended without an answer", kind="transient", code="expired"))
        end_batch(office.ledger, batch.row, office.clock.time(), "ended")

    def _reply(self, item: Waiting, request: Request, reply: Reply) -> None:
        office = self._office
        priced = self.meter.priced(request, reply, 0.0, batched=True)
        put_reply(office.ledger, item.request, item.attempt, priced, at=office.clock.time(), ms=None)
        self.meter.purse.settle(_aside(item), priced)
        self.in_flight -= 1

    def _unanswered(self, item: Waiting, fault: TeacherFault) -> None:
        """Book a request that had no answer in a batch that was taken: that was one of its tries."""
        self._failed[item.request] = self._failed.get(item.request, 0) + 1
        self._fault(item, fault)

    def _fault(self, item: Waiting, fault: TeacherFault) -> None:
        office = self._office
        self.faults[fault.code] = self.faults.get(fault.code, 0) + 1
        end_attempt(office.ledger, item.attempt, office.clock.time(), fault)
        self.meter.purse.fail(_aside(item), possibly_billed=fault.possibly_billed)
        self.in_flight -= 1

    def _end(self, batch: OpenBatch, fault: TeacherFault) -> None:
        """Give everything in a batch the same end."""
        office = self._office
        for item in list(waiting_in(office.ledger, batch.row)):
            self._fault(item, fault)
        end_batch(office.ledger, batch.row, office.clock.time(), fault.code)


def _aside(item: Waiting) -> Amount:
    """Return what is set aside for a request in a batch."""
    return Amount(item.usd, item.tokens)
