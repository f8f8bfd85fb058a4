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


def test_every_format_loads_with_its_rows(tmp_path: Path) -> None:
    small_run(tmp_path)
    offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hf"), "HF_HUB_DISABLE_TELEMETRY": "1"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path / "run" / "export"), str(tmp_path / "cache")],
        env={**os.environ, **offline},
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert set(found["configs"]) == {"messages", "prompt_completion", "rl", "parquet"}
    for name, splits in found["configs"].items():
        assert splits == exported(tmp_path, name, "parquet" if name == "parquet" else "jsonl")
    assert "messages" in found["default"]
