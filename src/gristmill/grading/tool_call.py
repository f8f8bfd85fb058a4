"""Tool calls: a ladder of checks, each with a field of its own.

The rungs go from "is it a call" over "are these the values that were wanted" to "is the world afterwards as it should be". A call
that does not parse, names no tool, breaks the tool's schema, or has values that nobody accepts fails at that rung and says so.
Where no call is right, silence has to be sense: text that tries to be a call and is none does not pass. Calls are carried out
only where the reference brings a simulated world, and only within the sandbox.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from gristmill.grading.calls.accepting import OPTIONAL, accepts, matched
from gristmill.grading.calls.reading import Call, call_of, read_calls
from gristmill.grading.calls.schemas import fits_schema, is_grounded, with_names
from gristmill.grading.calls.simulation import Simulation, read_simulation, simulated
from gristmill.grading.registry import grader
from gristmill.messages import Frozen
from gristmill.plain import as_list, as_object
from gristmill.records import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic import JsonValue

    from gristmill.ports import Session
    from gristmill.records import Prompt, Sample

_LOOKS_LIKE_CALL = re.compile(
    r"<\|?(?:tool_call|function|python_tag)|\[TOOL_CALLS\]|\"(?:name|arguments|function|parameters)\"\s*:|^\s*\[?\s*[\w.]+\(.*\)\s*\]?\s*$",
    re.DOTALL,
)


class ToolCallOptions(Frozen):
    """What is wanted besides the accepted values."""

    grounded: bool = False
    """Fail calls with values that stand neither in the conversation nor in the tool's schema: made up, even if accepted."""


class Rungs(NamedTuple):
    """What each check says; None where it was not reached, or the reference does not ask for it."""

    parsed: bool
    tools_exist: bool | None = None
    schema_ok: bool | None = None
    grounded: bool | None = None
    arguments_ok: bool | None = None
    executes: bool | None = None
    state_ok: bool | None = None


class Task(NamedTuple):
    """What a reference asks for."""

    tools: dict[str, dict[str, Any]]
    """Parameters by name."""
    accepted: list[Call] | None
    """Calls whose arguments are lists of accepted values; empty where none is wanted, None where the state alone decides."""
    simulation: Simulation | None


def proof_of(reference: str, _options: ToolCallOptions) -> str | None:
    """Return the calls that a reference accepts, the first accepted value of each parameter; None where it names none."""
    task = _task(reference)
    if task is None or task.accepted is None:
        return "" if task is None else None
    calls = [
        {
            "name": call.name,
            "arguments": {name: _first(values) for name, values in call.arguments.items() if _first(values) != OPTIONAL},
        }
        for call in task.accepted
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


@grader("tool_call", version=3, options=ToolCallOptions, proof=proof_of)
async def grade_tool_call(prompt: Prompt, sample: Sample, options: ToolCallOptions, session: Session) -> Verdict:
    """Compare tool calls with the accepted ones, and the state that they lead to with the right one, rung by rung.

    The reference is a JSON object `{function: [schemas], possible_answer: [{NAME: {PARAMETER: [values]}}]}`; an empty
    `possible_answer` wants no call. With `simulation: {code, state, after: [states]}` the calls are carried out on a simulated
    state as well, and `possible_answer` may be left away. Reasons: `equal`, `no_call_wanted`, `right_state`, `unparsable`,
    `no_call`, `spurious_call`, `unknown_tool`, `against_schema`, `ungrounded`, `wrong_number`, `different`, `does_not_execute`,
    `wrong_state`, `garbage`; and without a verdict `reference_not_a_task`, `no_text`, `no_reference`.
    """
    if not prompt.reference:
        return Verdict(passed=None, reason="no_reference")
    task = _task(prompt.reference)
    if task is None:
        return Verdict(passed=None, reason="reference_not_a_task")
    said = sample.messages[-1].tool_calls if sample.messages and sample.messages[-1].role == "assistant" else ()
    if not said and sample.answer is None:
        return Verdict(passed=None, reason="no_text")
    calls = [call_of({"name": call.name, "arguments": call.arguments}) for call in said] or read_calls(sample.answer or "")
    good = None if calls is None or any(call is None for call in calls) else [call for call in calls if call is not None]
    named = good and [with_names(call, task.tools.get(call.name, {})) for call in good]
    reason, rungs = _climbed(named, task, _conversation(prompt), sample.answer or "")
    detail = ""
    if task.simulation is not None and rungs.schema_ok and named:
        found = await simulated(task.simulation, named, [*task.tools], session)
        rungs, detail = rungs._replace(executes=found.executes, state_ok=found.state_ok and found.returns_ok), found.detail
        if reason in _RIGHT:
            reason = "does_not_execute" if not found.executes else reason if rungs.state_ok else "wrong_state"
    if options.grounded and rungs.grounded is False and reason in _RIGHT:
        reason = "ungrounded"
    evidence: dict[str, JsonValue] = {
        "method": "tool_call",
        "extracted": orjson.dumps([call._asdict() for call in good or []]).decode()[:400],
        **rungs._asdict(),
        **({"detail": detail} if detail else {}),
    }
    return Verdict(passed=reason in _RIGHT, reason=reason, score=_score(rungs, task), evidence=evidence)


_RIGHT = ("equal", "no_call_wanted", "right_state")


def _score(rungs: Rungs, task: Task) -> float:
    """Return the share of the rungs that the reference asks for which hold."""
    asked = [rungs.parsed, rungs.tools_exist, rungs.schema_ok]
    asked += [rungs.arguments_ok] if task.accepted is not None else []
    asked += [rungs.executes, rungs.state_ok] if task.simulation is not None else []
    return sum(rung is True for rung in asked) / len(asked)


def _climbed(calls: list[Call] | None, task: Task, conversation: str, text: str) -> tuple[str, Rungs]:
    tools, accepted = task.tools, task.accepted
    if accepted is not None and not accepted:
        return _silent(calls, text, tools)
    if not calls:
        return ("unparsable" if calls is None and _LOOKS_LIKE_CALL.search(text) else "no_call"), Rungs(parsed=False)
    if any(call.name not in tools for call in calls):
        return "unknown_tool", Rungs(parsed=True, tools_exist=False)
    grounded = all(is_grounded(call, tools[call.name], conversation) for call in calls)
    climbed = Rungs(parsed=True, tools_exist=True, schema_ok=True, grounded=grounded)
    if not all(fits_schema(call, tools[call.name]) for call in calls):
        return "against_schema", climbed._replace(schema_ok=False)
    if accepted is None:
        return "right_state", climbed
    same = len(calls) == len(accepted) and matched([[accepts(call, one) for one in accepted] for call in calls]) == len(calls)
    reason = "equal" if same else "different" if len(calls) == len(accepted) else "wrong_number"
    return reason, climbed._replace(arguments_ok=same)


def _silent(calls: list[Call] | None, text: str, tools: Iterable[str]) -> tuple[str, Rungs]:
    """Judge an answer where no call is wanted: an explicit empty list, or words that do not try to be a call."""
    if calls:
        return "spurious_call", Rungs(parsed=True)
    if calls is not None:
        return "no_call_wanted", Rungs(parsed=True, tools_exist=True, schema_ok=True, arguments_ok=True)
    letters = sum(map(str.isalpha, text))
    if letters < 2 or letters * 2 < len("".join(text.split())) or _LOOKS_LIKE_CALL.search(text) or _calls_one(text, tools):
        return "garbage", Rungs(parsed=False)
    return "no_call_wanted", Rungs(parsed=True, tools_exist=True, schema_ok=True, arguments_ok=True)


def _calls_one(text: str, tools: Iterable[str]) -> bool:
    """Whether a text has a call of one of the tools in it, whole or cut off: its name and the first of its values."""
    names = "|".join(re.escape(name) for name in tools)
    return bool(names) and re.search(rf"(?<![\w.])(?:{names})\(\s*(?:\w+\s*=|[\"'\d\[{{-])", text) is not None


def _task(reference: str) -> Task | None:
    """Return what a reference asks for, or None where it is no task."""
    try:
        content = as_object(orjson.loads(reference)) or {}
    except orjson.JSONDecodeError:
        return None
    functions, answers = as_list(content.get("function")), as_list(content.get("possible_answer"))
    simulation = read_simulation(content.get("simulation"))
    if functions is None or (answers is None and simulation is None) or (simulation is None and "simulation" in content):
        return None
    tools = {
        str(tool["name"]): as_object(tool.get("parameters")) or {}
        for one in functions
        if (tool := as_object(one)) and "name" in tool
    }
    if answers is None:
        return Task(tools, None, simulation)
    accepted = [
        Call(str(name), as_object(arguments) or {}) for one in answers for name, arguments in (as_object(one) or {}).items()
    ]
    return Task(tools, accepted, simulation)


def _conversation(prompt: Prompt) -> str:
    return " ".join(message.content for message in prompt.messages).casefold()
