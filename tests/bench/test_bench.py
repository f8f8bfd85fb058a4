"""The benches run, measure what they say, and tell what is missed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.source_tree


def test_a_figure_says_whether_its_goal_is_met() -> None:
    """A goal is in the figure's unit or in floors; without one nothing is said."""
    from bench.measure import Figure

    assert Figure("a", 4, "s", goal=5).met is True
    assert Figure("a", 6, "s", goal=5).met is False
    assert Figure("a", 6, "s").met is None
    assert Figure("a", 125, "MB", 100, "few", 1.3, goal_is_ratio=True).met is True
    assert Figure("a", 135, "MB", 100, "few", 1.3, goal_is_ratio=True).met is False


def test_the_table_and_the_json_hold_the_same() -> None:
    """A missed goal is in both."""
    from bench.__main__ import as_json, as_table
    from bench.measure import Figure

    found = [Figure("a thing", 6, "s", 2, "another", 5), Figure("b thing", 1234, "B")]
    first, second = as_table(found).splitlines()[1:]
    assert first.split() == ["a", "thing", "6", "s", "2", "s", "3.00", "<=", "5", "s", "MISSED", "another"]
    assert second.split() == ["b", "thing", "1,234", "B"]
    plain = json.loads(as_json(found))["figures"]
    assert [(one["name"], one["met"]) for one in plain] == [("a thing", False), ("b thing", None)]


def test_a_run_apart_is_counted_by_stage(tmp_path: Path) -> None:
    """All stages have a cost; going on makes no call."""
    from bench.measure import run_apart, write_recipe

    recipe = write_recipe(tmp_path, 12)
    half = run_apart(recipe, tmp_path / "run", until="grade", limit=6)
    rest = run_apart(recipe, tmp_path / "run")
    again = run_apart(recipe, tmp_path / "run")
    assert (half.made, rest.made, again.made) == (6, 6, 0)
    assert {"index", "generate", "writer", "decide", "tables"} == set(rest.stages)
    assert "decide" not in again.stages
    assert all(value > 0 for value in rest.stages.values())
    assert rest.cpu_s >= rest.stages["generate"] >= rest.stages["writer"]
    assert rest.peak_mb > 20


def test_the_benches_per_sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every figure is positive and named once."""
    from bench import per_sample

    monkeypatch.setattr(per_sample, "SAMPLES", 200)
    monkeypatch.setattr(per_sample, "ROUNDS", 1)
    found = per_sample.figures(tmp_path)
    assert all(figure.value > 0 for figure in found)
    assert len({figure.name for figure in found}) == len(found)


def test_the_benches_of_scale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small scales give the same figures."""
    from bench import scale

    for name, value in {"FEW": 5, "MANY": 20, "FINISHED": 10, "ROUNDS": 1}.items():
        monkeypatch.setattr(scale, name, value)
    memory, resume, *_ = scale.figures(tmp_path)
    assert memory.goal_is_ratio
    assert memory.goal == 1.3
    assert resume.goal == 5
    assert resume.value > 0


def test_an_unknown_bench_is_named() -> None:
    """What is not there is not silently left out."""
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-m", "bench", "speed"], capture_output=True, text=True, cwd=root, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("there is no bench speed: name some of startup, demo, ")


def test_the_bench_of_a_limited_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One process and two, each with the share that was left unused and the share that was refused."""
    from bench import limited

    monkeypatch.setattr(limited, "SETTLED_S", 0.5)
    monkeypatch.setattr(limited, "SECONDS", 1.0)
    found = limited.figures(tmp_path)
    assert [figure.name for figure in found] == [
        "limit left unused, one process",
        "requests refused, one process",
        "limit left unused, two processes",
        "requests refused, two processes",
    ]
    assert all(-200 <= figure.value <= 100 for figure in found)
