"""What became of the prompts: samples, their grades and the decisions, as rows of the ledger.

A finished sample stands while its context (task, templates, options, teachers, sampling, seed) is the same; its grades stand
while grader, version, options and reference are. So a resume reads outcomes, not texts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from gristmill.ids import canonical_json, content_digest
from gristmill.messages import Message
from gristmill.records import Sample, Usage
from gristmill.store.packing import pack_ids, unpack_ids
from gristmill.store.writer import Statement

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from gristmill.records import Status, Verdict
    from gristmill.store.ledger import Ledger
    from gristmill.store.reader import Reader

_SAME_AS_LAST = None
_NO_ANSWER = 0


class GradeRow(NamedTuple):
    """A stored grade: which grader (row of `dims`), and what it said."""

    grader: int
    passed: bool | None
    reason: str
    reference: int


class SampleRow(NamedTuple):
    """A finished sample without its texts."""

    row: int
    number: int
    """The sample's index."""
    status: Status
    reason: str | None
    payload: bytes
    """Hash of the whole conversation: equal for exact duplicates."""
    grades: tuple[GradeRow, ...]
    transient: bool
    """It ended in a fault that may pass: it runs again on resume."""


class PromptRow(NamedTuple):
    """A planned prompt and the samples that it already has."""

    position: int
    row: int
    together: bytes
    """Equal for prompts that belong on one side of the split."""
    reference: int
    samples: tuple[SampleRow, ...]
    recorded: bool
    """Whether any request of it is on record, so that a fresh prompt asks the ledger nothing."""
    body: bytes | None = None
    """Its packed text, for a prompt that has no sample yet: read for many at once."""


_SAMPLES = """
SELECT p.position, s.id, s.sample_index, s.status, s.reason, s.payload FROM plan p JOIN samples s ON s.prompt = p.prompt
WHERE p.position >= ? AND p.position < ? AND s.context = ? ORDER BY p.position, s.sample_index
"""
_GRADES = """
SELECT g.sample, g.grader, g.passed, g.reason, g.reference FROM plan p JOIN samples s ON s.prompt = p.prompt
JOIN grades g ON g.sample = s.id WHERE p.position >= ? AND p.position < ? AND s.context = ?
"""
_RECORDED = """
SELECT p.position FROM plan p WHERE p.position >= ? AND p.position < ?
AND EXISTS (SELECT 1 FROM requests q WHERE q.prompt = p.prompt)
"""
_BODIES = """
SELECT p.position, b.data FROM plan p JOIN prompts q ON q.id = p.prompt JOIN blobs b ON b.id = q.body
WHERE p.position >= ? AND p.position < ? AND NOT EXISTS (SELECT 1 FROM samples s WHERE s.prompt = p.prompt)
"""
_SAMPLE = Statement("INSERT OR REPLACE INTO samples VALUES", "(?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)")
_GRADE = Statement("INSERT OR REPLACE INTO grades VALUES", "(?,?,?,?,?,?,?,?)")
TRANSIENT_PREFIX = "transient:"


def prompt_rows(ledger: Reader, context: int, *, batch: int = 512, fresh: bool = False) -> Iterator[PromptRow]:
    """Yield every planned prompt in plan order with its finished samples of `context`, a few at a time.

    Args:
        ledger: Where they are.
        context: What samples depend on.
        batch: How many are read at once.
        fresh: Read the bodies of those that have no sample yet as well.
    """
    start = 0
    while True:
        prompts = ledger.query(
            "SELECT l.position, l.prompt, coalesce(p.together, p.prompt_id), p.reference FROM plan l "
            "JOIN prompts p ON p.id = l.prompt WHERE l.position >= ? ORDER BY l.position LIMIT ?",
            (start, batch),
        ).fetchall()
        if not prompts:
            return
        end = prompts[-1][0] + 1
        grades: dict[int, list[GradeRow]] = {}
        for sample, grader, passed, reason, reference in ledger.query(_GRADES, (start, end, context)).fetchall():
            grades.setdefault(sample, []).append(GradeRow(grader, _bool(passed), reason, reference))
        samples: dict[int, list[SampleRow]] = {}
        for position, row, index, status, reason, payload in ledger.query(_SAMPLES, (start, end, context)).fetchall():
            transient = status == "error" and str(reason).startswith(TRANSIENT_PREFIX)
            samples.setdefault(position, []).append(
                SampleRow(row, index, status, reason, payload, tuple(grades.get(row, ())), transient)
            )
        recorded = {position for (position,) in ledger.query(_RECORDED, (start, end)).fetchall()}
        bodies = dict(ledger.query(_BODIES, (start, end)).fetchall()) if fresh else {}
        for position, row, together, reference in prompts:
            known, body = tuple(samples.get(position, ())), bodies.get(position)
            yield PromptRow(position, row, together, reference, known, position in recorded, body)
        start = end


def _bool(value: int | None) -> bool | None:
    return None if value is None else bool(value)


def payload_digest(messages: Sequence[Message]) -> bytes:
    """Return the hash by which exact duplicates are known: the conversation as it would be trained on."""
    return content_digest("payload", [message.canonical() for message in messages])


def put_sample(
    ledger: Ledger, sample: Sample, *, prompt: int, context: int, requests: Sequence[int], replaces: int | None
) -> SampleRow:
    """Queue a finished sample; `replaces` is the row of an earlier try that did not stand."""
    row = ledger.next_id("samples") if replaces is None else replaces
    messages = [ledger.blob(canonical_json(message.canonical())) for message in sample.messages]
    answer: int | None = _NO_ANSWER
    if sample.answer is not None:
        same = bool(sample.messages) and sample.messages[-1].content == sample.answer
        answer = _SAME_AS_LAST if same else ledger.blob(sample.answer.encode())
    payload = payload_digest(sample.messages)
    usage = sample.usage
    ledger.put(
        _SAMPLE,
        (
            row, prompt, sample.index, context, bytes.fromhex(sample.id), payload, sample.status, sample.reason,
            pack_ids(messages), answer, usage.input_tokens, usage.output_tokens, usage.reasoning_tokens, sample.cost_usd,
            pack_ids(requests), orjson.dumps(sample.meta).decode() if sample.meta else None,
        ),
    )  # fmt: skip
    if replaces is not None:
        ledger.put("DELETE FROM grades WHERE sample=?", (row,))
    return SampleRow(row, sample.index, sample.status, sample.reason, payload, (), transient=False)


_LOAD = """
SELECT s.sample_index, s.sample_id, s.status, s.reason, s.messages, s.answer, s.input_tokens, s.output_tokens,
  s.reasoning_tokens, s.cost_usd, s.requests, s.meta, p.prompt_id
FROM samples s JOIN prompts p ON p.id = s.prompt WHERE s.id = ?
"""


def load_sample(ledger: Reader, row: int) -> Sample:
    """Return a finished sample with its texts."""
    (
        index,
        sample_id,
        status,
        reason,
        packed,
        answer,
        tokens_in,
        tokens_out,
        reasoning,
        cost,
        requests,
        meta,
        prompt_id,
    ) = ledger.query(_LOAD, (row,)).fetchone()
    messages = tuple(Message.model_validate_json(ledger.text(blob)) for blob in unpack_ids(packed))
    text: str | None = None
    if answer is None:
        text = messages[-1].content
    elif answer != _NO_ANSWER:
        text = ledger.text(answer).decode()
    return Sample(
        id=sample_id.hex(),
        prompt_id=prompt_id.hex(),
        index=index,
        messages=messages,
        answer=text,
        status=status,
        reason=reason,
        usage=Usage(input_tokens=tokens_in, output_tokens=tokens_out, reasoning_tokens=reasoning),
        cost_usd=cost,
        request_ids=tuple(request_ids(ledger, unpack_ids(requests))),
        meta=orjson.loads(meta) if meta else {},
    )


def answer_characters(ledger: Reader, messages: bytes, answer: int | None) -> int | None:
    """Return the length of a stored sample's answer, or None where it has none."""
    if answer == _NO_ANSWER:
        return None
    if answer is not None:
        return len(ledger.text(answer).decode())
    return len(ledger.json(unpack_ids(messages)[-1])["content"])


def request_ids(ledger: Reader, rows: Iterable[int]) -> list[str]:
    """Return the ids of requests by their rows; one that was lost with a damaged page is left out."""
    found = (ledger.scalar("SELECT request_id FROM requests WHERE id=?", (row,)) for row in rows)
    return [request_id.hex() for request_id in found if request_id is not None]


def put_grade(ledger: Ledger, sample: int, grader: int, reference: int, verdict: Verdict, ms: float | None) -> GradeRow:
    """Queue a grade, in the place of an earlier one by the same grader."""
    ledger.put(
        _GRADE,
        (
            sample, grader, reference, None if verdict.passed is None else int(verdict.passed), verdict.score,
            verdict.reason, orjson.dumps(verdict.evidence).decode() if verdict.evidence else None, ms,
        ),
    )  # fmt: skip
    return GradeRow(grader, verdict.passed, verdict.reason, reference)


def stored_grades(ledger: Reader, sample: int) -> list[dict[str, Any]]:
    """Return a sample's grades with their evidence, for people and tables."""
    rows = ledger.query(
        "SELECT d.content, g.passed, g.score, g.reason, g.evidence, g.ms FROM grades g JOIN dims d ON d.id = g.grader "
        "WHERE g.sample = ?",
        (sample,),
    )
    return [
        {
            "grader": orjson.loads(content)["grader"],
            "passed": _bool(passed),
            "score": score,
            "reason": reason,
            "evidence": orjson.loads(evidence) if evidence else {},
            "ms": ms,
        }
        for content, passed, score, reason, evidence, ms in rows
    ]
