"""Batches in the ledger: which requests were handed in together, under which id, and which of them wait.

The batch and the attempts in it are on disk before anything is handed in, and the provider's id before anything waits, so a
resume finds what it paid for. An attempt belongs to at most one batch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import orjson

from gristmill.messages import Message
from gristmill.records import Request, Sampling, TeacherIdentity
from gristmill.store.packing import unpack_ids

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gristmill.store.ledger import Ledger
    from gristmill.store.reader import Reader


class OpenBatch(NamedTuple):
    """A batch whose results are not all on record."""

    row: int
    mark: str
    batch_id: str | None
    """The provider's id; None where the process ended between handing in and the answer."""


class Waiting(NamedTuple):
    """One request of a batch that has no end on record."""

    request_id: str
    request: int
    attempt: int
    usd: float
    tokens: int


def put_batch(ledger: Ledger, teacher: str, mark: str, at: float) -> int:
    """Queue a batch that is about to be handed in, and return its row."""
    row = ledger.next_id("batches")
    ledger.put("INSERT INTO batches(id, teacher, mark, submitted) VALUES(?,?,?,?)", (row, teacher, mark, at))
    return row


def name_batch(ledger: Ledger, row: int, batch_id: str) -> None:
    """Queue the provider's id of a batch."""
    ledger.put("UPDATE batches SET batch_id=? WHERE id=?", (batch_id, row))


def end_batch(ledger: Ledger, row: int, at: float, state: str) -> None:
    """Queue the end of a batch: everything in it has an end."""
    ledger.put("UPDATE batches SET ended=?, state=? WHERE id=?", (at, state, row))


def open_batches(ledger: Reader, teacher: str) -> list[OpenBatch]:
    """Return a teacher's batches that have no end, oldest first."""
    rows = ledger.query("SELECT id, mark, batch_id FROM batches WHERE teacher=? AND ended IS NULL ORDER BY id", (teacher,))
    return [OpenBatch(*row) for row in rows]


def waiting_in(ledger: Reader, row: int) -> Iterator[Waiting]:
    """Yield the requests of a batch that have no end."""
    for request_id, request, attempt, usd, tokens in ledger.query(
        "SELECT hex(q.request_id), q.id, a.id, a.reserved_usd, a.reserved_tokens FROM attempts a "
        "JOIN requests q ON q.id = a.request WHERE a.batch = ? AND a.ended IS NULL ORDER BY a.id",
        (row,),
    ):
        yield Waiting(request_id.lower(), request, attempt, usd or 0.0, tokens or 0)


def load_request(ledger: Reader, row: int) -> Request:
    """Return a request as it was asked for."""
    request_id, prompt_id, index, step, occurrence, seed, messages, params = ledger.query(
        "SELECT q.request_id, p.prompt_id, q.sample_index, q.step, q.occurrence, q.seed, q.messages, d.content FROM requests q "
        "JOIN prompts p ON p.id = q.prompt JOIN dims d ON d.id = q.params WHERE q.id = ?",
        (row,),
    ).fetchone()
    call = orjson.loads(params)
    return Request(
        id=request_id.hex(),
        role=call["role"],
        identity=TeacherIdentity(**call["identity"]),
        messages=tuple(Message.model_validate_json(ledger.text(text)) for text in unpack_ids(messages)),
        tools=tuple(call["tools"]),
        response_format=call["response_format"],
        sampling=Sampling.model_validate({**call["sampling"], "stop": tuple(call["sampling"].get("stop", ()))}),
        seed=seed,
        prompt_id=prompt_id.hex(),
        sample_index=index,
        step=step,
        occurrence=occurrence,
    )
