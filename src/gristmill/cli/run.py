"""`gristmill run`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

from gristmill import api
from gristmill.cli.person import accepted, environment
from gristmill.cli.pilot import ask_first
from gristmill.cli.report import keep_report
from gristmill.cli.summary import summary_text
from gristmill.cli.terminal import Reporter, safe
from gristmill.store.rundir import check_idle
from gristmill.teachers.addresses import key_for

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gristmill.engine.summary import Summary
    from gristmill.store.rundir import RunFolder


class RunFlags(NamedTuple):
    """What was said on the command line."""

    output: str | None = None
    ledger_dir: str | None = None
    rows: int | None = None
    limit: int | None = None
    until: str | None = None
    reuse: str | None = None
    fresh: bool = False
    yes: bool = False
    ask_above_usd: float = 10.0
    sandbox: str = "medium"
    allow_keys: tuple[str, ...] = ()
    trust: bool = False


def run_command(recipe: str, flags: RunFlags, *, as_json: bool) -> None:
    """Run a recipe and end with the run's exit code."""
    reporter = Reporter(as_json=as_json)
    changes: dict[str, Any] = {"target": {"rows": flags.rows}} if flags.rows else {}
    loaded = api.load(recipe, changes)
    folder = api.run_folder(loaded.recipe.name, flags.output, flags.ledger_dir)
    with reporter.only_result():
        plan = api.plan(loaded, trust=flags.trust)
    person = environment(flags.allow_keys)
    if flags.until != "index":
        for place in plan.endpoints.values():
            key_for(place, person)  # what is missing is said before anything is asked
    reuse = api.earlier(flags.reuse) if flags.reuse else None
    if flags.fresh:
        _move_aside(folder, reporter)
    if flags.until != "index":
        ask_first(plan, folder, flags.ask_above_usd, reporter, yes=flags.yes)
    opening = api.Opening(
        environment=person,
        reuse=reuse,
        yes=flags.yes,
        limit=flags.limit,
        until=api.stage(flags.until) if flags.until else None,
        say=reporter.say,
        show=reporter.show,
        indexing=reporter.indexing,
        sandbox=accepted(flags.sandbox),
    )
    with reporter.only_result():
        summary = api.run(plan, folder, opening)
    finish(summary, folder, recipe, reporter)


def finish(summary: Summary, folder: RunFolder, recipe: str, reporter: Reporter, hint: Sequence[str] = ()) -> None:
    """Write a run's report, print its summary and a last hint, and end with its exit code."""
    keep_report(summary, folder)
    reporter.result("\n".join([summary_text(summary, recipe), *hint]), summary.content)
    if summary.error:
        reporter.say(f"error: {summary.error}", *([f"  {safe(summary.fix)}"] if summary.fix else []))
    if summary.exit_code:
        raise SystemExit(summary.exit_code)


def _move_aside(folder: RunFolder, reporter: Reporter) -> None:
    """Keep an earlier run under another name: what was paid for is never deleted."""
    if not folder.path.exists():
        return
    check_idle(folder)
    mark = time.strftime("%Y%m%d-%H%M%S")
    if folder.ledger.parent != folder.path and folder.ledger.exists():
        folder.ledger.rename(folder.ledger.with_name(f"{folder.ledger.name}.{mark}"))
    aside = folder.path.with_name(f"{folder.path.name}.{mark}")
    folder.path.rename(aside)
    reporter.say(f"the earlier run is now {aside}")
