"""The checks of kinds that begin with text, on text that people wrote and on edits of it; `pytest -s` prints what they refuse."""

from __future__ import annotations

import random
import re
from typing import Any

import pytest

from gristmill.grading.dialogue import DialogueOptions, grade_dialogue
from gristmill.grading.preserved import PreservedOptions, grade_preserved
from gristmill.grading.standalone import StandaloneOptions, grade_standalone
from gristmill.messages import Message, user
from gristmill.records import Prompt, Sample, Verdict
from tests.shared_data import recorded

pytestmark = pytest.mark.shared_data
NUMBER = re.compile(r"(?<![\w.])\d[\d,]*(?:\.\d+)?(?![\w.])")
NAME = re.compile(r"(?<=[a-z,] )[A-Z][a-z]+(?: [A-Z][a-z]+)*")
PROMPT = Prompt(id="p", messages=(user(""),))


def sample(**fields: Any) -> Sample:
    return Sample.model_validate(
        {"id": "s", "prompt_id": "p", "index": 0, "messages": (), "answer": "", "status": "complete", **fields}
    )


def preserved(source: str, rewritten: str) -> Verdict:
    return grade_preserved(Prompt(id="p", messages=(user(source),)), sample(answer=rewritten), PreservedOptions())


def test_questions_of_people_stand_alone() -> None:
    """SQuAD's were written beside their paragraph and some do point at it; at most 2 % are refused (8 were, rightly)."""
    questions = [qa["question"] for row in recorded("grounded-qa/squad_xquad_en.jsonl") for qa in row["qas"]]
    refused = [q for q in questions if not grade_standalone(PROMPT, sample(meta={"question": q}), StandaloneOptions()).passed]
    print(f"\n{len(refused)} of {len(questions)} refused", *refused, sep="\n  ")
    assert len(questions) > 500
    assert len(refused) <= 0.02 * len(questions)


def paragraphs() -> list[str]:
    texts = [row["text"] for row in recorded("documents/peps.jsonl")]
    found = [part for text in texts for part in re.split(r"\n\s*\n", text) if 300 < len(part) < 1500]
    return random.Random(1).sample(found, 200) + [row["context"] for row in recorded("grounded-qa/squad_xquad_en.jsonl")]


def test_edits_of_numbers_and_names_are_found_and_other_orders_pass() -> None:
    """Recall of at least 0.95 on planted edits, and at most 1 % of the texts in another order are refused."""
    rng = random.Random(2)
    missed = {"number": 0, "name": 0}
    edits = {"number": 0, "name": 0}
    refused, texts = 0, paragraphs()
    for text in texts:
        refused += not preserved(text, " ".join(text.split())).passed
        for match in list(NUMBER.finditer(text))[:3]:
            value = str(int(float(match.group().replace(",", ""))) + rng.choice((1, 7, 10)))
            edits["number"] += 1
            missed["number"] += preserved(text, text[: match.start()] + value + text[match.end() :]).passed is True
        for match in list(NAME.finditer(text))[:3]:
            edits["name"] += 1
            missed["name"] += preserved(text, text[: match.start()] + "Zorblatt" + text[match.end() :]).passed is True
    print(f"\nedits {edits}, missed {missed}; {refused} of {len(texts)} texts with other line ends refused")
    assert all(missed[kind] <= 0.05 * edits[kind] for kind in edits)
    assert refused <= 0.01 * len(texts)


def test_dialogues_of_people_are_clean() -> None:
    """Taskmaster's self-dialogues: at most 5 % are refused."""
    reasons: dict[str, int] = {}
    for row in recorded("conversations/taskmaster3_movies.jsonl"):
        turns: list[Message] = []
        for message in row["messages"]:
            if turns and turns[-1].role == message["role"]:
                turns[-1] = Message(role=message["role"], content=f"{turns[-1].content} {message['text']}")
            else:
                turns.append(Message(role=message["role"], content=message["text"]))
        first = next(at for at, turn in enumerate(turns) if turn.role == "user")
        last = max(at for at, turn in enumerate(turns) if turn.role == "assistant")
        verdict = grade_dialogue(PROMPT, sample(messages=turns[first : last + 1]), DialogueOptions())
        reasons[verdict.reason] = reasons.get(verdict.reason, 0) + 1
    print(f"\n{reasons}")
    assert reasons["clean"] >= 0.95 * sum(reasons.values())
