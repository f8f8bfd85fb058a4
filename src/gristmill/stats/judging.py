"""How far a judge can be believed: its verdicts beside people's labels, and what follows for everything it judged alone.

A judge is an instrument with an error of its own, so a share of passes that it reports is no estimate of the share that people
would pass. A small random sample of human labels measures that error: *prediction-powered inference* (PPI++: Angelopoulos, Duchi
and Zrnic 2023, arXiv 2311.01453, §2 and §6 for the weight) uses the judge's verdicts on everything and the labels on some, and
its interval covers whatever the judge is worth. Sensitivity and specificity come from the same labels. The trade-off against
Rogan and Gladen (1978), which divides by sensitivity + specificity - 1, is that PPI++ never blows up for a useless judge: it
falls back to the labels alone.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from gristmill.stats.intervals import Interval, wilson
from gristmill.stats.ratio import t_95

if TYPE_CHECKING:
    from collections.abc import Sequence

LABELS_AT_LEAST = 50
"""Below this many labels a judge is `uncalibrated`: an interval of sensitivity would span a quarter of the scale."""
INFORMED_AT_LEAST = 0.3
"""Least sensitivity + specificity - 1; an estimate that divides by it has over ten times the labels' own variance below this."""
AGREEMENT_AT_LEAST = 0.7
"""Least agreement with people on pairs that a pairwise judge decides, at the lower end of its interval."""
FLIPS_AT_MOST = 0.2
"""Largest share of pairs on which a pairwise judge changes its mind with the order."""


class Estimate(NamedTuple):
    """A share with its two-sided 95 % interval."""

    value: float
    interval: Interval
    weight: float
    """How much of the judge's verdicts is used: 0 takes the labels alone, 1 believes every verdict."""


class Labelled(NamedTuple):
    """One item that a person labelled and a judge judged; None where the judge could not decide."""

    human: bool
    judge: bool | None


class Calibration(NamedTuple):
    """What labels say about a pass-or-fail judge."""

    labels: int
    decided: int
    sensitivity: float | None
    """Share of what people pass that the judge passes."""
    sensitivity_interval: Interval | None
    specificity: float | None
    """Share of what people fail that the judge fails."""
    specificity_interval: Interval | None
    kappa: float | None

    @property
    def informed(self) -> float | None:
        """Return sensitivity + specificity - 1 (Youden 1950): 0 is a coin."""
        if self.sensitivity is None or self.specificity is None:
            return None
        return self.sensitivity + self.specificity - 1


def ppi_share(labels: Sequence[float], judged: Sequence[float], unlabelled: Sequence[float]) -> Estimate:
    """Estimate the share that people would pass from all verdicts and a few labels.

    Args:
        labels: People's verdicts (0 or 1) on a uniform random sample that was drawn before anybody looked.
        judged: The judge's verdicts or scores (0 to 1) on the same sample, in the same order.
        unlabelled: The judge's on everything else.

    Raises:
        ValueError: for fewer than two labels, or sides of different length.
    """
    n, others = len(labels), len(unlabelled)
    if n < 2:
        raise ValueError("an interval needs at least two labels")
    residual_variance = _variance(labels)
    if not others:
        value = math.fsum(labels) / n
        half = t_95(n - 1) * math.sqrt(residual_variance / n)
        return Estimate(value, _within(value, half), 0.0)
    spread = _variance([*judged, *unlabelled])
    together = _covariance(labels, judged)
    weight = min(1.0, max(0.0, together / ((1 + n / others) * spread))) if spread else 0.0
    rest = [human - weight * said for human, said in zip(labels, judged, strict=True)]
    value = weight * math.fsum(unlabelled) / others + math.fsum(rest) / n
    error = math.sqrt(weight * weight * _variance(unlabelled) / others + _variance(rest) / n)
    return Estimate(value, _within(value, t_95(n - 1) * error), weight)


def _within(value: float, half: float) -> Interval:
    return Interval(max(0.0, value - half), min(1.0, value + half))


def _variance(values: Sequence[float]) -> float:
    return _covariance(values, values)


def _covariance(left: Sequence[float], right: Sequence[float]) -> float:
    n = len(left)
    if n < 2:
        return 0.0
    middle_left, middle_right = math.fsum(left) / n, math.fsum(right) / n
    products = ((a - middle_left) * (b - middle_right) for a, b in zip(left, right, strict=True))
    return math.fsum(products) / (n - 1)


def calibrate(items: Sequence[Labelled]) -> Calibration:
    """Return a judge's sensitivity, specificity and agreement on labelled items; undecided ones count against neither."""
    decided = [item for item in items if item.judge is not None]
    good = [item for item in decided if item.human]
    bad = [item for item in decided if not item.human]
    right_good = sum(item.judge is True for item in good)
    right_bad = sum(item.judge is False for item in bad)
    return Calibration(
        labels=len(items),
        decided=len(decided),
        sensitivity=right_good / len(good) if good else None,
        sensitivity_interval=wilson(right_good, len(good)),
        specificity=right_bad / len(bad) if bad else None,
        specificity_interval=wilson(right_bad, len(bad)),
        kappa=kappa([item.human for item in decided], [item.judge for item in decided]),
    )


def kappa(first: Sequence[object], second: Sequence[object]) -> float | None:
    """Return Cohen's kappa (1960) of two raters over any labels, or None where chance alone would always agree."""
    n = len(first)
    if not n:
        return None
    agreed = sum(a == b for a, b in zip(first, second, strict=True)) / n
    values = {*first, *second}
    chance = math.fsum(first.count(value) * second.count(value) for value in values) / n**2
    return None if chance == 1 else (agreed - chance) / (1 - chance)


def why_refused(calibration: Calibration) -> list[str]:
    """Return why a pass-or-fail judge may not decide what is trained on; an empty list lets it."""
    if calibration.labels < LABELS_AT_LEAST:
        return [f"uncalibrated: {calibration.labels} human labels, {LABELS_AT_LEAST} are needed"]
    informed = calibration.informed
    if informed is None:
        return ["the labels are all of one kind, so nothing is known of the other"]
    if informed < INFORMED_AT_LEAST:
        return [f"sensitivity + specificity - 1 is {informed:.2f}, less than {INFORMED_AT_LEAST}: hardly better than a coin"]
    return []


Preference = int
"""1 or 2 for the better of two outputs, 0 for a tie."""


class Pair(NamedTuple):
    """A pair that a person judged once and a judge in both orders; its verdicts name the output, not the place."""

    human: Preference
    forward: Preference | None
    backward: Preference | None


class PairCalibration(NamedTuple):
    """What labels say about a pairwise judge."""

    labels: int
    decided: int
    """Pairs on which both orders name the same output."""
    agreement: float | None
    """Share of the decided ones on which it agrees with people."""
    agreement_interval: Interval | None
    flip_rate: float | None
    """Share of pairs on which the order changes its mind."""
    first_share: float | None
    """Of the flipped ones, the share that goes to whichever stands first: 0.5 is no liking for a place."""
    kappa: float | None
    """With people's verdicts, disagreement between the orders read as a tie."""


def verdict_of(forward: Preference | None, backward: Preference | None) -> Preference | None:
    """Return what both orders say together: a disagreement is a tie."""
    if forward is None or backward is None:
        return None
    return forward if forward == backward else 0


def calibrate_pairs(pairs: Sequence[Pair]) -> PairCalibration:
    """Return how a pairwise judge does against people; pairs that it did not judge in both orders are left out."""
    judged = [pair for pair in pairs if pair.forward is not None and pair.backward is not None]
    decided = [pair for pair in judged if pair.forward == pair.backward and pair.forward]
    flipped = [pair for pair in judged if pair.forward != pair.backward]
    agreed = sum(pair.forward == pair.human for pair in decided)
    placed = [pair for pair in flipped if pair.forward and pair.backward]
    return PairCalibration(
        labels=len(pairs),
        decided=len(decided),
        agreement=agreed / len(decided) if decided else None,
        agreement_interval=wilson(agreed, len(decided)),
        flip_rate=len(flipped) / len(judged) if judged else None,
        first_share=sum(pair.forward == 1 for pair in placed) / len(placed) if placed else None,
        kappa=kappa([pair.human for pair in judged], [verdict_of(pair.forward, pair.backward) for pair in judged]),
    )


def why_pairs_refused(calibration: PairCalibration) -> list[str]:
    """Return why a pairwise judge may not decide; an empty list lets it."""
    if calibration.labels < LABELS_AT_LEAST:
        return [f"uncalibrated: {calibration.labels} human labels, {LABELS_AT_LEAST} are needed"]
    reasons: list[str] = []
    if calibration.flip_rate is not None and calibration.flip_rate > FLIPS_AT_MOST:
        reasons.append(f"position: {calibration.flip_rate:.0%} of verdicts change with the order{_liking(calibration)}")
    low = calibration.agreement_interval
    if low is None or low.low < AGREEMENT_AT_LEAST:
        agreed = "none" if calibration.agreement is None else f"{calibration.agreement:.0%}"
        reasons.append(
            f"agreement: {agreed} of {calibration.decided} decided pairs as people judge; the interval's lower end is "
            f"{low.low if low else 0:.0%}, at least {AGREEMENT_AT_LEAST:.0%} is needed"
        )
    return reasons


def _liking(calibration: PairCalibration) -> str:
    """Say which place a judge prefers where the order decides."""
    first = calibration.first_share
    if first is None:
        return ""
    place, share = ("first", first) if first >= 0.5 else ("second", 1 - first)
    return f"; {share:.0%} of those go to the {place}"
