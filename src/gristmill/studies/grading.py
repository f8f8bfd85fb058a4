"""Grade outputs that are already there: a file of rows in, the same rows with their grades out.

No run, no ledger, no teacher: a verifier needs the row alone. Rows are read, graded and written a few hundred at a time and in
their order, so memory is flat and the output lines up with the input, a row that cannot be read included. A judge asks a model
and is paid for, so it grades in a run of its own (`studies/judged.py`), where every call is on record.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
from pydantic import JsonValue, ValidationError

from gristmill.engine.marking import verdict_of
from gristmill.engine.workers import WorkerPool
from gristmill.errors import InputError
from gristmill.files.reading import BadRow, all_rows
from gristmill.files.writing import replacing
from gristmill.grading.registry import GRADERS
from gristmill.messages import Frozen, read_message, system, user
from gristmill.plain import as_items, as_list, as_object, as_text
from gristmill.recipe.load import field_names
from gristmill.records import Prompt, Sample
from gristmill.sandbox.opening import Sandbox

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping

    from gristmill.files.reading import NumberedRow
    from gristmill.ports import GraderFunction
    from gristmill.records import Row, Verdict
    from gristmill.registry import Plugin
    from gristmill.sandbox.walls import Tier

CHUNK = 256
"""Rows that are graded side by side."""
QUESTION_FIELDS = ("prompt", "question", "instruction")
"""Where a row's question is looked for if nobody says; some graders take a hint from it."""
SYSTEM_FIELD = "system"
"""Where the system message stands that went before the question."""


class Fields(NamedTuple):
    """Which fields of a row are what."""

    output: str
    """A text, or a list of texts; None is an output that is missing."""
    reference: str | None = None
    """The right answer: a text, or for some graders an object."""
    question: str | None = None
    label: str | None = None
    """Known verdicts: true or false, or a list of them, one for each output; None where nobody knows."""


class Chosen(NamedTuple):
    """A grader with its options."""

    plugin: Plugin[GraderFunction]
    options: Frozen
    accept: Tier = "medium"
    """The weakest walls in which code of models may run."""


class GradedRow(NamedTuple):
    """A row with a verdict on each of its outputs, and the milliseconds that each took."""

    number: int
    row: Row | BadRow
    verdicts: list[Verdict]
    ms: list[float]


class Graded(Frozen):
    """What grading a file brought."""

    grader: str
    rows: int
    rejected_rows: int
    """Rows that could not be read; they stand in the output with the reason and no grades."""
    outputs: int
    verdicts: dict[str, int]
    """How many passed, failed, could not be verified, …"""
    reasons: dict[str, int]
    acceptance: float | None
    """Passed of those that could be decided."""
    seconds: float
    file: str


class Machine:
    """The part of a session that verifiers use: computations in worker processes, and nothing that is paid for."""

    def __init__(self, accept: Tier = "medium") -> None:
        self.pool = WorkerPool(size=max(1, (os.cpu_count() or 2) - 1))
        self.sandbox = Sandbox(accept)

    async def compute(self, computation: str, **arguments: JsonValue) -> JsonValue:
        """Run a computation in a worker."""
        return await self.pool.compute(computation, **arguments)

    async def run_code(self, job: Mapping[str, Any]) -> dict[str, Any]:
        """Run a model's program within the sandbox."""
        return await self.sandbox.run(job)


def choose(name: str, options: dict[str, Any]) -> Chosen:
    """Return a verifier with checked options.

    Raises:
        InputError: where there is no such grader, it is a judge, or an option is wrong.
    """
    plugin = GRADERS.get(name)
    if plugin.traits["type"] == "judge":
        raise InputError(
            f"`{name}` asks a model", fix="Say which: `--by ADDRESS`, and `--model NAME` where the address does not."
        )
    try:
        return Chosen(plugin, plugin.options.model_validate(options))
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        field = ".".join(map(str, detail["loc"]))
        known = ", ".join(f"`{key}`" for key in field_names(plugin.options, ())) or "none"
        if detail["type"] == "extra_forbidden":
            raise InputError(f"`{name}` has no option `{field}`", fix=f"Its options are: {known}.") from None
        where = f"`{field}` of `{name}`" if field else f"`--grader {name}`"
        raise InputError(
            f"{where}: {detail['msg'].removeprefix('Value error, ')}",
            fix=f"Write `--option NAME=VALUE`; the options of `{name}` are: {known}.",
        ) from None


def grade_file(
    path: Path, chosen: Chosen, fields: Fields, output: Path | None = None, tell: Callable[[int], None] = lambda _: None
) -> Graded:
    """Grade every output of a data file and write the rows with their grades.

    Args:
        path: JSONL, JSON, CSV or Parquet, perhaps compressed.
        chosen: The grader.
        fields: Which field is what.
        output: By default `FILE.graded.jsonl` beside the file.
        tell: Told now and then how many rows are done.

    Raises:
        InputError: where the file cannot be read as declared, or a field is in no row.
    """
    return asyncio.run(_grade_file(path, chosen, fields, target_of(path, output), tell))


def target_of(path: Path, output: Path | None) -> Path:
    """Return where the rows with their grades go.

    Raises:
        InputError: where that is the file that is read.
    """
    target = output or path.with_name(f"{path.name}.graded.jsonl")
    if target.resolve() == path.resolve():
        raise InputError(f"{target} is the file that is read", fix="Write to another one with `-o FILE`.")
    return target


async def _grade_file(path: Path, chosen: Chosen, fields: Fields, target: Path, tell: Callable[[int], None]) -> Graded:
    sum_up = Sum(chosen.plugin.identity)
    with replacing(target) as out:
        async for graded in graded_rows(path, chosen, fields):
            out.write(sum_up.line(graded))
            if sum_up.rows % CHUNK == 0:
                tell(sum_up.rows)
        _check_fields(path, fields, sum_up)
    return sum_up.result(target)


def summed_up(rows: Iterable[GradedRow], grader: str, target: Path) -> Graded:
    """Write rows with their grades and return what came out."""
    sum_up = Sum(grader)
    with replacing(target) as out:
        for graded in rows:
            out.write(sum_up.line(graded))
    return sum_up.result(target)


class Sum:
    """What rows with their grades come to."""

    def __init__(self, grader: str) -> None:
        self.rows = 0
        self.bad = 0
        self.words: Counter[str] = Counter()
        self._grader = grader
        self.reasons: Counter[str] = Counter()
        self._began = time.perf_counter()

    def line(self, graded: GradedRow) -> bytes:
        """Count a row and return it as it is written."""
        self.rows += 1
        self.bad += isinstance(graded.row, BadRow)
        self.words.update(verdict.word for verdict in graded.verdicts)
        self.reasons.update(verdict.reason for verdict in graded.verdicts)
        return orjson.dumps(_line(graded, self._grader), option=orjson.OPT_APPEND_NEWLINE)

    def result(self, target: Path) -> Graded:
        """Return what came out."""
        words = self.words
        decided = words["pass"] + words["fail"]
        return Graded(
            grader=self._grader,
            rows=self.rows,
            rejected_rows=self.bad,
            outputs=sum(words.values()),
            verdicts=dict(words.most_common()),
            reasons=dict(self.reasons.most_common()),
            acceptance=words["pass"] / decided if decided else None,
            seconds=round(time.perf_counter() - self._began, 3),
            file=str(target),
        )


def _line(graded: GradedRow, grader: str) -> dict[str, Any]:
    """Return a row with its grades: the new ones by output, then those of other graders that it had."""
    if isinstance(graded.row, BadRow):
        return {"rejected": graded.row.reason, "detail": graded.row.detail, "row": graded.number, "grades": []}
    grades = [
        {
            "passed": verdict.passed,
            "verdict": verdict.word,
            "reason": verdict.reason,
            "score": verdict.score,
            "method": None,
            "extracted": None,
            **verdict.evidence,
            "ms": round(ms, 3),
            "grader": grader,
            "output": output,
        }
        for output, (verdict, ms) in enumerate(zip(graded.verdicts, graded.ms, strict=True))
    ]
    return {**graded.row, "grades": [*grades, *_of_others(graded.row.get("grades"), grader)]}


def _of_others(grades: Any, grader: str) -> list[Any]:
    """Return the grades that a row came with, but for those of the same grader in whichever version."""
    earlier = [] if grades is None else as_items(grades)
    return [grade for grade in earlier if _who((as_object(grade) or {}).get("grader")) != _who(grader)]


def _who(grader: Any) -> tuple[str, str]:
    """Return a grader's name and, for a judge, who is behind it; not its version."""
    name, _, by = str(grader).partition(" by ")
    return name.partition("@")[0], by


def _check_fields(path: Path, fields: Fields, sum_up: Sum) -> None:
    """Refuse a file without one output or reference: the field is misnamed, and an empty result would look like a good one."""
    if sum_up.words and fields.reference and {*sum_up.reasons} == {"no_reference"}:
        what, field, option = "a reference", fields.reference, "--reference"
    elif not sum_up.words and sum_up.rows > sum_up.bad:
        what, field, option = "an output", fields.output, "--output"
    else:
        return
    good = (item.row for item in all_rows(path) if not isinstance(item.row, BadRow))
    first = sorted(next(good, {"nothing": None}))
    raise InputError(
        f"no row of {path} has {what} under `{field}`",
        fix=f"Name the field with `{option}`; the first row has: {', '.join(first)}.",
    )


async def graded_rows(path: Path, chosen: Chosen, fields: Fields, *, timed: bool = False) -> AsyncGenerator[GradedRow]:
    """Yield every row with its verdicts, in order; `timed`: one by one, by workers that run already, so that times are true."""
    machine = Machine(chosen.accept)
    try:
        for computation in chosen.plugin.traits["needs"].computations if timed else ():
            await machine.pool.warm(computation)
        for chunk in _chunks(all_rows(path), 1 if timed else CHUNK):
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(_graded(item, chosen, fields, machine)) for item in chunk]
            for task in tasks:
                yield task.result()
    finally:
        await machine.pool.close()


def _chunks(items: Iterable[NumberedRow], size: int) -> Iterator[list[NumberedRow]]:
    chunk: list[NumberedRow] = []
    for item in items:
        chunk.append(item)
        if len(chunk) == size:
            yield chunk
            chunk = []
    yield chunk


async def _graded(item: NumberedRow, chosen: Chosen, fields: Fields, machine: Any) -> GradedRow:
    if isinstance(item.row, BadRow):
        return GradedRow(item.number, item.row, [], [])
    prompt = _prompt(item.row, fields)
    verdicts: list[Verdict] = []
    times: list[float] = []
    for index, output in enumerate(outputs_of(item.row, fields.output)):
        sample = _sample(output, index, prompt, whole=chosen.plugin.traits["needs"].whole)
        began = time.perf_counter()
        verdicts.append(await verdict_of(chosen.plugin, chosen.options, prompt, sample, machine))
        times.append((time.perf_counter() - began) * 1000)
    return GradedRow(item.number, item.row, verdicts, times)


def _sample(output: Any, index: int, prompt: Prompt, *, whole: bool) -> Sample:
    """Return an output as a sample: its text, or its `messages` and `answer` with everything else as `meta`."""
    given = as_object(output) if whole else None
    if given is None:
        text = None if output is None else text_of(output)
        return Sample(id="", prompt_id="", index=index, messages=prompt.messages, answer=text, status="complete")
    try:
        messages = tuple(read_message(message) for message in as_list(given.get("messages")) or ())
    except ValidationError:
        messages = ()
    answer = given.get("answer", next((message.content for message in reversed(messages) if message.role == "assistant"), None))
    return Sample(
        id="",
        prompt_id="",
        index=index,
        messages=messages or prompt.messages,
        answer=None if answer is None else text_of(answer),
        status="complete",
        meta={key: value for key, value in given.items() if key not in ("messages", "answer")},
    )


def _prompt(row: Row, fields: Fields) -> Prompt:
    asked, reference = asked_of(row, fields)
    told = as_text(row.get(SYSTEM_FIELD))
    return Prompt(id="", messages=((system(told),) if told else ()) + (user(asked),), reference=reference)


def asked_of(row: Row, fields: Fields) -> tuple[str, str | None]:
    """Return a row's question, empty where it has none, and its reference: a text as it is, a number or an object as JSON."""
    names = (fields.question,) if fields.question else QUESTION_FIELDS
    asked = next((text for name in names if (text := as_text(row.get(name)))), "")
    reference = row.get(fields.reference) if fields.reference else None
    if reference is not None and not isinstance(reference, str):
        reference = str(reference) if isinstance(reference, int | float) else orjson.dumps(reference).decode()
    return asked, reference


def text_of(output: Any) -> str:
    """Return an output as graders look at it: a text as it is, anything else as JSON."""
    return output if isinstance(output, str) else orjson.dumps(output).decode()


def outputs_of(row: Row, field: str) -> list[Any]:
    """Return a row's outputs: those of a list one by one, anything else as the only one; none where the field is not there.

    A list of texts has several outputs, and so has one of objects with an `answer` or `messages`; any other is one output: a
    conversation, or several calls.
    """
    if field not in row:
        return []
    several = as_list(row[field])
    return several if several is not None and all(map(_is_output, several)) else [row[field]]


def _is_output(one: Any) -> bool:
    given = as_object(one)
    return one is None or isinstance(one, str) or (given is not None and ("answer" in given or "messages" in given))
