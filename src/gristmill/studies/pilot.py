"""The pilot: the first prompts of a plan, sampled and graded, and what they say of the whole run.

They are the first ones in plan order, which is the order of a hash, so they are a random draw; they stay in the ledger, so the
run that follows pays for none of them again. Estimates are ratios over prompts with the error of their residuals (`stats.ratio`).
Hours are a range and no interval: at best calls are side by side as far as the limits allow, at worst as they were in the pilot.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NamedTuple

from gristmill import api
from gristmill.errors import BudgetReached, InputError, Stopped
from gristmill.files.querying import querying
from gristmill.files.writing import write_json
from gristmill.messages import Frozen
from gristmill.selection.rules import graded_sql, passed_sql
from gristmill.selection.splits import split_of
from gristmill.stats.ratio import predict, ratio_of, t_95

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gristmill.engine.opening import Opening
    from gristmill.engine.planning import Plan
    from gristmill.files.querying import Ask
    from gristmill.store.rundir import RunFolder

PROMPTS = 50
INTERRUPTED = 130


class Range(Frozen):
    """A value with its two-sided 95 % interval; infinite ends and unknown values are None."""

    value: float | None
    low: float | None
    high: float | None


class Share(Frozen):
    """Where a part of the bill went."""

    fate: str
    usd: float | None
    share: float | None


class Pilot(Frozen):
    """What a pilot measured, and what it says of the whole run."""

    prompts: int
    samples: int
    passed: int
    graded: int
    rows: int
    """Rows of the training split, after selection."""
    acceptance: Range
    """Of the whole run: passed / graded samples."""
    output_tokens_per_row: Range
    usd_spent: float | None
    usd_per_row: Range
    target_rows: int | None
    prompts_needed: Range
    """For the target; without one, all planned prompts."""
    prompts_planned: int
    usd: Range
    """The bill of the whole run, this pilot included."""
    hours: Range
    """`low` at the limits on calls in flight, `high` at the pace of the pilot."""
    money: tuple[Share, ...]
    unkept_share: float | None
    """Share of the bill for reasoning that the provider did not show, so that it cannot be kept."""


class Drawn(NamedTuple):
    """What each prompt of the pilot brought; one entry a prompt."""

    passed: list[float]
    graded: list[float]
    rows: list[float]
    usd: list[float] | None
    tokens: list[float] | None
    call_s: list[float]


def make_pilot(plan: Plan, folder: RunFolder, opening: Opening, prompts: int = PROMPTS) -> Pilot:
    """Sample and grade the first prompts of a plan, keep them, and estimate the whole run.

    Raises:
        GristmillError: for the user's mistakes and outside reasons; also where nothing could be graded.
    """
    summary = api.run(plan, folder, opening._replace(limit=prompts, until="grade"))
    if summary.exit_code == INTERRUPTED:
        raise KeyboardInterrupt
    if summary.exit_code in (BudgetReached.exit_code, Stopped.exit_code):
        kind = BudgetReached if summary.exit_code == BudgetReached.exit_code else Stopped
        raise kind(summary.error, fix=summary.fix)
    with querying(folder.tables) as ask:
        pilot = _estimate(plan, ask)
    write_json(folder.pilot, pilot.model_dump(mode="json"))
    return pilot


def read_pilot(folder: RunFolder) -> Pilot | None:
    """Return the pilot that was made in a run's folder, or None."""
    return Pilot.model_validate_json(folder.pilot.read_bytes()) if folder.pilot.exists() else None


_PROMPTS = f"""
SELECT p.together, count(*) FILTER ({passed_sql("s.rule")}), count(*) FILTER ({graded_sql("s.rule")}),
  count(*) FILTER (s.kept OR s.rule = 'over_target'),
  c.usd, c.tokens, c.s
FROM prompts p JOIN samples s USING (prompt_id) JOIN (SELECT prompt_id,
  CASE WHEN count(*) FILTER (finish IS NOT NULL AND cost_usd IS NULL) = 0 THEN coalesce(sum(cost_usd), 0.0) END AS usd,
  CASE WHEN count(*) FILTER (finish IS NOT NULL AND output_tokens IS NULL) = 0 THEN coalesce(sum(output_tokens), 0) END AS tokens,
  coalesce(sum(ms), 0.0) / 1000 AS s FROM calls GROUP BY prompt_id) c USING (prompt_id)
GROUP BY p.prompt_id, p.together, p.position, c.usd, c.tokens, c.s ORDER BY p.position
"""  # noqa: S608 - our own words


def _estimate(plan: Plan, ask: Ask) -> Pilot:
    drawn = _drawn(plan, ask(_PROMPTS))
    n, rows = len(drawn.rows), math.fsum(drawn.rows)
    if not any(drawn.graded):
        raise InputError("no sample of the pilot could be graded, so it says nothing", fix="Look with `gristmill preview`.")
    planned = int(ask("SELECT count(*) FROM prompts")[0][0])
    target = plan.recipe.target.rows if plan.recipe.target else None
    needed = _needed(drawn, target, planned)
    whole = planned if needed.value is None else min(needed.value, planned)
    money = _money(ask)
    return Pilot(
        prompts=n,
        samples=int(ask("SELECT count(*) FROM samples")[0][0]),
        passed=int(math.fsum(drawn.passed)),
        graded=int(math.fsum(drawn.graded)),
        rows=int(rows),
        acceptance=acceptance_of(drawn, whole),
        output_tokens_per_row=_ratio(drawn.tokens, drawn.rows),
        usd_spent=None if drawn.usd is None else math.fsum(drawn.usd),
        usd_per_row=_ratio(drawn.usd, drawn.rows),
        target_rows=target,
        prompts_needed=needed,
        prompts_planned=planned,
        usd=bill_of(drawn, target, planned),
        hours=_hours(plan, drawn, ask, whole),
        money=money,
        unkept_share=_unkept(ask),
    )


def _drawn(plan: Plan, rows: Sequence[tuple[Any, ...]]) -> Drawn:
    recipe = plan.recipe
    trained = [
        kept if split_of(together, recipe.seed, validation=recipe.split.validation, test=recipe.split.test) == "train" else 0
        for together, _, _, kept, *_ in rows
    ]
    cap = recipe.select.per_prompt
    usd, tokens = [row[4] for row in rows], [row[5] for row in rows]
    return Drawn(
        passed=[float(row[1]) for row in rows],
        graded=[float(row[2]) for row in rows],
        rows=[float(min(kept, cap) if cap else kept) for kept in trained],
        usd=None if None in usd else usd,
        tokens=None if None in tokens else [float(count) for count in tokens],
        call_s=[row[6] for row in rows],
    )


def _range(value: float | None, low: float | None = None, high: float | None = None) -> Range:
    """Return a range in which what is infinite is not known."""
    known = [part if part is not None and math.isfinite(part) else None for part in (value, low, high)]
    return Range(value=known[0], low=known[1], high=known[2])


def _ratio(above: Sequence[float] | None, below: Sequence[float]) -> Range:
    found = None if above is None else ratio_of(above, below)
    return _range(None) if found is None else _range(found.value, *found.interval)


def acceptance_of(drawn: Drawn, prompts: float) -> Range:
    """Return passed / graded of a run of so many prompts; the pilot is part of it, so a run hardly longer hardly differs."""
    passes = ratio_of(drawn.passed, drawn.graded)
    if passes is None:
        return _range(None)
    if passes.prompts < 2:
        return _range(passes.value)
    rest = max(0.0, 1 / passes.prompts - 1 / max(prompts, passes.prompts))
    half = t_95(passes.prompts - 1) * passes.residual / passes.mean_below * math.sqrt(rest)
    return _range(passes.value, max(0.0, passes.value - half), min(1.0, passes.value + half))


def _needed(drawn: Drawn, target: int | None, planned: int) -> Range:
    """Return how many prompts the target takes."""
    if target is None:
        return _range(float(planned), float(planned), float(planned))
    ones = [1.0] * len(drawn.rows)
    found = ratio_of(ones, drawn.rows)
    if found is None:
        return _range(None)
    interval = predict(found, float(len(ones)), target - math.fsum(drawn.rows))
    return _range(max(len(ones), found.value * target), *interval)


def bill_of(drawn: Drawn, target: int | None, planned: int) -> Range:
    """Return the bill of the whole run; where the target takes more prompts than there are, that of all prompts."""
    if drawn.usd is None:
        return _range(None)
    n, spent = len(drawn.usd), math.fsum(drawn.usd)
    by_row = ratio_of(drawn.usd, drawn.rows) if target is not None else None
    left_rows = 0.0 if target is None else target - math.fsum(drawn.rows)
    by_prompt = ratio_of(drawn.usd, [1.0] * n)
    assert by_prompt is not None
    everything = predict(by_prompt, spent, float(planned - n))
    most = spent + by_prompt.value * (planned - n)
    if by_row is None or left_rows <= 0:
        return _range(most, *everything) if target is None or by_row is None else _range(spent, spent, spent)
    interval = predict(by_row, spent, left_rows)
    value = min(most, spent + by_row.value * left_rows)
    return _range(value, min(interval.low, everything.low), min(interval.high, everything.high))


def _hours(plan: Plan, drawn: Drawn, ask: Ask, prompts: float) -> Range:
    """Return how long the whole run takes, between as fast as the limits allow and as fast as the pilot was."""
    spans = ask('SELECT "at" - ms / 1000, "at" FROM calls WHERE "at" IS NOT NULL AND ms IS NOT NULL ORDER BY 1')
    busy, end = 0.0, -math.inf
    for began, ended in spans:
        busy += max(0.0, ended - max(began, end))
        end = max(end, ended)
    n = len(drawn.call_s)
    low = math.fsum(drawn.call_s) * prompts / n / (plan.window / 4) / 3600
    high = busy * prompts / n / 3600
    return _range(None, min(low, high), max(low, high))


def _money(ask: Ask) -> tuple[Share, ...]:
    rows = ask(
        "SELECT coalesce(s.rule, 'no_sample') AS fate, CASE WHEN count(*) FILTER (c.finish IS NOT NULL AND c.cost_usd IS NULL) "
        "= 0 THEN coalesce(sum(c.cost_usd), 0.0) END FROM calls c LEFT JOIN edges e ON e.parent = c.request_id "
        "AND e.role IN ('request', 'judge') LEFT JOIN samples s ON s.sample_id = e.child "
        "GROUP BY fate ORDER BY 2 DESC NULLS LAST, fate"
    )
    known = [usd for _, usd in rows if usd is not None]
    whole = math.fsum(known) if len(known) == len(rows) else 0.0
    return tuple(Share(fate=fate, usd=usd, share=usd / whole if whole else None) for fate, usd in rows)


def _unkept(ask: Ask) -> float | None:
    ((hidden, whole),) = ask(
        "SELECT sum(cost_reasoning_usd) FILTER (reasoning IN ('hidden', 'summary')), sum(cost_usd) FROM calls"
    )
    return (hidden or 0.0) / whole if whole else None
