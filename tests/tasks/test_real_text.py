"""Every kind on real documents, seeds and personas, with a teacher that answers by rule from what it is shown: exact outcomes.

The teacher quotes the passage that it is given, so what a check refuses here is the check's own fault.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from tests.runs import run
from tests.shared_data import recorded, shared
from tests.tasks.kinds import grades, samples

from gristmill.messages import Message
from gristmill.recipe.document import dump_document
from gristmill.records import Reply, TeacherIdentity, Usage

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.shared_data
_FENCED = re.compile(r"(=== TEXT [0-9a-f]{16} ===)\n(.*?)\n\1", re.DOTALL)


class Copyist:
    """Answers every step from the text between the marks."""

    identity = TeacherIdentity(provider="test", model="copyist")
    bills = False

    async def complete(self, request: Any) -> Reply:
        """Answer by the step."""
        shown = _FENCED.search("\n".join(message.content for message in request.messages))
        text = "" if shown is None else shown.group(2)
        said = {"ask": _pair, "section-": _turned, "instruction": _instruction}
        answer = next((make(text) for step, make in said.items() if request.step.startswith(step)), None)
        if answer is None:
            spoken = [message.content for message in request.messages if message.role in ("user", "assistant")]
            answer = f"About {request.step} number {len(spoken)} I can say this much: {spoken[-1][:40]}"
        return Reply(
            message=Message(role="assistant", content=answer), finish="stop", usage=Usage(output_tokens=len(answer) // 4)
        )

    async def close(self) -> None:
        """Nothing is open."""


def _sentences(text: str) -> list[str]:
    return [one.strip() for one in re.split(r"(?<=[.!?])\s+", text) if len(one.split()) >= 5]


def _pair(text: str) -> str:
    """Quote the longest sentence of the text."""
    one = " ".join(max(_sentences(text) or [text], key=len).split())
    return f"Question: What holds for {' '.join(one.split()[:6])}?\nAnswer: {one[:200]}\nEvidence: {one}"


def _turned(text: str) -> str:
    """Say the sentences in another order."""
    return " ".join(reversed(re.split(r"(?<=[.!?])\s+", text)))


def _instruction(text: str) -> str:
    return f"Instruction: Write three lines about the letter count of {len(text)} signs."


def made(folder: Path, **content: Any) -> dict[str, Any]:
    """Run a recipe with the copyist."""
    path = folder / "recipe.yaml"
    base = {"name": "real", "teacher": "scripted:", "sampling": {"want": None, "n": 1}}
    path.write_text(dump_document({**base, **content}))
    return run(path, folder / "run", teachers={"teacher": Copyist()}, yes=True)


def test_pairs_from_all_proposals_carry_their_evidence_and_cover_them(tmp_path: Path) -> None:
    """Each of the quotations is found at its place; nearly all of the text is covered by two pairs a passage."""
    source = {"documents": str(shared("data") / "documents/peps.jsonl"), "text": "text", "title": "title", "markup": "rst"}
    found = made(
        tmp_path,
        prompts={**source, "chunk": {"tokens": 800, "overlap": 80}, "origin": "human", "license": "public domain"},
        task={"qa": {"per_passage": 1}},
        grade=["evidence"],
    )
    reasons = grades(tmp_path)["evidence"]
    assert len(reasons) > 150
    assert {reason for passed, reason in reasons if not passed} <= {"whole_text"}
    assert found["accepted"] >= 0.99 * len(reasons)
    assert found["kind"]["documents"]["documents"] == 32
    assert found["kind"]["documents"]["covered"] > 0.95
    for sample in samples(tmp_path / "run"):
        assert sample.status == "complete"


def test_paragraphs_in_another_order_are_faithful_to_their_numbers_and_names(tmp_path: Path) -> None:
    rows = [{"text": row["context"]} for row in recorded("grounded-qa/squad_xquad_en.jsonl")]
    (tmp_path / "rows.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    found = made(
        tmp_path,
        prompts={"path": "rows.jsonl", "prompt": "text", "origin": "human", "license": "CC-BY-SA-4.0"},
        task="rewrite",
        grade=["preserved", {"length_ratio": {"min": 0.9, "max": 1.1}}],
    )
    assert found["accepted"] == len(rows)


def test_instructions_from_people_have_their_seeds_as_parents(tmp_path: Path) -> None:
    found = made(
        tmp_path,
        prompts={
            "path": str(shared("data") / "seeds/self_instruct_seed_tasks.jsonl"),
            "prompt": "instruction",
            "origin": "human",
        },
        task={"instruct": {"count": 120, "constraints": {"none": 1, "at_most": 1}}},
        grade=["novel", "constraints"],
        export=["parquet"],
    )
    assert found["prompts"] == 120
    assert {passed for passed, _ in grades(tmp_path)["novel"]} == {True}
    assert found["kind"]["counted"][0]["key"] == "constraint"


def test_conversations_of_real_personas_alternate(tmp_path: Path) -> None:
    """A persona is a list of sentences; each conversation has its turns, and nothing of the persona leaks into the assistant's
    side."""
    found = made(
        tmp_path,
        prompts={"path": str(shared("data") / "personas/synthetic_persona_chat.jsonl"), "prompt": "persona_1", "origin": "human"},
        task={"conversation": {"turns": [2, 3], "goals": {"plan a weekend": 1, "learn a song": 1}}},
        grade=[{"dialogue": {"same": 1.0}}],
    )
    goals = next(one for one in found["kind"]["counted"] if one["key"] == "goal")["values"]
    assert abs(goals[0]["made"] - goals[1]["made"]) <= 1
    for sample in samples(tmp_path / "run"):
        assert [message.role for message in sample.messages] == ["user", "assistant"] * 3
