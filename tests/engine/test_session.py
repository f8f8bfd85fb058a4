"""The session's promises: replay, divergence, ambiguity, time and randomness."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gristmill.engine.opening import SystemClock
from gristmill.engine.session import Diverged, Door, SampleSession, framed
from gristmill.engine.workers import WorkerPool
from gristmill.ids import content_id
from gristmill.messages import user
from gristmill.ports import AmbiguousCall, Parked
from gristmill.pricing.budget import Budget, Caps
from gristmill.records import Prompt, Sampling
from gristmill.sandbox.opening import Sandbox
from gristmill.sending.dispatch import CallRefused, Dispatcher
from gristmill.sending.gate import Bounds, Gate
from gristmill.sending.sharing import Shared
from gristmill.sending.spending import Meter, Purse, Rates
from gristmill.sending.stopping import StopSwitch
from gristmill.store.ledger import Ledger
from gristmill.teachers.scripted import Script, ScriptedTeacher

PROMPT = Prompt(id=content_id("prompt", "p"), messages=(user("hello"),))


@asynccontextmanager
async def opened(path: Path, script: Script | None = None) -> AsyncGenerator[tuple[Door, Dispatcher]]:
    """Open a door with a scripted teacher on the ledger in `path`."""
    ledger = Ledger(path / "l.sqlite")
    switch = StopSwitch()
    teacher, clock = ScriptedTeacher(script or Script()), SystemClock()
    purse = Purse(Budget(Caps()), switch, clock)
    meter = Meter(Rates(), purse, clock, bills=True)
    gate = Gate(Bounds(8), Shared(None), switch, clock)
    dispatcher = Dispatcher(teacher, ledger, switch, meter=meter, gate=gate, attempts=2)
    try:
        yield (
            Door(
                ledger=ledger,
                dispatchers={"teacher": dispatcher},
                sampling=Sampling(temperature=0.5),
                frame=partial(framed, system=None, fill=str),
                templates={},
                seed=0,
                context=1,
                switch=switch,
                clock=clock,
                purse=purse,
                workers=WorkerPool(size=1),
                sandbox=Sandbox(),
            ),
            dispatcher,
        )
    finally:
        await dispatcher.close()
        ledger.close()


def test_a_recorded_call_returns_without_a_call(tmp_path: Path) -> None:
    """In the next life the same calls bring the same replies, and the teacher is not asked."""

    async def life() -> tuple[list[str], int]:
        async with opened(tmp_path) as (door, dispatcher):
            session = SampleSession(door, PROMPT, 1, 0)
            texts = [(await session.complete([user(f"turn {i}")], step="turn")).message.content for i in range(3)]
            return texts, dispatcher.calls

    first = asyncio.run(life())
    second = asyncio.run(life())
    assert first[1] == 3
    assert second == (first[0], 0)
    assert len(set(first[0])) > 1, "each turn is a request of its own"


def test_equal_calls_one_after_the_other_are_two_calls(tmp_path: Path) -> None:
    """The occurrence of a step is part of a request, so asking again asks again."""

    async def life() -> list[str]:
        async with opened(tmp_path, Script(answers=("{n}",))) as (door, _):
            session = SampleSession(door, PROMPT, 1, 0)
            return [(await session.complete([user("same")], step="s")).message.content for _ in range(2)]

    first, second = asyncio.run(life())
    assert first != second


def test_what_is_no_json_is_refused_before_it_is_recorded(tmp_path: Path) -> None:
    """NaN would become null on the way: two formats would be one request."""

    async def life(schema: dict[str, Any]) -> None:
        async with opened(tmp_path) as (door, dispatcher):
            try:
                await SampleSession(door, PROMPT, 1, 0).complete([user("a")], step="s", response_format=schema)
            finally:
                assert dispatcher.calls == 0
                assert door.ledger.scalar("SELECT count(*) FROM requests") == 0

    with pytest.raises(ValueError, match="not JSON compliant"):
        asyncio.run(life({"minimum": float("nan")}))
    with pytest.raises(TypeError, match="not JSON serializable"):
        asyncio.run(life({"minimum": object()}))


def test_what_calls_share_is_told_by_its_content(tmp_path: Path) -> None:
    """A format that a task changes in place is another one from then on."""

    async def life() -> list[str]:
        async with opened(tmp_path) as (door, _):
            session = SampleSession(door, PROMPT, 1, 0)
            schema: dict[str, Any] = {}
            for kind in ("object", "array", "object"):
                schema["type"] = kind
                await session.complete([user("a")], step="s", response_format=schema)
            found = door.ledger.query("SELECT d.content FROM requests q JOIN dims d ON d.id = q.params ORDER BY q.id")
            return [json.loads(content)["response_format"]["type"] for (content,) in found]

    assert asyncio.run(life()) == ["object", "array", "object"]


def test_other_content_at_a_recorded_place_is_divergence(tmp_path: Path) -> None:
    """The difference shows both texts."""

    async def life(text: str) -> None:
        async with opened(tmp_path) as (door, _):
            await SampleSession(door, PROMPT, 1, 0).complete([user(text)], step="s")

    asyncio.run(life("before the crash"))
    with pytest.raises(Diverged) as caught:
        asyncio.run(life("after the crash"))
    assert "before the crash" in caught.value.difference
    assert "after the crash" in caught.value.difference


def test_a_new_context_is_no_divergence(tmp_path: Path) -> None:
    """With another recipe other content is what is meant; equal content still costs nothing."""

    async def life(text: str, context: int) -> int:
        async with opened(tmp_path) as (door, dispatcher):
            await SampleSession(door._replace(context=context), PROMPT, 1, 0).complete([user(text)], step="s")
            return dispatcher.calls

    assert asyncio.run(life("one", 1)) == 1
    assert asyncio.run(life("two", 2)) == 1
    assert asyncio.run(life("two", 3)) == 0


def test_two_unfinished_calls_with_one_step(tmp_path: Path) -> None:
    """They could not be told apart on replay."""

    async def life() -> None:
        async with opened(tmp_path, Script(latency_s=(0.01, 0.01))) as (door, _):
            session = SampleSession(door, PROMPT, 1, 0)
            async with asyncio.TaskGroup() as group:
                group.create_task(session.complete([user("a")], step="s"))
                group.create_task(session.complete([user("a")], step="s"))

    with pytest.raises(ExceptionGroup) as caught:
        asyncio.run(life())
    assert caught.group_contains(AmbiguousCall, match="other steps")


def test_side_by_side_with_other_steps(tmp_path: Path) -> None:
    """Calls with different steps run at one time."""

    async def life() -> None:
        async with opened(tmp_path, Script(latency_s=(0.01, 0.01))) as (door, dispatcher):
            session = SampleSession(door, PROMPT, 1, 0)
            async with asyncio.TaskGroup() as group:
                for step in ("left", "right"):
                    group.create_task(session.complete([user("a")], step=step))
                await asyncio.sleep(0)
                await asyncio.sleep(0)
                assert dispatcher.in_flight == 2

    asyncio.run(life())


def test_time_and_randomness_are_replayed(tmp_path: Path) -> None:
    """The clock is asked once per place; a generator follows from run, prompt, sample and step."""

    async def life() -> tuple[float, float, float, float]:
        async with opened(tmp_path) as (door, _):
            session = SampleSession(door, PROMPT, 1, 0)
            other = SampleSession(door, PROMPT, 1, 1)
            return await session.now(), session.rng("a").random(), session.rng("b").random(), other.rng("a").random()

    first = asyncio.run(life())
    assert asyncio.run(life()) == first
    assert len(set(first)) == 4


def test_cancelling_a_task_does_not_cancel_what_was_sent(tmp_path: Path) -> None:
    """The reply is recorded and waits for the replay."""

    async def cancelled() -> int:
        async with opened(tmp_path, Script(latency_s=(0.05, 0.05))) as (door, dispatcher):
            session = SampleSession(door, PROMPT, 1, 0)
            task = asyncio.create_task(session.complete([user("a")], step="s"))
            while not dispatcher.calls:
                await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await dispatcher.drain()
            return dispatcher.calls

    async def again() -> int:
        async with opened(tmp_path) as (door, dispatcher):
            await SampleSession(door, PROMPT, 1, 0).complete([user("a")], step="s")
            return dispatcher.calls

    assert asyncio.run(cancelled()) == 1
    assert asyncio.run(again()) == 0


def test_a_permanent_refusal_stands_and_a_passing_fault_does_not(tmp_path: Path) -> None:
    """The refusal is replayed with the provider's words; the passing fault is tried again."""

    (tmp_path / "r").mkdir()

    async def refused() -> tuple[tuple[str, int], tuple[str, int]]:
        results: list[tuple[str, int]] = []
        for _ in range(2):
            async with opened(tmp_path / "r", Script(permanent=1.0)) as (door, dispatcher):
                with pytest.raises(CallRefused) as caught:
                    await SampleSession(door, PROMPT, 1, 0).complete([user("a")], step="s")
                results.append((f"{caught.value.code}: {caught.value}", dispatcher.calls))
        return results[0], results[1]

    first, second = asyncio.run(refused())
    assert first == ("content_filter: 400 Bad Request: content policy", 1)
    assert second == (first[0], 0)

    async def passing() -> int:
        async with opened(tmp_path, Script(transient=1.0)) as (door, dispatcher):
            await SampleSession(door, PROMPT, 1, 0).complete([user("a")], step="s")
            return dispatcher.calls

    assert asyncio.run(passing()) == 2


def test_nothing_is_sent_once_the_switch_is_on(tmp_path: Path) -> None:
    """The task unwinds; a replay of what is on record still works."""

    async def life() -> int:
        async with opened(tmp_path) as (door, dispatcher):
            await SampleSession(door, PROMPT, 1, 0).complete([user("a")], step="s")
            door.switch.interrupt()
            session = SampleSession(door, PROMPT, 1, 0)
            await session.complete([user("a")], step="s")
            with pytest.raises(Parked):
                await session.complete([user("b")], step="s")
            return dispatcher.calls

    assert asyncio.run(life()) == 1
