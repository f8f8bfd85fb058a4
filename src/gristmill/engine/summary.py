"""The last word of a run: status, counts, money, and where the files are; the same numbers for people, `--json` and the card."""

from __future__ import annotations

from importlib.metadata import version
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from gristmill.errors import BudgetReached, NothingAccepted
from gristmill.exporting.card import CardFacts, write_card
from gristmill.exporting.standing import CARD, checksums
from gristmill.files.writing import write_json, write_text
from gristmill.plain import as_object
from gristmill.selection.rules import graded_sql, passed_sql
from gristmill.stats.intervals import wilson
from gristmill.store.effects import GRADING_PREFIX, possibly_billed
from gristmill.store.outcomes import load_sample
from gristmill.store.prompts import first_rejects
from gristmill.store.tables import TABLES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gristmill.engine.finishing import Finish
    from gristmill.engine.generate import Generation
    from gristmill.engine.opening import Until
    from gristmill.engine.planning import Plan
    from gristmill.engine.progress import Progress, Snapshot
    from gristmill.engine.session import Door
    from gristmill.store.reader import Reader
    from gristmill.store.rundir import RunFolder

EXIT_CODES = {"complete": 0, "budget": 4, "exhausted": 7, "stopped": 6, "interrupted": 130}
RAW_SAMPLES = 3
_PASSED, _GRADED = passed_sql("d.rule"), graded_sql("d.rule")


class Acceptance(NamedTuple):
    """How many of the gradable samples passed."""

    passed: int
    graded: int

    def plain(self) -> dict[str, Any]:
        """Return counts, share and its 95 % interval."""
        interval = wilson(self.passed, self.graded)
        return {
            "passed": self.passed,
            "graded": self.graded,
            "acceptance": self.passed / self.graded if self.graded else None,
            "interval_95": list(interval) if interval else None,
        }

    def words(self) -> str:
        """Return the share with its interval, for people."""
        interval = wilson(self.passed, self.graded)
        if interval is None:
            return "nothing was graded"
        share = self.passed / self.graded
        return f"{self.passed:,} of {self.graded:,} = {share:.1%} (95 % {interval.low:.1%} to {interval.high:.1%})"


class Summary(NamedTuple):
    """What `run --json` prints, and how the command ends."""

    content: dict[str, Any]
    exit_code: int
    error: str
    """Why the run did not do what was asked; empty if it did."""
    fix: str
    unchanged: bool = False
    """Whether nothing was left to do, so the files of the last finish stand."""


def summarise(
    plan: Plan,
    folder: RunFolder,
    work: Generation,
    finished: Finish,
    crashed: int,
    elapsed_s: float,
    until: Until | None = None,
) -> Summary:
    """Put together what happened."""
    door = work.door
    ledger = door.ledger
    status, code, error, fix = _status(plan, work, finished, until)
    tokens, cost = _spent(ledger)
    dispatchers = set(door.dispatchers.values())
    content: dict[str, Any] = {
        **_places(plan, folder, finished.rows),
        "status": status,
        "prompts": finished.stages[1].kept,
        "samples": finished.statuses,
        "accepted": finished.accepted,
        "kept": finished.kept,
        "exported": finished.exported,
        "calls": {
            "made": sum(dispatcher.calls for dispatcher in dispatchers),
            "replayed": work.replayed + work.standing,
            "reused": work.reused,
            "in_flight_at_crash": crashed,
            "possibly_billed": possibly_billed(ledger),
        },
        "tokens": tokens,
        "cost_usd": cost,
        "usd_per_accepted": cost / finished.accepted if cost is not None and finished.accepted else None,
        "usd_per_exported": cost / finished.exported if cost is not None and finished.exported else None,
        "acceptance": _acceptance(ledger).plain(),
        "models": {model: found.plain() for model, found in _models(ledger).items()},
        "funnel": [stage.plain() for stage in finished.stages],
        "trained_on": finished.trained_on,
        "kind": finished.kind,
        "graders": [marker.words for marker in work.panel.markers],
        "own": dict(plan.own),
        "sandbox": door.sandbox.observed,
        "export_rows": finished.rows,
        "export_sha256": checksums(folder.export) if finished.rows else {},
        "elapsed_s": round(elapsed_s, 3),
        "error": error or None,
        "first_fault": work.first_error or work.panel.first_error,
    }
    return Summary(content, code, error, fix)


def unchanged(plan: Plan, folder: RunFolder, work: Generation, progress: Progress, say: Callable[..., None]) -> Summary | None:
    """Return the summary of the last finish if nothing has changed since and its files are as it wrote them, else None."""
    ledger = work.door.ledger
    if work.finished or work.panel.graded or work.door.switch.on or ledger.fact("finished") != _finish_mark(plan, ledger):
        return None
    content = _last_summary(folder)
    if content.get("status") not in ("complete", "exhausted"):
        return None
    if not _stands(folder, content):
        say("the export or the tables are not there as they were written: they are written again")
        return None
    content |= _places(plan, folder, content["export_rows"])  # the folder may be a copy of the one that they were written to
    content["calls"] |= {"made": 0, "replayed": work.standing, "reused": 0, "in_flight_at_crash": 0}
    _last_status(folder, content, progress.snapshot("done"))
    code = EXIT_CODES[content["status"]] if content["accepted"] else NothingAccepted.exit_code
    return Summary(content, code, content["error"] or "", "", unchanged=True)


def _last_summary(folder: RunFolder) -> dict[str, Any]:
    """Return the summary of the last finish; nothing where there is none, or the disk lost it."""
    try:
        return as_object(orjson.loads(folder.summary.read_bytes())) or {}
    except (FileNotFoundError, orjson.JSONDecodeError):
        return {}


def _places(plan: Plan, folder: RunFolder, rows: Mapping[str, Any]) -> dict[str, Any]:
    """Return where the run's files are."""
    suffixes = _suffixes(plan)
    return {
        "run": str(folder.path),
        "exports": {name: str(folder.export / name / f"train.{suffixes[name]}") for name in sorted(rows)},
        "tables": str(folder.tables),
    }


def _stands(folder: RunFolder, content: dict[str, Any]) -> bool:
    """Whether the files of the last finish are in this folder, as they were written."""
    tables = {f"{name}.parquet" for name in (*TABLES, "funnel")}
    return (
        (folder.export / CARD).exists()
        and checksums(folder.export) == content.get("export_sha256")
        and tables <= {path.name for path in folder.tables.glob("*")}
    )


def _finish_mark(plan: Plan, ledger: Reader) -> str:
    return f"{plan.recipe_id} of plan {ledger.fact('generation')}"


def _status(plan: Plan, work: Generation, finished: Finish, until: Until | None) -> tuple[str, int, str, str]:
    switch = work.door.switch
    if switch.interrupted:
        return "interrupted", EXIT_CODES["interrupted"], "interrupted; everything so far is kept", "Run again to go on."
    if switch.error is not None:
        status = "budget" if isinstance(switch.error, BudgetReached) else "stopped"
        return status, switch.error.exit_code, str(switch.error), switch.error.fix
    if until == "index":
        return "complete", EXIT_CODES["complete"], "", ""
    if finished.accepted == 0:
        return "exhausted", NothingAccepted.exit_code, *_nothing(work, finished)
    return _ended(plan, work, finished)


def _ended(plan: Plan, work: Generation, finished: Finish) -> tuple[str, int, str, str]:
    """Say how a run that was not stopped ended."""
    if work.settler.selector.saturated:
        rate = work.settler.selector.distinct_rate or 0.0
        error = (
            f"stopped asking after {finished.train_rows:,} rows: of the last accepted samples only {rate:.0%} said anything new"
        )
        return "exhausted", EXIT_CODES["exhausted"], error, "Add seeds or attributes, or lower `select.dedup.least_distinct`."
    target = plan.recipe.target
    if target is not None and finished.train_rows < target.rows:
        cut = work.limit is not None and work.limit < finished.stages[1].entered
        tried = f"the first {work.limit:,} prompts were" if cut else "every prompt was"
        error = f"the target of {target.rows:,} rows is not reached: {finished.train_rows:,} rows, and {tried} tried"
        fix = "Run again with a higher --limit, or without one." if cut else "Add prompts, or raise `sampling.max_attempts`."
        return "exhausted", EXIT_CODES["exhausted"], error, fix
    return "complete", EXIT_CODES["complete"], "", ""


def _nothing(work: Generation, finished: Finish) -> tuple[str, str]:
    """Say why nothing was accepted: the top three reasons and three raw samples."""
    ledger = work.door.ledger
    reasons: dict[str, int] = {}
    later = [stage for stage in finished.stages if stage.stage not in ("source", "ask")]
    for stage in later if any(stage.dropped for stage in later) else finished.stages:
        for reason, count in stage.dropped.items():
            reasons[reason] = reasons.get(reason, 0) + count
    top = sorted(reasons.items(), key=lambda item: -item[1])[:3]
    lines = ["nothing was accepted. The most frequent reasons: " + (", ".join(f"{r} ({n:,})" for r, n in top) or "none")]
    if first := work.first_error or work.panel.first_error or work.first_end:
        lines.append(f"the first fault: {first}")
    rows = ledger.query("SELECT id FROM samples ORDER BY id LIMIT ?", (RAW_SAMPLES,)).fetchall()
    for number, (row,) in enumerate(rows, start=1):
        sample = load_sample(ledger, row)
        lines.append(f"sample {number} ({sample.status}): {(sample.answer or sample.reason or '')[:300]!r}")
    if not rows:
        lines.extend(f"row {place}: {reason}: {detail[:200]}" for place, reason, detail in first_rejects(ledger, 3))
    return "\n".join(lines), "Look at more with `gristmill preview RECIPE`; check `prompt.answer_format` and the references."


def _spent(ledger: Reader) -> tuple[dict[str, int | None], float | None]:
    """Return tokens and dollars over every reply; unknown where any part is."""
    row = ledger.query(
        "SELECT count(*), sum(input_tokens), sum(output_tokens), sum(cached_tokens), sum(reasoning_tokens), "
        "sum(cost_usd), sum(cost_usd IS NULL), sum(input_tokens IS NULL OR output_tokens IS NULL) FROM replies"
    ).fetchone()
    known = row[0] and not row[7]
    tokens = {
        "input": row[1] if known else None,
        "output": row[2] if known else None,
        "cached": row[3],
        "reasoning": row[4],
    }
    return tokens, (row[5] or 0.0) if not row[6] else None


def _acceptance(ledger: Reader) -> Acceptance:
    row = ledger.query(
        f"SELECT coalesce(sum({_PASSED}),0), coalesce(sum({_GRADED}),0) FROM decisions d"  # noqa: S608 - our own words
    ).fetchone()
    return Acceptance(*row)


def _models(ledger: Reader) -> dict[str, Acceptance]:
    """Return the acceptance of every model that answered, over the samples that it had a part in."""
    return {
        orjson.loads(content)["model"]: Acceptance(passed, graded)
        for content, passed, graded in ledger.query(
            f"SELECT m.content, sum({_PASSED}), sum({_GRADED}) FROM ("  # noqa: S608 - our own words
            "SELECT DISTINCT d.sample, d.rule, r.model FROM decisions d JOIN samples s ON s.id = d.sample "
            "JOIN requests q ON q.prompt = s.prompt AND q.sample_index = s.sample_index AND q.context = s.context "
            "JOIN replies r ON r.request = q.id WHERE q.step NOT GLOB ?) d JOIN dims m ON m.id = d.model "
            "GROUP BY m.id ORDER BY m.content",
            (f"{GRADING_PREFIX}*",),
        )
    }


def _suffixes(plan: Plan) -> dict[str, str]:
    return {chosen.plugin.name: chosen.plugin.traits["suffix"] for chosen in plan.exporters}


def write_papers(plan: Plan, folder: RunFolder, summary: Summary, finished: Finish, door: Door, progress: Progress) -> None:
    """Write the card, the summary, the manifest and the last status."""
    content = summary.content
    door.ledger.remember("finished", _finish_mark(plan, door.ledger) if finished.rows else "")
    if finished.rows:
        write_text(folder.export / CARD, write_card(_facts(plan, summary, finished, door)))
    write_json(folder.summary, content)
    write_json(
        folder.manifest,
        {
            "gristmill": version("gristmill"),
            "recipe": plan.recipe_id,
            "context": plan.identity,
            "template": plan.template.name,
            "graders": content["graders"],
            "own": content["own"],
            "sandbox": content["sandbox"],
            "teachers": _teachers(plan, door),
            "counts": {key: content[key] for key in ("prompts", "samples", "accepted", "kept", "exported")},
            "export_rows": content["export_rows"],
            "export_sha256": content["export_sha256"],
        },
    )
    _last_status(folder, content, progress.snapshot("done")._replace(rows=finished.train_rows))


def _last_status(folder: RunFolder, content: dict[str, Any], snapshot: Snapshot) -> None:
    folder.write_status({**snapshot.plain(), "status": content["status"], "error": content["error"]})


def _teachers(plan: Plan, door: Door) -> dict[str, str]:
    return {name: door.dispatchers[name].teacher.identity.label for name in plan.recipe.all_teachers()}


def _facts(plan: Plan, summary: Summary, finished: Finish, door: Door) -> CardFacts:
    recipe, content, ledger = plan.recipe, summary.content, door.ledger
    per_source = dict(
        ledger.query(
            "SELECT json_extract(d.content, '$.name'), count(*) FROM plan l JOIN prompts p ON p.id = l.prompt "
            "JOIN dims d ON d.id = p.source GROUP BY 1"
        ).fetchall()
    )
    origins: dict[str, int] = {}
    for source, spec in zip(plan.sources, recipe.prompts, strict=True):
        origin = "template" if spec.word_problems else spec.origin
        origins[origin] = origins.get(origin, 0) + per_source.pop(source.name, 0)
    teacher = recipe.all_teachers()[recipe.teacher_for("teacher")]
    tokens, cost = content["tokens"], content["cost_usd"]
    return CardFacts(
        trained_on=finished.trained_on,
        name=recipe.name,
        exported=finished.exported,
        rows=finished.rows,
        suffixes=_suffixes(plan),
        checksums=content["export_sha256"],
        prompt_licenses=[("CC0-1.0" if spec.word_problems else spec.license) or "unknown" for spec in recipe.prompts],
        teacher_license=teacher.output_license or "unknown",
        teachers=[f"{name}: {identity}" for name, identity in _teachers(plan, door).items()],
        sources=[source.name for source in plan.sources],
        origins=origins,
        task=plan.task.plugin.identity,
        template=plan.template.name,
        graders=content["graders"],
        acceptance=Acceptance(content["acceptance"]["passed"], content["acceptance"]["graded"]).words(),
        cost="unknown" if cost is None else f"${cost:.2f}",
        tokens="unknown" if tokens["output"] is None else f"{tokens['input'] or 0:,} in, {tokens['output']:,} out",
        stages=finished.stages,
        status=content["status"],
        version=version("gristmill"),
        recipe=plan.recipe_id[:12],
    )
