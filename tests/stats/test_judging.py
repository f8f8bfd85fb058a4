"""What labels say about a judge: estimates that cover, gates that refuse."""

from __future__ import annotations

import collections
import math
import random

import pytest
from tests.shared_data import recorded

from gristmill.stats.judging import (
    Labelled,
    Pair,
    calibrate,
    calibrate_pairs,
    kappa,
    ppi_share,
    verdict_of,
    why_pairs_refused,
    why_refused,
)

REPEATS = 2_000
LABELS, ITEMS = 200, 2_000


@pytest.mark.parametrize(("share", "sensitivity", "specificity"), [(0.6, 0.95, 0.7), (0.6, 0.8, 0.6), (0.9, 0.97, 0.5)])
def test_the_interval_covers_the_truth(share: float, sensitivity: float, specificity: float) -> None:
    """Coverage of 95 % intervals over 2,000 draws has a standard error of 0.49 points: 93 to 97 % is four of them."""
    rng = random.Random(17)
    covered, halves, alone = 0, 0.0, 0.0
    for _ in range(REPEATS):
        # counts are enough: judge and person are 0 or 1, so a draw is a two-by-two table and the rest are binomials
        truth = [float(rng.random() < share) for _ in range(LABELS)]
        judged = [float(rng.random() < (sensitivity if human else 1 - specificity)) for human in truth]
        passing = share * sensitivity + (1 - share) * (1 - specificity)
        ones = round(rng.gauss(ITEMS * passing, math.sqrt(ITEMS * passing * (1 - passing))))
        found = ppi_share(truth, judged, [1.0] * ones + [0.0] * (ITEMS - ones))
        covered += found.interval.low <= share <= found.interval.high
        halves += found.interval.high - found.interval.low
        labels_alone = ppi_share(truth, judged, [])
        alone += labels_alone.interval.high - labels_alone.interval.low
    assert 0.93 <= covered / REPEATS <= 0.97
    assert halves < alone, "the judge's verdicts make the interval narrower, never wider"


def test_a_judge_that_knows_nothing_is_not_used() -> None:
    rng = random.Random(3)
    truth = [float(rng.random() < 0.5) for _ in range(400)]
    coins = [float(rng.random() < 0.5) for _ in range(400)]
    found = ppi_share(truth, coins, [float(rng.random() < 0.5) for _ in range(5_000)])
    assert found.weight < 0.15, "four standard errors of a correlation over 400 labels are 0.2"
    assert ppi_share(truth, [1.0] * 400, [1.0] * 5_000).weight == 0
    with pytest.raises(ValueError, match="two labels"):
        ppi_share([1.0], [1.0], [])


def test_a_perfect_judge_is_believed() -> None:
    truth = [1.0, 0.0] * 100
    found = ppi_share(truth, truth, [1.0] * 900 + [0.0] * 100)
    assert found.weight == pytest.approx(1 / (1 + 200 / 1000) * 0.25 / 0.2, abs=0.2)
    assert found.interval.low <= 0.9 <= found.interval.high


def test_kappa_of_a_known_table() -> None:
    """20 both yes, 5 and 10 split, 15 both no: 0.7 agreed, 0.5 by chance, so 0.4."""
    first = [True] * 20 + [True] * 5 + [False] * 10 + [False] * 15
    second = [True] * 20 + [False] * 5 + [True] * 10 + [False] * 15
    assert kappa(first, second) == pytest.approx(0.4)
    assert kappa([True] * 5, [True] * 5) is None
    assert kappa([], []) is None


def test_few_labels_or_coins_are_refused() -> None:
    good = [Labelled(human=bool(number % 2), judge=bool(number % 2)) for number in range(49)]
    assert why_refused(calibrate(good)) == ["uncalibrated: 49 human labels, 50 are needed"]
    assert why_refused(calibrate([*good, Labelled(human=True, judge=None)])) == []
    coins = [Labelled(human=bool(number % 2), judge=bool(number // 2 % 2)) for number in range(100)]
    assert "hardly better than a coin" in why_refused(calibrate(coins))[0]
    assert "all of one kind" in why_refused(calibrate([Labelled(human=True, judge=True)] * 60))[0]


def test_orders_that_disagree_are_a_tie() -> None:
    assert [verdict_of(1, 1), verdict_of(1, 2), verdict_of(None, 1), verdict_of(0, 0)] == [1, 0, None, 0]
    always_first = calibrate_pairs([Pair(1 + number % 2, 1, 2) for number in range(60)])
    assert (always_first.flip_rate, always_first.first_share, always_first.decided) == (1.0, 1.0, 0)
    reasons = why_pairs_refused(always_first)
    assert reasons[0] == "position: 100% of verdicts change with the order; 100% of those go to the first"
    assert reasons[1].startswith("agreement: none of 0 decided pairs")


@pytest.mark.shared_data
def test_recorded_judges_of_llmbar() -> None:
    """GPT-4 may judge; ChatGPT may not on adversarial pairs; a judge that prefers a place is told that it does."""
    pairs: dict[tuple[str, bool], list[Pair]] = collections.defaultdict(list)
    for row in recorded("judge-calibration/llmbar_419.jsonl"):
        for judge, orders in row["judges"].items():
            pair = Pair(row["human_label"], orders["order_12"], orders["order_21"])
            pairs[judge, row["subset"] != "Natural"].append(pair)
    refused = {judge: why_pairs_refused(calibrate_pairs(found)) for (judge, adversarial), found in pairs.items() if adversarial}
    assert {judge for judge, reasons in refused.items() if not reasons} == {
        "GPT-4/Vanilla",
        "GPT-4/CoT",
        "GPT-4/Metrics_Reference",
    }
    for judge in ("ChatGPT/Vanilla", "ChatGPT/CoT", "ChatGPT/Metrics_Reference"):
        assert any(reason.startswith("agreement") for reason in refused[judge])
    for judge in ("Falcon/Vanilla", "Falcon/CoT", "Falcon/Metrics_Reference"):
        assert any(reason.startswith("position") for reason in refused[judge])


@pytest.mark.shared_data
def test_recorded_judges_of_pandalm() -> None:
    """With people who agree among themselves, kappa says how much more than chance a judge knows."""
    rows = recorded("judge-calibration/pandalm_999.jsonl")
    for judge in ("gpt-3.5-turbo", "pandalm-7b"):
        judged = [row for row in rows if row["judges"][judge]["verdict"] is not None]
        found = kappa([row["human_majority"] for row in judged], [row["judges"][judge]["verdict"] for row in judged])
        assert found is not None
        assert 0.4 < found < 0.6, "moderate agreement (Landis and Koch 1977 call 0.41 to 0.60 so)"
