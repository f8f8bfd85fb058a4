"""What there is, as plain values: every plug-in, address, template, error and exit code, with options and help.

Nothing is written down twice. Names and options come from the registries and models that the pipeline itself uses, help texts
from their docstrings, so what is described is what runs.
"""

from __future__ import annotations

import inspect
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, get_args

from gristmill import errors
from gristmill.engine.summary import EXIT_CODES
from gristmill.errors import GristmillError, NothingAccepted
from gristmill.exporting.registry import EXPORTERS
from gristmill.grading.registry import GRADERS
from gristmill.messages import Frozen
from gristmill.plain import as_items, as_list, as_object
from gristmill.recipe.model import SourceSpec, TeacherSpec
from gristmill.recipe.templates import ANSWER_FORMATS, PLAIN, shipped_names, shipped_template
from gristmill.tasks.registry import TASKS
from gristmill.teachers.addresses import FORMS
from gristmill.teachers.scripted import Script

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gristmill.registry import Shelf

ENDINGS: Mapping[str, str] = {
    "complete": "Everything that was asked for is done.",
    "exhausted": "The target is not reached, and every prompt was tried.",
    "budget": "The budget does not allow the next call; raise it and run again to go on.",
    "stopped": "An outside reason stopped the run; run again to go on.",
    "interrupted": "Somebody stopped the run; run again to go on.",
}
"""What a run's last status means."""
Thing = dict[str, Any]
"""`name`, `help` and, where there are any, `options` and what else a kind has."""

UNSHOWN = ("proof", "needs", "examine", "spread")
"""Traits of plug-ins that mean nothing to a person."""


def catalogue() -> dict[str, list[Thing]]:
    """Return every kind with its things."""
    return {
        "sources": _sources(),
        "tasks": _plugins(TASKS),
        "teachers": _teachers(),
        "templates": _templates(),
        "graders": _plugins(GRADERS),
        "exports": _plugins(EXPORTERS),
        "errors": [
            {"name": kind.__name__, "help": _line(kind), "exit_code": kind.exit_code, "is_a": kind.__mro__[1].__name__}
            for kind in _errors(GristmillError)
        ],
        "exit_codes": _exit_codes(),
    }


def _line(documented: Any) -> str:
    return (documented.__doc__ or "").strip().split("\n")[0]


def _plugins(shelf: Shelf[Any]) -> list[Thing]:
    return [
        {
            "name": plugin.name,
            "help": plugin.summary,
            "about": _joined(inspect.cleandoc(plugin.function.__doc__ or "").partition("\n")[2]),
            "version": plugin.version,
            "options": options(plugin.options),
            **{key: _shown(value) for key, value in plugin.traits.items() if key not in UNSHOWN and value != ()},
        }
        for plugin in shelf
    ]


def _shown(trait: Any) -> Any:
    return ", ".join(map(str, as_items(trait))) if isinstance(trait, tuple) else trait


def _sources() -> list[Thing]:
    """Return the kinds of source: those made by rule have a model of their own, the others are files or a function."""
    fields = SourceSpec.model_fields
    made = {name: model for name, field in fields.items() for model in get_args(field.annotation) if _is_model(model)}
    kinds = ("path", "documents", "source")
    of_all = [option for option in options(SourceSpec) if option["name"].split(".")[0] not in made]
    whole = {kind: [option for option in of_all if option["name"] not in kinds or option["name"] == kind] for kind in kinds}
    rule = [{"name": name, "help": _line(model), "options": options(model)} for name, model in made.items()]
    named = [{"name": kind, "help": _joined(fields[kind].description), "options": whole[kind]} for kind in kinds]
    return [*named, *rule]


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Frozen)


def _teachers() -> list[Thing]:
    spec = [option for option in options(TeacherSpec) if option["name"] not in ("address", "script")]
    script = [{**option, "name": f"script.{option['name']}"} for option in options(Script)]
    return [
        {"name": form, "help": text, "options": [*spec, *script] if form == "scripted:" else spec} for form, text in FORMS.items()
    ]


def _templates() -> list[Thing]:
    texts = {name: shipped_template(name).text or "" for name in shipped_names()}
    asks = {name: _joined(text.replace("{{ prompt }}", "")) for name, text in texts.items()}
    shipped = [
        {"name": name, "help": asks[name], "answer_format": ANSWER_FORMATS.get(name), "text": texts[name]} for name in texts
    ]
    return [{"name": PLAIN, "help": "The prompt as it is.", "answer_format": None, "text": "{{ prompt }}"}, *shipped]


def _errors(kind: type[GristmillError]) -> Iterator[type[GristmillError]]:
    yield kind
    for narrower in kind.__subclasses__():
        if narrower.__module__ == errors.__name__:  # whoever uses the package may have errors of their own
            yield from _errors(narrower)


def _exit_codes() -> list[Thing]:
    """Return every exit code once, with the status of the run and the errors that end with it."""
    kinds = list(_errors(GristmillError))
    found: list[Thing] = []
    for code in sorted({*EXIT_CODES.values(), *(kind.exit_code for kind in kinds)}):
        statuses = [status for status, number in EXIT_CODES.items() if number == code]
        ended = [kind for kind in kinds if kind.exit_code == code and kind is not GristmillError]
        meaning = ENDINGS[statuses[0]] if statuses else _line(ended[0])
        statuses = ["exhausted"] if NothingAccepted in ended else statuses
        found.append({"name": str(code), "help": meaning, "status": statuses, "errors": [kind.__name__ for kind in ended]})
    return found


def options(model: type[Frozen]) -> list[Thing]:
    """Return the options of a model: name, type, default, help; those of a model inside are `outer.inner`."""
    schema = model.model_json_schema()
    return list(_options(schema, schema.get("$defs", {}), ""))


def _options(schema: Mapping[str, Any], shared: Mapping[str, Any], path: str) -> Iterator[Thing]:
    required = set(schema.get("required", ()))
    for name, field in schema.get("properties", {}).items():
        inner = _inner(field, shared)
        if inner is not None:
            yield from _options(inner, shared, f"{path}{name}.")
            continue
        yield {
            "name": f"{path}{name}",
            "type": type_words(field, shared),
            "required": name in required,
            "default": field.get("default", {} if field.get("type") == "object" else None),
            "help": _joined(field.get("description")),
        }


def _inner(field: Mapping[str, Any], shared: Mapping[str, Any]) -> Thing | None:
    """Return the schema of the model that a field holds, if it holds one."""
    for form in [field, *(as_list(field.get("anyOf")) or [])]:
        if "$ref" in form and "properties" in (found := shared[str(form["$ref"]).rsplit("/", 1)[-1]]):
            return as_object(found)
    return None


def type_words(field: Mapping[str, Any], shared: Mapping[str, Any] = MappingProxyType({})) -> str:
    """Return a JSON Schema's type in a few words: `whole number ≥ 1 or null`, `a | b`, `list of text`.

    Args:
        field: The schema of one value.
        shared: What its references name.
    """
    if "$ref" in field:
        return type_words(shared.get(str(field["$ref"]).rsplit("/", 1)[-1], {}), shared)
    if "enum" in field:
        return " | ".join(map(str, field["enum"]))
    if "anyOf" in field:
        return " or ".join(dict.fromkeys(type_words(form, shared) for form in field["anyOf"]))
    kind = str(field.get("type", "any"))
    if kind == "array":
        items = [type_words(form, shared) for form in field.get("prefixItems", ())]
        return f"[{', '.join(items)}]" if items else f"list of {type_words(field.get('items', {}), shared)}"
    words = {"integer": "whole number", "string": "text", "boolean": "true | false", "object": "key: value", "null": "null"}
    if "minimum" in field and "maximum" in field:
        return f"{words.get(kind, kind)} {field['minimum']:g} to {field['maximum']:g}"
    return " ".join([words.get(kind, kind), *(f"{sign} {field[key]:g}" for key, sign in _BOUNDS.items() if key in field)])


_BOUNDS: Mapping[str, str] = {"minimum": "≥", "exclusiveMinimum": ">", "maximum": "≤", "exclusiveMaximum": "<"}


def _joined(text: str | None) -> str:
    return " ".join((text or "").split())
