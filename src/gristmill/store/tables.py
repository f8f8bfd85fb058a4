"""The ledger as Parquet tables, joined by ids: what audits, notebooks and lineage queries read.

Content ids, never row ids, and in plan order, so two runs of the same recipe give the same tables (times aside). Texts stay in
the ledger and the export; the tables hold hashes and numbers. The report is made of these tables.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from gristmill.files.writing import replacing_folder, write_parquet
from gristmill.plain import as_count, as_object, as_text
from gristmill.pricing.price import Price, cost_of
from gristmill.records import Usage
from gristmill.store.effects import GRADING_PREFIX
from gristmill.store.outcomes import answer_characters, request_ids
from gristmill.store.packing import unpack_ids
from gristmill.store.prompts import load_prompt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from gristmill.records import Row
    from gristmill.stats.funnel import Stage
    from gristmill.store.reader import Reader


class Table(NamedTuple):
    """One table: its columns with their DuckDB types, and its rows."""

    columns: Mapping[str, str]
    rows: Callable[[Reader, int], Iterator[Row]]


_TEXT, _INT, _REAL, _BOOL = "VARCHAR", "BIGINT", "DOUBLE", "BOOLEAN"
_PARTS = ("cost_input_usd", "cost_cached_usd", "cost_output_usd", "cost_reasoning_usd")
_SAME_USD = 1e-9
"""Dollars by which a sum of parts may differ from the whole."""


def _prompts(ledger: Reader, context: int) -> Iterator[Row]:  # noqa: ARG001 - one signature for all
    names = {row: content["name"] for row, content in ledger.dims("source").items()}
    for position, prompt_id, body, source, rows, together in ledger.query(
        "SELECT l.position, p.prompt_id, p.body, p.source, p.rows, coalesce(p.together, p.prompt_id) "
        "FROM plan l JOIN prompts p ON p.id = l.prompt ORDER BY 1"
    ):
        prompt = ledger.json(body)
        yield {
            "position": position,
            "prompt_id": prompt_id.hex(),
            "source": names.get(source),
            "source_id": prompt.get("source_id"),
            "origin": prompt.get("origin", "unknown"),
            "license": prompt.get("license"),
            "domain": prompt.get("domain"),
            "characters": sum(len(message["content"]) for message in prompt["messages"]),
            "rows": rows,
            "together": together.hex(),
            "meta": orjson.dumps(prompt.get("meta", {})).decode(),
        }


def _samples(ledger: Reader, context: int) -> Iterator[Row]:
    names = (
        "sample_id", "prompt_id", "sample_index", "status", "reason", "payload", "input_tokens", "output_tokens",
        "reasoning_tokens", "cost_usd", "kept", "rule",
    )  # fmt: skip
    for *row, messages, answer in ledger.query(
        "SELECT lower(hex(s.sample_id)), lower(hex(p.prompt_id)), s.sample_index, s.status, s.reason, lower(hex(s.payload)), "
        "s.input_tokens, s.output_tokens, s.reasoning_tokens, s.cost_usd, d.kept, d.rule, s.messages, s.answer "
        "FROM plan l JOIN samples s ON s.prompt = l.prompt JOIN prompts p ON p.id = s.prompt "
        "LEFT JOIN decisions d ON d.sample = s.id WHERE s.context = ? ORDER BY l.position, s.sample_index",
        (context,),
    ):
        plain: Row = dict(zip(names, row, strict=True))
        plain["answer_characters"] = answer_characters(ledger, messages, answer)
        plain["kept"] = None if plain["kept"] is None else bool(plain["kept"])
        yield plain


def _grades(ledger: Reader, context: int) -> Iterator[Row]:
    for sample_id, content, passed, score, reason, evidence, ms in ledger.query(
        "SELECT hex(s.sample_id), d.content, g.passed, g.score, g.reason, g.evidence, g.ms FROM plan l "
        "JOIN samples s ON s.prompt = l.prompt JOIN grades g ON g.sample = s.id JOIN dims d ON d.id = g.grader "
        "WHERE s.context = ? ORDER BY l.position, s.sample_index, d.content",
        (context,),
    ):
        grader = orjson.loads(content)
        yield {
            "sample_id": sample_id.lower(),
            "grader": grader["grader"],
            "type": grader["type"],
            "passed": None if passed is None else bool(passed),
            "score": score,
            "reason": reason,
            "evidence": evidence,
            "ms": ms,
        }


def _decisions(ledger: Reader, context: int) -> Iterator[Row]:
    for sample_id, kept, rule, twin in ledger.query(
        "SELECT hex(s.sample_id), d.kept, d.rule, hex(t.sample_id) FROM plan l JOIN samples s ON s.prompt = l.prompt "
        "JOIN decisions d ON d.sample = s.id LEFT JOIN samples t ON t.id = d.twin WHERE s.context = ? "
        "ORDER BY l.position, s.sample_index",
        (context,),
    ):
        yield {"sample_id": sample_id.lower(), "kept": bool(kept), "rule": rule, "twin": twin.lower() if twin else None}


def _calls(ledger: Reader, context: int) -> Iterator[Row]:
    calls, models = ledger.dims("call"), {row: content["model"] for row, content in ledger.dims("model").items()}
    for row in ledger.query(
        "SELECT hex(q.request_id), hex(p.prompt_id), q.sample_index, q.step, q.occurrence, q.params, q.seed, r.finish, r.model, "
        "r.input_tokens, r.output_tokens, r.cached_tokens, r.reasoning_tokens, r.estimated, r.cost_usd, r.provider_request_id, "
        "(SELECT count(*) FROM attempts a WHERE a.request = q.id), "
        "(SELECT count(*) FROM attempts a WHERE a.request = q.id AND a.possibly_billed), r.at, r.ms, "
        "(SELECT CASE WHEN count(*) = count(a.reserved_usd) THEN sum(a.reserved_usd) END FROM attempts a "
        "WHERE a.request = q.id AND a.possibly_billed), r.meta "
        "FROM plan l JOIN requests q ON q.prompt = l.prompt JOIN prompts p ON p.id = q.prompt "
        "LEFT JOIN replies r ON r.request = q.id WHERE q.context = ? ORDER BY l.position, q.sample_index, q.step, q.occurrence",
        (context,),
    ):
        call = calls[row[5]]
        yield {
            "request_id": row[0].lower(),
            "prompt_id": row[1].lower(),
            "sample_index": row[2],
            "step": row[3],
            "occurrence": row[4],
            "role": call["role"],
            "provider": call["identity"]["provider"],
            "model": call["identity"]["model"],
            "revision": call["identity"]["revision"],
            "sampling": orjson.dumps(call["sampling"]).decode(),
            "seed": row[6],
            "finish": row[7],
            "response_model": models.get(row[8]),
            "input_tokens": row[9],
            "output_tokens": row[10],
            "cached_tokens": row[11],
            "reasoning_tokens": row[12],
            "estimated": None if row[13] is None else bool(row[13]),
            "cost_usd": row[14],
            **_cost_parts(call.get("price"), row),
            "provider_request_id": row[15],
            "attempts": row[16],
            "reasoning": _reasoning(row[21]),
            "possibly_billed": row[17],
            "reserved_usd": row[20],
            "at": row[18],
            "ms": row[19],
        }


def _cost_parts(price: dict[str, Any] | None, row: tuple[Any, ...]) -> Row:
    """Return what a call's cost was for, as far as it follows from tokens and a price; else nothing is known of the parts."""
    parts = None
    if price is not None and row[14] is not None:
        usage = Usage(input_tokens=row[9], output_tokens=row[10], cached_tokens=row[11], reasoning_tokens=row[12])
        meta = as_object(orjson.loads(row[21])) if row[21] else None
        parts = cost_of(Price(**price), usage, cache_write_tokens=as_count((meta or {}).get("cache_write_tokens")) or 0)
        if parts is not None and abs(parts.total - row[14]) > _SAME_USD:
            parts = None
    return dict(zip(_PARTS, parts or (None,) * len(_PARTS), strict=True))


def _reasoning(meta: str | None) -> str | None:
    """Return how a reply's reasoning was seen: visible, summary, hidden or none; None where the teacher does not say."""
    content = as_object(orjson.loads(meta)) if meta else None
    return as_text((content or {}).get("reasoning"))


def _edges(ledger: Reader, context: int) -> Iterator[Row]:
    """Yield child, parent and role: prompt to source row, sample to prompt, to the requests that made it, and that judged it."""
    for prompt_id, body in ledger.query(
        "SELECT hex(p.prompt_id), p.body FROM plan l JOIN prompts p ON p.id = l.prompt ORDER BY l.position"
    ):
        prompt = ledger.json(body)
        if prompt.get("source_id"):
            yield {"child": prompt_id.lower(), "parent": prompt["source_id"], "role": "source"}
        for parent in prompt.get("parents", ()):
            yield {"child": prompt_id.lower(), "parent": parent, "role": "seed"}
    for sample_id, prompt_id, requests in ledger.query(
        "SELECT hex(s.sample_id), hex(p.prompt_id), s.requests FROM plan l JOIN samples s ON s.prompt = l.prompt "
        "JOIN prompts p ON p.id = s.prompt WHERE s.context = ? ORDER BY l.position, s.sample_index",
        (context,),
    ):
        yield {"child": sample_id.lower(), "parent": prompt_id.lower(), "role": "prompt"}
        for request in request_ids(ledger, unpack_ids(requests)):
            yield {"child": sample_id.lower(), "parent": request, "role": "request"}
    for sample_id, request_id in ledger.query(
        "SELECT hex(s.sample_id), hex(q.request_id) FROM plan l JOIN samples s ON s.prompt = l.prompt JOIN requests q "
        "ON q.prompt = s.prompt AND q.sample_index = s.sample_index AND q.context = s.context "
        "WHERE s.context = ? AND q.step GLOB ? ORDER BY l.position, s.sample_index, q.step, q.occurrence",
        (context, f"{GRADING_PREFIX}*"),
    ):
        yield {"child": sample_id.lower(), "parent": request_id.lower(), "role": "judge"}


_CONFLICTING = "SELECT id, rows FROM prompts WHERE generation=? AND conflict=1 ORDER BY id"
DETAIL = 500
"""Characters of a question that are shown."""


def _rejects(ledger: Reader, context: int) -> Iterator[Row]:  # noqa: ARG001 - one signature for all
    for place, reason, detail in ledger.query("SELECT place, reason, detail FROM rejects ORDER BY id"):
        yield {"place": place, "reason": reason, "detail": detail}
    for row, rows in ledger.query(_CONFLICTING, (int(ledger.fact("generation") or 0),)):
        prompt = load_prompt(ledger, row)
        said = f"{rows} rows ask this and do not agree on the reference: {prompt.messages[-1].content[:DETAIL]}"
        yield {"place": prompt.source_id, "reason": "conflicting_reference", "detail": said}


TABLES: Mapping[str, Table] = {
    "prompts": Table(
        {
            "position": _INT, "prompt_id": _TEXT, "source": _TEXT, "source_id": _TEXT, "origin": _TEXT, "license": _TEXT,
            "domain": _TEXT, "characters": _INT, "rows": _INT, "together": _TEXT, "meta": _TEXT,
        },
        _prompts,
    ),
    "samples": Table(
        {
            "sample_id": _TEXT, "prompt_id": _TEXT, "sample_index": _INT, "status": _TEXT, "reason": _TEXT,
            "payload": _TEXT, "answer_characters": _INT, "input_tokens": _INT, "output_tokens": _INT,
            "reasoning_tokens": _INT, "cost_usd": _REAL, "kept": _BOOL, "rule": _TEXT,
        },
        _samples,
    ),
    "grades": Table(
        {
            "sample_id": _TEXT, "grader": _TEXT, "type": _TEXT, "passed": _BOOL, "score": _REAL, "reason": _TEXT,
            "evidence": _TEXT, "ms": _REAL,
        },
        _grades,
    ),
    "decisions": Table({"sample_id": _TEXT, "kept": _BOOL, "rule": _TEXT, "twin": _TEXT}, _decisions),
    "calls": Table(
        {
            "request_id": _TEXT, "prompt_id": _TEXT, "sample_index": _INT, "step": _TEXT, "occurrence": _INT,
            "role": _TEXT, "provider": _TEXT, "model": _TEXT, "revision": _TEXT, "sampling": _TEXT, "seed": _INT,
            "finish": _TEXT, "response_model": _TEXT, "input_tokens": _INT, "output_tokens": _INT, "cached_tokens": _INT,
            "reasoning_tokens": _INT, "estimated": _BOOL, "cost_usd": _REAL, "cost_input_usd": _REAL,
            "cost_cached_usd": _REAL, "cost_output_usd": _REAL, "cost_reasoning_usd": _REAL, "reasoning": _TEXT,
            "provider_request_id": _TEXT, "attempts": _INT, "possibly_billed": _INT, "reserved_usd": _REAL, "at": _REAL,
            "ms": _REAL,
        },
        _calls,
    ),
    "edges": Table({"child": _TEXT, "parent": _TEXT, "role": _TEXT}, _edges),
    "rejects": Table({"place": _TEXT, "reason": _TEXT, "detail": _TEXT}, _rejects),
}  # fmt: skip


FUNNEL: Mapping[str, str] = {"stage": _TEXT, "fate": _TEXT, "reason": _TEXT, "count": _INT}
"""One row for what entered a stage (`in`), one for what it kept, one for each reason of what it `dropped`."""


def _funnel(stages: Sequence[Stage]) -> Iterator[Row]:
    for stage in stages:
        yield {"stage": stage.stage, "fate": "in", "reason": None, "count": stage.entered}
        yield {"stage": stage.stage, "fate": "kept", "reason": None, "count": stage.kept}
        for reason, count in stage.dropped.items():
            yield {"stage": stage.stage, "fate": "dropped", "reason": reason, "count": count}


def write_tables(ledger: Reader, context: int, stages: Sequence[Stage], folder: Path) -> None:
    """Write every table, in the place of the earlier ones."""
    with replacing_folder(folder) as fresh:
        for name, table in TABLES.items():
            write_parquet(fresh / f"{name}.parquet", table.columns, table.rows(ledger, context))
        write_parquet(fresh / "funnel.parquet", FUNNEL, _funnel(stages))
