"""The pilot: what it says covers what becomes of it, and its prompts are paid for once."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import pytest

from gristmill import api
from gristmill.engine.opening import Opening
from gristmill.errors import InputError
from gristmill.report import make_report
from gristmill.stats.ratio import predict, ratio_of, t_95
from gristmill.studies.pilot import Drawn, acceptance_of, bill_of, make_pilot
from tests.runs import query, recipe, run

SEEDS = 200
PROMPTS = 50
COVERED = 0.9


def bank(folder: Path) -> list[tuple[float, float, float, float]]:
    """Return what each prompt of a run brought: passed, graded, rows, dollars at a price by tokens."""
    rows = query(
        "SELECT count(*) FILTER (s.rule NOT IN ('failed', 'ungraded')), count(*) FILTER (s.rule <> 'ungraded'), "
        "count(*) FILTER (s.kept OR s.rule = 'over_target'), sum(coalesce(s.output_tokens, s.answer_characters / 4)) "
        f"FROM '{folder}/tables/samples.parquet' s JOIN '{folder}/tables/prompts.parquet' p USING (prompt_id) "
        "WHERE s.rule <> 'not_wanted' GROUP BY p.prompt_id, p.position ORDER BY p.position"
    )
    return [(float(a), float(b), float(c), float(d) * 1e-5) for a, b, c, d in rows]


def drawn(prompts: list[tuple[float, float, float, float]]) -> Drawn:
    passed, graded, rows, usd = (list(column) for column in zip(*prompts, strict=True))
    return Drawn(passed, graded, rows, usd, None, [1.0] * len(rows))


def covered(prompts: list[tuple[float, float, float, float]], target: int | None, seed: int) -> tuple[bool, bool]:
    """Lay the prompts out by a seed, as a run with another seed would; say whether the intervals hold bill and acceptance."""
    order = random.Random(seed).sample(prompts, len(prompts))
    pilot, taken, rows = drawn(order[:PROMPTS]), len(order), 0.0
    if target is not None:
        for taken, prompt in enumerate(order, start=1):  # noqa: B007 - where it stopped
            rows += prompt[2]
            if rows >= target:
                break
    final = drawn(order[: max(taken, PROMPTS)])
    assert final.usd is not None
    usd = bill_of(pilot, target, len(order))
    share = acceptance_of(pilot, float(len(final.rows)))
    assert usd.low is not None
    assert usd.high is not None
    assert share.low is not None
    assert share.high is not None
    bill, accepted = math.fsum(final.usd), math.fsum(final.passed) / math.fsum(final.graded)
    return usd.low <= bill <= usd.high, share.low <= accepted <= share.high


def check_coverage(prompts: list[tuple[float, float, float, float]], target: int | None) -> None:
    found = [covered(prompts, target, seed) for seed in range(SEEDS)]
    for name, hits in zip(("bill", "acceptance"), zip(*found, strict=True), strict=True):
        assert sum(hits) / SEEDS >= COVERED, f"{name}: {sum(hits)} of {SEEDS}"


def test_it_covers_what_becomes_of_the_builtin_teacher(demo: Path) -> None:
    """Real outcomes of the demo's 601 prompts, with its adaptive sampling, in 200 plan orders; the target takes about 400."""
    prompts = bank(demo / "runs/demo")
    assert len(prompts) >= 500
    check_coverage(prompts, 333)
    check_coverage(prompts, None)


@pytest.mark.parametrize("sampling", ["{want: null, n: 4}", "{want: 1, max_attempts: 4, give_up_after: 4}"])
def test_it_covers_what_becomes_of_recorded_teachers(tmp_path: Path, sampling: str) -> None:
    """The recorded solutions of the shipped problems, plain and adaptive."""
    root = Path(__file__).parents[2] / "recipes"
    text = (root / "gsm8k_recorded.yaml").read_text().replace("data/", f"{root}/data/")
    lines = [f"sampling: {sampling}" if line.startswith("sampling:") else line for line in text.splitlines()]
    path = tmp_path / "r.yaml"
    path.write_text("\n".join(lines))
    run(path, tmp_path / "out")
    prompts = bank(tmp_path / "out")
    assert len(prompts) == 100
    check_coverage(prompts, None)
    check_coverage(prompts, int(0.8 * sum(prompt[2] for prompt in prompts)))


def priced(folder: Path, **changes: Any) -> Path:
    teacher = {
        "address": "scripted:",
        "script": {"answers": ["A", "B" * 60, "A", "B" * 30], "latency_s": [0.001, 0.002]},
        "price": {"input": 5.0, "output": 50.0},
    }
    return recipe(folder, prompts=400, teacher=teacher, target={"rows": 150}, **changes)


def test_its_prompts_are_paid_for_once_and_the_report_compares(tmp_path: Path) -> None:
    folder = api.run_folder("test", tmp_path / "out")
    path = priced(tmp_path)
    pilot = make_pilot(api.plan(api.load(path)), folder, Opening(), 40)
    assert pilot.prompts == 40
    assert pilot.usd.low is not None
    assert pilot.usd.high is not None
    assert pilot.hours.low is not None
    assert pilot.unkept_share == 0
    assert math.isclose(sum(part.share or 0 for part in pilot.money), 1)
    calls = len(query(f"SELECT 1 FROM '{tmp_path}/out/tables/calls.parquet'"))
    whole = run(path, tmp_path / "out")
    assert whole["exit_code"] == 0
    assert whole["exported"] == 150
    assert whole["calls"]["made"] == len(query(f"SELECT 1 FROM '{tmp_path}/out/tables/calls.parquet'")) - calls
    (tmp_path / "alone").mkdir()
    alone = run(priced(tmp_path / "alone"), tmp_path / "alone/out")
    assert whole["cost_usd"] == pytest.approx(alone["cost_usd"], rel=0.1)
    report = make_report(folder)
    assert report.estimate is not None
    assert report.estimate.usd == pilot.usd.value
    assert report.estimate.bill_usd == pytest.approx(whole["cost_usd"])
    total = sum(part.cost_usd or 0 for part in report.spend)
    parts = sum(sum(part.parts.model_dump().values()) for part in report.spend)
    assert total == pytest.approx(parts) == pytest.approx(whole["cost_usd"])


def test_a_pilot_without_a_gradable_sample_says_so(tmp_path: Path) -> None:
    folder = api.run_folder("test", tmp_path / "out")
    path = recipe(tmp_path, prompts=10, script={"permanent": 1.0}, sampling={"want": None, "n": 1})
    with pytest.raises(InputError, match="no sample of the pilot could be graded"):
        make_pilot(api.plan(api.load(path)), folder, Opening())


def test_ratios_against_worked_examples() -> None:
    """By hand: sums 12 and 6, residuals 0, -2, 2 around 2, so their deviation is 2."""
    found = ratio_of([2.0, 2.0, 8.0], [1.0, 2.0, 3.0])
    assert found is not None
    assert found.value == 2
    assert found.residual == pytest.approx(2.0)
    half = t_95(2) * 2.0 / (2.0 * math.sqrt(3))
    assert tuple(found.interval) == pytest.approx((max(0.0, 2 - half), 2 + half))
    assert ratio_of([1.0], [0.0]) is None
    assert predict(found, 12.0, 0.0) == (12.0, 12.0)
    whole = predict(found, 12.0, 200.0)
    prompts = 200 / 2
    half = t_95(2) * 2.0 * math.sqrt(prompts**2 / 3 + prompts)
    assert tuple(whole) == pytest.approx((12.0, 412 + half))


@pytest.mark.parametrize(("degrees", "point"), [(4, 2.7764), (10, 2.2281), (49, 2.0096), (199, 1.9720)])
def test_t_against_the_table(degrees: int, point: float) -> None:
    """Two-sided 95 % points of Student's t from Fisher and Yates' table."""
    assert t_95(degrees) == pytest.approx(point, rel=1e-3)


def test_plain_summary_is_json(tmp_path: Path) -> None:
    folder = api.run_folder("test", tmp_path / "out")
    pilot = make_pilot(api.plan(api.load(priced(tmp_path))), folder, Opening(), 10)
    assert json.loads(folder.pilot.read_text()) == pilot.model_dump(mode="json")
