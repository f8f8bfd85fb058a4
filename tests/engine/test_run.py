"""Whole runs with the scripted teacher: order, targets, stops, changes."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from gristmill.cli.summary import summary_text
from gristmill.engine.summary import Summary
from gristmill.errors import InputError, SourceError
from gristmill.store.reader import Reader
from gristmill.store.rundir import RunFolder
from tests.runs import command, exported, finish, keep, query, recipe, run, tables

FAULTS: dict[str, Any] = {"transient": 0.01, "permanent": 0.05, "truncated": 0.05, "malformed": 0.01}


def two_speeds(tmp_path: Path, **changes: Any) -> tuple[Path, Path]:
    """Run one recipe with one call in flight and no latency, and with 64 and latencies that turn the order round."""
    folders: list[Path] = []
    for name, in_flight, latency in (("slow", 1, [0, 0]), ("fast", 64, [0.0, 0.03])):
        folder = tmp_path / name
        folder.mkdir()
        teacher = {"address": "scripted:", "limits": {"in_flight": in_flight}}
        script = {"answers": ["A", "B"], "latency_s": latency, **FAULTS}
        path = recipe(folder, prompts=150, teacher={**teacher, "script": script}, **changes)
        assert run(path, folder / "run")["exit_code"] == 0
        folders.append(folder / "run")
    return folders[0], folders[1]


def test_order_does_not_matter(tmp_path: Path) -> None:
    """1 and 64 in flight give equal tables and equal files."""
    slow, fast = two_speeds(tmp_path)
    assert tables(slow) == tables(fast)
    assert exported(slow) == exported(fast)


def test_the_target_is_exact_and_the_same_rows(tmp_path: Path) -> None:
    """N rows, the same ones; what ran beyond them stays as over_target."""
    slow, fast = two_speeds(tmp_path, target={"rows": 50}, sampling={"want": 2, "max_attempts": 6, "temperature": 1})
    assert exported(slow) == exported(fast)
    assert len(exported(fast)["messages/train.jsonl"].splitlines()) == 50
    kept = [[row for row in tables(output)["decisions"] if row[1]] for output in (slow, fast)]
    assert kept[0] == kept[1]


def test_the_target_counts_the_training_split(tmp_path: Path) -> None:
    """Validation rows come on top, and no prompt is on two sides."""
    path = recipe(tmp_path, prompts=200, target={"rows": 40}, split={"validation": 0.3})
    found = run(path, tmp_path / "run")
    assert found["export_rows"]["messages"]["train"] == 40
    files = exported(tmp_path / "run")
    sides = {name: {json.loads(line)["prompt_id"] for line in text.splitlines()} for name, text in files.items()}
    assert sides["messages/validation.jsonl"]
    assert not sides["messages/train.jsonl"] & sides["messages/validation.jsonl"]


def test_a_target_out_of_reach(tmp_path: Path) -> None:
    """Exit 7: everything was tried; what was kept is exported."""
    found = run(recipe(tmp_path, prompts=20, target={"rows": 100}), tmp_path / "run")
    assert (found["status"], found["exit_code"]) == ("exhausted", 7)
    assert found["exported"] > 0


def test_near_the_target_little_is_paid_for_in_vain(tmp_path: Path) -> None:
    """With every answer right, no prompt is begun that is not needed."""
    path = recipe(tmp_path, prompts=200, script={"answers": ["A"], "latency_s": [0.001, 0.01]}, target={"rows": 60})
    found = run(path, tmp_path / "run")
    assert found["calls"]["made"] == 60
    assert found["funnel"][1]["dropped"] == {"not_asked": 140}


def test_nothing_accepted(tmp_path: Path) -> None:
    """Exit 5 with the top reasons and three raw samples."""
    path = recipe(tmp_path, prompts=10, script={"answers": ["no idea {n}"]})
    code, out, err = finish(command("run", str(path), "-o", str(tmp_path / "run"), "--json"))
    assert code == 5
    assert json.loads(out)["accepted"] == 0
    assert "different" in err
    assert err.count("no idea") == 3


def test_a_fatal_answer_stops_at_once_with_the_providers_words(tmp_path: Path) -> None:
    """Exit 6; what was answered before stays, and a later run goes on."""
    path = recipe(tmp_path, prompts=100, script={"answers": ["A"], "fatal_after": 30, "log": "log"})
    found = run(path, tmp_path / "run")
    assert (found["status"], found["exit_code"]) == ("stopped", 6)
    assert "401 Unauthorized: the key is not valid" in found["error"]
    assert found["exported"] == 30
    path = recipe(tmp_path, prompts=100, script={"answers": ["A"], "log": "log"})
    again = run(path, tmp_path / "run")
    assert (again["status"], again["calls"]["made"], again["exported"]) == ("complete", 70, 100)


def test_a_dead_server_stops_the_run(tmp_path: Path) -> None:
    """Exit 6 with the reason, after a short patience, for an address where nothing listens."""
    path = recipe(tmp_path, prompts=40, teacher={"address": "http://127.0.0.1:9/v1", "model": "m"})
    found = run(path, tmp_path / "run")
    assert found["exit_code"] == 6
    assert "cannot connect" in found["error"]


def test_too_many_that_cannot_be_graded(tmp_path: Path) -> None:
    """The run stops before it buys more, and says why."""
    path = recipe(tmp_path, prompts=300, grade=[{"math": {"kind": "int"}}])
    found = run(path, tmp_path / "run")
    assert found["exit_code"] == 6
    assert "`reference_not_a_number`" in found["error"]
    assert found["calls"]["made"] < 200


@pytest.mark.parametrize(("without", "status"), [(10, "complete"), (11, "stopped")])
def test_a_fifth_of_the_last_fifty_is_not_too_many_and_one_more_is(without: int, status: str, tmp_path: Path) -> None:
    """Looked at after every sample, so also after one that was graded."""
    path = recipe(tmp_path, prompts=50, sampling={"want": None, "n": 1})
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text(prompts.read_text().replace('"reference": "A"', '"reference": null', without))
    found = run(path, tmp_path / "run")
    assert (found["status"], found["acceptance"]["graded"]) == (status, 50 - without)


def test_a_worker_that_hangs_is_a_grade_with_a_reason(tmp_path: Path) -> None:
    """A regular expression that never ends is killed; the sample could not be graded."""
    path = recipe(
        tmp_path,
        prompts=3,
        script={"answers": ["a" * 40 + "!"]},
        grade=[{"regex": {"pattern": "(a+)+$"}}],
        sampling={"want": None, "n": 1},
    )
    found = run(path, tmp_path / "run")
    assert found["funnel"][3]["dropped"] == {"timeout": 3}
    assert found["acceptance"]["graded"] == 0


def test_correcting_a_reference_grades_again_and_buys_nothing(tmp_path: Path) -> None:
    """References are not part of what was asked."""
    path = recipe(tmp_path, prompts=30, sampling={"want": None, "n": 3, "temperature": 1})
    first = run(path, tmp_path / "run")
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text(prompts.read_text().replace('"reference": "A"', '"reference": "B"'))
    second = run(path, tmp_path / "run")
    assert second["calls"]["made"] == 0
    assert first["accepted"] + second["accepted"] == 90


def test_other_graders_buy_nothing(tmp_path: Path) -> None:
    """A changed grader grades what is there."""
    run(recipe(tmp_path, prompts=30, sampling={"want": None, "n": 2, "temperature": 1}), tmp_path / "run")
    changed = recipe(tmp_path, prompts=30, sampling={"want": None, "n": 2, "temperature": 1}, grade=[{"length": {"max": 5}}])
    found = run(changed, tmp_path / "run")
    assert (found["calls"]["made"], found["accepted"]) == (0, 60)


def test_a_change_that_costs_is_asked_about(tmp_path: Path) -> None:
    """It names the keys; `yes` goes on; the earlier replies stay in the ledger."""
    run(recipe(tmp_path, prompts=10), tmp_path / "run")
    changed = recipe(tmp_path, prompts=10, sampling={"want": 1, "temperature": 0.2})
    with pytest.raises(InputError, match="with the changed sampling"):
        run(changed, tmp_path / "run")
    said: list[str] = []
    found = run(changed, tmp_path / "run", yes=True, say=keep(said))
    assert found["calls"]["made"] > 0
    assert said == ["the recipe has changed: sampling; what is redone: generate, grade, select, export"]
    assert len(list((tmp_path / "run/recipes").glob("*.yaml"))) == 2


def test_reuse_of_another_run(tmp_path: Path) -> None:
    """Equal calls are taken from there; only the others are made."""
    path = recipe(tmp_path, prompts=20, script={"log": "log"})
    run(path, tmp_path / "first")
    wider = recipe(tmp_path, prompts=25, script={"log": "log"})
    found = run(wider, tmp_path / "second", reuse=Reader.at(tmp_path / "first/ledger.sqlite"))
    assert found["calls"]["reused"] > 0
    asked = (tmp_path / "log").read_text().split()
    assert len(asked) == len(set(asked))


def test_a_part_of_a_finished_run_does_not_stand_for_the_whole(tmp_path: Path) -> None:
    path = recipe(tmp_path, prompts=30)
    whole = run(path, tmp_path / "run")
    assert whole["exported"]
    assert run(path, tmp_path / "run", until="index")["exported"] == 0
    again = run(path, tmp_path / "run")
    assert (again["exported"], again["calls"]["made"]) == (whole["exported"], 0)


def test_equal_prompts(tmp_path: Path) -> None:
    """Equal references merge, different ones are rejected, each counted."""
    path = recipe(tmp_path, prompts=4)
    with (tmp_path / "prompts.jsonl").open("a") as stream:
        for prompt, reference in (("twin", "A"), ("twin", "A"), ("quarrel", "A"), ("quarrel", "B"), ("quarrel", "A")):
            stream.write(json.dumps({"prompt": prompt, "reference": reference}) + "\n")
        stream.write("not json\n")
    source = run(path, tmp_path / "run")["funnel"][0]
    assert source == {
        "stage": "source",
        "in": 10,
        "kept": 5,
        "dropped": {"bad_json": 1, "duplicate_prompt": 1, "conflicting_reference": 3},
    }
    named = query(f"SELECT reason, detail FROM '{tmp_path}/run/tables/rejects.parquet' ORDER BY reason")
    assert [reason for reason, _ in named] == ["bad_json", "conflicting_reference"]
    assert named[1][1] == "3 rows ask this and do not agree on the reference: quarrel"


def test_an_empty_file(tmp_path: Path) -> None:
    """No prompt is a mistake in the input."""
    path = recipe(tmp_path, prompts=1)
    (tmp_path / "prompts.jsonl").write_text("")
    with pytest.raises(SourceError, match="no prompt"):
        run(path, tmp_path / "run")


def test_until_and_limit(tmp_path: Path) -> None:
    """A part of a run is a run: the rest pays for none of it again."""
    path = recipe(tmp_path, prompts=30, script={"log": "log"})
    assert run(path, tmp_path / "run", until="index")["calls"]["made"] == 0
    part = run(path, tmp_path / "run", limit=10, until="grade")
    assert part["prompts"] == 10
    assert not (tmp_path / "run/export").exists()
    assert run(path, tmp_path / "run")["prompts"] == 30
    asked = (tmp_path / "log").read_text().split()
    assert len(asked) == len(set(asked))


def test_one_ctrl_c_exports_what_is_there(tmp_path: Path) -> None:
    """Exit 130, a partial export that says so, and the next run goes on."""
    path = recipe(tmp_path, prompts=200, script={"latency_s": [0.02, 0.05], "log": "log"})
    process = command("run", str(path), "-o", str(tmp_path / "run"), "--json")
    while not (tmp_path / "log").exists() or len((tmp_path / "log").read_text().split()) < 120:
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    code, out, err = finish(process)
    assert code == 130, err
    found = json.loads(out)
    assert (found["status"], found["calls"]["in_flight_at_crash"]) == ("interrupted", 0)
    assert 0 < found["exported"] == len(exported(tmp_path / "run")["messages/train.jsonl"].splitlines())
    assert "**partial**" in (tmp_path / "run/export/README.md").read_text()
    again = run(path, tmp_path / "run")
    assert again["status"] == "complete"
    asked = (tmp_path / "log").read_text().split()
    assert len(asked) == len(set(asked)), "what was in flight at the Ctrl-C was awaited and recorded"


def test_two_ctrl_c_end_now(tmp_path: Path) -> None:
    """The second one does not wait for what is in flight."""
    path = recipe(tmp_path, prompts=5, script={"latency_s": [300, 300], "log": "log"})
    process = command("run", str(path), "-o", str(tmp_path / "run"))
    while not (tmp_path / "log").exists() or not (tmp_path / "log").stat().st_size:
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    assert "waiting for what is in flight" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    code, _, _ = finish(process)
    assert code == 130


def test_the_status_says_what_the_summary_says(tmp_path: Path) -> None:
    """Money and rows are those of the whole run, however many processes made it, and also where the last one only looked."""
    script = {"cost_usd": 0.01, "permanent": 0.2}
    path = recipe(tmp_path, prompts=60, script=script, target={"rows": 10})
    output = tmp_path / "run"
    found = run(path, output)
    path.write_text(path.read_text().replace("rows: 10", "rows: 25"))
    for _ in range(3):
        found = run(path, output)
        status = json.loads((output / "status.json").read_text())
        assert (status["status"], status["rows"], status["target"], found["exported"]) == ("complete", 25, 25, 25)
        assert status["settled"] >= 25
        assert status["cost_usd"] == pytest.approx(found["cost_usd"])
    assert found["calls"]["made"] == 0


def test_a_limit_below_the_plan_is_what_ended_the_run(tmp_path: Path) -> None:
    path = recipe(tmp_path, prompts=40, target={"rows": 20})
    found = run(path, tmp_path / "run", limit=5)
    assert found["error"].endswith("and the first 5 prompts were tried")
    text = summary_text(Summary({**found, "report": "r.html"}, 7, found["error"], ""), "recipe.yaml")
    assert "export/README.md" in text
    graded = run(path, tmp_path / "run", limit=5, until="grade")
    text = summary_text(Summary(graded, 7, graded["error"], ""), "recipe.yaml")
    assert ("README.md" in text, "gristmill report" in text) == (False, True), "what is not there is not named"


def test_papers_that_the_disk_lost_are_written_again(tmp_path: Path) -> None:
    path, folder = recipe(tmp_path, prompts=5), RunFolder(tmp_path / "run")
    first = run(path, folder.path)
    for paper in (folder.summary, folder.status):
        paper.write_bytes(b"\0\0\0")
    with pytest.raises(InputError, match=r"status.json cannot be read"):
        folder.read_status()
    assert run(path, folder.path)["exported"] == first["exported"]
    assert (folder.read_status()["status"], json.loads(folder.summary.read_bytes())["exported"]) == (
        "complete",
        first["exported"],
    )


def test_calls_that_may_have_been_billed_for_nothing_are_said(tmp_path: Path) -> None:
    """Beside a cost that does not hold them."""
    path = recipe(tmp_path, prompts=30, script={"malformed": 0.3, "cost_usd": 0.01})
    found = run(path, tmp_path / "run")
    lost = found["calls"]["possibly_billed"]
    assert lost == Reader.at(tmp_path / "run/ledger.sqlite").scalar("SELECT count(*) FROM attempts WHERE code='malformed'") > 0
    text = summary_text(Summary(found, 0, "", ""), "recipe.yaml")
    assert f"; {lost} calls brought nothing and may have been billed" in text
