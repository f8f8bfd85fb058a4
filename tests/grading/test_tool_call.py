"""Tool calls, rung by rung."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.grading.calls.accepting import accepts_value, matched
from gristmill.grading.calls.reading import Call, read_calls
from gristmill.grading.calls.schemas import is_grounded
from gristmill.grading.tool_call import ToolCallOptions as Options
from gristmill.grading.tool_call import proof_of
from gristmill.messages import Message, ToolCall, user
from gristmill.records import Prompt, Sample, Verdict
from tests.grading.asking import verdict_of
from tests.sandbox.walls_here import needs_bubblewrap
from tests.shared_data import recorded

WEATHER = {
    "name": "weather.get",
    "parameters": {
        "type": "dict",
        "properties": {
            "city": {"type": "string"},
            "days": {"type": "integer"},
            "unit": {"type": "string", "enum": ["C", "F"]},
            "exact": {"type": "float"},
        },
        "required": ["city"],
    },
}
CLOCK = {"name": "clock", "parameters": {"type": "object", "properties": {"zone": {"type": "string"}}, "required": ["zone"]}}
ANSWER = {"weather.get": {"city": ["New York", "NYC"], "days": [3], "unit": ["C", ""]}}
ONE = {"function": [WEATHER, CLOCK], "possible_answer": [ANSWER]}
TWO = {"function": [WEATHER, CLOCK], "possible_answer": [{"clock": {"zone": ["UTC", "GMT"]}}, {"clock": {"zone": ["UTC"]}}]}
NONE = {"function": [WEATHER], "possible_answer": []}


def graded(text: str | None, task: Any, asked: str = "The weather in New York for 3 days?", **options: Any) -> Verdict:
    prompt = Prompt(id="p", messages=(user(asked),), reference=json.dumps(task) if task is not None else None)
    sample = Sample(id="s", prompt_id="p", index=0, messages=prompt.messages, answer=text, status="complete")
    return verdict_of("tool_call", prompt, sample, **options)


GOOD = {"name": "weather.get", "arguments": {"city": "New York", "days": 3}}


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(GOOD),
        json.dumps([GOOD]),
        json.dumps([{"type": "function", "function": {"name": "weather.get", "arguments": json.dumps(GOOD["arguments"])}}]),
        json.dumps({"name": "weather.get", "parameters": GOOD["arguments"]}),
        f"<tool_call>\n{json.dumps(GOOD)}\n</tool_call>",
        f"I look it up.\n```json\n{json.dumps(GOOD)}\n```",
        "weather.get(city='new york', days=3)",
        "[weather.get(city='NYC', days=3, unit='C')]",
        "weather.get('New York', 3)",
        json.dumps({"role": "assistant", "content": None, "tool_calls": [{"type": "function", "function": GOOD}]}),
    ],
)
def test_one_call_in_every_syntax(text: str) -> None:
    found = graded(text, ONE)
    assert (found.passed, found.reason, found.score) == (True, "equal", 1.0)
    assert found.evidence["arguments_ok"] is True


@pytest.mark.parametrize(
    ("text", "task", "reason"),
    [
        ("weather.get(city='Boston', days=3)", ONE, "different"),
        ("weather.get(city='New York')", ONE, "different"),
        ("weather.get(city='New York', days='3')", ONE, "against_schema"),
        ("weather.get(city='New York', days=3, loud=True)", ONE, "against_schema"),
        ("weather.get(city='New York', days=3, unit='K')", ONE, "against_schema"),
        ("weather.get(days=3)", ONE, "against_schema"),
        ("weather.put(city='New York', days=3)", ONE, "unknown_tool"),
        ("clock(zone='UTC')", ONE, "different"),
        ("weather.get(city='New York', days=3); weather.get(city='New York', days=3)", ONE, "wrong_number"),
        ('{"name": "weather.get", "arguments": {"city": ', ONE, "unparsable"),
        ('{"name": "weather.get", "arguments": "broken"}', ONE, "unparsable"),
        ("It will be sunny in New York.", ONE, "no_call"),
        ("", ONE, "no_call"),
        ("__import__('os').system('true')", ONE, "unknown_tool"),
        ("clock(zone='UTC'); clock(zone='GMT')", TWO, "equal"),
        ("clock(zone='GMT'); clock(zone='UTC')", TWO, "equal"),
        ("clock(zone='GMT'); clock(zone='GMT')", TWO, "different"),
        ("I cannot look that up with the tools I have.", NONE, "no_call_wanted"),
        ("[]", NONE, "no_call_wanted"),
        ("weather.get(city='x')", NONE, "spurious_call"),
        ('{"name": "weather.get", "argum', NONE, "garbage"),
        ("", NONE, "garbage"),
        ("%%%% 17 {}{}", NONE, "garbage"),
        ("I would look it up with weather.get(city='Boston', days=3) for you.", NONE, "garbage"),
        ("Let me see what the weather will be: weather.get(city='Bost", NONE, "garbage"),
        ("Let me see what the weather will be. [TOOL_CALLS] weather", NONE, "garbage"),
        ("I cannot use weather.get(city) for the stock market.", NONE, "no_call_wanted"),
        ("x", {"function": 3}, "reference_not_a_task"),
    ],
)
def test_rungs(text: str, task: Any, reason: str) -> None:
    found = graded(text, task)
    assert (found.reason, found.passed) == (
        reason,
        None if reason == "reference_not_a_task" else reason in ("equal", "no_call_wanted"),
    )


WORLD = """
def transfer(state, source, target, amount):
    if state[source] < amount:
        raise ValueError("not enough")
    state[source] -= amount
    state[target] += amount
    return state[target]

def balance(state, name):
    return state[name]
"""
BANK: dict[str, Any] = {
    "function": [
        {
            "name": "transfer",
            "parameters": {
                "type": "object",
                "properties": {"source": {"type": "string"}, "target": {"type": "string"}, "amount": {"type": "integer"}},
                "required": ["source", "target", "amount"],
            },
        },
        {"name": "balance", "parameters": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}},
    ],
    "simulation": {"code": WORLD, "state": {"ann": 10, "bob": 0}, "after": [{"ann": 3, "bob": 7}]},
}
ACCEPTED = {"possible_answer": [{"transfer": {"source": ["ann"], "target": ["bob"], "amount": [7]}}]}
WANTS = {"simulation": {**BANK["simulation"], "returns": [7]}}


@needs_bubblewrap
@pytest.mark.parametrize(
    ("text", "task", "reason", "rungs"),
    [
        ("transfer(source='ann', target='bob', amount=7)", BANK, "right_state", (True, True)),
        ("[transfer('ann', 'bob', 3), transfer('ann', 'bob', 4)]", BANK, "right_state", (True, True)),
        ("[balance('bob'), transfer('ann', 'bob', 7)]", BANK, "right_state", (True, True)),
        ("transfer('ann', 'bob', 6)", BANK, "wrong_state", (True, False)),
        ("transfer('ann', 'bob', 70)", BANK, "does_not_execute", (False, False)),
        ("[transfer('ann', 'bob', 7), transfer('ann', 'bob', 7)]", BANK, "does_not_execute", (False, True)),
        ("transfer('ann', 'bob', '7')", BANK, "against_schema", (None, None)),
        ("carry_out_calls('ann', 'bob', 7)", BANK, "unknown_tool", (None, None)),
        ("transfer('ann', 'bob', 7)", {**BANK, **ACCEPTED}, "equal", (True, True)),
        ("[transfer('ann', 'bob', 3), transfer('ann', 'bob', 4)]", {**BANK, **ACCEPTED}, "wrong_number", (True, True)),
        ("transfer('ann', 'bob', 7)", {**BANK, **WANTS}, "right_state", (True, True)),
        ("[transfer('ann', 'bob', 3), transfer('ann', 'bob', 4)]", {**BANK, **WANTS}, "right_state", (True, True)),
        ("[transfer('ann', 'bob', 8), transfer('bob', 'ann', 1)]", {**BANK, **WANTS}, "wrong_state", (True, False)),
        ("transfer('ann', 'bob', 7)", {**BANK, "simulation": {"code": WORLD}}, "reference_not_a_task", (None, None)),
    ],
)
def test_a_simulated_world_is_as_it_should_be(text: str, task: Any, reason: str, rungs: tuple[Any, Any]) -> None:
    said = graded(text, task)
    assert (said.reason, (said.evidence.get("executes"), said.evidence.get("state_ok"))) == (reason, rungs)


def test_calls_of_the_message_come_before_its_text() -> None:
    call = ToolCall(id="1", name="weather.get", arguments='{"city": "NYC", "days": 3}')
    prompt = Prompt(id="p", messages=(user("?"),), reference=json.dumps(ONE))
    messages = (*prompt.messages, Message(role="assistant", content="", tool_calls=(call,)))
    sample = Sample(id="s", prompt_id="p", index=0, messages=messages, answer="", status="complete")
    assert verdict_of("tool_call", prompt, sample).reason == "equal"


def test_what_is_made_up_can_be_refused() -> None:
    text = "weather.get(city='NYC', days=3)"
    assert graded(text, ONE).evidence["grounded"] is False
    assert graded(text, ONE, grounded=True).reason == "ungrounded"
    assert graded("weather.get(city='New York', days=3)", ONE, grounded=True).reason == "equal"


@pytest.mark.parametrize(
    ("value", "option", "accepted"),
    [
        ("Washington DC", "Washington D.C.", True),
        ("a-b", "ab", True),
        ("2024-01-02", "20240102", False),
        ("v1.5", "v15", False),
        ("a@b.org", "ab.org", False),
        ("a != b", "a = b", False),
        ("x > y", "X  > y", True),
        (5, 5.0, True),
        ("5", 5, False),
        (True, 1, False),
        ([1, "A b"], [1, "a B"], True),
        ([1], [1, 2], False),
        ({"a": 1, "b": "x"}, {"a": [1, 2], "b": ["x", ""]}, True),
        ({"a": 1}, {"a": [1], "b": ["x", ""]}, True),
        ({"a": 1, "c": 2}, {"a": [1]}, False),
    ],
)
def test_accepted_values(value: Any, option: Any, *, accepted: bool) -> None:
    assert accepts_value(value, option) is accepted


def test_matching_is_whole_and_not_greedy() -> None:
    assert matched([[True, True], [True, False]]) == 2
    assert matched([[True, False], [True, False]]) == 1
    assert matched([]) == 0


@given(st.text())
def test_any_text_is_read_and_nothing_runs(text: str) -> None:
    assert graded(text, ONE).model_dump_json()
    read_calls(text)


@pytest.mark.shared_data
def test_planted_calls() -> None:
    """Every planted mistake is found, and every right call passes; what a reference accepts passes itself."""
    tasks: dict[str, Any] = {}
    for name in ("simple_python", "multiple", "parallel", "irrelevance"):
        for row in recorded(f"tool-use/bfcl_{name}.jsonl"):
            tasks[row["id"]] = {"function": row["function"], "possible_answer": row["possible_answer"]}
    rows = recorded("tool-use/bfcl_planted_calls.jsonl.gz")
    wrong = [
        row["id"]
        for row in rows
        if (graded(json.dumps(row["call"]), tasks[row["bfcl_id"]], str(row["question"])).passed is True) is not row["label"]
    ]
    assert len(wrong) <= 0.01 * len(rows), wrong
    refused = [name for name, task in tasks.items() if not graded(proof_of(json.dumps(task), Options()), task).passed]
    assert not refused


@pytest.mark.shared_data
def test_taskmaster_rows_as_they_are() -> None:
    """People's rewards of proposed API calls, without schemas or accepted values: only `grounded` can say anything about them.

    It says little, since a right call may name what the conversation only implies: 0.617 of 553 agree (standard error 0.021).
    """
    rows = recorded("tool-use/taskmaster_reward.jsonl.gz")
    proposed = [(row, call) for row in rows for call in row["generation"].get("api", {}).items()]
    said = [
        (is_grounded(Call(name, arguments), {}, json.dumps(row["context"], ensure_ascii=False).casefold()), row["label"])
        for row, (name, arguments) in proposed
    ]
    agreement = sum(grounded is label for grounded, label in said) / len(said)
    print(f"{len(rows)} rows, {len(said)} calls: `grounded` agrees with people on {agreement:.3f}")
    assert len(said) == 553
    assert 0.5 < agreement < 0.7
