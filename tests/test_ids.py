"""Golden ids: changing one orphans every ledger, so it must be meant."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.engine.session import request_id
from gristmill.ids import content_id, plan_key, seed_for
from gristmill.messages import Message, ToolCall, user
from gristmill.records import Reply, Request, Sampling, TeacherIdentity, Usage
from gristmill.store.outcomes import payload_digest

MESSAGES = (
    Message(role="system", content="Be brief."),
    user("2+2? é"),
    Message(role="assistant", content="", thinking="easy", tool_calls=(ToolCall(id="1", name="add", arguments='{"a": 2}'),)),
)


def request(**changes: object) -> Request:
    """Return one request."""
    fields: dict[str, object] = {
        "id": "",
        "role": "teacher",
        "identity": TeacherIdentity(provider="openai", model="m", revision="r1"),
        "messages": MESSAGES,
        "tools": ({"name": "add"},),
        "response_format": None,
        "sampling": Sampling(temperature=0.6, max_tokens=16),
        "seed": 7,
        "prompt_id": "ab" * 16,
        "sample_index": 3,
        "step": "answer",
        "occurrence": 0,
    }
    return Request(**{**fields, **changes})  # pyright: ignore[reportArgumentType] - the fields are right, their types too many


def identity_of(request: Request) -> str:
    """Return a request's id, anew."""
    return request_id(request, [message.canonical() for message in request.messages])


def test_golden_ids() -> None:
    """The ids of today, which are those of every ledger out there."""
    assert content_id("prompt", [m.canonical() for m in MESSAGES]) == "7e5a0e901ea38691b6c4d78744c622aa"
    assert identity_of(request()) == "a75a2a0b6c1851cdc1041c552bbeaf8b"
    assert payload_digest(MESSAGES).hex() == "40be87cec2b7058ca31896e3d9cd1493"
    assert seed_for(0, "p", 1, "answer", 0) == 445911387
    assert plan_key(0, "p") == 4113233355637026796


@pytest.mark.parametrize(
    "change",
    [
        {"identity": TeacherIdentity(provider="openai", model="m", revision="r2")},
        {"messages": MESSAGES[:2]},
        {"tools": ()},
        {"response_format": {"type": "json_object"}},
        {"sampling": Sampling(temperature=0.7, max_tokens=16)},
        {"seed": 8},
        {"prompt_id": "cd" * 16},
        {"sample_index": 4},
        {"step": "check"},
        {"occurrence": 1},
    ],
    ids=lambda change: next(iter(change)),
)
def test_everything_that_a_teacher_sees_is_in_the_id(change: dict[str, object]) -> None:
    """Any one of them changed is another request."""
    assert identity_of(request(**change)) != identity_of(request())


def test_the_role_is_not_in_the_id() -> None:
    """Who asks changes nothing that is sent."""
    assert identity_of(request(role="judge")) == identity_of(request())


@given(st.dictionaries(st.text(), st.one_of(st.text(), st.integers(-(2**53), 2**53), st.booleans(), st.none()), max_size=6))
def test_key_order_does_not_matter(content: dict[str, object]) -> None:
    """Equal content has equal ids."""
    turned = dict(reversed(list(content.items())))
    assert content_id("x", content) == content_id("x", turned)


def test_nan_is_refused() -> None:
    """Unknown is None; a number that is none never gets into a noun."""
    with pytest.raises(ValueError, match="finite"):
        Reply(message=user("x"), finish="stop", usage=Usage(), cost_usd=math.nan)
