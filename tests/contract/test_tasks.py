"""Every task replays: in a second process with another hash seed it makes no call, and gives the same sample."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from gristmill import tasks
from gristmill.tasks.registry import TASKS
from tests.runs import command, finish, recipe, tables
from tests.tasks.kinds import kind_recipe, replies

PRELUDE = "import tests.contract.tasks"
SHIPPED = sorted(plugin.name for plugin in TASKS)
ANSWERS: dict[str, dict[str, list[str]]] = {
    "qa": {"ask": ["none", "Question: Which {n}?\nAnswer: A\nEvidence: which letter"]},
    "instruct": {"instruction": ["Instruction: write {n}"], "answer": ["A"]},
    "annotate": {"label": ["Label: A", "Label: none"]},
    "conversation": {"user": ["I want {n}", "and {n}?", "[DONE]"], "assistant": ["Here is {n}."]},
}
"""What the teacher says to kinds that want more than one letter."""
OPTIONS: dict[str, Any] = {"annotate": {"output": "reference", "labels": ["A", "B"]}}


def forget_samples(ledger: Path) -> None:
    """Leave what a crash leaves just before samples are written: every call on record, no sample."""
    with sqlite3.connect(ledger) as db:
        db.executescript("DELETE FROM samples; DELETE FROM grades; DELETE FROM decisions; DELETE FROM meta WHERE key='finished'")


def life(path: Path, output: Path, hash_seed: str, *flags: str) -> tuple[int, dict[str, Any], str]:
    """Run a recipe in a process of its own."""
    told = ("run", str(path), "-o", str(output), "--json", *flags)
    code, out, err = finish(command(*told, prelude=PRELUDE, PYTHONHASHSEED=hash_seed))
    return code, json.loads(out), err


@pytest.mark.parametrize("name", [*SHIPPED, "turns"])
def test_a_replay_makes_no_call(tmp_path: Path, name: str) -> None:
    """All effects are on record, whatever the process's hash seed."""
    assert tasks
    more: dict[str, Any] = {"grade": [{"length": {"min": 1}}]} if name in ANSWERS else {}
    task = {name: OPTIONS[name]} if name in OPTIONS else name
    path = recipe(tmp_path, prompts=6, task=task, script={"answers": ["A"], "replies": replies(ANSWERS.get(name, {}))}, **more)
    code, found, err = life(path, tmp_path / "run", "1")
    assert code == 0, err
    before = tables(tmp_path / "run")
    forget_samples(tmp_path / "run/ledger.sqlite")
    code, found, err = life(path, tmp_path / "run", "2")
    assert code == 0, err
    assert found["calls"]["made"] == 0
    assert found["calls"]["replayed"] > 0
    assert tables(tmp_path / "run") == before


@pytest.mark.source_tree
def test_a_replay_of_the_pages_own_kind_makes_no_call(tmp_path: Path) -> None:
    """The example of `docs/own-kinds.md` keeps to what the page asks for."""
    page = (Path(__file__).parents[2] / "docs/own-kinds.md").read_text(encoding="utf-8")
    (tmp_path / "riddles.py").write_text(page.split("```py\n")[1].split("```")[0])
    said = {"riddle": ["Riddle: I shine and shrink.", "I forgot the form", "Riddle: {n} of me are in the sky."]}
    own: dict[str, Any] = {"prompts": {"source": "riddles.py:things", "prompt": "thing"}, "grade": ["riddles.py:keeps_secret"]}
    path = kind_recipe(tmp_path, [], "riddles.py:riddle", said, **own)
    code, found, err = life(path, tmp_path / "run", "1", "--trust")
    assert code == 0, err
    before = tables(tmp_path / "run")
    forget_samples(tmp_path / "run/ledger.sqlite")
    code, found, err = life(path, tmp_path / "run", "2", "--trust")
    assert code == 0, err
    assert found["calls"]["made"] == 0
    assert found["calls"]["replayed"] > 0
    assert tables(tmp_path / "run") == before


def test_a_task_that_reads_a_sets_order_is_caught(tmp_path: Path) -> None:
    """It is diverged with the difference, and the run stops before it buys."""
    path = recipe(tmp_path, prompts=40, task="careless", script={"answers": ["A"], "log": "log"})
    code, _, err = life(path, tmp_path / "run", "1")
    assert code == 0, err
    asked = (tmp_path / "log").read_text()
    forget_samples(tmp_path / "run/ledger.sqlite")
    code, found, _ = life(path, tmp_path / "run", "2")
    assert code == 6
    assert "asked for something else than before" in str(found["error"])
    assert "amber" in str(found["error"])
    assert found["samples"]["diverged"] >= 5
    assert (tmp_path / "log").read_text() == asked
