"""A run's summary for people."""

from __future__ import annotations

import json
import shlex
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from gristmill.cli.terminal import duration, safe
from gristmill.engine.summary import Acceptance
from gristmill.visible import walls

if TYPE_CHECKING:
    from gristmill.engine.summary import Summary


def summary_text(summary: Summary, recipe: str) -> str:
    """Return what a person wants to know after a run: what came out, why the rest did not, what it cost, what is next."""
    content = summary.content
    rows = f"{content['exported']:,} rows exported in {duration(content['elapsed_s'])}"
    stopped = content["status"] in ("stopped", "budget")
    lines = [f"{content['status']}: {safe(summary.error)}", rows, ""] if stopped else [f"{content['status']}: {rows}", ""]
    lines += _funnel(content["funnel"])
    if len(content["models"]) > 1:
        lines += ["", "acceptance by model"]
        width = max(len(safe(model)) for model in content["models"])
        lines += [f"  {safe(model):<{width}}  {_share(found)}" for model, found in content["models"].items()]
    lines += ["", *_facts(content), *_kind(content.get("kind") or {}), ""]
    lines += [f"  {'report':<18}{content['report']}"] if "report" in content else []
    lines += [f"  {name:<18}{path}" for name, path in content["exports"].items()]
    lines += [f"  {'card':<18}{content['run']}/export/README.md"] if content["exports"] else []
    lines += [f"  {'tables':<18}{content['tables']}"]
    lines += ["", f"next: {next_command(content, recipe)}"]
    return "\n".join(lines)


def _funnel(stages: list[dict[str, Any]]) -> list[str]:
    lines = [f"  {'stage':<8}{'in':>10}{'kept':>10}   dropped"]
    for stage in stages:
        dropped = ", ".join(f"{safe(reason)} {count:,}" for reason, count in list(stage["dropped"].items())[:6])
        more = len(stage["dropped"]) - 6
        rest = f", {more} more" if more > 0 else ""
        lines.append(f"  {stage['stage']:<8}{stage['in']:>10,}{stage['kept']:>10,}   {dropped or '-'}{rest}")
    return lines


def _kind(found: dict[str, Any]) -> list[str]:
    """Return what the kind of data wants to know of itself."""
    lines = list[str]()
    if (documents := found.get("documents")) is not None:
        used = f"{documents['used']:,} of {documents['documents']:,} used"
        lines.append(f"documents {used}, {documents['covered']:.1%} of their text covered")
    if (turns := found.get("turns")) is not None:
        lines.append(f"turns of the user {turns['mean']:.1f} on average")
    for one in found.get("counted", []):
        values = ", ".join(f"{safe(row['value'])} {row['kept']:,} of {row['made']:,}" for row in one["values"][:6])
        lines.append(f"kept by {safe(one['key'])}: {values}" + (", …" if len(one["values"]) > 6 else ""))
    return lines


def _share(found: dict[str, Any]) -> str:
    return Acceptance(found["passed"], found["graded"]).words()


def _facts(content: dict[str, Any]) -> list[str]:
    calls, tokens = content["calls"], content["tokens"]
    cost = "unknown" if content["cost_usd"] is None else f"${content['cost_usd']:.4f}"
    per_row = content["usd_per_accepted"]
    spent = "unknown tokens" if tokens["output"] is None else f"{tokens['input'] or 0:,} tokens in, {tokens['output']:,} out"
    return [
        f"acceptance {_share(content['acceptance'])}",
        f"calls made {calls['made']:,}, replayed {calls['replayed']:,}"
        + (f", reused {calls['reused']:,}" if calls["reused"] else "")
        + (f", in flight at a crash {calls['in_flight_at_crash']:,}" if calls["in_flight_at_crash"] else ""),
        f"cost {cost}" + (f" (${per_row:.5f} per accepted row)" if per_row else "") + f", {spent}{_lost(calls)}",
        *([f"first fault: {safe(content['first_fault'])}"] if content.get("first_fault") else []),
        *([f"code of models ran in {walls(content['sandbox'])}"] if content["sandbox"] else []),
        *(f"graded by {safe(grader)}" for grader in content["graders"] if " by " in grader),
    ]


def _lost(calls: dict[str, Any]) -> str:
    lost = calls.get("possibly_billed", 0)
    return f"; {lost:,} calls brought nothing and may have been billed" if lost else ""


def next_command(content: dict[str, Any], recipe: str) -> str:
    """Return the command that makes sense now."""
    where = f"{shlex.quote(recipe)} -o {shlex.quote(content['run'])}" + (" --trust" if content.get("own") else "")
    if content["status"] in ("interrupted", "stopped", "budget"):
        return f"gristmill run {where}"
    if content["accepted"] == 0:
        return f"gristmill preview {where}"
    if not content["exports"]:
        return f"gristmill report {shlex.quote(content['run'])}"
    if find_spec("datasets") is None:
        return f"gristmill serve {shlex.quote(content['run'])}"
    folder = json.dumps(f"{content['run']}/export", ensure_ascii=False)
    return f"python -c {shlex.quote(f'import datasets; print(datasets.load_dataset({folder}))')}"
