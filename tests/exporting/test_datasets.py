"""Exports load with `datasets`, offline, by the configurations that the card names."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.exporting.running import exported, small_run
from tests.runs import recipe, run

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.trainers,
    pytest.mark.skipif(importlib.util.find_spec("datasets") is None, reason="datasets is not installed"),
]
SCRIPT = """
import json, sys, datasets
folder, cache = sys.argv[1:]
found = {}
for name in datasets.get_dataset_config_names(folder):
    loaded = datasets.load_dataset(folder, name, cache_dir=cache)
    found[name] = {split: rows.to_list() for split, rows in loaded.items()}
files = {split: f"{folder}/parquet/{split}.parquet" for split in ("train", "validation", "test")}
loaded = datasets.load_dataset("parquet", data_files=files, cache_dir=cache)
found["parquet"] = {split: rows.to_list() for split, rows in loaded.items()}
default = datasets.load_dataset(folder, cache_dir=cache)
print(json.dumps({"configs": found, "default": sorted(default["train"].column_names)}))
"""


AGAIN = """
import json, sys, datasets
cache, *folders = sys.argv[1:]
print(json.dumps([datasets.load_dataset(folder, cache_dir=cache)["train"].to_list() for folder in folders]))
"""


def loading(tmp_path: Path, script: str, *arguments: str) -> str:
    offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hf"), "HF_HUB_DISABLE_TELEMETRY": "1"}
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env={**os.environ, **offline},
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_two_exports_of_one_name_are_two_datasets(tmp_path: Path) -> None:
    """All are called `export`, and `datasets` keeps what it loaded by that name and the card's metadata."""
    wanted = ["A", "B"]
    for letter in wanted:
        (tmp_path / letter).mkdir()
        path = recipe(tmp_path / letter, prompts=4, script={"answers": [letter]}, grade=[{"regex": {"pattern": letter}}])
        run(path, tmp_path / letter / "run")
    folders = [str(tmp_path / letter / "run/export") for letter in wanted]
    loaded = json.loads(loading(tmp_path, AGAIN, str(tmp_path / "cache"), *folders))
    assert [{row["messages"][-1]["content"] for row in rows} for rows in loaded] == [{letter} for letter in wanted]


def test_every_format_loads_with_its_rows(tmp_path: Path) -> None:
    small_run(tmp_path)
    found = json.loads(loading(tmp_path, SCRIPT, str(tmp_path / "run" / "export"), str(tmp_path / "cache")))
    assert set(found["configs"]) == {"messages", "prompt_completion", "rl", "parquet"}
    for name, splits in found["configs"].items():
        assert splits == exported(tmp_path, name, "parquet" if name == "parquet" else "jsonl")
    assert "messages" in found["default"]
