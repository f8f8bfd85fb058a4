"""A few prompts with their samples side by side: what a person looks at before believing any number.

The choice follows from the tables alone (first ones in plan order of each kind), so nobody picked what looks good. Texts are read
from the ledger, which is the one place that holds them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from gristmill.report.model import Shown, ShownGrade, ShownSample
from gristmill.store.outcomes import load_sample, stored_grades
from gristmill.store.prompts import load_prompt
from gristmill.store.reader import Reader

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from gristmill.files.querying import Ask
    from gristmill.records import Prompt, Sample

Kind = Literal["some_accepted", "none_accepted", "all_accepted"]
KINDS: Mapping[Kind, int] = {"some_accepted": 3, "none_accepted": 2, "all_accepted": 2}
"""How many prompts of each kind are shown."""
MOST_SAMPLES = 4
MOST_CHARACTERS = 1500

_CHOSEN = """
SELECT prompt_id FROM graded WHERE accepted IS NOT NULL GROUP BY prompt_id, position
HAVING CASE WHEN bool_and(accepted) THEN 'all_accepted' WHEN bool_or(accepted) THEN 'some_accepted' ELSE 'none_accepted' END = ?
ORDER BY position LIMIT ?
"""


def choose_examples(ask: Ask, ledger_path: Path) -> tuple[Shown, ...]:
    """Return prompts of each kind with their samples; none where the ledger is not there.

    Raises:
        LedgerError: where the ledger cannot be read.
    """
    if not ledger_path.exists():
        return ()
    ledger = Reader.at(ledger_path, brief=True)
    try:
        return tuple(
            _shown(ask, ledger, kind, prompt_id) for kind, count in KINDS.items() for (prompt_id,) in ask(_CHOSEN, (kind, count))
        )
    finally:
        ledger.reader.close()


def _shown(ask: Ask, ledger: Reader, kind: Kind, prompt_id: str) -> Shown:
    rows = ask(
        "SELECT sample_id, sample_index, accepted, rule FROM graded WHERE prompt_id = ? ORDER BY sample_index", (prompt_id,)
    )
    row = ledger.scalar("SELECT id FROM prompts WHERE prompt_id = ?", (bytes.fromhex(prompt_id),))
    prompt = load_prompt(ledger, row)
    chosen = _few(rows)
    return Shown(
        kind=kind,
        prompt_id=prompt_id,
        source_id=prompt.source_id,
        prompt=_cut("\n\n".join(message.content for message in prompt.messages)),
        reference=None if prompt.reference is None else _cut(prompt.reference),
        samples=tuple(_sample(ledger, row, *found) for found in chosen),
        more=len(rows) - len(chosen),
    )


def _few(rows: Sequence[tuple[Any, ...]]) -> Sequence[tuple[Any, ...]]:
    """Return a few samples by index, the first accepted one among them."""
    if len(rows) <= MOST_SAMPLES:
        return rows
    accepted = [row for row in rows if row[2]][:1]
    others = [row for row in rows if row not in accepted][: MOST_SAMPLES - len(accepted)]
    return sorted([*others, *accepted], key=lambda row: row[1])


def _sample(ledger: Reader, prompt_row: int, sample_id: str, index: int, accepted: bool | None, rule: str | None) -> ShownSample:
    row = ledger.scalar(
        "SELECT id FROM samples WHERE prompt = ? AND sample_index = ? AND sample_id = ?",
        (prompt_row, index, bytes.fromhex(sample_id)),
    )
    sample = load_sample(ledger, row)
    text = _written(sample, load_prompt(ledger, prompt_row))
    return ShownSample(
        index=index,
        status=sample.status,
        accepted=accepted,
        rule=rule,
        text=_cut(text),
        characters=len(text),
        output_tokens=sample.usage.output_tokens,
        grades=tuple(_grade(grade) for grade in stored_grades(ledger, row)),
    )


def _grade(grade: dict[str, Any]) -> ShownGrade:
    extracted = grade["evidence"].get("extracted")
    return ShownGrade(
        grader=grade["grader"],
        passed=grade["passed"],
        reason=grade["reason"],
        extracted=None if extracted is None else _cut(str(extracted)),
    )


def _written(sample: Sample, prompt: Prompt) -> str:
    """Return what models wrote: reasoning and text; with the roles where they wrote other sides than the assistant's too."""
    given = {message.content for message in prompt.messages if message.role != "assistant"}
    others = any(message.role == "user" and message.content not in given for message in sample.messages)
    sides = others and not _frames(sample, given)
    parts: list[str] = []
    for message in sample.messages:
        said = [part for part in (message.thinking, message.content) if part]
        said += [f"→ {call.name}({call.arguments})" for call in message.tool_calls]
        if sides:
            parts += [f"{message.role}: {part}" for part in said]
        elif message.role == "assistant":
            parts += said
    return "\n\n".join(parts) or sample.reason or ""


def _frames(sample: Sample, given: set[str]) -> bool:
    """Whether the user's turns only put the prompt, by a template or before an instruction."""
    asked = [message.content for message in sample.messages if message.role == "user"]
    return all(any(text in question for text in given) for question in asked)


def _cut(text: str) -> str:
    return text if len(text) <= MOST_CHARACTERS else text[:MOST_CHARACTERS] + "…"
