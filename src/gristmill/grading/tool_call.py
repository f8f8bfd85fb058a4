"""Tool calls: a ladder of checks, each with a field of its own.

The rungs go from "is it a call" to "are these the values that were wanted". A call that does not parse, names no tool, breaks
the tool's schema, or has values that nobody accepts fails at that rung and says so. Several calls are matched to several accepted
answers as a whole (augmenting paths: Kuhn 1955), not greedily, so that the order of calls never costs a right answer. Where no
call is right, silence has to be sense: text that tries to be a call and is none does not pass. Nothing of a call is executed;
Python's call syntax is read by `ast` and never run.
"""

from __future__ import annotations

import ast
import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from gristmill.grading.registry import grader
from gristmill.messages import Frozen
from gristmill.plain import as_list, as_object, as_text
from gristmill.records import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic import JsonValue

    from gristmill.records import Prompt, Sample

MAX_CHARACTERS = 200_000
MAX_CALLS = 64
_HERMES = re.compile(r"<tool_call>\s*(.*?)\s*</tool_call>", re.DOTALL)
_FENCED = re.compile(r"```(?:json|python|tool_code|tool_call)?\s*\n(.*?)\n?\s*```", re.DOTALL)
_LOOKS_LIKE_CALL = re.compile(
    r"<tool_call>|\"(?:name|arguments|function|parameters)\"\s*:|^\s*\[?\s*[\w.]+\(.*\)\s*\]?\s*$", re.DOTALL
)
_TYPES = {"dict": "object", "float": "number", "tuple": "array", "hashmap": "object", "arraylist": "array", "long": "integer"}
_STRICT = re.compile(r"[\d@/\\_]")
_PUNCTUATION = re.compile(r"[\s,.;:!?'\"`*^()-]+")
OPTIONAL = ""
"""Among accepted values: the parameter may be left away."""


class ToolCallOptions(Frozen):
    """What is wanted besides the accepted values."""

    grounded: bool = False
    """Fail calls with values that stand neither in the conversation nor in the tool's schema: made up, even if accepted."""


class Call(NamedTuple):
    """One call."""

    name: str
    arguments: dict[str, Any]
    placed: tuple[Any, ...] = ()
    """Arguments without a name, in their order: Python's syntax has them."""


class Rungs(NamedTuple):
    """What each check says; None where it was not reached."""

    parsed: bool
    tools_exist: bool | None = None
    schema_ok: bool | None = None
    grounded: bool | None = None
    arguments_ok: bool | None = None


def proof_of(reference: str, _options: ToolCallOptions) -> str:
    """Return the calls that a reference accepts, the first accepted value of each parameter."""
    task = _task(reference)
    if task is None:
        return ""
    calls = [
        {
            "name": call.name,
            "arguments": {name: _first(values) for name, values in call.arguments.items() if _first(values) != OPTIONAL},
        }
        for call in task[1]
    ]
    return orjson.dumps(calls).decode()


def _first(values: Any) -> Any:
    """Return the first accepted value, inside objects too."""
    options = as_list(values)
    value = options[0] if options else values if options is None else OPTIONAL
    return _plain(value)


def _plain(value: Any) -> Any:
    """Return an accepted value with the first of each list of values inside its objects."""
    fields, items = as_object(value), as_list(value)
    if fields is not None:
        return {key: _first(part) for key, part in fields.items()}
    return value if items is None else [_plain(item) for item in items]


@grader("tool_call", version=1, options=ToolCallOptions, proof=proof_of)
def grade_tool_call(prompt: Prompt, sample: Sample, options: ToolCallOptions) -> Verdict:
    """Compare tool calls with the accepted ones, rung by rung.

    The reference is a JSON object `{function: [schemas], possible_answer: [{NAME: {PARAMETER: [values]}}]}`; an empty
    `possible_answer` wants no call. Reasons: `equal`, `no_call_wanted`, `unparsable`, `no_call`, `spurious_call`, `unknown_tool`,
    `against_schema`, `ungrounded`, `wrong_number`, `different`, `garbage`; and without a verdict `reference_not_a_task`,
    `no_text`, `no_reference`.
    """
    if not prompt.reference:
        return Verdict(passed=None, reason="no_reference")
    task = _task(prompt.reference)
    if task is None:
        return Verdict(passed=None, reason="reference_not_a_task")
    tools, accepted = task
    said = sample.messages[-1].tool_calls if sample.messages and sample.messages[-1].role == "assistant" else ()
    if said:
        calls = [_from_object({"name": call.name, "arguments": call.arguments}) for call in said]
    elif sample.answer is None:
        return Verdict(passed=None, reason="no_text")
    else:
        calls = read_calls(sample.answer)
    good = None if calls is None or any(call is None for call in calls) else [call for call in calls if call is not None]
    text = sample.answer or ""
    reason, rungs = _climbed(good, tools, accepted, _conversation(prompt), text)
    if options.grounded and rungs.grounded is False and reason == "equal":
        reason = "ungrounded"
    evidence: dict[str, JsonValue] = {
        "method": "tool_call",
        "extracted": orjson.dumps([call._asdict() for call in good or []]).decode()[:400],
        **rungs._asdict(),
    }
    reached = [rung for rung in (rungs.parsed, rungs.tools_exist, rungs.schema_ok, rungs.arguments_ok) if rung]
    return Verdict(passed=reason in ("equal", "no_call_wanted"), reason=reason, score=len(reached) / 4, evidence=evidence)


def _climbed(
    calls: list[Call] | None, tools: dict[str, Any], accepted: list[Call], conversation: str, text: str
) -> tuple[str, Rungs]:
    if not accepted:
        return _silent(calls, text)
    if not calls:
        return ("unparsable" if calls is None and _LOOKS_LIKE_CALL.search(text) else "no_call"), Rungs(parsed=False)
    if any(call.name not in tools for call in calls):
        return "unknown_tool", Rungs(parsed=True, tools_exist=False)
    calls = [with_names(call, tools[call.name]) for call in calls]
    grounded = all(is_grounded(call, tools[call.name], conversation) for call in calls)
    if not all(fits_schema(call, tools[call.name]) for call in calls):
        return "against_schema", Rungs(parsed=True, tools_exist=True, schema_ok=False, grounded=grounded)
    same = len(calls) == len(accepted)
    if same:
        table = [[_accepts(call, one) for one in accepted] for call in calls]
        same = matched(table) == len(calls)
    reason = "equal" if same else "different" if len(calls) == len(accepted) else "wrong_number"
    return reason, Rungs(parsed=True, tools_exist=True, schema_ok=True, grounded=grounded, arguments_ok=same)


def _silent(calls: list[Call] | None, text: str) -> tuple[str, Rungs]:
    """Judge an answer where no call is wanted: an explicit empty list, or words that do not try to be a call."""
    if calls:
        return "spurious_call", Rungs(parsed=True)
    if calls is not None:
        return "no_call_wanted", Rungs(parsed=True, tools_exist=True, schema_ok=True, arguments_ok=True)
    letters = sum(map(str.isalpha, text))
    if letters < 2 or letters * 2 < len("".join(text.split())) or _LOOKS_LIKE_CALL.search(text):
        return "garbage", Rungs(parsed=False)
    return "no_call_wanted", Rungs(parsed=True, tools_exist=True, schema_ok=True, arguments_ok=True)


def _task(reference: str) -> tuple[dict[str, Any], list[Call]] | None:
    """Return the tools by name and the accepted calls, whose arguments are lists of accepted values."""
    try:
        content = as_object(orjson.loads(reference))
    except orjson.JSONDecodeError:
        return None
    functions, answers = as_list((content or {}).get("function")), as_list((content or {}).get("possible_answer"))
    if functions is None or answers is None:
        return None
    tools = {
        str(tool["name"]): as_object(tool.get("parameters")) or {}
        for one in functions
        if (tool := as_object(one)) and "name" in tool
    }
    accepted = [
        Call(str(name), as_object(arguments) or {}) for one in answers for name, arguments in (as_object(one) or {}).items()
    ]
    return tools, accepted


def _conversation(prompt: Prompt) -> str:
    return " ".join(message.content for message in prompt.messages).casefold()


# --- reading calls


def read_calls(text: str) -> list[Call | None] | None:
    """Return the calls in a text, or None where it has none; a call that is one only in part is None in the list.

    Read are JSON objects and lists (`{"name", "arguments"}`, OpenAI's `{"function": {…}}`, xLAM's lists), Hermes' tags, and
    Python's `name(key=value)`, alone, in a list, or in a fence.
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
    items = as_list(content)
    if items is None:
        return [_from_object(content)] if as_object(content) else None
    return [_from_object(item) for item in items]


def _from_object(content: Any) -> Call | None:
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
    try:
        body = ast.parse(text.strip()).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    nodes = [node for one in body for node in _call_nodes(one)]
    return [_from_node(node) for node in nodes] if nodes and all(isinstance(one, ast.Expr) for one in body) else None


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


# --- the rungs


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


def _accepts(call: Call, accepted: Call) -> bool:
    """Whether a call is one of the accepted ones: its tool, nothing missing, every value accepted."""
    if call.name != accepted.name:
        return False
    for name, values in accepted.arguments.items():
        options = as_list(values) if as_list(values) is not None else [values]
        if name not in call.arguments:
            if OPTIONAL not in (options or []):
                return False
        elif not any(accepts_value(call.arguments[name], option) for option in options or []):
            return False
    return all(name in accepted.arguments for name in call.arguments)


def accepts_value(value: Any, option: Any) -> bool:
    """Whether a value is an accepted one; inside objects the accepted side has lists of values.

    Numbers are equal as numbers and never equal a text. Free text is compared without case, spacing and punctuation; what has
    digits, slashes, underscores or an @ (ids, dates, paths, addresses) only without case and extra spaces.
    """
    if isinstance(value, bool) or isinstance(option, bool):
        return value is option
    if isinstance(value, int | float) and isinstance(option, int | float):
        return value == option
    if isinstance(value, str) and isinstance(option, str):
        return _folded(value, option) == _folded(option, option)
    fields, wanted = as_object(value), as_object(option)
    if fields is not None and wanted is not None:
        return _accepts_object(fields, wanted)
    items, options = as_list(value), as_list(option)
    if items is not None and options is not None:
        return len(items) == len(options) and all(accepts_value(one, other) for one, other in zip(items, options, strict=True))
    return value is None and option is None


def _accepts_object(fields: dict[str, Any], wanted: dict[str, Any]) -> bool:
    for name, values in wanted.items():
        options = as_list(values)
        several = [values] if options is None else options
        if name not in fields:
            if OPTIONAL not in several:
                return False
        elif not any(accepts_value(fields[name], option) for option in several):
            return False
    return all(name in wanted for name in fields)


def _folded(text: str, like: str) -> str:
    plain = " ".join(text.split()).casefold()
    return plain if _STRICT.search(like) else _PUNCTUATION.sub("", plain)


def matched(table: Sequence[Sequence[bool]]) -> int:
    """Return how many rows can be given a column of their own in which they are true."""
    owner: dict[int, int] = {}

    def place(row: int, seen: set[int]) -> bool:
        for column, fits in enumerate(table[row]):
            if fits and column not in seen:
                seen.add(column)
                if column not in owner or place(owner[column], seen):
                    owner[column] = row
                    return True
        return False

    return sum(place(row, set()) for row in range(len(table)))
