"""Parameters that a route refuses are found before a call; nothing is dropped."""

from __future__ import annotations

from typing import Any

import pytest
from tests.teachers.asking import a_request

from gristmill.records import Sampling, TeacherIdentity
from gristmill.teachers.formats.completions import wire_body
from gristmill.teachers.formats.parameters import openai_reasoning, refused

EVERY: dict[str, Any] = {"temperature": 0.5, "top_p": 0.9, "top_k": 5, "max_tokens": 64, "stop": ("x",)}
NOTHING: dict[str, Any] = {"temperature": None, "top_p": None, "top_k": None, "max_tokens": None, "stop": ()}


@pytest.mark.parametrize(
    ("model", "reasons"),
    [
        *((name, True) for name in ("o1", "o3-mini", "o4-mini-2025-04-16", "gpt-5", "gpt-5-mini", "gpt-5.2", "openai/o3")),
        *((name, False) for name in ("gpt-4o", "gpt-4.1", "gpt-5-chat-latest", "gpt-5.1-chat-latest", "omni", "gpt-oss-20b")),
    ],
)
def test_which_of_openais_models_reason(model: str, reasons: bool) -> None:
    assert openai_reasoning("openai", model) is reasons
    assert openai_reasoning("vllm", model) is False


@pytest.mark.parametrize(
    ("route", "extra_body", "names"),
    [
        (("openai", "chat", "gpt-4o"), {}, ["top_k"]),
        (("openai", "chat", "o3"), {}, ["temperature", "top_p", "top_k", "stop"]),
        (("openai", "chat", "gpt-5.2"), {"reasoning_effort": "none"}, ["top_k"]),
        (("openai", "responses", "gpt-5.2"), {"reasoning": {"effort": "none"}}, ["top_k", "stop"]),
        (("openai", "responses", "gpt-5"), {}, ["temperature", "top_p", "top_k", "stop"]),
        (("http", "responses", "m"), {}, ["top_k", "stop"]),
        (("vllm", "chat", "o3"), {}, []),
        (("anthropic", "messages", "claude-sonnet-4-5"), {}, []),
        (("anthropic", "messages", "claude-sonnet-4-5"), {"thinking": {"type": "enabled"}}, ["temperature", "top_k"]),
        (("anthropic", "messages", "claude-sonnet-4-5"), {"thinking": {"type": "disabled"}}, []),
    ],
)
def test_what_a_route_refuses(route: tuple[str, str, str], extra_body: dict[str, Any], names: list[str]) -> None:
    found = refused(*route, EVERY, extra_body)
    assert [rule.name for rule in found] == names
    for rule in found:
        assert rule.name in rule.fix
        assert rule.name in rule.reason or "temperature" in rule.reason


def test_what_is_not_set_is_not_refused_and_what_is_wanted_is_missed() -> None:
    assert refused("openai", "chat", "o3", NOTHING, {}) == []
    assert [rule.name for rule in refused("http", "messages", "m", NOTHING, {})] == ["max_tokens"]
    assert [rule.name for rule in refused("anthropic", "messages", "m", {**EVERY, "temperature": 1.5}, {})] == ["temperature"]


def test_the_limit_has_the_name_that_the_route_knows() -> None:
    def names(provider: str, model: str) -> set[str]:
        identity = TeacherIdentity(provider=provider, model=model)
        body = wire_body(a_request(identity=identity, sampling=Sampling(max_tokens=7)), model)
        return {name for name, value in body.items() if value == 7}

    assert names("openai", "gpt-5-mini") == names("azure", "o3") == {"max_completion_tokens"}
    assert names("openai", "gpt-4o") == names("vllm", "o3") == {"max_tokens"}
