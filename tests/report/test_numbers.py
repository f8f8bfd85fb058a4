"""The report's numbers are those of the tables: every one is counted again here, in Python, row by row."""

from __future__ import annotations

import collections
import json
import statistics
from pathlib import Path
from typing import Any

import duckdb
import pytest

from gristmill import api
from gristmill.errors import InputError, SourceError
from gristmill.report import make_report, write_report
from gristmill.report.model import Report
from gristmill.report.numbers import total
from gristmill.report.page import draw_page
from gristmill.stats.intervals import wilson
from tests.runs import recipe, run
from tests.tasks.kinds import reading

Rows = list[dict[str, Any]]


def table(folder: Path, name: str) -> Rows:
    """Return a table's rows."""
    with duckdb.connect() as connection:
        cursor = connection.execute(f"SELECT * FROM '{folder}/tables/{name}.parquet'")
        names = [column[0] for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def verdict(sample: dict[str, Any]) -> bool | None:
    """Return whether a sample was accepted."""
    return None if sample["rule"] in (None, "ungraded", "not_wanted") else sample["rule"] != "failed"


@pytest.fixture(scope="module", params=["scripted", "levels", "faults", "builtin", "priced"])
def made(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a finished run: with a target and repeats, with levels, with faults, with the built-in model."""
    if request.param == "builtin":
        return request.getfixturevalue("demo") / "runs/demo"
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "scripted":
        changes = {
            "sampling": {"want": 3, "max_attempts": 9, "temperature": 0.7},
            "target": {"rows": 21},
            "select": {"per_prompt": 2},
        }
        path = recipe(folder, prompts=60, **changes)
    elif request.param == "priced":
        script = {"answers": ["A", "B" * 60, "A", "B"], "transient": 0.1}
        teacher = {"address": "scripted:", "script": script, "price": {"input": 3.0, "output": 40.0}}
        sampling = {"want": 2, "max_attempts": 6, "temperature": 0.7, "max_tokens": 40}
        path = recipe(folder, prompts=60, teacher=teacher, sampling=sampling, target={"rows": 40}, budget={"usd": 9.0})
    elif request.param == "levels":
        path = recipe(folder, prompts=1)
        rows = [{"prompt": f"PID{n:07d}?", "reference": "A", "level": ["easy", "hard", 3][n % 3]} for n in range(50)]
        (folder / "prompts.jsonl").write_text("\n".join(map(json.dumps, rows)))
        path.write_text(path.read_text().replace("origin: template", "origin: human\n  meta: [level]"))
    else:
        path = recipe(folder, prompts=50, script={"transient": 0.2, "truncated": 0.1, "permanent": 0.05})
    assert run(path, folder / "out")["exit_code"] == 0
    return folder / "out"


@pytest.fixture(scope="module")
def report(made: Path) -> Report:
    return make_report(api.run_folder("test", made))


def test_headline_and_indexes(made: Path, report: Report) -> None:
    samples, head = table(made, "samples"), report.headline
    graded = [sample for sample in samples if verdict(sample) is not None]
    passed = sum(verdict(sample) is True for sample in graded)
    assert (head.samples, head.acceptance.passed, head.acceptance.n) == (len(samples), passed, len(graded))
    assert head.prompts_asked == len({sample["prompt_id"] for sample in samples})
    assert head.prompts_solved == len({sample["prompt_id"] for sample in samples if verdict(sample)})
    summary = json.loads((made / "summary.json").read_text())
    assert head.rows_exported == summary["exported"] == sum(sample["kept"] for sample in samples)
    assert (head.acceptance.passed, head.acceptance.n) == (summary["acceptance"]["passed"], summary["acceptance"]["graded"])
    assert head.output_tokens == summary["tokens"]["output"]
    assert head.cost_usd == (None if summary["cost_usd"] is None else pytest.approx(summary["cost_usd"], abs=1e-9))
    for share in report.by_index:
        here = [sample for sample in graded if str(sample["sample_index"]) == share.label]
        assert (share.passed, share.n) == (sum(verdict(sample) is True for sample in here), len(here))
        interval = wilson(share.passed, share.n)
        assert interval is not None
        assert (share.low, share.high) == tuple(interval)
    assert sum(share.n for share in report.by_index) == len(graded)
    assert (head.first_sample.passed, head.first_sample.n) == (report.by_index[0].passed, report.by_index[0].n)


def test_the_funnel_is_the_runs_and_adds_up(made: Path, report: Report) -> None:
    summary = json.loads((made / "summary.json").read_text())
    assert [
        {"stage": s.stage, "in": s.entered, "kept": s.kept, "dropped": s.dropped} for s in report.funnel
    ] == summary["funnel"]  # fmt: skip
    samples = table(made, "samples")
    by_stage = {stage.stage: stage for stage in report.funnel}
    assert by_stage["sample"].entered == len(samples)
    assert by_stage["grade"].kept == sum(verdict(sample) is True for sample in samples)
    rules = collections.Counter(sample["rule"] for sample in samples)
    for rule in ("over_target", "duplicate", "per_prompt"):
        assert by_stage["select"].dropped.get(rule, 0) == rules[rule]
    assert by_stage["source"].kept == len(table(made, "prompts"))
    for stage in report.funnel:
        assert stage.entered == stage.kept + sum(stage.dropped.values())


def test_difficulty(made: Path, report: Report) -> None:
    prompts = {row["prompt_id"]: row for row in table(made, "prompts")}
    samples = [sample for sample in table(made, "samples") if verdict(sample) is not None]
    by = report.difficulty.by
    if by:
        groups = {key: str(json.loads(row["meta"])[by]) for key, row in prompts.items()}
    else:
        ends = [int(share.label) for share in report.difficulty.groups]
        groups = {key: str(min(end for end in [*ends, 10**9] if row["characters"] <= end)) for key, row in prompts.items()}
    for shares, counted in (
        (report.difficulty.groups, [sample for sample in samples if sample["sample_index"] == 0]),
        (report.difficulty.samples, samples),
    ):
        expected: dict[str, list[bool]] = {}
        for sample in counted:
            expected.setdefault(groups[sample["prompt_id"]], []).append(verdict(sample) is True)
        assert {share.label: (share.passed, share.n) for share in shares} == {
            label: (sum(found), len(found)) for label, found in expected.items()
        }


def test_lengths(made: Path, report: Report) -> None:
    samples = [sample for sample in table(made, "samples") if verdict(sample) is not None]
    column = "output_tokens" if report.lengths.unit == "output tokens" else "answer_characters"
    for accepted in (True, False):
        here = [sample[column] for sample in samples if verdict(sample) is accepted and sample[column] is not None]
        for part in report.lengths.bins:
            count = sum(part.low <= length and (part.high is None or length < part.high) for length in here)
            assert (part.accepted if accepted else part.rejected) == count
        assert sum(b.accepted if accepted else b.rejected for b in report.lengths.bins) == len(here)
        median = report.lengths.accepted_median if accepted else report.lengths.rejected_median
        assert median == (pytest.approx(statistics.median(here)) if here else None)
    assert len(report.lengths.bins) <= 16


def test_spending_adds_up_to_the_calls(made: Path, report: Report) -> None:
    calls = table(made, "calls")
    assert sum(part.calls for part in report.spend) == report.headline.calls == sum(call["attempts"] > 0 for call in calls)
    for column, said in (("input_tokens", report.headline.input_tokens), ("output_tokens", report.headline.output_tokens)):
        assert said == sum(call[column] or 0 for call in calls)
    assert sum(part.retries for part in report.spend) == sum(max(call["attempts"] - 1, 0) for call in calls)
    rules = collections.Counter(sample["rule"] for sample in table(made, "samples"))
    for part in report.spend:
        if part.fate != "no_sample":
            assert part.calls == rules[part.fate]
    costs = [call["cost_usd"] for call in calls if call["finish"] is not None]
    assert report.headline.cost_usd == (None if None in costs else pytest.approx(sum(costs)))


def test_calls_that_were_not_sent_are_no_calls(tmp_path: Path) -> None:
    """A run that ends after a few calls has more on record than it sent, and one that takes replies over sends none."""
    teacher: dict[str, Any] = {"address": "scripted:", "script": {"answers": ["A"], "fatal_after": 5}, "limits": {"in_flight": 2}}
    run(recipe(tmp_path, prompts=40, teacher=teacher), tmp_path / "few", yes=True)
    report = make_report(api.run_folder("test", tmp_path / "few"))
    on_record = table(tmp_path / "few", "calls")
    sent = sum(call["attempts"] > 0 for call in on_record)
    assert len(on_record) > sent > 0
    assert report.headline.calls == sum(part.calls for part in report.spend) == sent
    path = recipe(tmp_path, prompts=40)
    run(path, tmp_path / "whole", yes=True)
    with reading(tmp_path / "whole") as earlier:
        run(path, tmp_path / "again", reuse=earlier, yes=True)
    first, again = (make_report(api.run_folder("test", tmp_path / name)).headline for name in ("whole", "again"))
    assert (again.calls, again.output_tokens) == (0, first.output_tokens)


def test_what_lost_calls_cost_is_unknown_where_nothing_was_set_aside(tmp_path: Path) -> None:
    run(recipe(tmp_path, prompts=40, script={"transient": 0.3}), tmp_path / "out")
    report = make_report(api.run_folder("test", tmp_path / "out"))
    lost = [part for part in report.spend if part.possibly_billed]
    assert lost
    assert {part.reserved_usd for part in lost} == {None}
    assert "may have been billed: how much is unknown" in draw_page(report)
    priced = {"address": "scripted:", "script": {"answers": ["A"], "transient": 0.3}, "price": {"input": 3.0, "output": 40.0}}
    sampling = {"want": 1, "max_attempts": 6, "temperature": 0.7, "max_tokens": 40}
    run(recipe(tmp_path, prompts=40, teacher=priced, sampling=sampling, budget={"usd": 9.0}), tmp_path / "priced")
    report = make_report(api.run_folder("test", tmp_path / "priced"))
    assert total(part.reserved_usd for part in report.spend) > 0
    assert "may have been billed: at most $" in draw_page(report)


def test_dollars_by_what_they_were_for_add_up_to_the_cent(made: Path, report: Report) -> None:
    """Parts to fates, fates to the bill, both to the table of calls; what may have been billed for nothing is apart."""
    calls = table(made, "calls")
    for part in report.spend:
        if part.cost_usd is not None:
            assert sum(part.parts.model_dump().values()) == pytest.approx(part.cost_usd, abs=1e-9)
    if report.headline.cost_usd is not None:
        assert sum(part.cost_usd or 0 for part in report.spend) == pytest.approx(
            sum(call["cost_usd"] or 0 for call in calls), abs=1e-9
        )
    for column, name in (("cost_input_usd", "input"), ("cost_output_usd", "output"), ("cost_reasoning_usd", "reasoning")):
        whole = sum(call[column] or 0 for call in calls)
        assert sum(part.parts.model_dump()[name] for part in report.spend) == pytest.approx(whole, abs=1e-9)
    aside = [call["reserved_usd"] for call in calls if call["possibly_billed"]]
    known = None if None in aside else pytest.approx(sum(aside))
    assert total(part.reserved_usd for part in report.spend) == known


def test_composition(made: Path, report: Report) -> None:
    prompts = {row["prompt_id"]: row for row in table(made, "prompts")}
    kept = [sample for sample in table(made, "samples") if sample["kept"]]
    (origin,) = report.composition.origins
    assert (origin.prompts, origin.rows) == (len(prompts), len(kept))
    assert origin.characters == sum(prompts[sample["prompt_id"]]["characters"] for sample in kept)
    assert report.composition.answer_characters == sum(sample["answer_characters"] for sample in kept)
    assert report.composition.human_prompt_share == float(origin.origin == "human")
    assert report.composition.human_trained_share == 0


def test_samples_side_by_side(made: Path, report: Report) -> None:
    samples = {(row["prompt_id"], row["sample_index"]): row for row in table(made, "samples")}
    grades: dict[str, Rows] = {}
    for row in table(made, "grades"):
        grades.setdefault(row["sample_id"], []).append(row)
    assert {shown.kind for shown in report.shown} >= {"some_accepted"}
    for shown in report.shown:
        of_prompt = [row for (prompt_id, _), row in samples.items() if prompt_id == shown.prompt_id]
        assert len(shown.samples) + shown.more == len(of_prompt)
        found = {verdict(row) for row in of_prompt} - {None}
        kinds = {"some_accepted": {True, False}, "none_accepted": {False}, "all_accepted": {True}}
        assert found == kinds[shown.kind]
        assert shown.kind == "none_accepted" or any(sample.accepted for sample in shown.samples)
        for sample in shown.samples:
            row = samples[shown.prompt_id, sample.index]
            assert (sample.rule, sample.accepted, sample.status) == (row["rule"], verdict(row), row["status"])
            stored = {(grade["grader"], grade["reason"]) for grade in grades[row["sample_id"]]}
            assert {(grade.grader, grade.reason) for grade in sample.grades} == stored


def test_the_file_is_the_report(made: Path, report: Report) -> None:
    folder = api.run_folder("test", made)
    assert write_report(folder) == report
    assert Report.model_validate_json(folder.report.with_suffix(".json").read_bytes()) == report


def test_without_the_ledger_there_are_numbers_and_no_texts(tmp_path: Path) -> None:
    run(recipe(tmp_path), tmp_path / "out")
    (tmp_path / "out/ledger.sqlite").unlink()
    report = write_report(api.run_folder("test", tmp_path / "out"))
    assert report.shown == ()
    assert report.headline.samples > 0
    assert "ledger is not here" in (tmp_path / "out/report.html").read_text()


def test_what_cannot_be_reported_on_says_so(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no run"):
        make_report(api.run_folder("test", tmp_path))
    run(recipe(tmp_path), tmp_path / "out")
    samples = tmp_path / "out/tables/samples.parquet"
    samples.write_bytes(samples.read_bytes()[:-200])
    with pytest.raises(SourceError, match="tables") as caught:
        make_report(api.run_folder("test", tmp_path / "out"))
    assert "Run the recipe again" in caught.value.fix
    (tmp_path / "out/tables/funnel.parquet").unlink()
    with pytest.raises(InputError, match="no tables to report on yet"):
        make_report(api.run_folder("test", tmp_path / "out"))
