"""`reasoning`: what a teacher must show of its reasoning, by rule and in a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import pytest
from tests.runs import query, recipe, run
from tests.servers import Answer, completion, serving

from gristmill.messages import Message
from gristmill.records import Reply
from gristmill.tasks.reasoning import shows_enough

if TYPE_CHECKING:
    from pathlib import Path

Wanted = Literal["required", "answer_only"] | None
HIDDEN: dict[str, Any] = {"completion_tokens": 9, "completion_tokens_details": {"reasoning_tokens": 7}}


@pytest.mark.parametrize(
    ("seen", "by_default", "required"),
    [("visible", True, True), ("none", True, False), ("summary", False, False), ("hidden", False, False)],
)
def test_what_must_be_seen(seen: str, by_default: bool, required: bool) -> None:
    reply = Reply(message=Message(role="assistant", content="4"), finish="stop", meta={"reasoning": seen})
    assert shows_enough(reply, None) is by_default
    assert shows_enough(reply, "required") is required
    assert shows_enough(reply, "answer_only")


@pytest.mark.parametrize(("thinking", "enough"), [("two and two", True), (None, False)])
def test_a_teacher_that_does_not_say_is_judged_by_its_text(thinking: str | None, enough: bool) -> None:
    reply = Reply(message=Message(role="assistant", content="4", thinking=thinking), finish="stop")
    assert shows_enough(reply, "required") is enough
    assert shows_enough(reply, None)


def sampled(folder: Path, body: dict[str, Any], **teacher: Any) -> list[tuple[Any, ...]]:
    """Run two prompts against a server that answers so, and return status and reason of the samples."""
    with serving(lambda _: Answer(200, body)) as server:
        spec = {"address": server.url, "model": "m", **teacher}
        path = recipe(folder, prompts=2, teacher=spec, sampling={"max_attempts": 1, "max_tokens": 64})
        run(path, folder / "run")
    return query(f"SELECT status, reason FROM '{folder}/run/tables/samples.parquet'")


REFUSED = ("malformed", "no_visible_reasoning")


@pytest.mark.parametrize(
    ("fields", "thinking", "expected"),
    [
        ({"usage": HIDDEN}, None, REFUSED),
        ({"usage": HIDDEN}, "required", REFUSED),
        ({"usage": HIDDEN}, "answer_only", ("complete", None)),
        ({}, None, ("complete", None)),
        ({}, "required", REFUSED),
        ({"message": {"reasoning_content": "hm"}}, "required", ("complete", None)),
        ({"usage": HIDDEN, "finish_reason": "length"}, None, ("truncated", "max_tokens")),
    ],
)
def test_a_run_refuses_what_cannot_be_trained_on(
    tmp_path: Path, fields: dict[str, Any], thinking: Wanted, expected: tuple[str, str | None]
) -> None:
    assert sampled(tmp_path, completion("A", **fields), thinking=thinking) == [expected, expected]


def test_another_wish_makes_samples_anew_from_the_same_replies(tmp_path: Path) -> None:
    """What was paid for is judged again and not bought again."""
    with serving(lambda _: Answer(200, completion("A", usage=HIDDEN))) as server:
        for wanted, kept in ((None, 0), ("answer_only", 2), (None, 0)):
            spec = {"address": server.url, "model": "m", "thinking": wanted}
            path = recipe(tmp_path, prompts=2, teacher=spec, sampling={"max_attempts": 1, "max_tokens": 64})
            assert run(path, tmp_path / "run", yes=True)["exported"] == kept
            assert len(server.requests) == 2
