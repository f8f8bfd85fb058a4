"""The senders of one teacher: as many as the window has places, and none held up by who was cancelled or waits."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gristmill.engine.opening import SystemClock
from gristmill.messages import Message
from gristmill.ports import CONTENT_FILTER, Parked, TeacherFault
from gristmill.pricing.budget import Budget, Caps
from gristmill.records import Reply, Request, TeacherIdentity
from gristmill.sending.dispatch import DOUBTED_FROM, REFUSED_ALIKE, CallRefused, Dispatcher, Outgoing
from gristmill.sending.gate import Bounds, Gate
from gristmill.sending.sharing import Shared
from gristmill.sending.spending import Meter, Purse, Rates
from gristmill.sending.stopping import StopSwitch
from gristmill.store.effects import Place, put_request
from gristmill.store.ledger import Ledger
from tests.teachers.asking import a_request

FAULT = TeacherFault("down", kind="transient", code="http_500")


class ByHand:
    """A teacher whose answers the test gives, by seed."""

    bills = True
    identity = TeacherIdentity(provider="test", model="test")

    def __init__(self) -> None:
        self.came: list[int] = []
        self.always: TeacherFault | None = None
        """What every call fails with at once."""
        self._answers: dict[int, asyncio.Future[Reply]] = {}

    async def complete(self, request: Request) -> Reply:
        self.came.append(request.seed)
        if self.always is not None:
            raise self.always
        answer = self._answers[request.seed] = asyncio.get_running_loop().create_future()
        return await answer

    def answer(self, seed: int) -> None:
        """Answer the call with this seed."""
        message = Message(role="assistant", content=str(seed))
        self._answers[seed].set_result(Reply(message=message, finish="stop"))

    def fail(self, seed: int) -> None:
        """Let the call with this seed fail."""
        self._answers[seed].set_exception(FAULT)

    def refuse(self, seed: int, words: str, code: str = "http_400") -> None:
        """Refuse the call with this seed."""
        self._answers[seed].set_exception(TeacherFault(words, kind="permanent", code=code))

    async def close(self) -> None:
        """Close nothing."""


class Bench:
    """A dispatcher, its teacher, and calls to make."""

    def __init__(self, folder: Path, in_flight: int, max_calls: int | None = None) -> None:
        self.switch, clock = StopSwitch(), SystemClock()
        self.ledger, self.teacher = Ledger(folder / "l.sqlite"), ByHand()
        purse = Purse(Budget(Caps()), self.switch, clock)
        meter = Meter(Rates(), purse, clock, bills=True)
        self.gate = Gate(Bounds(in_flight), Shared(None), self.switch, clock)
        self.dispatcher = Dispatcher(
            self.teacher, self.ledger, self.switch, meter=meter, gate=self.gate, attempts=3, max_calls=max_calls
        )

    def send(self, seed: int) -> asyncio.Task[Reply]:
        """Send a request."""
        request = a_request("2+2?", identity=self.teacher.identity)._replace(seed=seed, id=f"{seed:032x}")
        row = put_request(self.ledger, request, Place(1, 1, [1]))
        return asyncio.create_task(self.dispatcher.send(Outgoing(request, row, 0)))

    async def came(self, count: int) -> list[int]:
        """Return which calls came, in their order, once there are so many."""
        async with asyncio.timeout(20):
            while len(self.teacher.came) < count:
                await asyncio.sleep(0)
        return self.teacher.came


@asynccontextmanager
async def opened(folder: Path, in_flight: int, max_calls: int | None = None) -> AsyncGenerator[Bench]:
    bench = Bench(folder, in_flight, max_calls)
    try:
        yield bench
    finally:
        async with asyncio.timeout(20):
            await bench.dispatcher.close()
        bench.ledger.close()


def test_requests_are_sent_in_order_no_more_at_once_than_the_window_has_places(tmp_path: Path) -> None:
    async def life() -> None:
        async with opened(tmp_path, 2) as bench:
            calls = [bench.send(seed) for seed in range(5)]
            assert await bench.came(2) == [0, 1]
            bench.teacher.answer(1)
            assert (await calls[1]).message.content == "1"
            assert await bench.came(3) == [0, 1, 2]
            assert bench.dispatcher.in_flight == 2
            for seed in (0, 2):
                bench.teacher.answer(seed)
            assert sorted((await bench.came(5))[3:]) == [3, 4]
            for seed in (3, 4):
                bench.teacher.answer(seed)
            assert [(await call).message.content for call in calls] == ["0", "1", "2", "3", "4"]

    asyncio.run(life())


def test_a_window_that_has_grown_is_filled(tmp_path: Path) -> None:
    async def life() -> None:
        async with opened(tmp_path, 1) as bench:
            calls = [bench.send(seed) for seed in range(4)]
            await bench.came(1)
            bench.gate.window = 3.0
            bench.teacher.answer(0)
            assert sorted(await bench.came(4)) == [0, 1, 2, 3]
            assert bench.dispatcher.in_flight == 3
            for seed in (1, 2, 3):
                bench.teacher.answer(seed)
            await asyncio.wait(calls)

    asyncio.run(life())


def test_a_window_that_has_shrunk_has_fewer_senders(tmp_path: Path) -> None:
    async def life() -> None:
        async with opened(tmp_path, 1) as bench:
            bench.gate.window = 3.0
            calls = [bench.send(seed) for seed in range(6)]
            await bench.came(3)
            bench.gate.window = 1.0
            for seed in (0, 1, 2):
                bench.teacher.answer(seed)
            for count, seed in enumerate((3, 4, 5), start=4):
                assert (await bench.came(count))[-1] == seed
                assert bench.dispatcher.in_flight == 1
                bench.teacher.answer(seed)
            await asyncio.wait(calls)

    asyncio.run(life())


def test_who_is_cancelled_before_it_was_sent_is_never_sent(tmp_path: Path) -> None:
    async def life() -> None:
        async with opened(tmp_path, 1) as bench:
            first, gone, last = (bench.send(seed) for seed in range(3))
            await bench.came(1)
            gone.cancel()
            bench.teacher.answer(0)
            assert await bench.came(2) == [0, 2]
            bench.teacher.answer(2)
            await asyncio.wait([first, gone, last])
            assert gone.cancelled()
            assert bench.ledger.scalar("SELECT count(*) FROM attempts") == 2

    asyncio.run(life())


def test_no_more_calls_are_sent_than_were_allowed_however_many_are_under_way(tmp_path: Path) -> None:
    async def scene() -> None:
        async with opened(tmp_path, in_flight=8, max_calls=3) as bench:
            calls = [bench.send(seed) for seed in range(8)]
            assert await bench.came(3) == [0, 1, 2]
            for seed in range(3):
                bench.teacher.answer(seed)
            await asyncio.wait(calls)
            assert [isinstance(call.exception(), Parked) for call in calls] == [False] * 3 + [True] * 5
            assert len(bench.teacher.came) == 3

    asyncio.run(scene())


def test_refusals_in_the_same_words_without_an_answer_are_doubted_and_stop_the_run(tmp_path: Path) -> None:
    """Nothing is wrong with so many prompts: it is the account, the key or a parameter, and few of them are lost for good."""

    async def scene() -> None:
        async with opened(tmp_path, in_flight=64) as bench:
            few = [bench.send(seed) for seed in range(DOUBTED_FROM)]
            await bench.came(len(few))
            for seed in range(DOUBTED_FROM - 1):
                bench.teacher.refuse(seed, "no")
            await asyncio.wait(few[:-1])
            bench.teacher.answer(DOUBTED_FROM - 1)  # an answer between them
            await few[-1]
            bench.teacher.always = TeacherFault("no", kind="permanent", code="http_400")
            many = [bench.send(seed) for seed in range(100, 140)]
            await asyncio.wait(many)
            assert "the last 20 calls were all refused in the same words: no" in str(bench.switch.error)
            ended = [type(call.exception()) for call in many]
            assert (ended.count(CallRefused), ended.count(Parked)) == (DOUBTED_FROM - 1, 40 - (DOUBTED_FROM - 1))
            await bench.ledger.durable()
            assert bench.ledger.scalar("SELECT count(*) FROM attempts WHERE kind='permanent'") == 2 * (DOUBTED_FROM - 1)

    asyncio.run(scene())


def test_prompts_that_a_filter_refuses_are_not_doubted(tmp_path: Path) -> None:
    async def scene() -> None:
        async with opened(tmp_path, in_flight=64) as bench:
            calls = [bench.send(seed) for seed in range(2 * REFUSED_ALIKE)]
            await bench.came(len(calls))
            for seed in range(len(calls)):
                bench.teacher.refuse(seed, "flagged", CONTENT_FILTER)
            await asyncio.wait(calls)
            assert {type(call.exception()) for call in calls} == {CallRefused}
            assert not bench.switch.on

    asyncio.run(scene())


def test_while_one_waits_before_another_try_the_next_is_sent(tmp_path: Path) -> None:
    """With a single place in the window; the end of the run ends the waiting too."""

    async def life() -> None:
        async with opened(tmp_path, 1) as bench:
            failing, other = bench.send(0), bench.send(1)
            await bench.came(1)
            bench.teacher.fail(0)
            assert await bench.came(2) == [0, 1]
            bench.switch.interrupt()
            bench.teacher.answer(1)
            assert (await other).message.content == "1"
            with pytest.raises(Parked):
                await failing

    asyncio.run(life())
