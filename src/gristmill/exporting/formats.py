"""The formats that ship.

`messages` and `prompt_completion` are what supervised trainers read (TRL's conversational forms, huggingface.co/docs/trl,
"Dataset formats"), `rl` is prompts with a reference for reinforcement learning, `parquet` is everything in declared columns.
Each row carries the ids that join it to the lineage tables, its origin, depth, licenses and generator, because a column that is
lost is a question that nobody can answer later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import orjson

from gristmill.exporting.registry import exporter
from gristmill.messages import Frozen

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gristmill.exporting.registry import GradedPrompt
    from gristmill.messages import Message
    from gristmill.records import Record

_TRAIL: Mapping[str, str] = {
    "id": "VARCHAR",
    "prompt_id": "VARCHAR",
    "sample_id": "VARCHAR",
    "source_id": "VARCHAR",
    "origin": "VARCHAR",
    "depth": "BIGINT",
    "license": "VARCHAR[]",
    "generator": "VARCHAR",
}
_CALLS = 'STRUCT(id VARCHAR, "type" VARCHAR, "function" STRUCT("name" VARCHAR, arguments VARCHAR))[]'
_MESSAGES = f"STRUCT(role VARCHAR, content VARCHAR, tool_calls {_CALLS}, tool_call_id VARCHAR)[]"


class ThinkingOptions(Frozen):
    """What becomes of visible reasoning that a provider gives apart from the answer."""

    thinking: Literal["inline", "drop"] = "inline"
    """`inline` puts it before the answer as `<think>…</think>`; `drop` leaves it out."""


def plain_messages(messages: Sequence[Message], thinking: str) -> list[dict[str, Any]]:
    """Return messages as role and content, with the calls of tools where there are some, in OpenAI's form."""
    return [_plain(message, thinking) for message in messages]


def _plain(message: Message, thinking: str) -> dict[str, Any]:
    plain: dict[str, Any] = {"role": message.role, "content": _content(message, thinking)}
    if message.tool_calls:
        plain["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
    if message.tool_call_id is not None:
        plain["tool_call_id"] = message.tool_call_id
    return plain


def _content(message: Message, thinking: str) -> str:
    if message.thinking and thinking == "inline":
        return f"<think>\n{message.thinking}\n</think>\n\n{message.content}"
    return message.content


def _trail(record: Record) -> dict[str, Any]:
    lineage = record.lineage
    return {
        "id": record.id,
        "prompt_id": lineage.prompt_id,
        "sample_id": lineage.sample_id,
        "source_id": lineage.source_id,
        "origin": record.origin,
        "depth": record.depth,
        "license": list(record.license),
        "generator": lineage.generator,
    }


@exporter("messages", version=1, columns={"messages": _MESSAGES, **_TRAIL}, options=ThinkingOptions)
def messages(record: Record, options: ThinkingOptions) -> dict[str, Any]:
    """One conversation a row: `messages` with role and content."""
    return {"messages": plain_messages(record.messages, options.thinking), **_trail(record)}


@exporter(
    "prompt_completion",
    version=1,
    columns={"prompt": _MESSAGES, "completion": _MESSAGES, **_TRAIL},
    options=ThinkingOptions,
)
def prompt_completion(record: Record, options: ThinkingOptions) -> dict[str, Any]:
    """What is asked and what is learned, apart: loss falls on `completion` alone."""
    plain = plain_messages(record.messages, options.thinking)
    return {"prompt": plain[:-1], "completion": plain[-1:], **_trail(record)}


@exporter(
    "scored",
    version=1,
    columns={
        "messages": _MESSAGES,
        "label": "VARCHAR",
        "grades": "STRUCT(grader VARCHAR, passed BOOLEAN, score DOUBLE, reason VARCHAR)[]",
        **_TRAIL,
    },
    options=ThinkingOptions,
)
def scored(record: Record, options: ThinkingOptions) -> dict[str, Any]:
    """One conversation a row with what every grader said of it, and its label: for annotated data."""
    return {
        "messages": plain_messages(record.messages, options.thinking),
        "label": record.meta.get("label"),
        "grades": [grade._asdict() for grade in record.grades],
        **_trail(record),
    }


@exporter(
    "rl",
    version=1,
    unit="prompt",
    columns={
        "prompt": _MESSAGES,
        "reference": "VARCHAR",
        "grader": "VARCHAR",
        "pass_rate": "DOUBLE",
        "graded": "BIGINT",
        "prompt_id": "VARCHAR",
        "source_id": "VARCHAR",
        "origin": "VARCHAR",
        "license": "VARCHAR[]",
    },
)
def rl(graded: GradedPrompt, options: Frozen) -> dict[str, Any]:  # noqa: ARG001 - the port
    """Every graded prompt once, for reinforcement learning: reference, grader, pass rate and how many samples it is of."""
    prompt = graded.prompt
    return {
        "prompt": plain_messages(graded.messages, "drop"),
        "reference": prompt.reference,
        "grader": graded.grader,
        "pass_rate": graded.passed / graded.graded,
        "graded": graded.graded,
        "prompt_id": prompt.id,
        "source_id": prompt.source_id,
        "origin": prompt.origin,
        "license": list(graded.license),
    }


@exporter(
    "parquet",
    version=1,
    suffix="parquet",
    columns={
        "messages": "STRUCT(role VARCHAR, content VARCHAR, thinking VARCHAR, tool_calls VARCHAR)[]",
        "reference": "VARCHAR",
        "grader": "VARCHAR",
        "pass_rate": "DOUBLE",
        **_TRAIL,
        "request_ids": "VARCHAR[]",
        "grades": "VARCHAR[]",
        "parents": "VARCHAR[]",
        "meta": "VARCHAR",
    },
)
def parquet(record: Record, options: Frozen) -> dict[str, Any]:  # noqa: ARG001 - the port
    """Everything in declared columns; tool calls and meta as JSON text, which no reader rewrites."""
    return {
        "messages": [
            {
                "role": message.role,
                "content": message.content,
                "thinking": message.thinking,
                "tool_calls": orjson.dumps(message.canonical()["tool_calls"]).decode() if message.tool_calls else None,
            }
            for message in record.messages
        ],
        "reference": record.reference,
        "grader": record.grader,
        "pass_rate": record.pass_rate,
        **_trail(record),
        "request_ids": list(record.lineage.request_ids),
        "grades": list(record.lineage.grades),
        "parents": list(record.lineage.parents),
        "meta": orjson.dumps(record.meta).decode(),
    }
