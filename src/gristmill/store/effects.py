"""Effects in the ledger: what a task asked for, what was sent, what came back.

A request row is written before anything is sent, an attempt row for every sending, a reply row when a well-formed answer is
there. *Answered* is a reply row and nothing else: only that is never asked for again. A permanent refusal stands too;
transient faults are history.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from gristmill.ids import canonical_json
from gristmill.messages import Message
from gristmill.records import Reply, Usage, plain_identity, plain_sampling
from gristmill.store.packing import pack_ids, unpack_ids
from gristmill.store.writer import Statement

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gristmill.ports import TeacherFault
    from gristmill.records import Request
    from gristmill.store.ledger import Ledger
    from gristmill.store.reader import Reader


GRADING_PREFIX = "grade:"
"""How the steps of a grader's calls begin, so that they are told from those that made the sample."""


class Refusal(NamedTuple):
    """A permanent fault that is on record."""

    code: str
    detail: str


class Recorded(NamedTuple):
    """A request of an earlier life of a sample, with what became of it."""

    row: int
    request_id: str
    context: int
    step: str
    occurrence: int
    message_rows: tuple[int, ...]
    reply: Reply | None
    refusal: Refusal | None
    tries: int


_REQUESTS = """
SELECT q.id, q.request_id, q.context, q.step, q.occurrence, q.messages, r.request, r.message, r.finish, r.model,
  r.input_tokens, r.output_tokens, r.cached_tokens, r.reasoning_tokens, r.estimated, r.cost_usd, r.provider_request_id, r.meta,
  (SELECT a.code || char(10) || coalesce(a.detail, '') FROM attempts a WHERE a.request = q.id AND a.kind = 'permanent' LIMIT 1),
  (SELECT count(*) FROM attempts a WHERE a.request = q.id)
FROM requests q LEFT JOIN replies r ON r.request = q.id WHERE q.prompt = ? AND q.sample_index = ? ORDER BY q.id
"""
_REQUEST = Statement("INSERT INTO requests VALUES", "(?,?,?,?,?,?,?,?,?,?)")
_ATTEMPT = Statement(
    "INSERT INTO attempts(id, request, number, started, possibly_billed, reserved_usd, reserved_tokens, batch) VALUES",
    "(?,?,?,?,1,?,?,?)",
)
_REPLY = Statement("INSERT INTO replies VALUES", "(?,?,?,?,?,?,?,?,?,?,?,?,?,?)")
_ANSWERED = Statement(
    "UPDATE attempts SET ended=e.column2, code='answered', kind='answered', possibly_billed=0 FROM (VALUES ",
    "(?,?)",
    ") e WHERE attempts.id=e.column1",
    changes=True,
)
_END = "UPDATE attempts SET ended=?, code=?, kind=?, detail=?, evidence=?, possibly_billed=? WHERE id=?"


def recorded_requests(ledger: Reader, prompt: int, sample_index: int) -> list[Recorded]:
    """Return what a sample asked for earlier, in the order in which it asked."""
    return [_recorded(ledger, row) for row in ledger.query(_REQUESTS, (prompt, sample_index)).fetchall()]


def _recorded(ledger: Reader, row: tuple[Any, ...]) -> Recorded:
    row_id, request_id, context, step, occurrence, messages, answered = row[:7]
    refusal = Refusal(*row[18].split("\n", 1)) if row[18] is not None and answered is None else None
    reply = None if answered is None else _reply(ledger, row[7:18])
    return Recorded(row_id, request_id.hex(), context, step, occurrence, tuple(unpack_ids(messages)), reply, refusal, row[19])


def _reply(ledger: Reader, row: tuple[Any, ...]) -> Reply:
    message, finish, model, tokens_in, tokens_out, cached, reasoning, estimated, cost, provider_id, meta = row
    return Reply(
        message=Message.model_validate_json(ledger.text(message)),
        finish=finish,
        usage=Usage(
            input_tokens=tokens_in,
            output_tokens=tokens_out,
            cached_tokens=cached,
            reasoning_tokens=reasoning,
            estimated=bool(estimated),
        ),
        cost_usd=cost,
        model=None if model is None else orjson.loads(ledger.scalar("SELECT content FROM dims WHERE id=?", (model,)))["model"],
        provider_request_id=provider_id,
        meta=orjson.loads(meta) if meta else {},
    )


class Place(NamedTuple):
    """Where a request belongs: rows of its prompt, its context and its messages, and what such calls cost."""

    prompt: int
    context: int
    messages: list[int]
    price: Mapping[str, Any] | None = None


def put_request(ledger: Ledger, request: Request, place: Place) -> int:
    """Queue a request's row and return its id."""
    row = ledger.next_id("requests")
    rest = {"tools": request.tools, "response_format": request.response_format, "price": place.price}
    params = ledger.dim_of(
        "call",
        (request.role, request.identity, request.sampling, canonical_json(rest)),
        lambda: {
            "role": request.role,
            "identity": plain_identity(request.identity),
            "sampling": plain_sampling(request.sampling),
            **rest,
        },
    )
    ledger.put(
        _REQUEST,
        (
            row, place.prompt, request.sample_index, place.context, request.step, request.occurrence, bytes.fromhex(request.id),
            params, pack_ids(place.messages), request.seed,
        ),
    )  # fmt: skip
    return row


class Reserved(NamedTuple):
    """What was set aside for an attempt; None where no budget asks for it."""

    usd: float | None = None
    tokens: int | None = None


NOTHING = Reserved()


def put_attempt(
    ledger: Ledger, request: int, number: int, started: float, reserved: Reserved = NOTHING, batch: int | None = None
) -> int:
    """Queue the intent to send a request; without an end it counts as possibly billed, with what was set aside for it."""
    row = ledger.next_id("attempts")
    ledger.put(_ATTEMPT, (row, request, number, started, *reserved, batch))
    return row


def end_attempt(ledger: Ledger, attempt: int, at: float, fault: TeacherFault) -> None:
    """Queue how an attempt failed, with what came back as evidence."""
    evidence = ledger.blob(fault.evidence[:1_000_000]) if fault.evidence else None
    ledger.put(_END, (at, fault.code, fault.kind, str(fault), evidence, int(fault.possibly_billed), attempt))


def put_reply(ledger: Ledger, request: int, attempt: int | None, reply: Reply, *, at: float, ms: float | None) -> int:
    """Queue a reply, and the end of the attempt that brought it; return the row of its message."""
    message = ledger.blob(canonical_json(reply.message.canonical()))
    usage = reply.usage
    model = None if reply.model is None else ledger.dim_of("model", (reply.model,), lambda: {"model": reply.model})
    ledger.put(
        _REPLY,
        (
            request, message, reply.finish, model, usage.input_tokens, usage.output_tokens, usage.cached_tokens,
            usage.reasoning_tokens, int(usage.estimated), reply.cost_usd, reply.provider_request_id,
            orjson.dumps(reply.meta).decode() if reply.meta else None, at, ms,
        ),
    )  # fmt: skip
    if attempt is not None:
        ledger.put(_ANSWERED, (attempt, at))
    return message


def is_answered(ledger: Reader, request: int) -> bool:
    """Return whether a reply to a request is on record."""
    return ledger.scalar("SELECT 1 FROM replies WHERE request=?", (request,)) is not None


def moment(ledger: Reader, prompt: int, sample_index: int, step: str, occurrence: int) -> float | None:
    """Return the time that a task was told at this place, if it was."""
    return ledger.scalar(
        "SELECT value FROM moments WHERE prompt=? AND sample_index=? AND step=? AND occurrence=?",
        (prompt, sample_index, step, occurrence),
    )


def put_moment(ledger: Ledger, prompt: int, sample_index: int, step: str, occurrence: int, value: float) -> None:
    """Queue the time that a task is told at this place."""
    ledger.put("INSERT OR REPLACE INTO moments VALUES(?,?,?,?,?)", (prompt, sample_index, step, occurrence, value))


class SpentSoFar(NamedTuple):
    """What earlier processes of a run left."""

    usd: float
    tokens: int
    lost_usd: float
    """Set aside for calls that may have been billed and brought no reply."""
    lost_tokens: int
    known: bool
    """Whether the cost of every reply is known."""


def spent_so_far(ledger: Reader) -> SpentSoFar:
    """Sum up recorded replies, and what was set aside for attempts that may have been billed for nothing."""
    usd, tokens, unknown = ledger.query(
        "SELECT coalesce(sum(cost_usd), 0.0), coalesce(sum(coalesce(input_tokens, 0) + coalesce(output_tokens, 0)), 0), "
        "coalesce(sum(cost_usd IS NULL), 0) FROM replies"
    ).fetchone()
    lost_usd, lost_tokens = ledger.query(
        "SELECT coalesce(sum(reserved_usd), 0.0), coalesce(sum(reserved_tokens), 0) FROM attempts WHERE possibly_billed"
    ).fetchone()
    return SpentSoFar(usd, tokens, lost_usd, lost_tokens, known=not unknown)


def possibly_billed(ledger: Reader) -> int:
    """Return how many attempts brought nothing and may have been billed; those of a batch that is out are still to come."""
    return int(ledger.scalar("SELECT count(*) FROM attempts WHERE possibly_billed AND (batch IS NULL OR ended IS NOT NULL)"))


def in_flight_at_crash(ledger: Reader) -> int:
    """Return how many attempts of an earlier life have no recorded end."""
    return int(ledger.scalar("SELECT count(*) FROM attempts WHERE ended IS NULL AND batch IS NULL"))
