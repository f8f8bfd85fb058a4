"""What a whole run exports: the same rows in every format, split by prompt, with a card that is right."""

from __future__ import annotations

import shutil
from itertools import combinations
from typing import TYPE_CHECKING, Any

import pytest
from tests.exporting.running import RECIPE, exported, small_run

from gristmill import api
from gristmill.recipe.document import parse_document

if TYPE_CHECKING:
    from pathlib import Path

    from gristmill.engine.summary import Summary


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("small")
    return folder, small_run(folder).content


def test_the_run_did_what_was_asked(run: tuple[Path, dict[str, Any]]) -> None:
    _, content = run
    assert content["status"] == "complete"
    assert content["accepted"] == content["kept"] == content["exported"]
    assert content["exported"] == 18 * 2 + 6


@pytest.mark.parametrize(("name", "suffix"), [("messages", "jsonl"), ("prompt_completion", "jsonl"), ("parquet", "parquet")])
def test_every_format_of_records_has_the_same_rows(run: tuple[Path, dict[str, Any]], name: str, suffix: str) -> None:
    folder, content = run
    rows = exported(folder, name, suffix)
    reference = exported(folder, "messages")
    assert {split: [row["id"] for row in of] for split, of in rows.items()} == {
        split: [row["id"] for row in of] for split, of in reference.items()
    }
    assert {split: len(of) for split, of in rows.items()} == content["export_rows"][name]
    assert sum(map(len, rows.values())) == content["exported"]


@pytest.mark.parametrize(
    ("name", "suffix"), [("messages", "jsonl"), ("prompt_completion", "jsonl"), ("rl", "jsonl"), ("parquet", "parquet")]
)
def test_no_prompt_is_on_two_sides(run: tuple[Path, dict[str, Any]], name: str, suffix: str) -> None:
    folder, _ = run
    sides = {split: {row["prompt_id"] for row in rows} for split, rows in exported(folder, name, suffix).items()}
    assert set(sides) == {"train", "validation", "test"}
    for one, other in combinations(sides.values(), 2):
        assert one
        assert not one & other


def test_the_formats_agree_on_the_side_of_a_prompt(run: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = run
    side = {row["prompt_id"]: split for split, rows in exported(folder, "rl").items() for row in rows}
    for split, rows in exported(folder, "messages").items():
        assert {side[row["prompt_id"]] for row in rows} == {split}


def test_only_right_answers_are_exported_and_the_pass_rates_are_of_all(run: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = run
    rows = [row for of in exported(folder, "rl").values() for row in of]
    assert len(rows) == 24
    assert sorted(row["pass_rate"] for row in rows) == [0.25] * 6 + [2 / 3] * 18
    reference = {row["prompt_id"]: row["reference"] for row in rows}
    for row in (row for of in exported(folder, "messages").values() for row in of):
        assert row["messages"][-1]["content"].endswith(f"#### {reference[row['prompt_id']]}")
        assert (row["origin"], row["depth"], row["license"]) == ("model", 1, ["Apache-2.0", "MIT"])
        assert row["generator"].startswith("recorded/c.jsonl")


def test_the_card_names_just_the_files_that_are_there(run: tuple[Path, dict[str, Any]]) -> None:
    folder, content = run
    export = folder / "run" / "export"
    front = (export / "README.md").read_text(encoding="utf-8").split("---\n")[1]
    configs = parse_document(front, "README.md").content["configs"]
    named = {part["path"] for config in configs for part in config["data_files"]}
    assert named == {str(path.relative_to(export)) for path in export.rglob("*.jsonl")}
    assert {config["config_name"] for config in configs} == set(content["exports"]) - {"parquet"}


def once_more(folder: Path, output: Path) -> Summary:
    return api.run(api.plan(api.load(folder / "r.yaml")), api.run_folder("small", output))


def test_an_export_that_was_lost_or_changed_is_written_again(tmp_path: Path) -> None:
    """What is theirs stays; a run that finds its files whole writes nothing."""
    first = small_run(tmp_path)
    output = tmp_path / "run"
    (output / "export/messages/mine.txt").write_text("mine")
    whole = {path: path.read_bytes() for path in output.rglob("*") if path.suffix in (".jsonl", ".md", ".parquet", ".txt")}
    again = once_more(tmp_path, output)
    assert (again.unchanged, again.content["export_rows"]) == (True, first.content["export_rows"])
    (output / "export/messages/validation.jsonl").unlink()
    (output / "export/README.md").unlink()
    train = output / "export/messages/train.jsonl"
    train.write_text("".join(train.read_text().splitlines(keepends=True)[:2]))
    for path in (output / "tables").iterdir():
        path.unlink()
    mended = once_more(tmp_path, output)
    assert (mended.unchanged, mended.content["calls"]["made"]) == (False, 0)
    assert {path: path.read_bytes() for path in whole} == whole


def test_a_copy_of_a_run_has_its_own_files(tmp_path: Path) -> None:
    small_run(tmp_path)
    shutil.copytree(tmp_path / "run", tmp_path / "copy")
    shutil.rmtree(tmp_path / "run")
    copy = once_more(tmp_path, tmp_path / "copy")
    assert (copy.unchanged, copy.content["run"], copy.content["tables"]) == (
        True, str(tmp_path / "copy"), str(tmp_path / "copy/tables"),
    )  # fmt: skip
    assert set(copy.content["exports"].values()) == {
        str(tmp_path / "copy/export" / name / f"train.{'parquet' if name == 'parquet' else 'jsonl'}")
        for name in ("messages", "prompt_completion", "rl", "parquet")
    }


def test_without_licenses_the_card_and_the_rows_say_unknown(tmp_path: Path) -> None:
    recipe = RECIPE.replace(", license: MIT", "").replace(", license: Apache-2.0", "")
    small_run(tmp_path, recipe, prompts=8)
    text = (tmp_path / "run" / "export" / "README.md").read_text(encoding="utf-8")
    assert "license" not in parse_document(text.split("---\n")[1], "README.md").content
    assert "**unknown**" in text
    assert {tuple(row["license"]) for rows in exported(tmp_path, "messages").values() for row in rows} == {("unknown",)}
