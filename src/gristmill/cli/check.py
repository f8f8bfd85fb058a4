"""`gristmill check`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from gristmill import api
from gristmill.cli.person import accepted, environment
from gristmill.cli.terminal import Reporter, safe
from gristmill.engine.own import own_names
from gristmill.errors import TeacherDown
from gristmill.plain import as_list, as_object
from gristmill.studies.references import check_references
from gristmill.teachers.addresses import key_for

if TYPE_CHECKING:
    from gristmill.engine.planning import Plan
    from gristmill.recipe.document import Document
    from gristmill.studies.references import Checked
    from gristmill.teachers.addresses import Environment

MOST_SHOWN = 400
"""Characters of an answer."""


def check_command(recipe: str, output: str | None, allow_keys: list[str], *, sandbox: str, call: bool, as_json: bool) -> None:
    """Resolve a recipe and print it, without a file written; with `call`, ask each teacher once."""
    reporter = Reporter(as_json=as_json)
    loaded = api.load(recipe)
    plan = api.plan(loaded, trust=None)
    person = environment(allow_keys)
    content = _content(plan, person, output)
    resolved, teachers = content["recipe"], content["teachers"]
    lines = [f"{recipe} is a good recipe. Resolved:", ""]
    lines += [f"  {safe(value):<60} {where}" for value, where in _values(resolved, loaded.document)]
    lines += ["", "what goes where"]
    for teacher in teachers:
        target = teacher["host"] or "this machine alone"
        model = safe(teacher["model"] or "the model that is served")
        key = f", key from the variable {teacher['key_variable']}" if teacher["key_variable"] else ", no key"
        endpoint = f" at {safe(teacher['endpoint'])}" if teacher["endpoint"] else ""
        lines.append(f"  prompts → {teacher['name']}: {model}{endpoint} ({target}{key})")
    lines.append(f"  nothing else leaves this machine; the run is written to {content['run']}")
    lines += [f"  {safe(name)} would be run with --trust; it was not looked at" for name in content["not_looked_at"]]
    checked = check_references(plan, accepted(sandbox))
    content["references"] = {"prompts": checked.prompts, "findings": [finding._asdict() for finding in checked.findings]}
    lines += _references(checked)
    tried = api.probe(plan, person, reporter.say) if call else []
    if call:
        content["calls"] = tried
        lines += ["", "one tiny call to each teacher; it goes through no ledger, and no run uses it"]
        lines += [f"  {line}" for one in tried for line in _tried(one)]
    failed = [one["name"] for one in tried if "error" in one]
    lines += [] if failed else ["", f"next: gristmill preview {recipe}"]
    reporter.result("\n".join(lines), content)
    if failed:
        reporter.say(f"error: no reply from {', '.join(failed)}")
        raise SystemExit(TeacherDown.exit_code)


def _content(plan: Plan, person: Environment, output: str | None) -> dict[str, Any]:
    """Return the resolved recipe and what goes where."""
    teachers: list[dict[str, Any]] = []
    for name, place in plan.endpoints.items():
        key_for(place, person)
        teachers.append(
            {
                "name": name,
                "kind": place.kind,
                "api": place.api,
                "endpoint": place.target,
                "host": urlsplit(place.target).hostname if "://" in place.target else None,
                "model": place.model,
                "key_variable": place.key_env,
            }
        )
    return {
        "recipe": plan.recipe.model_dump(mode="json"),
        "recipe_id": plan.recipe_id,
        "not_looked_at": own_names(plan.recipe),
        "run": str(api.run_folder(plan.recipe.name, output).path),
        "teachers": teachers,
        "template": {"name": plan.template.name, "hash": plan.template.digest},
        "graders": [
            {
                "grader": chosen.plugin.identity,
                "options": chosen.options.model_dump(mode="json"),
                "by": chosen.by,
                "calibration": None if chosen.by is None else chosen.calibration.name if chosen.calibration else "uncalibrated",
            }
            for chosen in plan.graders
        ],
        "exports": [chosen.plugin.name for chosen in plan.exporters],
        "sources": [source.name for source in plan.sources],
    }


def _references(checked: Checked) -> list[str]:
    """Say what is wrong with the references, or that nothing is."""
    if not checked.prompts:
        return []
    lines = ["", f"references of the first {checked.prompts:,} prompts, each put to its own grader"]
    for finding in checked.findings:
        what = _PROBLEMS[finding.problem].format(reason=safe(finding.reason))
        lines.append(f"  {finding.grader}: {finding.prompts:,} {what}: {safe(', '.join(finding.places))}")
    return [*lines, *([] if checked.findings else ["  all pass, and an answer that says nothing passes none"])]


_PROBLEMS = {
    "rejected": "are not passed by it ({reason})",
    "passes_nothing": "pass an answer that says nothing ({reason})",
    "no_reference": "have no reference",
    "weak": "have weak tests ({reason})",
}


def _tried(one: dict[str, Any]) -> list[str]:
    """Return what came back from one call, in a few lines."""
    if "error" in one:
        return [f"{one['name']}: {safe(one['error'])}", *([f"  {safe(one['fix'])}"] if one["fix"] else [])]
    usage = one["usage"]
    known = {"in": usage["input_tokens"], "out": usage["output_tokens"], "reasoning": usage["reasoning_tokens"]}
    counts = ", ".join(f"{count} {name}" for name, count in known.items() if count is not None) or "unknown"
    tokens = f"tokens {counts}" + (" (estimated)" if usage["estimated"] else "")
    who = safe(one["model"] or "a model that does not say its name") + (f"@{safe(one['revision'])}" if one["revision"] else "")
    lines = [
        f"{one['name']}: {who} · finish {one['finish']} · {tokens} · {one['ms']:,} ms",
        f"  reasoning {one['reasoning'] or 'unknown'}",
    ]
    if one["reasoning"] in ("hidden", "summary") and one["wanted"] != "answer_only":
        lines[-1] += (
            ": the `reasoning` task refuses such replies; `thinking: answer_only` beside the address takes the answers alone"
        )
    if one["choices_wanted"] > 1:
        told = "" if one["choices"] > 1 else ": it takes no notice of `n`, so leave `choices` away"
        lines.append(f"  {one['choices']} of {one['choices_wanted']} answers by one request{told}")
    lines += [f"  limit {safe(name)}: {safe(value)}" for name, value in one["limits"].items()]
    return [*lines, *(f"  | {safe(line)}" for line in (one["text"][:MOST_SHOWN].splitlines() or ["(no text)"]))]


def _values(content: Any, document: Document, path: tuple[str | int, ...] = ()) -> list[tuple[str, str]]:
    """Return every value of the resolved recipe, and whether it stands in the text or is a default."""
    fields, items = as_object(content), as_list(content)
    if fields is not None and {"name", "options"} <= set(fields):
        mark = document.mark(path)
        lines = [
            (
                f"{'.'.join(map(str, document.as_written(path)))}: {fields['name']}",
                f"line {mark.line}" if mark else "default",
            )
        ]
        chosen = {key: fields[key] for key in ("by", "calibration", "when") if fields.get(key) not in (None, "always")}
        lines += _values(fields["options"], document, (*path, fields["name"])) if fields["options"] else []
        lines += _values(chosen, document, path) if chosen else []
        lines += _values(fields["short"], document, (*path, fields["name"])) if fields.get("short") is not None else []
        return lines + (_values(fields["of"], document, (*path, fields["name"])) if fields.get("of") else [])
    if fields:
        return [line for key, value in fields.items() for line in _values(value, document, (*path, key))]
    if items and as_object(items[0]) is not None:
        return [line for place, item in enumerate(items) for line in _values(item, document, (*path, place))]
    written = document.as_written(path)
    short = path[-1] == "address" and document.as_written(path[:-1]) in document.marks
    mark = document.mark(path) if written in document.marks or short else None
    where = f"line {mark.line}" if mark else "default"
    return [(f"{'.'.join(map(str, written))}: {content}", where)]
