"""Calls in a model's text, in the syntaxes that models use; nothing of a call is executed.

Python's call syntax is read by `ast` and never run.
"""

from __future__ import annotations

import ast
import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from gristmill.grading.programs.parsing import parsed
from gristmill.plain import as_list, as_object, as_text

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_CHARACTERS = 200_000
MAX_CALLS = 64
_HERMES = re.compile(r"<tool_call>\s*(.*?)\s*</tool_call>", re.DOTALL)
_FENCED = re.compile(r"```(?:json|python|tool_code|tool_call)?\s*\n(.*?)\n?\s*```", re.DOTALL)


class Call(NamedTuple):
    """One call."""

    name: str
    arguments: dict[str, Any]
    placed: tuple[Any, ...] = ()
    """Arguments without a name, in their order: Python's syntax has them."""


def read_calls(text: str) -> list[Call | None] | None:
    """Return the calls in a text, or None where it has none; a call that is one only in part is None in the list.

    Read are JSON objects and lists (`{"name", "arguments"}`, OpenAI's `{"function": {…}}` and `{"tool_calls": […]}`, xLAM's
    lists), Hermes' tags, and Python's `name(key=value)`, alone, in a list, or in a fence.
    """
    if len(text) > MAX_CHARACTERS:
        return None
    tagged = _HERMES.findall(text)
    if tagged:
        return [call for part in tagged for call in _from_text(part) or [None]]
    fenced = _FENCED.findall(text)
    for part in (text, *fenced[-1:]):
        calls = _from_text(part.strip())
        if calls is not None:
            return calls[:MAX_CALLS]
    return None


def _from_text(text: str) -> list[Call | None] | None:
    try:
        content: Any = json.loads(text)
    except (ValueError, RecursionError):
        return _from_python(text)
    items = as_list((as_object(content) or {}).get("tool_calls", content))
    if items is None:
        return [call_of(content)] if as_object(content) else None
    return [call_of(item) for item in items]


def call_of(content: Any) -> Call | None:
    """Return the call that an object is, or None."""
    fields = as_object(content) or {}
    fields = as_object(fields.get("function")) or fields
    name = as_text(fields.get("name")) or as_text(fields.get("function")) or as_text(fields.get("tool_name"))
    key = next((key for key in ("arguments", "parameters", "args", "input") if key in fields), "")
    given: Any = fields.get(key, {})
    if isinstance(given, str):
        try:
            given = orjson.loads(given)
        except orjson.JSONDecodeError:
            return None
    arguments = as_object(given)
    return None if name is None or arguments is None else Call(name, arguments)


def _from_python(text: str) -> list[Call | None] | None:
    """Return calls in Python's syntax, by `ast` alone."""
    tree = parsed(text.strip())
    if tree is None:
        return None
    nodes = [node for one in tree.body for node in _call_nodes(one)]
    return [_from_node(node) for node in nodes] if nodes and all(isinstance(one, ast.Expr) for one in tree.body) else None


def _call_nodes(statement: ast.stmt) -> Sequence[ast.expr]:
    value = statement.value if isinstance(statement, ast.Expr) else None
    if isinstance(value, ast.List | ast.Tuple):
        return value.elts
    return [value] if isinstance(value, ast.Call) else []


def _from_node(node: ast.expr) -> Call | None:
    if not isinstance(node, ast.Call):
        return None
    try:
        placed = tuple(ast.literal_eval(one) for one in node.args)
        arguments = {str(one.arg): ast.literal_eval(one.value) for one in node.keywords if one.arg}
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None
    return Call(ast.unparse(node.func), arguments, placed)
