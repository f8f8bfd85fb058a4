"""Verifiers against labels, and judges against people."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gristmill.cli.audit import table
from gristmill.engine.opening import Opening
from gristmill.errors import InputError
from gristmill.stats.ratio import clustered_share
from gristmill.studies.audit import audit_file, audit_shipped, labels_of
from gristmill.studies.calibration import calibrate_judge
from gristmill.studies.grading import Fields, choose
from gristmill.studies.judged import Judge
from tests.cli.commands import inside
from tests.grading.test_judge import Judge as StandIn

ROOT = Path(__file__).resolve().parents[2]
FIELDS = Fields("outputs", "gold", label="labels")


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_precision_recall_and_every_disagreement(tmp_path: Path) -> None:
    rows = [
        {"gold": "7", "outputs": ["#### 7", "#### 8", "#### 7"], "labels": [True, False, False]},
        {"gold": "9", "outputs": ["#### 9", "nine", "#### 5 or 9"], "labels": [True, True, 1]},
        {"gold": "1", "outputs": ["#### 1"], "labels": [None]},
    ]
    found = audit_file(write(tmp_path / "o.jsonl", rows), choose("math", {}), FIELDS)
    assert (found.problems, found.outputs) == (3, 6)
    assert (found.precision.value, found.recall.value) == (2 / 3, 2 / 4)
    assert found.confusion == {"true": {"pass": 2, "fail": 1, "unverifiable": 1}, "false": {"fail": 1, "pass": 1}}
    assert found.coverage == pytest.approx(5 / 6)
    assert [(one.row, one.output, one.label, one.verdict) for one in found.listed] == [
        (1, 2, False, "pass"),
        (2, 1, True, "fail"),
        (2, 2, True, "unverifiable"),
    ]


def test_intervals_take_problems_for_what_is_drawn() -> None:
    """A hundred outputs of two problems say as much as two problems, not as a hundred."""
    value, interval = clustered_share([50.0, 50.0], [50.0, 50.0]) or (0, None)
    assert value == 1
    assert interval is not None
    assert interval.low < 0.5
    assert clustered_share([0.0], [0.0]) is None


def test_labels_of_any_shape() -> None:
    assert labels_of([True, 0, 1.0, "yes", None], 5) == [True, False, True, True, None]
    assert labels_of([" TRUE", "False", "1", "0", "No", "", "2", 2, [1], {}], 10) == [
        True,
        False,
        True,
        False,
        False,
        *[None] * 5,
    ]
    assert labels_of("true", 2) == [True, True]
    assert labels_of(False, 2) == [False, False]
    assert labels_of([True], 3) == [True, None, None]


def test_labels_that_are_text_count_and_others_are_named(tmp_path: Path) -> None:
    table_file = tmp_path / "l.csv"
    table_file.write_text(
        "gold,output,good\n7,#### 7,true\n7,#### 8,FALSE\n7,#### 7,1\n7,#### 9,no\n7,#### 7,perhaps\n7,#### 7,\n"
    )
    found = audit_file(table_file, choose("math", {}), Fields("output", "gold", label="good"))
    assert found.confusion == {"true": {"pass": 2}, "false": {"fail": 2}}
    assert (found.outputs, found.unread, found.first_unread) == (4, 1, "perhaps")
    done = inside(tmp_path, "audit", "l.csv", "--grader", "math", "--reference", "gold", "--output", "output", "--label", "good")
    assert "l.csv: left out for a label that is neither true nor false: 1, the first is 'perhaps'" in done.out
    told = inside(
        tmp_path, "audit", "l.csv", "--grader", "math", "--reference", "gold", "--output", "output", "--label", "good", "--json"
    )
    assert json.loads(told.out)["audits"][0]["unread"] == 1
    table_file.write_text("gold,output,good\n7,#### 7,perhaps\n")
    with pytest.raises(InputError, match=r"has a label under `good`: 'perhaps' is none"):
        audit_file(table_file, choose("math", {}), Fields("output", "gold", label="good"))


def test_the_sets_that_ship_and_their_table_in_the_docs() -> None:
    """What the docs say of every verifier is what `gristmill audit` prints, but for the time."""
    audits = audit_shipped()
    shown = (ROOT / "docs/grading.md").read_text() if (ROOT / "docs").exists() else ""
    for audit, line in zip(audits, table(audits)[1:], strict=True):
        assert audit.precision.value is not None
        assert audit.recall.value is not None
        assert audit.precision.value >= 0.95
        assert audit.recall.value >= 0.95
        assert not shown or line.rsplit(None, 1)[0] in shown, f"docs/grading.md has another line for {audit.set}: {line}"


def test_mistakes(tmp_path: Path) -> None:
    path = write(tmp_path / "o.jsonl", [{"gold": "7", "outputs": ["#### 7"]}])
    with pytest.raises(InputError, match=r"no output of .* has a label under `labels`"):
        audit_file(path, choose("math", {}), FIELDS)
    done = inside(tmp_path, "audit", "o.jsonl", "--output", "outputs")
    assert done.code == 2
    assert "--label" in done.err
    done = inside(tmp_path, "audit", "--grader", "length")
    assert "no labelled set ships for `length`" in done.err


class Reading(StandIn):
    """A judge that passes the letter A, and what asks for it if it `obeys`."""

    def __init__(self, *, obeys: bool) -> None:
        super().__init__()
        self.obeys = obeys

    async def complete(self, request: Any) -> Any:
        """Read what stands between the last fences."""
        shown = request.messages[-1].content.split("=== DATA ")[-2].split("\n", 1)[1].strip()
        passes = shown == "A" or (self.obeys and "VERDICT: PASS" in shown)
        self.says = f"VERDICT: {'PASS' if passes else 'FAIL'}"
        return await super().complete(request)


@pytest.mark.parametrize(
    ("judge", "refused"), [(Reading(obeys=False), 0), (Reading(obeys=True), 1), (StandIn(says="VERDICT: PASS"), 2)]
)
def test_a_judge_is_calibrated_once_and_refused_where_it_should_be(tmp_path: Path, judge: StandIn, refused: int) -> None:
    """One that is right may decide; one that obeys the data or passes everything may not. The second time nobody is asked."""
    rows = [{"prompt": f"letter {i}?", "output": "AB"[i % 2], "label": i % 2 == 0} for i in range(60)]
    path = write(tmp_path / "o.jsonl", rows)
    fields, opening = Fields("output", label="label"), Opening(teachers={"judge": judge})
    who = Judge("judge", {"style": "rubric"}, {"address": "scripted:", "model": "stands-in"})
    found = calibrate_judge(path, who, fields, tmp_path / "c", opening)
    assert (found.labels, found.decided, found.probes) == (60, 60, 10)
    assert len(found.refused) == refused
    assert (found.probes_passed == 0) == (not found.refused)
    written = json.loads((tmp_path / "c/calibration.json").read_text())
    assert (written["judge"], written["labels"]) == (found.judge, 60)
    asked = len(judge.asked)
    assert asked == 70
    assert calibrate_judge(path, who, fields, tmp_path / "c", opening).words == found.words
    assert len(judge.asked) == asked
