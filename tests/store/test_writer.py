"""The writing thread: many rows are one statement, and what comes in between keeps its place."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.errors import LedgerError
from gristmill.store.writer import Statement, Writer

if TYPE_CHECKING:
    from collections.abc import Generator

ADD = Statement("INSERT INTO t VALUES", "(?,?)")
PUT = Statement("INSERT OR REPLACE INTO t VALUES", "(?,?)")
CHANGE = Statement("UPDATE t SET value=c.column2 FROM (VALUES ", "(?,?)", ") c WHERE t.id=c.column1", changes=True)


@pytest.fixture
def connection() -> Generator[sqlite3.Connection]:
    """A table of numbers, on a connection that another thread may use."""
    connection = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    connection.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, value)")
    yield connection
    connection.close()


def rows(connection: sqlite3.Connection) -> list[tuple[int, object]]:
    return connection.execute("SELECT id, value FROM t ORDER BY id").fetchall()


@pytest.mark.parametrize("count", [1, 2, 63, 64, 65, 127, 200])
def test_any_number_of_rows_is_written_once_each(connection: sqlite3.Connection, count: int) -> None:
    writer = Writer(connection)
    for number in range(count):
        writer.put(ADD, (number, f"text {number}"))
    writer.close()
    assert rows(connection) == [(number, f"text {number}") for number in range(count)]


def test_a_change_finds_the_row_that_was_added_beside_it(connection: sqlite3.Connection) -> None:
    """Also where changes of other rows were queued before the row was."""
    writer = Writer(connection)
    writer.put(ADD, (1, "a"))
    writer.put(CHANGE, (1, "b"))
    writer.put(ADD, (2, "a"))
    writer.put(CHANGE, (2, "c"))
    writer.close()
    assert rows(connection) == [(1, "b"), (2, "c")]


@settings(max_examples=60)
@given(st.lists(st.tuples(st.sampled_from(["put", "delete", "pause"]), st.integers(0, 5)), max_size=40))
def test_statements_of_their_own_keep_their_place(steps: list[tuple[str, int]]) -> None:
    """However the writes fall into commits, the table is what they make one after the other."""
    with sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False) as connection:
        connection.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, value)")
        writer, expected = Writer(connection), dict[int, int]()
        for number, (step, row) in enumerate(steps):
            if step == "put":
                writer.put(PUT, (row, number))
                expected[row] = number
            elif step == "delete":
                writer.put("DELETE FROM t WHERE id=?", (row,))
                expected.pop(row, None)
            else:
                writer.drain()
        writer.close()
        assert dict(rows(connection)) == expected
    connection.close()


def test_rows_are_prepared_in_the_thread_that_writes_them(connection: sqlite3.Connection) -> None:

    def prepare(values: tuple[int, str]) -> tuple[int, str]:
        return values[0], threading.current_thread().name

    writer = Writer(connection)
    writer.put(ADD._replace(prepare=prepare), (1, "ab"))
    writer.close()
    assert rows(connection) == [(1, "ledger-writer")]


@pytest.mark.parametrize("value", [2**70, object(), "\ud800"], ids=["too large", "no value", "half a character"])
def test_a_value_that_cannot_be_stored_is_an_error_and_nobody_waits_for_ever(
    connection: sqlite3.Connection, value: object
) -> None:
    writer = Writer(connection)

    async def work() -> None:
        writer.put(ADD, (1, "good"))
        await writer.durable()
        writer.put(ADD, (2, value))
        await asyncio.wait_for(writer.durable(), 20)

    with pytest.raises(LedgerError, match="the ledger failed"):
        asyncio.run(work())
    with pytest.raises(LedgerError):
        writer.put(ADD, (3, "after it"))
    writer.close()
    assert rows(connection) == [(1, "good")]


def test_a_loop_that_ended_before_its_commit_costs_the_next_one_nothing(connection: sqlite3.Connection) -> None:
    started, go_on = threading.Event(), threading.Event()

    def prepare(values: tuple[int, str]) -> tuple[int, str]:
        started.set()
        go_on.wait(20)
        return values

    writer = Writer(connection)

    async def leave() -> None:
        writer.put(ADD._replace(prepare=prepare), (1, "a"))
        waiting = asyncio.create_task(writer.durable())
        await asyncio.to_thread(started.wait, 20)
        waiting.cancel()

    asyncio.run(leave())
    go_on.set()
    writer.put(ADD, (2, "b"))
    writer.close()
    assert rows(connection) == [(1, "a"), (2, "b")]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_nobody_waits_for_a_thread_that_is_gone(connection: sqlite3.Connection) -> None:
    def prepare(values: tuple[int, str]) -> tuple[int, str]:
        raise MemoryError(values)

    writer = Writer(connection)

    async def work() -> None:
        writer.put(ADD._replace(prepare=prepare), (1, "a"))
        for _ in range(2):
            with pytest.raises(LedgerError):
                await asyncio.wait_for(writer.durable(), 20)

    asyncio.run(work())
    with pytest.raises(LedgerError):
        writer.drain()
    writer.close()
    assert rows(connection) == []


def test_a_task_that_was_cancelled_while_it_waited_hinders_nobody(connection: sqlite3.Connection) -> None:
    writer = Writer(connection)

    async def work() -> None:
        writer.put(ADD, (1, "a"))
        gone = asyncio.create_task(writer.durable())
        await asyncio.sleep(0)
        gone.cancel()
        await writer.durable()
        assert (await asyncio.wait({gone}))[0] == {gone}
        assert gone.cancelled()

    asyncio.run(work())
    writer.close()
    assert rows(connection) == [(1, "a")]
