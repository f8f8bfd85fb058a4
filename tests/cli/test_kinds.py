"""`gristmill init --kind`: a recipe of every kind checks, runs, keeps some rows and refuses others, and shows what its kind is
about."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gristmill.cli.init import kinds
from gristmill.tasks.registry import TASKS
from tests.cli.commands import inside

SHOWN = {
    "qa": ("documents", "not_in_source", "documents 2 of 2 used"),
    "rewrite": ("counted", "missing_numbers", "kept by style"),
    "instruct": ("counted", "like_seed", "kept by way"),
    "annotate": ("counted", "", "kept by label"),
    "conversation": ("turns", "role_leak", "turns of the user"),
}


def test_every_kind_has_a_first_recipe() -> None:
    assert kinds() == sorted(plugin.name for plugin in TASKS)


@pytest.mark.parametrize("kind", sorted(SHOWN))
def test_a_kind_runs_out_of_the_box(tmp_path: Path, kind: str) -> None:
    figure, reason, line = SHOWN[kind]
    assert inside(tmp_path, "init", "mine", "--kind", kind).code == 0
    checked = inside(tmp_path, "check", "mine.yaml", "--json")
    assert checked.code == 0
    done = inside(tmp_path, "run", "mine.yaml", "--json")
    assert done.code == 0, done.err
    assert done.object["exported"] > 0
    assert figure in done.object["kind"]
    dropped = {reason for stage in done.object["funnel"] for reason in stage["dropped"]}
    assert not reason or reason in dropped
    assert line in inside(tmp_path, "run", "mine.yaml").out
    report = json.loads((tmp_path / "runs/mine/report.json").read_text())
    assert report["kind"]["counted"]
    page = (tmp_path / "runs/mine/report.html").read_text()
    assert "What was asked for, and what came of it" in page


def test_examples_show_both_sides_where_models_wrote_both(tmp_path: Path) -> None:
    assert inside(tmp_path, "init", "talk", "--kind", "conversation").code == 0
    assert inside(tmp_path, "run", "talk.yaml").code == 0
    shown = json.loads((tmp_path / "runs/talk/report.json").read_text())["shown"]
    assert any(sample["text"].count("user: ") >= 2 for one in shown for sample in one["samples"])


def test_a_preview_of_a_kind_shows_whole_samples(tmp_path: Path) -> None:
    """A conversation is many calls, so calls are not what bounds a preview of it."""
    assert inside(tmp_path, "init", "talk", "--kind", "conversation").code == 0
    shown = inside(tmp_path, "preview", "talk.yaml", "-n", "3", "--json").object
    assert len(shown["samples"]) == 3
    assert shown["calls"] > 3


@pytest.mark.parametrize(
    ("changed", "said"),
    [("export: [rl]", "has none to write"), ("prompt: {system: Be kind.}", "asks with templates of its own")],
)
def test_what_a_kind_has_no_use_for_is_told(tmp_path: Path, changed: str, said: str) -> None:
    assert inside(tmp_path, "init", "mine", "--kind", "qa").code == 0
    path = tmp_path / "mine.yaml"
    path.write_text(path.read_text().replace("export: [messages, parquet]", changed))
    assert said in inside(tmp_path, "check", "mine.yaml", "--json").object["error"]


def test_a_kind_is_described_with_its_templates(tmp_path: Path) -> None:
    done = inside(tmp_path, "describe", "qa", "--json")
    assert done.code == 0
    assert "qa/ask@1" in done.out


def test_a_kind_that_is_not_there_names_the_nearest(tmp_path: Path) -> None:
    done = inside(tmp_path, "init", "mine", "--kind", "convrsation", "--json")
    assert done.code == 2
    assert "Did you mean `conversation`?" in done.object["fix"]
