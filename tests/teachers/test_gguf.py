"""A model in this process: the shipped models, their seeds and slots, and files that are no model."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
import sys
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import pytest
from tests.runs import query, run

from gristmill.errors import InputError
from gristmill.messages import user
from gristmill.ports import TeacherFault
from gristmill.records import Reply, Request, Sampling
from gristmill.sources.word_problems import word_problem
from gristmill.stats.intervals import wilson
from gristmill.teachers.gguf import GgufTeacher
from gristmill.teachers.gguf_header import read_header

MODELS = Path(str(resources.files("gristmill.assets") / "models"))
TEACHER, STUDENT = MODELS / "builtin-teacher.f16.gguf", MODELS / "builtin-student.f16.gguf"
INSTRUCTION = "\nSolve step by step. End with #### and the number."
HELD_OUT = 90_001
"""A stream that was neither trained nor measured on."""


def request(teacher: GgufTeacher, text: str, seed: int) -> Request:
    """Return a request for one answer at temperature 0.8."""
    return Request(
        id=f"{seed:032x}",
        role="teacher",
        identity=teacher.identity,
        messages=(user(text),),
        sampling=Sampling(temperature=0.8, max_tokens=100),
        seed=seed,
        prompt_id="0" * 32,
        sample_index=0,
        step="answer",
        occurrence=0,
    )


def answers(path: Path, count: int, slots: int) -> list[Reply]:
    """Return answers to the first problems of the held-out stream."""

    async def ask() -> Sequence[Reply]:
        teacher = GgufTeacher(path, provider="builtin", slots=slots)
        try:
            async with asyncio.TaskGroup() as group:
                texts = [word_problem(HELD_OUT, index).text + INSTRUCTION for index in range(count)]
                tasks = [group.create_task(teacher.complete(request(teacher, text, seed))) for seed, text in enumerate(texts)]
            return [task.result() for task in tasks]
        finally:
            await teacher.close()

    return list(asyncio.run(ask()))


def right(replies: Sequence[Reply]) -> int:
    """Count right answers by a rule of its own: the number after the last ####."""
    found = [re.findall(r"####\s*(-?\d+)\s*$", reply.message.content) for reply in replies]
    return sum(bool(n) and int(n[-1]) == word_problem(HELD_OUT, index).answer for index, n in enumerate(found))


def test_the_files_are_those_that_were_measured() -> None:
    """They match their checksums, are small, and their card says what they reach."""
    lines = [line.split(maxsplit=1) for line in (MODELS / "SHA256SUMS").read_text().splitlines()]
    sums = {name.strip(" *"): digest for digest, name in lines}
    assert {"builtin-teacher.f16.gguf", "builtin-student.f16.gguf"} <= set(sums)
    for name, digest in sums.items():
        assert hashlib.sha256((MODELS / name).read_bytes()).hexdigest() == digest, name
    assert sum(path.stat().st_size for path in MODELS.rglob("*") if path.is_file()) <= 8 * 1024 * 1024
    assert json.loads((MODELS / "card.json").read_text())["license"] == "Apache-2.0"


def test_the_teacher_is_better_than_the_student() -> None:
    """On 300 held-out problems the intervals are apart, and the teacher is neither useless nor perfect."""
    teacher, student = right(answers(TEACHER, 300, 16)), right(answers(STUDENT, 300, 16))
    good, poor = wilson(teacher, 300), wilson(student, 300)
    assert good is not None
    assert poor is not None
    assert good.low > poor.high
    assert 0.35 < teacher / 300 < 0.85  # the card's 45 to 75 %, and four standard errors of 300


def test_the_slots_do_not_change_the_text() -> None:
    """With the same seed a text is the same alone and among fifteen others."""
    alone, together = answers(TEACHER, 24, 1), answers(TEACHER, 24, 16)
    assert [reply.message.content for reply in alone] == [reply.message.content for reply in together]
    assert all(reply.usage.output_tokens for reply in alone)
    assert {reply.model for reply in alone} == {"builtin-teacher.f16"}


def test_a_prompt_beyond_the_context_is_refused_in_one_line() -> None:
    """It names the context's size; the model goes on answering."""

    async def ask() -> str:
        teacher = GgufTeacher(TEACHER)
        try:
            with pytest.raises(TeacherFault, match="512 tokens") as caught:
                await teacher.complete(request(teacher, "word " * 2000, 1))
            assert (caught.value.kind, caught.value.code) == ("permanent", "context_length")
            return (await teacher.complete(request(teacher, word_problem(1, 1).text + INSTRUCTION, 1))).message.content
        finally:
            await teacher.close()

    assert asyncio.run(ask())


def test_the_header_is_read() -> None:
    """Architecture, context and chat template."""
    header = read_header(TEACHER)
    assert (header.architecture, header.context, header.has_chat_template) == ("llama", 512, True)


@pytest.mark.parametrize("size", [4, 5, 23, 24, 300, 5_000, 60_000, 1_000_000, -1])
def test_a_cut_off_file(tmp_path: Path, size: int) -> None:
    """Wherever it is cut, the message says that it is, before the runtime sees it."""
    path = tmp_path / "cut.gguf"
    path.write_bytes(TEACHER.read_bytes()[:size])
    with pytest.raises(InputError, match="cut off or damaged"):
        GgufTeacher(path)


def test_files_that_are_no_model(tmp_path: Path) -> None:
    """A text file, an empty one, a missing one: one line each."""
    (tmp_path / "text.gguf").write_text("hello")
    (tmp_path / "empty.gguf").write_bytes(b"")
    for name, said in (("text", "is not a GGUF file"), ("empty", "is not a GGUF file"), ("none", "there is no model file")):
        with pytest.raises(InputError, match=said):
            GgufTeacher(tmp_path / f"{name}.gguf")


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says what to install."""
    monkeypatch.setitem(sys.modules, "xllamacpp", None)
    with pytest.raises(InputError, match="`local` extra") as caught:
        GgufTeacher(TEACHER)
    assert "gristmill[local]" in caught.value.fix


def test_the_quickstart_recipe(tmp_path: Path) -> None:
    """Its first rows are right by an independent count, and carry the model and its license."""
    recipe = (Path(__file__).parents[2] / "recipes/quickstart.yaml").read_text().replace("rows: 500", "rows: 60")
    (tmp_path / "quickstart.yaml").write_text(recipe)
    found = run(tmp_path / "quickstart.yaml", tmp_path / "run")
    assert (found["status"], found["exported"]) == ("complete", 60)
    rows = [json.loads(line) for line in Path(found["exports"]["messages"]).read_text().splitlines()]
    references = dict(query(f"SELECT prompt_id, source_id FROM '{tmp_path}/run/tables/prompts.parquet'"))
    for row in rows:
        index = int(references[row["prompt_id"]].split("#")[1])
        assert int(row["messages"][-1]["content"].split("####")[1]) == word_problem(0, index).answer
        assert row["generator"].startswith("builtin/builtin-teacher.f16@")
        assert row["license"] == ["Apache-2.0", "CC0-1.0"]
