"""A conversation in which each side stays itself.

Made-up conversations fail in ways of their own: one turn holds both sides (`User: …  Assistant: …`), the simulated user begins
to help, the assistant repeats itself, the roles do not alternate. Each has its reason here, found by rules of form and a list
of phrases that only an assistant says (`assets/phrases/assistant_talk.txt`, English). What a conversation is worth is for a
judge; these are what no conversation may have.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from pydantic import Field

from gristmill.grading.manner import phrases, plain_quotes
from gristmill.grading.registry import Needs, grader
from gristmill.messages import Frozen
from gristmill.prose import words
from gristmill.records import Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gristmill.messages import Message
    from gristmill.records import Prompt, Sample

SHOWN = 160
LOOKED_AT = 20_000
"""Characters of a turn that are looked at."""
_LABEL = re.compile(
    r"(?:^|[\n.!?\"')\]]\s*)[\[(*_#>]*(?P<who>user|human|customer|client|person|me|you|assistant|ai|bot|chatbot|agent|model|system|"
    r"speaker [ab12]|user ?[12]|user_[12])\b[\])*_]*\s?\d?\s*[:：](?!//)",
    re.IGNORECASE,
)
_MARKER = re.compile(
    r"<\|?/?(?:im_start|im_end|start_of_turn|end_of_turn|eot_id|start_header_id|end_header_id|user|assistant|system|human|bot)\|?>"
    r"|\[/?INST\]|<</?SYS>>|\[(?:DONE|STUCK)\]|^###\s*(?:Human|Assistant|User|Instruction|Response)\b",
    re.IGNORECASE | re.MULTILINE,
)


_NAMED = re.compile(r"(?<=\s)(?:Assistant|User|AI|Human|Bot|Chatbot|Customer|Agent|Model|System):\s")
"""A speaker's name in the middle of a line, written as one."""


class DialogueOptions(Frozen):
    """What a conversation must be besides clean."""

    min_turns: int = Field(default=1, ge=1)
    """The least turns of the user."""
    same: float = Field(default=0.9, gt=0, le=1)
    """The share of words from which two turns of one side say the same."""
    same_words: int = Field(default=8, ge=1)
    """Turns with fewer different words (`thanks`, `yes please`) may come twice."""
    user_words: int = Field(default=250, ge=10)
    """A user's turn with more words is none that a person types."""


class Fault(NamedTuple):
    """What is wrong with a conversation, and where."""

    reason: str
    turn: int
    matched: str


@grader("dialogue", version=1, options=DialogueOptions, needs=Needs(whole=True))
def grade_dialogue(_prompt: Prompt, sample: Sample, options: DialogueOptions) -> Verdict:
    """Refuse conversations whose sides leave their roles, repeat themselves or do not alternate.

    Reasons: `clean`; `not_alternating`, `self_talk` (a turn that holds another's), `marker` (a chat format's tokens),
    `role_leak` (a user who speaks as an assistant), `repeated_turn`, `long_user_turn`, `too_few_turns`; without a verdict
    `no_conversation`.
    """
    spoken = [message for message in sample.messages if message.role in ("user", "assistant") and message.content.strip()]
    if not spoken:
        return Verdict(passed=None, reason="no_conversation")
    fault = first_fault(spoken, options)
    if fault is not None:
        return Verdict(
            passed=False,
            reason=fault.reason,
            evidence={"turn": fault.turn, "matched": fault.matched[:SHOWN], "turns": len(spoken)},
        )
    return Verdict(passed=True, reason="clean", evidence={"turns": len(spoken)})


def first_fault(spoken: Sequence[Message], options: DialogueOptions) -> Fault | None:
    """Return the first fault of a conversation; turns count from 1."""
    for number, message in enumerate(spoken, 1):
        if number > 1 and message.role == spoken[number - 2].role:
            return Fault("not_alternating", number, message.role)
        if (found := _said_wrong(message, options)) is not None:
            return found._replace(turn=number)
    if spoken[0].role != "user" or spoken[-1].role != "assistant":
        return Fault("not_alternating", 1 if spoken[0].role != "user" else len(spoken), spoken[0].role)
    turns = sum(message.role == "user" for message in spoken)
    if turns < options.min_turns:
        return Fault("too_few_turns", len(spoken), f"{turns} of {options.min_turns}")
    return _repeated(spoken, options)


def _said_wrong(message: Message, options: DialogueOptions) -> Fault | None:
    """Return what is wrong with one turn by itself."""
    text = plain_quotes(message.content[:LOOKED_AT])
    if found := _MARKER.search(text):
        return Fault("marker", 0, found.group())
    if label := _label(text):
        return Fault("self_talk", 0, label)
    if message.role == "assistant":
        return None
    if leak := phrases("assistant_talk", r"\b{}").search(text):
        return Fault("role_leak", 0, leak.group())
    size = len(text.split())
    return Fault("long_user_turn", 0, f"{size} words") if size > options.user_words else None


def _label(text: str) -> str | None:
    """Return a speaker's name before a turn or within it, or None."""
    found = _LABEL.search(text) or _NAMED.search(text)
    return None if found is None else found.group().strip()


def _repeated(spoken: Sequence[Message], options: DialogueOptions) -> Fault | None:
    """Return a turn that says what the same side said before."""
    before: dict[str, list[frozenset[str]]] = {"user": [], "assistant": []}
    for number, message in enumerate(spoken, 1):
        said = frozenset(words(message.content))
        if len(said) >= options.same_words:
            for other in before[message.role]:
                if len(said & other) >= options.same * len(said | other):
                    return Fault("repeated_turn", number, message.content)
            before[message.role].append(said)
    return None


class GoalOptions(Frozen):
    """Nothing to choose."""


@grader("goal_reached", version=1, options=GoalOptions, needs=Needs(whole=True))
def grade_goal_reached(_prompt: Prompt, sample: Sample, _options: GoalOptions) -> Verdict:
    """Want the simulated user to have said that it has what it wanted; weaker than a judge, and free."""
    ended = sample.meta.get("ended")
    if not isinstance(ended, str):
        return Verdict(passed=None, reason="not_said")
    return Verdict(passed=ended == "goal", reason="goal" if ended == "goal" else f"ended_by_{ended}")
