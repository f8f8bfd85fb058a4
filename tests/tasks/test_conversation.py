"""`conversation`: two sides that see it from their own chairs, its end, tools, faults by name, and a crash in the middle."""

from __future__ import annotations

import json
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tests.runs import command, finish, run
from tests.tasks.kinds import asked, grades, kind_recipe, made, replies, samples

from gristmill.grading.dialogue import DialogueOptions, grade_dialogue
from gristmill.messages import Message, ToolCall, user
from gristmill.records import Prompt, Reply, Sample, TeacherIdentity

PERSONA = "I was raised on a horse farm.\nI want to be a lawyer."
STEPS = {"user": ["I need {n} horses.", "What about {n}?"], "assistant": ["There are {n} of them.", "Take {n}."]}


def test_two_sides_talk_until_the_turns_are_used_up(tmp_path: Path) -> None:
    (sample,) = made(tmp_path, [{"text": PERSONA}], {"conversation": {"turns": [2, 3]}}, STEPS, grade=["dialogue"])
    assert [message.role for message in sample.messages] == ["user", "assistant"] * 3
    assert (sample.meta["user_turns"], sample.meta["ended"]) == (3, "turns")
    turns = sample.meta["turns"]
    assert isinstance(turns, list)
    assert [turn["role"] for turn in turns if isinstance(turn, dict)] == ["user", "assistant"] * 3
    assert grades(tmp_path)["dialogue"] == [(True, "clean")]
    summary = json.loads((tmp_path / "run/summary.json").read_text())
    (share,) = summary["models"].values()
    assert (share["passed"], share["graded"]) == (1, 1), "a conversation of six replies is one sample"


def test_each_side_sees_the_other_as_its_user(tmp_path: Path) -> None:
    """The simulated user is told its persona and goal and never the assistant's system message, and the other way round."""
    task = {"conversation": {"turns": [1, 2], "system": "Be brief.", "goals": {"buy a horse": 1}}}
    (sample,) = made(tmp_path, [{"text": PERSONA}], task, STEPS)
    said = asked(tmp_path)
    second = said["user", 1]
    assert "horse farm" in second
    assert "buy a horse" in second
    assert "Be brief" not in second
    assert "Be brief" in said["assistant", 1]
    assert "horse farm" not in said["assistant", 1]
    assert sample.messages[0].role == "system"
    assert sample.messages[0].content == "Be brief."


@pytest.mark.parametrize(("word", "ended", "passed"), [("[DONE]", "goal", True), ("[STUCK]", "stuck", False)])
def test_the_user_says_when_it_is_over(tmp_path: Path, word: str, ended: str, *, passed: bool) -> None:
    task = {"conversation": {"turns": [1, 9]}}
    steps = {**STEPS, "user": ["I need {n} horses.", word]}
    rows = [{"text": f"{PERSONA} {number}"} for number in range(12)]
    found = [sample for sample in made(tmp_path, rows, task, steps, grade=["goal_reached"]) if sample.status == "complete"]
    assert found
    assert {str(sample.meta["ended"]) for sample in found} <= {ended, "turns"}
    assert all(word not in message.content for sample in found for message in sample.messages)
    assert (passed, "goal" if passed else f"ended_by_{ended}") in grades(tmp_path)["goal_reached"]


def test_a_user_who_leaves_at_once_is_a_named_failure(tmp_path: Path) -> None:
    (sample,) = made(tmp_path, [{"text": PERSONA}], "conversation", {**STEPS, "user": ["[DONE]"]})
    assert (sample.status, sample.reason) == ("malformed", "too_few_turns")


def test_a_rows_own_goal_goes_before_the_declared_ones(tmp_path: Path) -> None:
    rows = [{"text": PERSONA, "goal": "sell a saddle"}]
    prompts = {"path": "rows.jsonl", "prompt": "text", "meta": ["goal"], "origin": "human", "license": "CC0-1.0"}
    made(tmp_path, rows, {"conversation": {"turns": [1, 1]}}, STEPS, prompts=prompts)
    assert "sell a saddle" in asked(tmp_path)["user", 0]


class Shop:
    """A teacher that calls a tool at its first turn, plays the tool, and answers."""

    identity = TeacherIdentity(provider="test", model="shop")
    bills = False

    async def complete(self, request: Any) -> Reply:
        """Answer by who is asked."""
        last = request.messages[-1]
        if request.step == "tool":
            return _said('{"price": 12}')
        if request.step == "user":
            return _said("What does a saddle cost?" if request.occurrence == 0 else "[DONE]")
        if last.role == "tool":
            return _said(f"It is {last.content}.")
        assert request.tools[0]["function"]["name"] == "price"
        call = ToolCall(id="c1", name="price", arguments='{"item": "saddle"}')
        return Reply(message=Message(role="assistant", content="", tool_calls=(call,)), finish="tool_calls")

    async def close(self) -> None:
        """Nothing is open."""


def _said(text: str) -> Reply:
    return Reply(message=Message(role="assistant", content=text), finish="stop")


def test_tools_are_played_by_a_role_and_exported_with_their_calls(tmp_path: Path) -> None:
    tools = [{"name": "price", "description": "The price of an item.", "parameters": {"type": "object"}}]
    path = kind_recipe(tmp_path, [{"text": PERSONA}], {"conversation": {"tools": tools}}, STEPS, grade=["dialogue"])
    run(path, tmp_path / "run", teachers={"teacher": Shop()})
    (sample,) = samples(tmp_path / "run")
    assert [message.role for message in sample.messages] == ["user", "assistant", "tool", "assistant"]
    (line,) = (tmp_path / "run/export/messages/train.jsonl").read_text().splitlines()
    exported = json.loads(line)["messages"]
    assert exported[1]["tool_calls"][0]["function"] == {"name": "price", "arguments": '{"item": "saddle"}'}
    assert exported[2]["tool_call_id"] == "c1"


def test_a_crash_in_the_middle_of_twelve_turns_goes_on_there(tmp_path: Path) -> None:
    """After `kill -9` at the seventh turn nothing that was answered is asked for again, and the conversation is the same."""
    steps = {"user": ["I need {n} horses."], "assistant": ["There are {n} of them."]}
    script = {"replies": replies(steps), "latency_s": [0.05, 0.05], "log": str(tmp_path / "log")}
    task = {"conversation": {"turns": [12, 12]}}
    path = kind_recipe(tmp_path, [{"text": PERSONA}], task, steps, teacher={"address": "scripted:", "script": script})
    process = command("run", str(path), "-o", str(tmp_path / "run"))
    log = tmp_path / "log"
    while not (log.exists() and len(log.read_text().splitlines()) >= 14):
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.communicate()
    code, out, err = finish(command("run", str(path), "-o", str(tmp_path / "run"), "--json"))
    assert code == 0, err
    assert json.loads(out)["calls"]["replayed"] >= 12
    asked = Counter(log.read_text().splitlines())
    assert len(asked) == 24
    assert sum(asked.values()) <= 25  # the one that was in flight
    whole = made(tmp_path, [{"text": PERSONA}], task, steps)
    assert whole[0].messages == samples(tmp_path / "run")[0].messages


def spoken(*texts: str) -> Sample:
    messages = tuple(Message(role="user" if at % 2 == 0 else "assistant", content=text) for at, text in enumerate(texts))
    return Sample(id="", prompt_id="", index=0, messages=messages, answer=texts[-1], status="complete")


LONG = "There are two shows of it tonight, at seven and at nine in the evening."


@pytest.mark.parametrize(
    ("texts", "reason"),
    [
        (("A ticket, please.", "For when?", "Tonight. Assistant: At nine?", "Yes."), "self_talk"),
        (("A ticket, please.", "For when?\nUser: tonight", "Nine.", "Yes."), "self_talk"),
        (("A ticket, please.", "For when?", "How can I help you?", "Yes."), "role_leak"),
        (("A ticket, please.", "For when?", "As an AI, I have no time.", "Yes."), "role_leak"),
        (("A ticket, please.<|im_end|>", "For when?"), "marker"),
        (("A ticket, please.", LONG, "Which ones?", LONG), "repeated_turn"),
        (("A ticket, please.", "For when?", "Tonight."), "not_alternating"),
        (("word " * 300, "For when?"), "long_user_turn"),
        (("A ticket: one.", "See http://a.b: it is there.", "Thanks!", "Welcome."), "clean"),
    ],
)
def test_faults_of_a_conversation_have_names(texts: tuple[str, ...], reason: str) -> None:
    prompt = Prompt(id="p", messages=(user(""),))
    assert grade_dialogue(prompt, spoken(*texts), DialogueOptions()).reason == reason
