"""`gristmill preview`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gristmill import api
from gristmill.cli.person import accepted, environment
from gristmill.cli.terminal import Reporter, indented, safe

if TYPE_CHECKING:
    from gristmill.cli.person import SampleFlags


def preview_command(recipe: str, count: int, flags: SampleFlags, *, as_json: bool) -> None:
    """Make a few samples and show them whole."""
    reporter = Reporter(as_json=as_json)
    loaded = api.load(recipe)
    folder = api.run_folder(loaded.recipe.name, flags.output, flags.ledger_dir)
    opening = api.Opening(
        environment=environment(flags.allow_keys), say=reporter.say, indexing=reporter.indexing, sandbox=accepted(flags.sandbox)
    )
    with reporter.only_result():
        content = api.preview(api.plan(loaded, trust=flags.trust), folder, opening, count)
    reporter.result("\n".join(_lines(content, recipe)), content)


def _lines(content: dict[str, Any], recipe: str) -> list[str]:
    lines: list[str] = []
    for number, sample in enumerate(content["samples"], start=1):
        lines.append(f"── sample {number} of {len(content['samples'])} · {safe(sample['source_id'])} · {sample['status']}")
        for message in sample["messages"][:-1]:
            lines += [f"  {message['role']}:", indented(message["content"])]
        lines += ["  output:", indented(sample["output"] or f"(none: {sample['reason']})")]
        lines.append(f"  reference: {safe(str(sample['reference']))[:200]}")
        for grade in sample["grades"]:
            verdict = {True: "pass", False: "fail", None: "not gradable"}[grade["passed"]]
            extracted = grade["evidence"].get("extracted")
            found = f" (found {safe(str(extracted))[:80]!r})" if extracted is not None else ""
            lines.append(f"  {grade['grader']}: {verdict}, {safe(grade['reason'])}{found}")
        lines.append("")
    if content["error"]:
        lines.append(f"stopped: {safe(content['error'])}")
    lines.append(f"{content['calls']} calls made, all kept in {content['run']}")
    lines.append(f"next: gristmill run {recipe} -o {content['run']}")
    return lines
