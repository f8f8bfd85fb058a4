"""A whole run under a budget: never more than the cap, exit 4, and a higher cap goes on where it stopped."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from gristmill import api
from gristmill.errors import InputError
from tests.runs import command, finish, recipe, run, tables
from tests.servers import Answer, completion, serving

PRICE = {"input": 100.0, "output": 1000.0}
"""Dollars per million tokens: a call of the scripted teacher costs tenths of a cent."""
ANSWERS = ["A", "B" * 200, "A", "B" * 100]


def priced(folder: Path, usd: float | None, **changes: Any) -> Path:
    """Write a recipe whose teacher has a price, with 64 calls in flight."""
    teacher = changes.pop("teacher", None) or {
        "address": "scripted:",
        "script": {"answers": ANSWERS, "latency_s": [0.001, 0.01], **changes.pop("script", {})},
        "price": PRICE,
        "limits": {"in_flight": 64},
    }
    sampling = {"want": None, "n": 2, "temperature": 0.7, "max_tokens": 60}
    given = {"budget": {"usd": usd}} if usd else {}
    return recipe(folder, prompts=200, teacher=teacher, sampling=sampling, **given, **changes)


def bill(output: Path) -> float:
    """Return what the ledger's replies cost together, what was lost included."""
    with sqlite3.connect(output / "ledger.sqlite") as db:
        spent = db.execute("SELECT coalesce(sum(cost_usd), 0) FROM replies").fetchone()[0]
        return spent + db.execute("SELECT coalesce(sum(reserved_usd), 0) FROM attempts WHERE possibly_billed").fetchone()[0]


@pytest.mark.parametrize("faults", [{}, {"transient": 0.1, "malformed": 0.05}])
def test_a_cap_is_kept_and_a_higher_one_goes_on(tmp_path: Path, faults: dict[str, float]) -> None:
    cap = 3.0
    first = run(priced(tmp_path, cap, script=faults), tmp_path / "out")
    assert first["exit_code"] == 4
    assert first["status"] == "budget"
    assert "the budget is reached" in first["error"]
    assert 0.9 * cap < bill(tmp_path / "out") <= cap
    done = first["calls"]["made"]
    assert 0 < done < 400

    again = run(priced(tmp_path, cap, script=faults), tmp_path / "out")
    assert (again["exit_code"], again["calls"]["made"]) == (4, 0)

    (tmp_path / "free").mkdir()
    whole = run(priced(tmp_path / "free", None, script=faults), tmp_path / "free/out")
    rest = run(priced(tmp_path, 1000.0, script=faults), tmp_path / "out")
    assert rest["exit_code"] == whole["exit_code"] == 0, (rest["error"], whole["error"])
    assert rest["samples"] == whole["samples"]
    assert rest["cost_usd"] == pytest.approx(whole["cost_usd"])
    assert tables(tmp_path / "out")["samples"] == tables(tmp_path / "free/out")["samples"]


def test_tokens_are_capped_too(tmp_path: Path) -> None:
    found = run(priced(tmp_path, None, budget={"tokens": 9000}), tmp_path / "out")
    assert found["exit_code"] == 4
    assert "tokens are spent" in found["error"]
    assert 8000 < found["tokens"]["input"] + found["tokens"]["output"] <= 9000


def test_hours_are_capped_over_all_processes(tmp_path: Path) -> None:
    """A ten-thousandth of an hour is 0.36 seconds; 200 prompts of 0.05 s take longer at one call in flight."""
    slow: dict[str, Any] = {"script": {"latency_s": [0.05, 0.05]}, "budget": {"hours": 0.0001}}
    path = priced(tmp_path, None, **slow)
    path.write_text(path.read_text().replace("in_flight: 64", "in_flight: 1"))
    found = run(path, tmp_path / "out")
    assert found["exit_code"] == 4
    assert "hours are over" in found["error"]
    again = run(path, tmp_path / "out")
    assert (again["exit_code"], again["calls"]["made"]) == (4, 0)


def test_a_killed_call_stays_set_aside(tmp_path: Path) -> None:
    """Its worst case is still under the cap after the kill, so the cap holds even if the provider billed it."""
    path = priced(tmp_path, 3.0, script={"latency_s": [30.0, 30.0]})
    process = command("run", str(path), "-o", str(tmp_path / "out"))
    ledger = tmp_path / "out/ledger.sqlite"
    while True:
        assert process.poll() is None
        if ledger.exists():
            with sqlite3.connect(f"file:{ledger}?mode=ro", uri=True) as db:
                if db.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'attempts'").fetchone()[0]:
                    flying = db.execute("SELECT count(*), sum(reserved_usd) FROM attempts").fetchone()
                    if flying[0] >= 20:
                        break
    process.kill()
    process.communicate()
    lost = bill(tmp_path / "out")
    assert lost >= flying[1] > 0
    fast = priced(tmp_path, 3.0)
    code, _, err = finish(command("run", str(fast), "-o", str(tmp_path / "out"), "--yes"))
    assert code == 4, err
    assert "may have been billed for calls that never came back" in err
    assert bill(tmp_path / "out") <= 3.0 + 1e-9


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"teacher": {"address": "http://127.0.0.1:1/v1", "model": "m"}}, "needs the price of `m` (teacher)"),
        ({"sampling": {"want": 1}}, "needs `sampling.max_tokens`"),
        ({"budget": {}}, "a budget caps something"),
        ({"teacher": {"address": "scripted:", "price": {"input": 3}}}, "a price is"),
    ],
)
def test_a_budget_that_cannot_be_kept_is_refused_with_its_place(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    given: dict[str, Any] = {"budget": {"usd": 5.0}, "sampling": {"want": 1, "max_tokens": 100}, **changes}
    with pytest.raises(InputError) as caught:
        api.plan(api.load(recipe(tmp_path, **given)))
    assert said in str(caught.value)
    assert "recipe.yaml:" in str(caught.value)


def test_a_reply_dearer_than_its_limit_stops_the_run(tmp_path: Path) -> None:
    """A provider that does not keep to the output limit cannot be held to a cap."""
    path = priced(tmp_path, 50.0, script={"answers": ["A" * 4000]})
    found = run(path, tmp_path / "out")
    assert found["exit_code"] == 6
    assert "more than the" in found["error"]


def test_a_reply_longer_than_its_limit_stops_a_run_with_a_cap_on_tokens(tmp_path: Path) -> None:
    """As a provider does that counts hidden reasoning beside `max_tokens`."""
    with serving(lambda _: Answer(200, {**completion("A"), "usage": {"prompt_tokens": 9, "completion_tokens": 5000}})) as server:
        teacher = {"address": server.url, "model": "m", "limits": {"in_flight": 2}}
        found = run(priced(tmp_path, None, budget={"tokens": 50_000}, teacher=teacher), tmp_path / "out", shared=tmp_path)
    assert (found["exit_code"], found["calls"]["made"]) == (6, 2)
    assert "a reply took 5,009 tokens" in found["error"]


def test_machines_are_paid_by_the_hour(tmp_path: Path) -> None:
    """Calls share the time in which any of them is under way: the sum is that time, whatever the number in flight."""
    path = priced(tmp_path, None)
    path.write_text(
        path.read_text().replace("input: 100.0", "gpu_hour_usd: 3600.0\n    gpus: 2").replace("    output: 1000.0\n", "")
    )
    found = run(path, tmp_path / "out")
    assert found["exit_code"] == 0
    assert 0 < found["cost_usd"] <= 2 * found["elapsed_s"] + 0.01
