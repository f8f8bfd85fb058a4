"""Who may send: the window, the declared limits, the server's word, and the end of a run."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from gristmill.engine.opening import SystemClock
from gristmill.messages import Message
from gristmill.ports import TeacherFault
from gristmill.records import Allowance, Pace, Reply, Sampling, Usage
from gristmill.sending.gate import Bounds, Gate, Pass
from gristmill.sending.sharing import Shared, endpoint_name
from gristmill.sending.stopping import StopSwitch
from tests.teachers.asking import a_request

REQUEST = a_request("2+2?", sampling=Sampling(max_tokens=1000))
BUSY = TeacherFault("busy", kind="transient", code="http_503")
LATE = TeacherFault("late", kind="transient", code="timeout", possibly_billed=True)
ERROR = TeacherFault("error", kind="transient", code="http_500")


class SetClock:
    """A clock that stands until it is set."""

    def __init__(self) -> None:
        self.now = 1_790_000_000.0

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now


def gate(in_flight: int = 8, **bounds: Any) -> Gate:
    return Gate(Bounds(in_flight, **bounds), Shared(None), StopSwitch(), SystemClock())


def reply(tokens: int = 7, pace: Pace | None = None) -> Reply:
    return Reply(
        message=Message(role="assistant", content="4"),
        finish="stop",
        usage=Usage(input_tokens=5, output_tokens=tokens - 5),
        pace=pace,
    )


async def settled(*waiting: asyncio.Task[Any]) -> list[bool]:
    """Let everything that can go on do so, and return which of the tasks are done."""
    for _ in range(20):
        await asyncio.sleep(0)
    return [task.done() for task in waiting]


def enter(gate: Gate) -> asyncio.Task[Pass]:
    return asyncio.create_task(gate.enter(REQUEST))


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


def test_no_more_than_the_window_are_in_flight_and_they_pass_in_order() -> None:
    async def work() -> None:
        door = gate(2)
        tasks = [enter(door) for _ in range(4)]
        assert await settled(*tasks) == [True, True, False, False]
        assert door.in_flight == 2
        door.answered(tasks[1].result(), reply())
        assert await settled(*tasks) == [True, True, True, False]
        assert [task.result().number for task in tasks[:3]] == [1, 2, 3]
        door.dropped()
        await tasks[3]

    run(work())


@pytest.mark.parametrize(("fault", "window"), [(BUSY, 32.0), (LATE, 48.0), (ERROR, 64.0)])
def test_an_overloaded_server_gets_fewer_once_for_all_that_was_in_flight(fault: TeacherFault, window: float) -> None:
    async def work() -> None:
        door = gate(64)
        passes = [await door.enter(REQUEST) for _ in range(10)]
        for passed in passes:
            door.failed(passed, fault)
        assert (door.window, door.in_flight) == (window, 0)

    run(work())


def test_the_window_is_never_below_one_and_grows_back_to_what_is_declared() -> None:
    async def work() -> None:
        door = gate(4)
        for _ in range(20):
            door.failed(await door.enter(REQUEST), BUSY)
        assert door.window == 1
        grown: list[float] = []
        while door.window < 4:
            passes = [await door.enter(REQUEST) for _ in range(int(door.window))]
            for passed in passes:
                door.answered(passed, reply())
            grown.append(door.window)
        assert grown == sorted(grown)
        assert door.window == 4

    run(work())


def test_the_window_of_a_server_of_ones_own_is_found_by_trying() -> None:
    """One that brings as much with fewer in flight gets fewer; an overload still shrinks at once, and is grown back from."""

    async def work() -> None:
        clock = SetClock()
        door = Gate(Bounds(32, most=128), Shared(None), StopSwitch(), clock)
        seen = {door.window}
        passes = [await door.enter(REQUEST) for _ in range(int(door.window))]
        for _ in range(1_500):
            clock.now += 0.1  # ten answers a second, however many are in flight
            door.answered(passes.pop(0), reply(50))
            while door.in_flight < int(door.window):
                passes.append(await door.enter(REQUEST))
            seen.add(door.window)
        assert max(seen) == 40, "the first step is upwards"
        assert min(seen) == 16, "and then down to the fewest, since they cost nothing"
        before = door.window
        door.failed(passes.pop(), BUSY)
        assert door.window < before

    run(work())


def test_requests_a_minute_are_kept_by_all_who_share_them(tmp_path: Path) -> None:
    """Two gates with one limit of a hundred a second: forty requests take four tenths of a second, whoever sends them."""

    async def work() -> None:
        clock = SystemClock()
        doors = [Gate(Bounds(64, rpm=6000), Shared(endpoint_name("u", None), tmp_path), StopSwitch(), clock) for _ in range(2)]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(doors[number % 2].enter(REQUEST)) for number in range(40)]
        times = sorted(task.result().at for task in tasks)
        assert times[-1] - times[0] >= 0.38 - 0.05
        for door in doors:
            door.close()

    run(work())


def test_tokens_a_minute_are_set_aside_and_given_back() -> None:
    async def work() -> None:
        clock = SetClock()
        door = Gate(Bounds(8, tpm=2100), Shared(None), StopSwitch(), clock)
        first, second, third = enter(door), enter(door), enter(door)
        assert await settled(first, second, third) == [True, False, False], "two worst cases are more than a minute's tokens"
        door.answered(first.result(), reply(10))
        assert await settled(second, third) == [True, False]
        door.failed(second.result(), LATE)
        assert await settled(third) == [False], "what was perhaps billed is not given back"
        clock.now += 61
        door.dropped()
        assert await settled(third) == [True]

    run(work())


def test_what_the_server_says_is_left_holds_until_it_says_otherwise() -> None:
    async def work() -> None:
        clock = SetClock()
        door = Gate(Bounds(8), Shared(None), StopSwitch(), clock)
        one, two = await door.enter(REQUEST), await door.enter(REQUEST)
        door.answered(one, reply(pace=Pace(requests=Allowance(2, 30.0))))
        last, beyond = enter(door), enter(door)
        assert await settled(last, beyond) == [True, False], "two more after the first"
        door.answered(two, reply(pace=Pace(requests=Allowance(5, 30.0))))
        assert await settled(beyond) == [True]
        door.answered(last.result(), reply(100, pace=Pace(tokens=Allowance(10, 30.0))))
        held = enter(door)
        assert await settled(held) == [False]
        clock.now += 31
        door.dropped()
        assert await settled(held) == [True]

    run(work())


def test_a_long_wait_for_the_servers_limits_is_told_once() -> None:
    async def work() -> None:
        told: list[str] = []
        door = Gate(Bounds(8), Shared(None), StopSwitch(), SetClock(), told.append)
        door.answered(await door.enter(REQUEST), reply(pace=Pace(requests=Allowance(0, 360.0))))
        waiting = [enter(door), enter(door)]
        assert await settled(*waiting) == [False, False]
        assert told == ["the server says that its limits leave no room for 360 s"]
        for one in waiting:
            one.cancel()

    run(work())


def test_a_reset_without_a_time_holds_nobody() -> None:
    async def work() -> None:
        door = gate()
        door.answered(await door.enter(REQUEST), reply(pace=Pace(requests=Allowance(0))))
        await door.enter(REQUEST)

    run(work())


def test_a_long_wait_that_an_overloaded_server_asks_for_is_told_once() -> None:
    async def work() -> None:
        said: list[str] = []
        door = Gate(Bounds(8), Shared(None), StopSwitch(), SystemClock(), said.append)
        for wait_s in (2.0, 86400.0, 86400.0):
            fault = TeacherFault("HTTP 503: busy", kind="transient", code="http_503", pace=Pace(wait_s))
            door.failed(await door.enter(REQUEST), fault)
        assert said == ["the server asks to be tried again in 86400 s: HTTP 503: busy"]

    run(work())


def test_nobody_waits_at_the_gate_of_a_run_that_stops() -> None:
    async def work() -> None:
        switch = StopSwitch()
        said: list[str] = []
        door = Gate(Bounds(8), Shared(None), switch, SystemClock(), said.append)
        fault = TeacherFault("HTTP 429: slow down", kind="limited", code="http_429", pace=Pace(3600.0))
        door.failed(await door.enter(REQUEST), fault)
        tasks = [enter(door) for _ in range(3)]
        assert await settled(*tasks) == [False] * 3
        switch.interrupt()
        assert await settled(*tasks) == [True] * 3
        assert said == ["the server takes no requests for 3600 s: HTTP 429: slow down"]

    run(work())
