"""A judge grades a file of outputs: in order, paid once, and with what it was left out of said."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from gristmill.engine.opening import Opening
from gristmill.errors import InputError
from gristmill.studies.grading import Fields
from gristmill.studies.judged import Judge, judge_file
from tests.cli.commands import inside
from tests.servers import Answer, completion, serving
from tests.studies.test_audit import Reading

ROWS: list[Any] = [
    {"prompt": "letter 0?", "answers": ["A", "B", None], "kept": 1},
    {"prompt": "letter 1?", "answers": []},
    {"prompt": "letter 0?", "answers": ["A"]},
    {"prompt": "letter 2?", "answers": "A"},
]


def write(path: Path, rows: list[Any]) -> Path:
    path.write_bytes(gzip.compress(b"".join(json.dumps(row).encode() + b"\n" for row in rows) + b"not json\n"))
    return path


def test_every_output_has_its_verdict_in_order_and_is_paid_once(tmp_path: Path) -> None:
    path, judge = write(tmp_path / "o.jsonl.gz", ROWS), Reading(obeys=False)
    who = Judge("judge", {"style": "rubric"}, {"address": "scripted:", "model": "stands-in"})
    graded = judge_file(path, who, Fields("answers"), None, Opening(teachers={"judge": judge}))
    assert (graded.rows, graded.rejected_rows, graded.outputs) == (5, 1, 5)
    assert graded.verdicts == {"pass": 3, "fail": 1, "unverifiable": 1}
    written = [json.loads(line) for line in (tmp_path / "o.jsonl.gz.graded.jsonl").read_text().splitlines()]
    assert [[one["passed"] for one in row["grades"]] for row in written] == [[True, False, None], [], [True], [True], []]
    assert written[0]["grades"][2]["reason"] == "no_text"
    assert written[0]["kept"] == 1
    assert written[4]["rejected"] == "bad_json"
    asked = len(judge.asked)
    assert asked == 4
    assert judge_file(path, who, Fields("answers"), None, Opening(teachers={"judge": judge})).verdicts == graded.verdicts
    assert len(judge.asked) == asked


def test_files_of_a_folder_are_not_mixed_up_and_a_number_is_a_reference(tmp_path: Path) -> None:
    """Each file has a first row; and what the judge is told is right is there whatever its type."""
    (tmp_path / "o").mkdir()
    for name, answer in (("a", "A"), ("b", "B")):
        row = {"prompt": f"letter {name}?", "gold": 7, "answers": answer}
        (tmp_path / f"o/{name}.jsonl").write_text(json.dumps(row) + "\n")
    judge, who = Reading(obeys=False), Judge("judge", {"style": "rubric"}, {"address": "scripted:", "model": "stands-in"})
    judge_file(tmp_path / "o", who, Fields("answers", "gold"), None, Opening(teachers={"judge": judge}))
    written = [json.loads(line) for line in (tmp_path / "o.graded.jsonl").read_text().splitlines()]
    assert [(row["answers"], row["grades"][0]["passed"]) for row in written] == [("A", True), ("B", False)]
    assert all(json.loads(line)["reference"] == "7" for line in (tmp_path / "o.judged/outputs.jsonl").read_text().splitlines())


def test_the_command_asks_the_server_that_it_is_told(tmp_path: Path) -> None:
    (tmp_path / "o.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    with serving(lambda _: Answer(200, completion("Fine.\nVERDICT: PASS"))) as server:
        flags = ["--by", server.url, "--model", "m", "--output", "answers", "--option", "style=rubric"]
        done = inside(tmp_path, "grade", "o.jsonl", "--grader", "judge", *flags)
    assert done.code == 0, done.err
    assert "5 outputs in 4 rows graded by judge@" in done.out
    assert "pass 4" in done.out
    assert (tmp_path / "o.jsonl.judged/run/manifest.json").exists()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--grader", "judge"], "`judge` asks a model"),
        (["--grader", "math", "--by", "http://127.0.0.1:1/v1"], "`math` asks nobody"),
        (["--grader", "judge", "--by", "http://127.0.0.1:1/v1", "--model", "m"], "has an output under `output`"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, flags: list[str], words: str) -> None:
    (tmp_path / "o.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    done = inside(tmp_path, "grade", "o.jsonl", *flags)
    assert done.code == InputError.exit_code
    assert words in done.err
