"""The prompts of a run: indexed once, then streamed in plan order.

Every source is read once; each prompt's body goes to the ledger under its id and the plan is a table of positions, sorted on
disk by a hash of (seed, prompt id); prompts with a long beginning in common stand side by side, by a hash of (seed, beginning),
so that a provider's cache is still warm. Memory does not grow with the number of prompts, a source that is edited during a run
changes nothing until the next one, and a resume reads no source at all unless its fingerprint has changed. The price is a
compressed copy of the prompts in the ledger. Equal prompts merge; equal prompts with different references are rejected.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from gristmill.errors import SourceError
from gristmill.ids import canonical_json, content_digest, plan_key
from gristmill.records import Prompt
from gristmill.selection.splits import together_of

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence

    from gristmill.ports import PromptSource, SourceRow
    from gristmill.store.ledger import Ledger
    from gristmill.store.reader import Reader

_COMMIT_EVERY = 20_000
SHARED_CHARACTERS = 4096
"""A beginning that providers keep: OpenAI and Anthropic cache from 1,024 tokens on, which are about as many characters times four
(platform.openai.com/docs/guides/prompt-caching)."""


class Intake(NamedTuple):
    """What became of every row of every source; `rows` is the sum of the rest."""

    rows: int
    prompts: int
    rejected: dict[str, int]


def reference_mark(reference: str | None) -> int:
    """Return a number that changes with the reference, so that grades made with another one are known to be stale."""
    return int.from_bytes(content_digest("reference", reference)[:7], "big")


def index_prompts(
    ledger: Ledger, sources: Sequence[PromptSource], seed: int, progress: Callable[[int], None] = lambda _: None
) -> None:
    """Read every source into the ledger and lay the plan, unless that was done for just these sources and this seed.

    Raises:
        SourceError: where a source cannot be read as declared, or not one row is a prompt.
    """
    mark = canonical_json([seed, [source.fingerprint() for source in sources]]).decode()
    if ledger.fact("plan") == mark:
        return
    generation = int(ledger.fact("generation") or 0) + 1
    with ledger.bulk() as db:
        db.execute("DELETE FROM rejects")
        db.execute("INSERT OR REPLACE INTO meta VALUES('generation', ?)", (str(generation),))
        db.execute("DELETE FROM meta WHERE key='plan'")
        count = 0
        for source in sources:
            source_row = _dim(db, source.name)
            for row in source.rows():
                _take(ledger, db, row, source_row, generation)
                count += 1
                if count % _COMMIT_EVERY == 0:
                    db.execute("COMMIT")
                    db.execute("BEGIN IMMEDIATE")
                    progress(count)
        db.create_function("plan_key", 1, partial(_plan_key, seed), deterministic=True)
        db.execute("DELETE FROM plan")
        db.execute(
            "INSERT INTO plan SELECT row_number() OVER (ORDER BY shared, key, id) - 1, id FROM "
            "(SELECT id, plan_key(coalesce(prefix, prompt_id)) AS shared, plan_key(prompt_id) AS key FROM prompts "
            "WHERE generation=? AND conflict=0)",
            (generation,),
        )
        db.execute("INSERT OR REPLACE INTO meta VALUES('plan', ?)", (mark,))
    if not plan_size(ledger):
        raise _no_prompts(ledger)


def _no_prompts(ledger: Reader) -> SourceError:
    found = first_rejects(ledger, 3)
    if not found:
        return SourceError("there is no prompt: the source is empty", fix="Look at `prompts` in the recipe.")
    shown = "\n".join(f"  {place}: {reason}: {detail[:200]}" for place, reason, detail in found)
    return SourceError(
        f"there is no prompt: all {intake(ledger).rows:,} rows were rejected, the first of them\n{shown}",
        fix="Mend the rows, or the fields under `prompts` in the recipe.",
    )


def _plan_key(seed: int, prompt_id: bytes) -> int:
    return plan_key(seed, prompt_id.hex())


def _prefix(prompt: Prompt) -> bytes | None:
    """Return what prompts with a long beginning in common have in common, or None where a prompt has no long beginning."""
    text = "\n".join(message.content for message in prompt.messages)
    return content_digest("prefix", text[:SHARED_CHARACTERS]) if len(text) > SHARED_CHARACTERS else None


def _dim(db: sqlite3.Connection, name: str) -> int:
    digest = content_digest("source", name)
    found = db.execute("SELECT id FROM dims WHERE kind='source' AND hash=?", (digest,)).fetchone()
    if found:
        return int(found[0])
    content = canonical_json({"name": name}).decode()
    return int(db.execute("INSERT INTO dims(kind, hash, content) VALUES('source',?,?)", (digest, content)).lastrowid or 0)


def _take(ledger: Ledger, db: sqlite3.Connection, row: SourceRow, source: int, generation: int) -> None:
    prompt = row.prompt
    if prompt is None:
        db.execute(
            "INSERT INTO rejects(source, place, reason, detail) VALUES(?,?,?,?)",
            (source, row.place, row.reject, row.detail[:500]),
        )
        return
    key, reference = bytes.fromhex(prompt.id), reference_mark(prompt.reference)
    known = db.execute("SELECT id, reference, generation FROM prompts WHERE prompt_id=?", (key,)).fetchone()
    if known is None:
        body = ledger.blob(canonical_json(prompt.model_dump(mode="json", exclude_defaults=True)), db)
        db.execute(
            "INSERT INTO prompts(prompt_id, body, reference, source, generation, rows, prefix, together) VALUES(?,?,?,?,?,1,?,?)",
            (key, body, reference, source, generation, _prefix(prompt), together_of(prompt)),
        )
    elif known[2] == generation:
        differs = int(known[1] != reference)
        db.execute("UPDATE prompts SET rows=rows+1, conflict=max(conflict,?) WHERE id=?", (differs, known[0]))
    else:
        body = ledger.blob(canonical_json(prompt.model_dump(mode="json", exclude_defaults=True)), db)
        db.execute(
            "UPDATE prompts SET body=?, reference=?, source=?, generation=?, rows=1, conflict=0, together=? WHERE id=?",
            (body, reference, source, generation, together_of(prompt), known[0]),
        )


def intake(ledger: Reader) -> Intake:
    """Count what became of every row of the sources."""
    generation = int(ledger.fact("generation") or 0)
    rejected = dict(ledger.query("SELECT reason, count(*) FROM rejects GROUP BY reason").fetchall())
    merged, conflicting, planned = ledger.query(
        "SELECT coalesce(sum(CASE WHEN conflict=0 THEN rows-1 END),0), coalesce(sum(CASE WHEN conflict=1 THEN rows END),0), "
        "coalesce(sum(conflict=0),0) FROM prompts WHERE generation=?",
        (generation,),
    ).fetchone()
    if merged:
        rejected["duplicate_prompt"] = merged
    if conflicting:
        rejected["conflicting_reference"] = conflicting
    return Intake(planned + sum(rejected.values()), planned, rejected)


def first_rejects(ledger: Reader, count: int) -> list[tuple[str, str, str]]:
    """Return place, reason and detail of the first rejected rows."""
    return ledger.query("SELECT place, reason, detail FROM rejects ORDER BY id LIMIT ?", (count,)).fetchall()


def load_prompt(ledger: Reader, row: int, body: bytes | None = None) -> Prompt:
    """Return the prompt in a row; `body` is its packed text, where it was read before."""
    if body is None:
        return Prompt.model_validate_json(ledger.text(ledger.scalar("SELECT body FROM prompts WHERE id=?", (row,))))
    return Prompt.model_validate_json(ledger.unpacked(body, f"of prompt {row}"))


def plan_size(ledger: Reader) -> int:
    """Return how many prompts are planned."""
    return int(ledger.scalar("SELECT count(*) FROM plan"))


def prompt_row(ledger: Reader, prompt_id: str) -> int | None:
    """Return a prompt's row by its id, or None."""
    return ledger.scalar("SELECT id FROM prompts WHERE prompt_id=?", (bytes.fromhex(prompt_id),))
