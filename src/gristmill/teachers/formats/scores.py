"""Reward models: a conversation goes out, one number comes back.

There is no standard for this. vLLM's `/pooling` and `/classify` answer `{"data": [{"data": [0.7]}]}` or with `probs`, others
with a list of objects that have a `score`, home-made servers with `{"score": 0.7}` or `{"reward": 0.7}`. All take a JSON
body; the address of such a teacher is the endpoint itself. The number becomes the reply's text, so it is on record, priced
and replayed like any other reply; the `reward` grader reads it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from gristmill.messages import Message
from gristmill.plain import as_count, as_list, as_object
from gristmill.records import Reply, Usage
from gristmill.teachers.formats.completions import ChunkFold
from gristmill.teachers.formats.wire import Format, malformed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gristmill.records import Request

_NAMES = ("score", "reward", "scores", "rewards", "data", "probs", "embedding", "output")
"""Fields under which servers keep the number, the plainest first."""
MAX_DEPTH = 6


def _body(request: Request, model: str) -> dict[str, Any]:
    messages = [{"role": message.role, "content": message.content} for message in request.messages]
    return {"model": model, "messages": messages}


def _read(content: Mapping[str, Any], evidence: bytes) -> Reply:
    number = find_score(content)
    if number is None:
        raise malformed("the reply has no number under score, reward or data", evidence)
    usage = as_object(content.get("usage")) or {}
    return Reply(
        message=Message(role="assistant", content=repr(number)),
        finish="stop",
        usage=Usage(
            input_tokens=as_count(usage.get("prompt_tokens")), output_tokens=as_count(usage.get("completion_tokens")) or 0
        ),
        model=content["model"] if isinstance(content.get("model"), str) else None,
    )


def find_score(value: Any, depth: int = 0) -> float | None:
    """Return the one number of a reply: under a known name, and of a list the last (of two classes, the positive one)."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value) if math.isfinite(value) else None
    if depth == MAX_DEPTH:
        return None
    if (fields := as_object(value)) is not None:
        return next((found for name in _NAMES if (found := find_score(fields.get(name), depth + 1)) is not None), None)
    items = as_list(value)
    return find_score(items[-1], depth + 1) if items else None


SCORE = Format(
    path="",
    body=_body,
    read=_read,
    fold=ChunkFold,
    streaming={},
    key_header=("authorization", "Bearer "),
    headers={},
)
