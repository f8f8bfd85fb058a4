"""`gristmill pilot`, and the question that `run` asks because of it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import orjson

from gristmill import api
from gristmill.cli.person import accepted, environment
from gristmill.cli.terminal import Reporter, duration, safe
from gristmill.errors import InputError
from gristmill.files.writing import write_json
from gristmill.studies.pilot import PROMPTS, make_pilot, read_pilot
from gristmill.visible import dollars

if TYPE_CHECKING:
    from collections.abc import Callable

    from gristmill.cli.person import SampleFlags
    from gristmill.engine.planning import Plan
    from gristmill.store.rundir import RunFolder
    from gristmill.studies.pilot import Pilot, Range

FATES = {
    "kept": "kept",
    "annotated": "kept, not passed",
    "annotated_ungraded": "kept, not gradable",
    "failed": "rejected",
    "ungraded": "not gradable",
    "no_sample": "no sample",
    "over_target": "beyond the target",
}


def pilot_command(recipe: str, prompts: int, flags: SampleFlags, *, as_json: bool) -> None:
    """Make a pilot and say what it means for the whole run."""
    reporter = Reporter(as_json=as_json)
    loaded = api.load(recipe)
    folder = api.run_folder(loaded.recipe.name, flags.output, flags.ledger_dir)
    opening = api.Opening(
        environment=environment(flags.allow_keys),
        yes=True,
        say=reporter.say,
        show=reporter.show,
        indexing=reporter.indexing,
        sandbox=accepted(flags.sandbox),
    )
    with reporter.only_result():
        pilot = make_pilot(api.plan(loaded, trust=flags.trust), folder, opening, prompts)
    reporter.result("\n".join(_lines(pilot, recipe, folder)), pilot.model_dump(mode="json"))


def _lines(pilot: Pilot, recipe: str, folder: RunFolder) -> list[str]:
    whole = f"{pilot.target_rows:,} rows" if pilot.target_rows else f"all {pilot.prompts_planned:,} prompts"
    lines = [
        f"{pilot.prompts:,} prompts, {pilot.samples:,} samples, {pilot.rows:,} rows; kept, so a run pays for none of them again",
        f"  accepted           {pilot.passed:,} of {pilot.graded:,}; in the whole run {_share(pilot.acceptance)}",
        f"  output tokens      {_count(pilot.output_tokens_per_row)} a row",
        f"  cost               {_usd(pilot.usd_per_row)} a row, {dollars(pilot.usd_spent)} so far",
        "",
        f"for {whole} (95 % intervals)",
        f"  prompts            {_count(pilot.prompts_needed)}",
        f"  bill               {_usd(pilot.usd)}",
        f"  time               {_time(pilot.hours)}",
    ]
    needed = pilot.prompts_needed.value
    if needed is None:
        lines.append("  no row came out of the pilot: look at it with `gristmill preview` before you pay for more")
    elif needed > pilot.prompts_planned:
        lines.append(f"  there are only {pilot.prompts_planned:,} prompts: the target will not be reached")
    if any(part.share for part in pilot.money):
        parts = ", ".join(f"{safe(FATES.get(part.fate, part.fate))} {part.share:.0%}" for part in pilot.money if part.share)
        lines += ["", f"where the money goes: {parts}"]
    if pilot.unkept_share:
        lines.append(f"{pilot.unkept_share:.0%} of the bill is reasoning that the provider does not show, so it cannot be kept")
    return [*lines, "", f"next: gristmill run {recipe} -o {folder.path}"]


def _share(found: Range) -> str:
    return _within(found, lambda value: f"{value:.1%}")


def _count(found: Range) -> str:
    return _within(found, lambda value: f"{value:,.0f}")


def _usd(found: Range) -> str:
    return _within(found, dollars)


def _time(found: Range) -> str:
    if found.low is None or found.high is None:
        return "unknown"
    return f"{duration(found.low * 3600)} at the limits, {duration(found.high * 3600)} at the pilot's pace"


def _within(found: Range, show: Callable[[float], str]) -> str:
    if found.value is None:
        return "unknown"
    low, high = (("?" if end is None else show(end)) for end in (found.low, found.high))
    return f"{show(found.value)} ({low} to {high})"


def ask_first(plan: Plan, folder: RunFolder, threshold_usd: float, reporter: Reporter, *, yes: bool) -> None:
    """Ask a person before a run that may cost more than a threshold; what was agreed to once is not asked again.

    Raises:
        InputError: where nobody can be asked, or the answer is no.
    """
    words = _expected(plan, folder, threshold_usd)
    if words is None:
        return
    if not yes and not sys.stdin.isatty():
        raise InputError(f"{words}; nobody is here to say yes", fix="Say `--yes`, or set a lower `budget: {usd: …}`.")
    if not yes:
        reporter.say(words)
        sys.stderr.write("go on? [y/N] ")
        sys.stderr.flush()
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            raise InputError("not begun: nobody said yes", fix="Nothing was asked of a teacher. `--yes` goes on without asking.")
    folder.path.mkdir(parents=True, exist_ok=True)
    write_json(folder.path / "agreed.json", {"words": words})


def _expected(plan: Plan, folder: RunFolder, threshold_usd: float) -> str | None:
    """Return what is known of the bill in words, or None where there is nothing to ask."""
    if not api.is_paid(plan):
        return None
    cap = plan.recipe.budget.usd if plan.recipe.budget else None
    if cap is not None and cap <= threshold_usd:
        return None
    pilot = read_pilot(folder)
    if pilot is not None and pilot.usd.value is not None:
        high = pilot.usd.high if pilot.usd.high is not None else pilot.usd.value
        if high <= threshold_usd:
            return None
        words = f"this run will cost about {_usd(pilot.usd)}"
    else:
        words = f"no pilot was made, so the bill is not known: `gristmill pilot` samples {PROMPTS} prompts and says"
    if cap is not None:
        words += f"; the budget allows ${cap:,.2f}"
    agreed = folder.path / "agreed.json"
    return None if agreed.exists() and orjson.loads(agreed.read_bytes()).get("words") == words else words
