"""`gristmill check`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from gristmill import api
from gristmill.cli.person import environment
from gristmill.cli.terminal import Reporter, safe
from gristmill.plain import as_list, as_object
from gristmill.teachers.addresses import key_for

if TYPE_CHECKING:
    from gristmill.recipe.document import Document


def check_command(recipe: str, output: str | None, allow_keys: list[str], *, as_json: bool) -> None:
    """Resolve a recipe and print it, without a call and without a file written."""
    reporter = Reporter(as_json=as_json)
    loaded = api.load(recipe)
    plan = api.plan(loaded)
    person = environment(allow_keys)
    teachers: list[dict[str, Any]] = []
    for name, place in plan.endpoints.items():
        key_for(place, person)
        teachers.append(
            {
                "name": name,
                "kind": place.kind,
                "endpoint": place.target,
                "host": urlsplit(place.target).hostname if "://" in place.target else None,
                "model": place.model,
                "key_variable": place.key_env,
            }
        )
    resolved = plan.recipe.model_dump(mode="json")
    content: dict[str, Any] = {
        "recipe": resolved,
        "recipe_id": plan.recipe_id,
        "run": str(api.run_folder(plan.recipe.name, output).path),
        "teachers": teachers,
        "template": {"name": plan.template.name, "hash": plan.template.digest},
        "graders": [{"grader": g.plugin.identity, "options": g.options.model_dump(mode="json")} for g in plan.graders],
        "exports": [chosen.plugin.name for chosen in plan.exporters],
        "sources": [source.name for source in plan.sources],
    }
    lines = [f"{recipe} is a good recipe. Resolved:", ""]
    lines += [f"  {safe(value):<60} {where}" for value, where in _values(resolved, loaded.document)]
    lines += ["", "what goes where"]
    for teacher in teachers:
        target = teacher["host"] or "this machine alone"
        key = f", key from the variable {teacher['key_variable']}" if teacher["key_variable"] else ", no key"
        lines.append(f"  prompts → {teacher['name']}: {safe(teacher['model'])} at {safe(teacher['endpoint'])} ({target}{key})")
    lines.append(f"  nothing else leaves this machine; the run is written to {content['run']}")
    lines += ["", f"next: gristmill preview {recipe}"]
    reporter.result("\n".join(lines), content)


def _values(content: Any, document: Document, path: tuple[str | int, ...] = ()) -> list[tuple[str, str]]:
    """Return every value of the resolved recipe, and whether it stands in the text or is a default."""
    fields, items = as_object(content), as_list(content)
    if fields is not None and set(fields) == {"name", "options"}:
        mark = document.mark(path)
        lines = [
            (
                f"{'.'.join(map(str, document.as_written(path)))}: {fields['name']}",
                f"line {mark.line}" if mark else "default",
            )
        ]
        return lines + (_values(fields["options"], document, (*path, fields["name"])) if fields["options"] else [])
    if fields:
        return [line for key, value in fields.items() for line in _values(value, document, (*path, key))]
    if items and as_object(items[0]) is not None:
        return [line for place, item in enumerate(items) for line in _values(item, document, (*path, place))]
    written = document.as_written(path)
    short = path[-1] == "address" and document.as_written(path[:-1]) in document.marks
    mark = document.mark(path) if written in document.marks or short else None
    where = f"line {mark.line}" if mark else "default"
    return [(f"{'.'.join(map(str, written))}: {content}", where)]
