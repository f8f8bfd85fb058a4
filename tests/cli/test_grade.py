"""`gristmill grade`: outputs that are already in a file."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from gristmill.studies.grading import Fields, choose, grade_file
from tests.cli.commands import gristmill
from tests.runs import query

ROWS: list[dict[str, Any]] = [
    {"id": 1, "question": "3 + 4?", "gold": "7", "outputs": ["#### 7", "#### 8", None, "seven, I think"]},
    {"id": 2, "question": "x?", "gold": r"\\frac{1}{2}", "outputs": [r"so \\boxed{0.5}", r"\\boxed{x}"]},
    {"id": 3, "question": "none", "outputs": []},
    {"id": 4, "question": "no reference", "outputs": ["#### 7"]},
]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "outputs.jsonl"
    path.write_text("\n".join([*map(json.dumps, ROWS), "{broken"]) + "\n")
    return path


def graded(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_every_output_gets_its_grade_in_order(file: Path) -> None:
    code, out, _ = gristmill(
        file.parent, "grade", str(file), "--grader", "math", "--reference", "gold", "--output", "outputs", "--json"
    )
    found = json.loads(out)
    assert code == 0
    assert (found["rows"], found["rejected_rows"], found["outputs"]) == (5, 1, 7)
    assert found["verdicts"] == {"fail": 3, "unverifiable": 2, "pass": 2}
    lines = graded(file.with_name("outputs.jsonl.graded.jsonl"))
    assert [line.get("id") for line in lines] == [1, 2, 3, 4, None]
    assert [grade["passed"] for grade in lines[0]["grades"]] == [True, False, None, False]
    assert [grade["reason"] for grade in lines[0]["grades"]] == ["equal", "different", "no_text", "no_answer"]
    assert lines[0]["grades"][0]["method"] == "hash"
    assert lines[0]["grades"][0]["extracted"] == "7"
    assert lines[0]["outputs"] == ROWS[0]["outputs"], "the row is kept as it was"
    assert lines[1]["grades"][0]["passed"] is True
    assert lines[3]["grades"][0]["reason"] == "no_reference"
    assert (lines[4]["rejected"], lines[4]["grades"]) == ("bad_json", [])


def test_numbers_of_more_than_64_bits_are_graded_and_kept_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "large.jsonl"
    path.write_text('{"gold": 18446744073709551617, "output": "#### 18446744073709551617", "other": 36893488147419103233}\n')
    code, _, _ = gristmill(tmp_path, "grade", str(path), "--grader", "math", "--reference", "gold", "--output", "output")
    (line,) = graded(tmp_path / "large.jsonl.graded.jsonl")
    assert (code, line["grades"][0]["reason"]) == (0, "equal")
    assert (line["gold"], line["other"]) == ("18446744073709551617", "36893488147419103233")


def test_a_second_grader_adds_its_grades_and_the_same_one_replaces_its_own(file: Path) -> None:
    def once(name: str, grader: str, *options: str) -> list[dict[str, Any]]:
        target = file.with_name(f"{name}.graded.jsonl")
        code, out, err = gristmill(
            file.parent, "grade", name, "--grader", grader, "--reference", "gold", "--output", "outputs", *options
        )
        assert code == 0, out + err
        return graded(target)

    once(file.name, "math")
    second = once("outputs.jsonl.graded.jsonl", "length", "--option", "max=1")
    assert [(grade["grader"], grade["output"], grade["passed"]) for grade in second[1]["grades"]] == [
        ("length@1", 0, False),
        ("length@1", 1, True),
        (choose("math", {}).plugin.identity, 0, True),
        (choose("math", {}).plugin.identity, 1, False),
    ]
    third = once("outputs.jsonl.graded.jsonl.graded.jsonl", "length", "--option", "max=500")
    assert [grade["passed"] for grade in third[1]["grades"]] == [True, True, True, False]
    assert [len(line["grades"]) for line in third] == [8, 4, 0, 2, 0]


def test_a_column_that_is_called_grades_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "own.jsonl"
    path.write_text('{"output": "a", "grades": "B+"}\n{"output": "a", "grades": [{"grader": "length@0", "passed": false}, 7]}\n')
    grade_file(path, choose("length", {"max": 5}), Fields("output"))
    first, second = graded(tmp_path / "own.jsonl.graded.jsonl")
    assert [grade if isinstance(grade, str) else grade["passed"] for grade in first["grades"]] == [True, "B+"]
    assert [grade if isinstance(grade, int) else grade["passed"] for grade in second["grades"]] == [True, 7]


def test_other_files_and_graders(tmp_path: Path) -> None:
    """Parquet and packed files, one text instead of a list, options by name, another place for the result."""
    path = tmp_path / "rows.parquet"
    query(f"COPY (SELECT 'a b c' AS output UNION ALL SELECT 'a') TO '{path}' (FORMAT parquet)")
    packed = tmp_path / "rows.jsonl.gz"
    packed.write_bytes(gzip.compress(b'{"output": "a b c"}\n{"output": "a"}\n'))
    for file in (path, packed):
        target = tmp_path / f"{file.name}.out"
        code, out, _ = gristmill(tmp_path, "grade", str(file), "--grader", "length", "--option", "min=2", "-o", str(target))
        assert code == 0, out
        assert [row["grades"][0]["passed"] for row in graded(target)] == [True, False]


@pytest.mark.parametrize(
    ("arguments", "said", "fix"),
    [
        (["--grader", "maths"], "there is no grader `maths`", "Did you mean `math`?"),
        (["--grader", "judge"], "`judge` asks a model", "--by ADDRESS"),
        (["--output", "answers"], "has an output under `answers`", "gold, id, outputs, question"),
        (["--option", "decimals"], "`--option decimals` has no `=`", "NAME=VALUE"),
        (["--option", "decimals=-1"], "`decimals` of `math`", "--option NAME=VALUE"),
        (["--grader", "length"], "`--grader length`: `length` needs `min` or `max`", "the options of `length` are: `min`, `max`"),
        (["--option", "digits=1"], "`math` has no option `digits`", "`decimals`"),
        (["--answer-format", "bokst"], "`answer_format` of `math`", ""),
        (["-o", "outputs.jsonl"], "is the file that is read", "-o FILE"),
    ],
)
def test_mistakes_are_one_message(file: Path, arguments: list[str], said: str, fix: str) -> None:
    before = file.read_bytes()
    code, _, err = gristmill(file.parent, "grade", file.name, "--reference", "gold", *arguments)
    assert code == 2
    assert said in err
    assert fix in err
    assert "Traceback" not in err
    assert (file.read_bytes(), sorted(file.parent.iterdir())) == (before, [file]), "nothing is left behind"


def test_memory_is_flat(tmp_path: Path) -> None:
    """Ten times the rows take no more memory at their peak than a fifth more."""
    peaks: list[int] = []
    for rows in (2_000, 20_000):
        path = tmp_path / f"{rows}.jsonl"
        path.write_text("".join(json.dumps({"gold": str(i), "output": f"{'so ' * 50}#### {i}"}) + "\n" for i in range(rows)))
        tracemalloc.start()
        found = grade_file(path, choose("math", {}), Fields("output", "gold"))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert found.verdicts == {"pass": rows}
    assert peaks[1] < 1.2 * peaks[0]
