"""Calls and their tool's JSON Schema: whether they fit it, and whether their values stand anywhere but in the model's head."""

from __future__ import annotations

import json
from typing import Any

from gristmill.grading.calls.reading import Call
from gristmill.plain import as_list, as_object, as_text

_TYPES = {"dict": "object", "float": "number", "tuple": "array", "hashmap": "object", "arraylist": "array", "long": "integer"}


def fits_schema(call: Call, parameters: dict[str, Any]) -> bool:
    """Whether arguments satisfy a tool's JSON Schema, in which no further argument is allowed."""
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError

    schema = as_object(standard(parameters)) or {}
    try:
        validator: Any = Draft202012Validator({**schema, "type": "object", "additionalProperties": False})
        return bool(validator.is_valid(call.arguments))
    except SchemaError:
        return False


def with_names(call: Call, parameters: dict[str, Any]) -> Call:
    """Return a call whose arguments without a name have those of the tool's parameters, in the schema's order."""
    names = [name for name in as_object(parameters.get("properties")) or {} if name not in call.arguments]
    extra = {f"#{place}": value for place, value in enumerate(call.placed[len(names) :])}
    return Call(call.name, {**dict(zip(names, call.placed, strict=False)), **extra, **call.arguments})


def standard(schema: Any) -> Any:
    """Return a schema with the types of other dialects (`dict`, `float`, `tuple`, `any`) in JSON Schema's words."""
    if (items := as_list(schema)) is not None:
        return [standard(item) for item in items]
    fields = as_object(schema)
    if fields is None:
        return schema
    changed = {key: standard(value) if key != "default" else value for key, value in fields.items() if key != "pattern"}
    kind = as_text(fields.get("type"))
    if kind == "any":
        del changed["type"]
    elif kind is not None:
        changed["type"] = _TYPES.get(kind.lower(), kind.lower())
    return changed


def is_grounded(call: Call, parameters: dict[str, Any], conversation: str) -> bool:
    """Whether each plain value stands in the conversation, or in the tool's own schema (an enum, a default)."""
    known = json.dumps(parameters, ensure_ascii=False, default=str).casefold()
    return all(
        str(value).casefold() in conversation or str(value).casefold() in known
        for value in _plain_values(call.arguments)
        if not isinstance(value, bool) and value is not None
    )


def _plain_values(value: Any) -> list[Any]:
    if (fields := as_object(value)) is not None:
        return [one for part in fields.values() for one in _plain_values(part)]
    items = as_list(value)
    return [value] if items is None else [one for part in items for one in _plain_values(part)]
