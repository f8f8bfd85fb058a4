"""`gristmill grade`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from gristmill import api
from gristmill.cli.person import accepted, environment
from gristmill.cli.terminal import Reporter, safe
from gristmill.engine.own import put_own
from gristmill.errors import InputError
from gristmill.grading.registry import GRADERS
from gristmill.studies.grading import choose, grade_file
from gristmill.studies.judged import Judge, judge_file

if TYPE_CHECKING:
    from gristmill.studies.grading import Chosen, Fields, Graded

MOST_REASONS = 8


def grade_command(path: str, chosen: Chosen, fields: Fields, output: str | None, *, as_json: bool) -> None:
    """Grade a file of outputs and say what came out."""
    reporter = Reporter(as_json=as_json)
    with reporter.only_result():
        graded = grade_file(Path(path), chosen, fields, Path(output) if output else None, reporter.grading)
    reporter.result("\n".join(_lines(graded)), graded.model_dump(mode="json"))


class JudgeFlags(NamedTuple):
    """Who judges, as the person gave it."""

    by: str
    model: str | None
    allow_keys: list[str]


def judge_command(path: str, grader: Asked, fields: Fields, output: str | None, flags: JudgeFlags, *, as_json: bool) -> None:
    """Let a judge grade a file of outputs and say what came out."""
    reporter = Reporter(as_json=as_json)
    if GRADERS.get(grader.name).traits["type"] != "judge":
        raise InputError(
            f"`{grader.name}` asks nobody, so `--by` says nothing", fix="Leave it away, or take `judge` or `reward`."
        )
    judge = chosen_judge(grader, flags)
    opening = judging(flags.allow_keys, reporter)
    graded = judge_file(Path(path), judge, fields, Path(output) if output else None, opening)
    reporter.result("\n".join(_lines(graded)), graded.model_dump(mode="json"))


def chosen_judge(grader: Asked, flags: JudgeFlags) -> Judge:
    """Return the judge that the person names: its options, and the model as a recipe has a teacher."""
    by = {"address": flags.by, "model": flags.model, "api": "score" if grader.name == "reward" else None}
    options = read_options(grader.name, grader.options)
    return Judge(grader.name, options, {name: value for name, value in by.items() if value})


def judging(allow_keys: list[str], reporter: Reporter) -> api.Opening:
    """Return how a run of a judge is started: who gives the judge's address has said yes to its calls."""
    person = environment(allow_keys)
    return api.Opening(environment=person, yes=True, say=reporter.say, show=reporter.show, indexing=reporter.indexing)


class Asked(NamedTuple):
    """The grader that the person names, with its options as they were written."""

    name: str
    options: list[str]


def own_grader(name: str, *, trust: bool) -> None:
    """Put a grader that is a function in a file on its shelf; the path is relative to where the command is run.

    Raises:
        InputError: where it is not trusted or cannot be loaded.
    """
    with Reporter(as_json=False).only_result():
        put_own(GRADERS, name, Path(), "yes" if trust else "no")


def chosen_grader(grader: str, options: list[str], sandbox: str) -> Chosen:
    """Return the grader that the person names.

    Raises:
        InputError: where there is none, or an option is wrong.
    """
    return choose(grader, read_options(grader, options))._replace(accept=accepted(sandbox))


def read_options(grader: str, given: list[str]) -> dict[str, Any]:
    """Return a grader's options from `NAME=VALUE`; a value is JSON where it can be, else text.

    Raises:
        InputError: where one is not of that form.
    """
    options: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals:
            names = ", ".join(GRADERS.get(grader).options.model_fields)
            fix = f"Write `NAME=VALUE`; the options of `{grader}` are: {names}."
            raise InputError(f"`--option {text}` has no `=`", fix=fix)
        try:
            options[name] = orjson.loads(value)
        except orjson.JSONDecodeError:
            options[name] = value
    return options


def _lines(graded: Graded) -> list[str]:
    share = graded.acceptance
    accepted = "nothing could be decided" if share is None else f"{share:.1%} of what could be decided passed"
    speed = f"{graded.outputs / graded.seconds:,.0f}/s" if graded.seconds else ""
    words = ", ".join(f"{word} {count:,}" for word, count in graded.verdicts.items()) or "none"
    reasons = ", ".join(f"{safe(reason)} {count:,}" for reason, count in list(graded.reasons.items())[:MOST_REASONS])
    rejected = f"; {graded.rejected_rows:,} rows could not be read" if graded.rejected_rows else ""
    outputs = f"{graded.outputs:,} outputs in {graded.rows:,} rows"
    outputs = f"{graded.outputs:,} outputs in {graded.rows:,} rows"
    return [
        f"{outputs} graded by {graded.grader} in {graded.seconds:.1f} s, {speed}{rejected}",
        f"  verdicts  {words}",
        f"  reasons   {reasons or 'none'}",
        f"  {accepted}",
        "",
        f"  {safe(graded.file)}",
    ]
