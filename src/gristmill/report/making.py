"""From a run's folder to its report, and the report to its two files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from gristmill import api
from gristmill.errors import InputError
from gristmill.files.querying import querying
from gristmill.files.writing import write_json, write_text
from gristmill.pricing.price import table_version
from gristmill.report import numbers
from gristmill.report.examples import choose_examples
from gristmill.report.model import Counted, Coverage, Estimate, Kind, Report, Settings, Share, Turns
from gristmill.report.page import draw_page
from gristmill.store.rundir import current_status
from gristmill.studies.pilot import read_pilot
from gristmill.visible import walls

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gristmill.recipe.model import Recipe
    from gristmill.report.model import Spend
    from gristmill.store.rundir import RunFolder
    from gristmill.studies.pilot import Pilot


def write_report(folder: RunFolder) -> Report:
    """Write `report.json` and `report.html` into a run's folder and return what they say.

    Raises:
        InputError: where there is no finished pass to report on.
        SourceError: where a table cannot be read.
        LedgerError: where the texts of the examples cannot be read.
    """
    report = make_report(folder)
    write_json(folder.report.with_suffix(".json"), report.model_dump(mode="json"))
    write_text(folder.report, draw_page(report))
    return report


def make_report(folder: RunFolder) -> Report:
    """Return the report of a run's folder without writing anything.

    Raises:
        InputError: where there is no finished pass to report on.
        SourceError: where a table cannot be read.
        LedgerError: where the texts of the examples cannot be read.
    """
    if not (folder.summary.exists() and folder.manifest.exists() and (folder.tables / "funnel.parquet").exists()):
        state = current_status(folder)["status"]
        raise InputError(
            f"{folder.path} has no tables to report on yet (it is {state})",
            fix="Tables are written when a run ends or is interrupted: run it, or look at `gristmill status`.",
        )
    summary: dict[str, Any] = orjson.loads(folder.summary.read_bytes())
    manifest: dict[str, Any] = orjson.loads(folder.manifest.read_bytes())
    recipe = api.load(folder.recipe).recipe
    with querying(folder.tables) as ask:
        numbers.prepare(ask)
        spent = numbers.spend(ask)
        return Report(
            gristmill=manifest["gristmill"],
            name=recipe.name,
            recipe_id=manifest["recipe"],
            status=summary["status"],
            error=summary["error"],
            settings=_settings(recipe, manifest),
            headline=numbers.headline(ask, summary["exported"], recipe.target.rows if recipe.target else None, spent),
            funnel=numbers.funnel(ask),
            models=numbers.models(ask),
            difficulty=numbers.difficulty(ask),
            by_index=numbers.by_index(ask),
            kind=_kind(summary, near=recipe.select.dedup.near is not None),
            lengths=numbers.lengths(ask),
            composition=numbers.composition(ask, summary.get("trained_on") or {}),
            spend=spent,
            prices=table_version(),
            estimate=_estimate(read_pilot(folder), spent),
            shown=choose_examples(ask, folder.ledger),
        )


def _kind(summary: dict[str, Any], *, near: bool) -> Kind | None:
    """Return what a kind wants to know of itself; None where it is nothing."""
    found: dict[str, Any] = summary.get("kind") or {}
    select = next(stage for stage in summary["funnel"] if stage["stage"] == "select")
    if not found and not near:
        return None
    turns: dict[str, Any] = found.get("turns") or {"counts": [], "mean": None}
    return Kind(
        counted=tuple(
            Counted(
                key=one["key"],
                groups=tuple(numbers.share(row["value"], row["accepted"], row["made"]) for row in one["values"]),
                kept=tuple(row["kept"] for row in one["values"]),
            )
            for one in found.get("counted", [])
        ),
        documents=Coverage.model_validate(found["documents"]) if "documents" in found else None,
        turns=tuple(Turns.model_validate(row) for row in turns["counts"]),
        mean_turns=turns["mean"],
        distinct=numbers.share("distinct", select["in"] - select["dropped"].get("near_duplicate", 0), select["in"])
        if near
        else None,
        repaired=found.get("repaired", 0),
    )


def _estimate(pilot: Pilot | None, spent: Sequence[Spend]) -> Estimate | None:
    """Return what the pilot said beside the bill."""
    if pilot is None:
        return None
    accepted = pilot.acceptance
    costs = [part.cost_usd for part in spent]
    return Estimate(
        prompts=pilot.prompts,
        acceptance=Share(
            label="pilot",
            passed=pilot.passed,
            n=pilot.graded,
            share=accepted.value,
            low=accepted.low,
            high=accepted.high,
        ),
        usd=pilot.usd.value,
        usd_low=pilot.usd.low,
        usd_high=pilot.usd.high,
        bill_usd=None if None in costs else sum(cost for cost in costs if cost is not None),
    )


def _settings(recipe: Recipe, manifest: dict[str, Any]) -> Settings:
    asked = recipe.sampling
    rule = f"{asked.n} per prompt" if asked.want is None else f"until {asked.want} accepted, at most {asked.max_attempts}"
    if asked.want is not None and asked.give_up_after < asked.max_attempts:
        rule += f", give up after {asked.give_up_after} straight failures"
    sent = {name: value for name, value in manifest["context"]["sampling"].items() if value not in (None, [])}
    chosen = recipe.select
    selection = ["no exact duplicates"] if chosen.dedup.exact else []
    selection += [f"at most {chosen.per_prompt} per prompt"] if chosen.per_prompt else []
    selection += [f"no near duplicates (from {chosen.dedup.near} on, in one {chosen.dedup.within})"] if chosen.dedup.near else []
    return Settings(
        task=manifest["context"]["task"],
        template=manifest["template"],
        answer_format=recipe.prompt.answer_format,
        graders=tuple(manifest["graders"]),
        sandbox=walls(manifest["sandbox"]) if manifest.get("sandbox") else None,
        sampling="; ".join([rule, *(f"{name} {value}" for name, value in sent.items())]),
        selection=", ".join(selection) or "everything accepted",
        seed=recipe.seed,
        exports=tuple(choice.name for choice in recipe.export),
        teachers=tuple(f"{role}: {label}" for role, label in manifest["teachers"].items()),
    )
