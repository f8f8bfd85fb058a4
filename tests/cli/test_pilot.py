"""`gristmill pilot`, and the question before a run that may cost more than a person has said."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.commands import SCRIPT, inside
from tests.runs import recipe


def priced(folder: Path, usd_per_million: float, **changes: Any) -> Path:
    teacher = {
        "address": "scripted:",
        "script": {"answers": ["A", "B" * 60, "A", "B" * 30], "latency_s": [0.001, 0.002]},
        "price": {"input": usd_per_million, "output": 10 * usd_per_million},
    }
    return recipe(folder, prompts=300, teacher=teacher, target={"rows": 150}, **changes)


def test_a_pilot_says_what_the_run_will_be(tmp_path: Path) -> None:
    priced(tmp_path, 5.0)
    done = inside(tmp_path, "pilot", "recipe.yaml", "-o", "out", "-n", "40")
    assert done.code == 0, done.err
    for part in (
        "40 prompts, ",
        "in the whole run ",
        " a row",
        "for 150 rows (95 % intervals)",
        "bill ",
        "time ",
        "where the money goes: ",
    ):
        assert part in done.out
    assert done.out.splitlines()[-1] == "next: gristmill run recipe.yaml -o out"
    content = inside(tmp_path, "pilot", "recipe.yaml", "-o", "out", "-n", "40", "--json").object
    assert content["prompts"] == 40
    assert content["usd"]["low"] < content["usd"]["value"] < content["usd"]["high"]
    assert content == json.loads((tmp_path / "out/pilot.json").read_text())


def test_a_run_that_may_cost_much_is_not_begun_without_a_yes(tmp_path: Path) -> None:
    """Nobody is at the terminal: one message, the fix, and no call."""
    priced(tmp_path, 5000.0)
    refused = inside(tmp_path, "run", "recipe.yaml", "-o", "out", "--json")
    assert refused.code == 2
    assert "no pilot was made, so the bill is not known" in refused.object["error"]
    assert "`--yes`" in refused.object["fix"]
    assert not (tmp_path / "out").exists()

    assert inside(tmp_path, "pilot", "recipe.yaml", "-o", "out").code == 0
    refused = inside(tmp_path, "run", "recipe.yaml", "-o", "out", "--json")
    assert refused.code == 2
    assert "this run will cost about $" in refused.object["error"]
    assert inside(tmp_path, "run", "recipe.yaml", "-o", "out", "--ask-above", "1000000").code == 0


def test_what_was_agreed_to_is_not_asked_again(tmp_path: Path) -> None:
    priced(tmp_path, 5000.0)
    assert inside(tmp_path, "run", "recipe.yaml", "-o", "out", "--yes", "--limit", "5").code in (0, 7)
    assert inside(tmp_path, "run", "recipe.yaml", "-o", "out").code == 0


@pytest.mark.parametrize(("usd", "cap"), [(5.0, 8.0), (0.0001, None)])
def test_a_small_cap_or_a_cheap_run_is_not_asked_about(tmp_path: Path, usd: float, cap: float | None) -> None:
    """The cap itself is below the threshold; or the pilot says that it costs next to nothing."""
    changes: dict[str, Any] = (
        {"budget": {"usd": cap}, "sampling": {"want": 1, "temperature": 0.7, "max_tokens": 60}} if cap else {}
    )
    priced(tmp_path, usd, **changes)
    if not cap:
        assert inside(tmp_path, "pilot", "recipe.yaml", "-o", "out").code == 0
    assert inside(tmp_path, "run", "recipe.yaml", "-o", "out").code == 0


@pytest.mark.skipif(sys.platform == "win32", reason="a terminal here is a pseudo-terminal of Unix")
@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("\n", 2)])
def test_a_person_is_asked(tmp_path: Path, answer: str, code: int) -> None:
    import pty

    priced(tmp_path, 5000.0)
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [str(SCRIPT), "run", "recipe.yaml", "-o", "out"],
        cwd=tmp_path, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    os.close(theirs)
    os.write(ours, answer.encode())
    _, err = process.communicate()
    os.close(ours)
    assert process.returncode == code, err
    assert "go on? [y/N]" in err
    assert (tmp_path / "out/ledger.sqlite").exists() == (code == 0)
