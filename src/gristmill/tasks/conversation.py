"""`conversation`: a whole conversation, made up turn by turn by two models: one plays a user, one answers.

The user has a persona and a goal. Each side sees the conversation from its own chair: what the other said is its `user`. Every
turn is a call of its own, on record before it is used, so a conversation that stops at its seventh turn goes on there and pays
for nothing again. The simulated user decides when it is over: it has what it wanted, or it sees that it will not get it; a
number of turns is the last limit. Tools of the assistant are played by a third role, since there is nothing behind them.
Nothing here says whether a conversation is good: `dialogue` and judges do.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, JsonValue, model_validator

from gristmill.ids import canonical_json, seed_for
from gristmill.messages import Frozen, Message, system, user
from gristmill.recipe.templates import fence_for
from gristmill.tasks.building import made, unreadable
from gristmill.tasks.quota import Quota, Shares
from gristmill.tasks.registry import task
from gristmill.tasks.spread import variant

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gristmill.messages import ToolCall
    from gristmill.ports import Session, SourceRow
    from gristmill.records import Prompt, Reply, Sample

DONE, STUCK = "[DONE]", "[STUCK]"
OPENING = "(You begin. Write your first message.)"
"""What the simulated user's model is given in the place of an assistant's turn before there is one."""
End = Literal["goal", "stuck", "turns"]


class ConversationOptions(Frozen):
    """Who talks about what, and for how long."""

    goals: Shares = Field(default={"get help with something that such a person needs": 1.0})
    """What users want, with shares. A row's own `goal`, carried along by `meta: [goal]`, goes before."""
    per_persona: Annotated[int, Field(ge=1)] = 1
    """Conversations of each row; the row's text is the persona."""
    turns: tuple[Annotated[int, Field(ge=1)], Annotated[int, Field(ge=1, le=100)]] = (1, 8)
    """Fewest and most turns of the user; one that is over before the fewest is malformed."""
    system: str | None = None
    """A system message of the assistant; it is trained on."""
    document: str | None = None
    """The key of `meta` whose text the assistant is given with its system message."""
    tools: tuple[dict[str, JsonValue], ...] = ()
    """Tools of the assistant, each a function with `name`, `description` and `parameters`; the role `tool` plays them."""
    tool_calls: Annotated[int, Field(ge=1, le=20)] = 5
    """The most calls before an assistant has to answer."""

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        if self.turns[0] > self.turns[1]:
            raise ValueError(f"`turns` is [{self.turns[0]}, {self.turns[1]}]: the fewest turns come first")
        return self


def spread(rows: Iterator[SourceRow], options: ConversationOptions, seed: int) -> Iterator[SourceRow]:
    """Yield one prompt a conversation: the persona, with its goal and number."""
    quota = Quota(options.goals, random.Random(seed_for(seed, "conversation", 0, "quota", 0)))
    for row in rows:
        if row.prompt is None:
            yield row
            continue
        for number in range(1, options.per_persona + 1):
            own = row.prompt.meta.get("goal")
            goal = own if isinstance(own, str) and own.strip() else quota.next()
            yield variant(row, row.prompt, "conversation", goal, number, goal=goal, number=number)


class _Talk:
    """One conversation as it grows."""

    def __init__(self, prompt: Prompt, session: Session, options: ConversationOptions) -> None:
        self.prompt = prompt
        self.session = session
        self.options = options
        self.messages: list[Message] = []
        self.replies: list[Reply] = []
        self.turns: list[JsonValue] = []
        """Who spoke: role, model and tokens of every turn."""
        self.ended: End = "turns"
        self.broken = False
        """Whether a turn was cut off or did not come."""

    def note(self, role: str, reply: Reply) -> None:
        self.replies.append(reply)
        self.turns.append({"role": role, "model": reply.model, "output_tokens": reply.usage.output_tokens})

    async def user_turn(self, told: Message) -> bool:
        """Let the simulated user speak; False where it ends the conversation."""
        seen = [told, user(OPENING)]
        for message in self.messages:
            if message.role == "user":
                seen.append(Message(role="assistant", content=message.content))
            elif message.role == "assistant" and message.content.strip():
                seen.append(user(message.content))
        reply = await self.session.complete(_alternating(seen), step="user", role="user")
        self.note("user", reply)
        said = reply.message.content.strip()
        if reply.finish in ("length", "content_filter"):
            self.broken = True
            return False
        if DONE in said or STUCK in said:
            self.ended = "goal" if DONE in said else "stuck"
            return False
        if said:
            self.messages.append(user(said))
        self.broken = not said
        return bool(said)

    async def assistant_turn(self, before: tuple[Message, ...], tools: tuple[dict[str, Any], ...]) -> bool:
        """Let the assistant answer, with its tools; False where no answer came."""
        for number in range(self.options.tool_calls + 1):
            given = tools if number < self.options.tool_calls else ()
            reply = await self.session.complete((*before, *self.messages), step="assistant", tools=given)
            self.note("assistant", reply)
            if reply.finish in ("length", "content_filter"):
                return False
            self.messages.append(reply.message)
            if not reply.message.tool_calls:
                return bool(reply.message.content.strip())
            for call in reply.message.tool_calls:
                await self.tool_result(call)
        return False

    async def tool_result(self, call: ToolCall) -> None:
        """Let the role `tool` say what a call returned."""
        tool = next((one for one in self.options.tools if one.get("name") == call.name), None)
        before = [message.content for message in self.messages if message.role == "tool"][-5:]
        said = "\n".join(before) or "nothing yet"
        shown = canonical_json(tool).decode() if tool else f"There is no program `{call.name}`: return an error."
        fence = fence_for(shown + call.arguments + said)
        text = self.session.fill("conversation/tool", tool=shown, arguments=call.arguments, before=said, fence=fence)
        reply = await self.session.complete((user(text.strip()),), step="tool", role="tool")
        self.note("tool", reply)
        self.messages.append(Message(role="tool", content=reply.message.content.strip(), tool_call_id=call.id))


def _alternating(messages: list[Message]) -> tuple[Message, ...]:
    """Join neighbours of one role: many servers refuse two turns of one side."""
    joined: list[Message] = []
    for message in messages:
        if joined and joined[-1].role == message.role:
            joined[-1] = Message(role=message.role, content=f"{joined[-1].content}\n\n{message.content}")
        else:
            joined.append(message)
    return tuple(joined)


@task(
    "conversation",
    version=1,
    options=ConversationOptions,
    templates=("conversation/user@1", "conversation/tool@1"),
    spread=spread,
    roles=("tool", "user"),
    counted=("goal", "ended"),
)
async def conversation(prompt: Prompt, session: Session, options: ConversationOptions) -> Sample:
    """Let a simulated user and an assistant talk until the goal is reached or the turns are used up."""
    persona = prompt.messages[-1].content
    text = session.fill(
        "conversation/user",
        persona=persona,
        fence=fence_for(persona),
        goal=prompt.meta["goal"],
        done=DONE,
        stuck=STUCK,
    )
    talk = _Talk(prompt, session, options)
    before = _given(prompt, options)
    tools: tuple[dict[str, Any], ...] = tuple({"type": "function", "function": dict(tool)} for tool in options.tools)
    fewest, most = options.turns
    spoken = 0
    while spoken < most and await talk.user_turn(system(text.strip())):
        if not await talk.assistant_turn(before, tools):
            talk.broken = True
            break
        spoken += 1
    if talk.broken:
        return unreadable(prompt, session, talk.replies, "empty_turn", f"turn {len(talk.turns)}")
    meta: dict[str, JsonValue] = {"turns": talk.turns, "user_turns": spoken, "ended": talk.ended}
    if spoken < fewest:
        sample = unreadable(prompt, session, talk.replies, "too_few_turns", f"{spoken} of {fewest} turns")
        return sample.model_copy(update={"messages": (*before, *talk.messages) or prompt.messages, "meta": meta})
    return made(prompt, session, messages=(*before, *talk.messages), replies=talk.replies, meta=meta)


def _given(prompt: Prompt, options: ConversationOptions) -> tuple[Message, ...]:
    """Return what the assistant is given before the first turn."""
    document = prompt.meta.get(options.document) if options.document else None
    parts = [part for part in (options.system, document) if isinstance(part, str) and part.strip()]
    return (system("\n\n".join(parts)),) if parts else ()
