"""The walk of a new user: init, check, preview, run, status, and again with `--json`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.cli.commands import gristmill, inside

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("walk")
    assert gristmill(place, "init").code == 0
    return place


def test_init_writes_a_recipe_that_runs_and_overwrites_nothing(folder: Path) -> None:
    assert {path.name for path in folder.glob("first.*")} == {"first.yaml", "first.problems.jsonl", "first.completions.jsonl"}
    again = inside(folder, "init", "--json")
    assert again.code == 2
    assert again.object["error"] == "first.yaml is there already"
    other = inside(folder, "init", "second", "--json")
    assert other.code == 0
    assert other.object["recipe"] == "second.yaml"


def test_check_shows_every_value_and_writes_nothing(folder: Path) -> None:
    before = sorted(folder.iterdir())
    done = gristmill(folder, "check", "first.yaml")
    assert done.code == 0
    assert "teacher.address: recorded:first.completions.jsonl" in done.out
    assert "sampling.give_up_after: 8" in done.out
    assert "default" in done.out
    assert "this machine alone, no key" in done.out
    content = inside(folder, "check", "first.yaml", "--json").object
    assert content["recipe"]["name"] == "first"
    assert content["teachers"][0]["kind"] == "recorded"
    assert content["exports"] == ["messages", "rl"]
    assert sorted(folder.iterdir()) == before


def test_schema_is_a_json_schema_that_knows_the_plugins(folder: Path) -> None:
    schema = gristmill(folder, "schema", "--json").object
    assert schema == inside(folder, "schema").object
    assert "math" in json.dumps(schema["$defs"]["grade_choice"])
    assert set(schema["required"]) >= {"name", "prompts", "grade"}


def test_preview_run_and_status_share_one_ledger(folder: Path) -> None:
    preview = gristmill(folder, "preview", "first.yaml", "-n", "3", "-o", "out", "--json")
    assert preview.code == 0
    shown = preview.object
    assert (len(shown["samples"]), shown["calls"], shown["error"]) == (3, 3, None)
    assert {"messages", "output", "reference", "grades", "accepted"} <= set(shown["samples"][0])

    run = gristmill(folder, "run", "first.yaml", "-o", "out", "--json")
    assert run.code == 0
    content = run.object
    wanted = {
        "run", "status", "prompts", "samples", "accepted", "kept", "exported", "calls", "tokens", "cost_usd",
        "usd_per_accepted", "usd_per_exported", "funnel", "exports", "report",
    }  # fmt: skip
    assert wanted <= set(content)
    assert content["status"] == "complete"
    assert content["calls"]["replayed"] >= 3
    for stage in content["funnel"]:
        assert stage["in"] == stage["kept"] + sum(stage["dropped"].values())
    for path in [*content["exports"].values(), content["report"]]:
        assert (folder / path).is_file()

    again = inside(folder, "run", "first.yaml", "-o", "out", "--json").object
    assert again["calls"]["made"] == 0
    same = ("accepted", "kept", "exported", "funnel", "export_rows", "samples")
    assert [again[key] for key in same] == [content[key] for key in same]

    status = gristmill(folder, "status", "out", "--json")
    assert status.code == 0
    assert status.object["status"] == "complete"
    assert inside(folder, "status", "out").out.startswith("complete: rows ")

    text = inside(folder, "run", "first.yaml", "-o", "out")
    assert text.code == 0
    assert "next: " in text.out.splitlines()[-1]
    assert "acceptance" in text.out


def test_help_and_version(tmp_path: Path) -> None:
    helped = gristmill(tmp_path, "--help")
    assert helped.code == 0
    for command in ("init", "check", "preview", "run", "status", "report", "demo", "serve", "describe", "doctor", "schema"):
        assert f"\n  {command} " in helped.out
    assert inside(tmp_path, "--version").out.startswith("gristmill ")
