"""Calibrate a judge: let it judge outputs that people labelled, and say what its word is worth.

The outputs become a recorded teacher and the judge a grader, so this is an ordinary run: each judgement is on record, paid once,
and an interruption goes on. Ten answers that ask for a pass instead of earning one (`grading.judge.PROBES`) are judged too. What
comes out is a small file; a recipe names it beside the judge, and it counts for that judge alone.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from gristmill.errors import InputError
from gristmill.files.reading import BadRow, all_rows
from gristmill.files.writing import write_json
from gristmill.grading.judge import PROBE_QUESTION, PROBE_REFERENCE, PROBES
from gristmill.messages import Frozen
from gristmill.stats.intervals import Interval
from gristmill.stats.judging import (
    Labelled,
    Pair,
    calibrate,
    calibrate_pairs,
    why_pairs_refused,
    why_refused,
)
from gristmill.studies.audit import labels_of
from gristmill.studies.grading import asked_of, outputs_of
from gristmill.studies.judged import judge_outputs, recorded_row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gristmill.engine.opening import Opening
    from gristmill.records import Row
    from gristmill.studies.grading import Fields
    from gristmill.studies.judged import Judge, Judgements

_PROBE = "probe"


class JudgeCalibration(Frozen):
    """What is known of one judge; the file that a recipe names."""

    judge: str
    """The judge's mark: of its instructions, options and model together."""
    grader: str
    by: str
    labels: int
    decided: int
    refused: tuple[str, ...]
    """Why it may not decide; empty where it may."""
    words: str
    """The same in one line."""
    figures: dict[str, Any]
    probes: int
    probes_passed: int
    cost_usd: float | None


def calibrate_judge(path: Path, judge: Judge, fields: Fields, folder: Path, opening: Opening) -> JudgeCalibration:
    """Let a judge judge labelled outputs and write `calibration.json` into `folder`.

    Args:
        path: A data file with outputs and people's labels.
        judge: Who judges.
        fields: Which field is what; the label is needed.
        folder: Where the run and the result go; going on there pays for nothing twice.
        opening: Keys, and where to tell how it goes.

    Raises:
        GristmillError: for the user's mistakes and outside reasons; what was judged stays.
    """
    rows, labels = _prepare(path, fields)
    done = judge_outputs(rows, judge, folder, opening)
    found = _measured(done, labels, str(judge.options.get("style")))
    write_json(folder / "calibration.json", found.model_dump(mode="json"))
    return found


def _prepare(path: Path, fields: Fields) -> tuple[list[Row], dict[str, list[bool | None]]]:
    """Return the outputs as a recorded teacher has them, those of equal questions together, and the labels by place."""
    labels: dict[str, list[bool | None]] = {}
    rows: dict[tuple[str, str | None], Row] = {}
    for row in (item.row for item in all_rows(path)):
        if isinstance(row, BadRow):
            continue
        texts = [text for text in outputs_of(row, fields.output) if isinstance(text, str)]
        found = labels_of(row.get(fields.label or ""), len(texts))
        if all(label is None for label in found):
            continue
        asked, reference = asked_of(row, fields)
        kept = rows.setdefault((asked, reference), recorded_row(asked, reference, f"{path.name}:{len(rows) + 1}"))
        kept["completions"] += texts
        labels.setdefault(kept["place"], []).extend(found)
    if not rows:
        raise InputError(
            f"no output of {path} has a label under `{fields.label}`", fix="Name the fields with --output and --label."
        )
    labels[_PROBE] = [False] * len(PROBES)
    probe = {**recorded_row(PROBE_QUESTION, PROBE_REFERENCE, _PROBE), "completions": list(PROBES)}
    return [*rows.values(), probe], labels


def _measured(done: Judgements, labels: dict[str, list[bool | None]], style: str) -> JudgeCalibration:
    judged: list[Judged] = []
    probes: list[bool | None] = []
    for one in done.all:
        known = dict(enumerate(labels[one.place])).get(one.number)
        if one.place == _PROBE:
            probes.append(one.passed)
        elif known is not None:
            judged.append(Judged(known, one.passed, one.evidence))
    refused, words, figures, decided = _pairs(judged) if style == "pairwise" else _verdicts(judged)
    passed_probes = sum(said is True for said in probes)
    if passed_probes:
        refused = [*refused, f"{passed_probes} of {len(probes)} answers that only ask for a pass were passed"]
    return JudgeCalibration(
        judge=done.mark,
        grader=done.grader,
        by=done.by,
        labels=len(judged),
        decided=decided,
        refused=tuple(refused),
        words=words,
        figures=figures,
        probes=len(probes),
        probes_passed=passed_probes,
        cost_usd=done.cost_usd,
    )


class Judged(NamedTuple):
    """One output with a person's label, the judge's verdict and what it is based on."""

    human: bool
    judge: bool | None
    evidence: Row


Findings = tuple[list[str], str, dict[str, Any], int]
"""Why a judge may not decide, the same in words, the figures, and how many it decided."""


def _verdicts(judged: Sequence[Judged]) -> Findings:
    found = calibrate([Labelled(human=item.human, judge=item.judge) for item in judged])
    words = (
        f"sensitivity {_with(found.sensitivity, found.sensitivity_interval)}, "
        f"specificity {_with(found.specificity, found.specificity_interval)}, kappa {_plain(found.kappa)}"
    )
    return why_refused(found), words, found._asdict(), found.decided


def _pairs(judged: Sequence[Judged]) -> Findings:
    """A label says that the output is better than the reference; the judge named one of both, in both orders."""
    pairs = [Pair(1 if item.human else 2, item.evidence.get("forward"), item.evidence.get("backward")) for item in judged]
    found = calibrate_pairs(pairs)
    agreement = _with(found.agreement, found.agreement_interval)
    words = f"agreement {agreement}, flips {_plain(found.flip_rate)}, kappa {_plain(found.kappa)}"
    return why_pairs_refused(found), words, found._asdict(), found.decided


def _plain(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.2f}"


def _with(value: float | None, interval: Interval | None) -> str:
    return _plain(value) + ("" if interval is None else f" ({interval.low:.2f} to {interval.high:.2f})")
