"""What an answer grade costs, by rules alone, beside math-verify on the same extracted answers; memory while a file is graded.

Answers are made here, in the forms of recorded ones: worked solutions that end in `#### 72`, JSON, boxes; right and wrong,
with units, commas and decimals.
"""

from __future__ import annotations

import json
import time
import tracemalloc
from importlib import import_module
from pathlib import Path
from statistics import median
from typing import Any

from bench.measure import Figure
from gristmill.grading.answers.comparing import Compared, Rules, compare
from gristmill.grading.answers.extraction import extract
from gristmill.grading.answers.kinds import kind_of
from gristmill.studies.grading import Fields, choose, grade_file

ANSWERS, ROUNDS = 5_000, 3
FEW, MANY = 10_000, 100_000
FORMS = (
    ("hash", "He has {n} of them and sells some, so that leaves 3 + 4 = 7 and then more.\n#### {n}"),
    ("json:answer", '{{"reasoning": "First we add, then we take away what was sold.", "answer": "{n}"}}'),
    ("boxed", "Adding them up gives the total, as was to be shown, so the answer is \\boxed{{{n}}}."),
)


def answers(count: int) -> list[tuple[str, str, str]]:
    """Return answer format, text and reference, half of them right."""
    found: list[tuple[str, str, str]] = []
    for number in range(count):
        answer_format, text = FORMS[number % len(FORMS)]
        value = number * 7 % 100_000
        shown = (str(value), f"${value:,}", f"{value}.0", f"{value} eggs")[number // 3 % 4]
        found.append((answer_format, text.format(n=shown), str(value + number // 12 % 2)))
    return found


def rules(made: list[tuple[str, str, str]]) -> float:
    """Return microseconds a grade: extraction, kind, comparison."""
    began = time.process_time()
    for answer_format, text, reference in made:
        answer = extract(text, answer_format).answer or ""
        assert isinstance(compare(reference, answer, kind_of(reference), Rules()), Compared)
    return (time.process_time() - began) / len(made) * 1e6


def library(made: list[tuple[str, str, str]]) -> float:
    """Return microseconds a grade of math-verify on answers that are extracted already."""
    bare: Any = import_module("math_verify")
    pairs = [(reference, extract(text, answer_format).answer or "") for answer_format, text, reference in made]
    began = time.process_time()
    for reference, answer in pairs:
        bare.verify(
            bare.parse(f"${reference}$", parsing_timeout=0), bare.parse(f"${answer}$", parsing_timeout=0), timeout_seconds=0
        )
    return (time.process_time() - began) / len(made) * 1e6


def peak_mb(path: Path, rows: int) -> float:
    """Return the most memory that grading a file of so many rows takes, in Python's own objects."""
    with path.open("w", encoding="utf-8") as out:
        for _, text, reference in answers(rows):
            out.write(json.dumps({"output": text, "gold": reference}) + "\n")
    tracemalloc.start()
    grade_file(path, choose("math", {}), Fields("output", "gold"))
    peak = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    return peak


def figures(folder: Path) -> list[Figure]:
    """Measure by turns, medians of three."""
    made = answers(ANSWERS)
    library(made[:100])
    ours: list[float] = []
    floor: list[float] = []
    for _ in range(ROUNDS):
        ours.append(rules(made))
        floor.append(library(made[:1_000]))
    (folder / "grades").mkdir()
    few, many = (peak_mb(folder / f"grades/{rows}.jsonl", rows) for rows in (FEW, MANY))
    return [
        Figure("answer grade by rules", median(ours), "µs", median(floor), "math-verify on the extracted answer", 200),
        Figure(f"memory of grading {MANY:,} outputs", many, "MB", few, f"the same for {FEW:,}", 1.2, goal_is_ratio=True),
    ]
