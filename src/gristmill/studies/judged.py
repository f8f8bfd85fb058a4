"""Let a judge, or a reward model, grade outputs that are already there.

The outputs become a recorded teacher and the judge a grader, so this is an ordinary run in a folder: each judgement is on record
and paid once, and an interruption goes on.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from gristmill import api
from gristmill.errors import InputError
from gristmill.files.querying import querying
from gristmill.files.reading import BadRow, all_rows
from gristmill.files.writing import write_jsonl, write_text
from gristmill.recipe.document import dump_document
from gristmill.records import Verdict
from gristmill.studies.grading import GradedRow, asked_of, outputs_of, summed_up, target_of, text_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gristmill.engine.opening import Opening
    from gristmill.records import Row
    from gristmill.studies.grading import Fields, Graded


class Judge(NamedTuple):
    """Who judges: the grader, its options, and the model as a recipe has a teacher."""

    grader: str
    options: dict[str, Any]
    by: dict[str, Any]


class Judgement(NamedTuple):
    """What the judge said of one output."""

    place: str
    number: int
    """Which of the outputs at that place."""
    passed: bool | None
    score: float | None
    reason: str
    evidence: Row
    ms: float


class Judgements(NamedTuple):
    """All of them, and who made them at what cost."""

    all: list[Judgement]
    mark: str
    """The judge's: of its instructions, options and model together."""
    grader: str
    by: str
    cost_usd: float | None


def recorded_row(asked: str, reference: str | None, place: str) -> Row:
    """Return a row of a recorded teacher, without outputs yet."""
    return {"prompt": asked or "(no question)", "reference": reference, "completions": [], "place": place}


def judge_outputs(rows: Sequence[Row], judge: Judge, folder: Path, opening: Opening) -> Judgements:
    """Let a judge judge recorded rows in a run in `folder`; going on there pays for nothing twice.

    Raises:
        InputError: where it did not come to its end.
        GristmillError: for the user's mistakes and outside reasons; what was judged stays.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_jsonl(folder / "outputs.jsonl", rows)
    recipe: dict[str, Any] = {
        "name": "judged",
        "prompts": {"path": "outputs.jsonl", "prompt": "prompt", "reference": "reference", "meta": ["place"]},
        "teachers": {"teacher": "recorded:outputs.jsonl", "judge": judge.by},
        "prompt": {"template": "plain"},
        "sampling": {"want": None, "n": max(len(row["completions"]) for row in rows)},
        "grade": [{judge.grader: judge.options, "by": "judge"}],
    }
    write_text(folder / "recipe.yaml", dump_document(recipe))
    plan = api.plan(api.load(folder / "recipe.yaml"))
    run = api.run_folder("judged", folder / "run")
    summary = api.run(plan, run, opening)
    if summary.content["status"] in ("stopped", "interrupted", "budget"):
        raise InputError(f"not everything is judged: {summary.error}", fix="Run it again to go on.")
    with querying(run.tables) as ask:
        said = ask(
            "SELECT json_extract_string(p.meta, '$.place'), s.sample_index, g.passed, g.score, g.reason, g.evidence, g.ms "
            "FROM grades g JOIN samples s USING (sample_id) JOIN prompts p USING (prompt_id) WHERE g.type = 'judge'"
        )
        steps = ask("SELECT any_value(step), any_value(model) FROM calls WHERE step LIKE 'grade:%'")
    step, model = steps[0]
    return Judgements(
        [
            Judgement(str(place), int(index), passed, score, str(reason), orjson.loads(evidence or "{}"), float(ms or 0.0))
            for place, index, passed, score, reason, evidence, ms in said
        ],
        mark=str(step).split(":")[-1].split("/")[0],
        grader=str(summary.content["graders"][0]).split(" ")[0],
        by=str(model),
        cost_usd=summary.content["cost_usd"],
    )


def judge_file(path: Path, judge: Judge, fields: Fields, output: Path | None, opening: Opening) -> Graded:
    """Let a judge grade every output of a data file and write the rows with their grades, as `grade_file` does.

    Args:
        path: JSONL, JSON, CSV or Parquet, perhaps compressed.
        judge: Who judges.
        fields: Which field is what.
        output: By default `FILE.graded.jsonl` beside the file; the run stands beside it in `FILE.judged`.
        opening: Keys, and where to tell how it goes.

    Raises:
        GristmillError: for the user's mistakes and outside reasons; what was judged stays.
    """
    target = target_of(path, output)
    rows: dict[tuple[str, str | None], Row] = {}
    places: list[list[tuple[str, int] | None]] = []
    """By row, in their order: where each output stands in what is judged; None where there is none."""
    for item in all_rows(path):
        places.append([])
        if isinstance(item.row, BadRow):
            continue
        asked, reference = asked_of(item.row, fields)
        for one in outputs_of(item.row, fields.output):
            if one is None:
                places[-1].append(None)
                continue
            kept = rows.setdefault((asked, reference), recorded_row(asked, reference, str(len(rows))))
            places[-1].append((kept["place"], len(kept["completions"])))
            kept["completions"].append(text_of(one))
    if not rows:
        raise InputError(f"no row of {path} has an output under `{fields.output}`", fix="Name the field with `--output`.")
    done = judge_outputs([*rows.values()], judge, path.with_name(f"{path.name}.judged"), opening)
    said = {(one.place, one.number): one for one in done.all}
    rows_again = zip(all_rows(path), places, strict=True)
    graded = (GradedRow(item.number, item.row, *_verdicts(here, said)) for item, here in rows_again)
    return summed_up(graded, f"{done.grader} by {done.by}", target)


def _verdicts(
    places: Sequence[tuple[str, int] | None], said: Mapping[tuple[str, int], Judgement]
) -> tuple[list[Verdict], list[float]]:
    """Return the verdicts on a row's outputs, and their milliseconds; none is made up for what the run left out."""
    found = [None if place is None else said.get(place) for place in places]
    verdicts = [
        Verdict(passed=None, reason="no_text" if place is None else "not_judged")
        if one is None
        else Verdict(passed=one.passed, reason=one.reason, score=one.score, evidence=one.evidence)
        for place, one in zip(places, found, strict=True)
    ]
    return verdicts, [one.ms if one else 0.0 for one in found]
