"""Addresses, and the rule for keys: a key goes to its provider's own host, or where the person says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from pydantic import ValidationError
from tests.servers import serving
from tests.teachers.asking import KEY, a_request, ask

from gristmill.errors import InputError
from gristmill.recipe.model import TeacherSpec
from gristmill.teachers.addresses import PROVIDERS, Endpoint, Environment, endpoint, key_for, open_teacher

if TYPE_CHECKING:
    from pathlib import Path

VARIABLES = {"OPENAI_API_KEY": KEY, "VLLM_KEY": "vk", "AWS_SECRET_ACCESS_KEY": "aws", "EMPTY": "  "}


def place(address: str, **fields: Any) -> Endpoint:
    return endpoint(TeacherSpec(address=address, **fields))


@pytest.mark.parametrize(
    ("spec", "found"),
    [
        ({"address": "recorded:a/c.jsonl"}, Endpoint("recorded", "a/c.jsonl", "c.jsonl", None)),
        ({"address": "scripted:"}, Endpoint("scripted", "", "scripted", None)),
        ({"address": "openai:gpt-x"}, Endpoint("openai", "https://api.openai.com/v1", "gpt-x", "OPENAI_API_KEY")),
        ({"address": "openai:", "model": "m"}, Endpoint("openai", "https://api.openai.com/v1", "m", "OPENAI_API_KEY")),
        ({"address": "vllm:http://g:1/v1", "model": "m"}, Endpoint("vllm", "http://g:1/v1", "m", None)),
        (
            {"address": "https://h/v1", "model": "m", "key_env": "VLLM_KEY"},
            Endpoint("http", "https://h/v1", "m", "VLLM_KEY"),
        ),
        ({"address": "vllm:http://g:1/v1"}, Endpoint("vllm", "http://g:1/v1", "", None)),
        ({"address": "sglang:http://g:1/v1"}, Endpoint("sglang", "http://g:1/v1", "", None)),
        (
            {"address": "openai:gpt-5", "api": "responses"},
            Endpoint("openai", "https://api.openai.com/v1", "gpt-5", "OPENAI_API_KEY", "responses"),
        ),
        (
            {"address": "anthropic:claude-sonnet-4-5"},
            Endpoint("anthropic", "https://api.anthropic.com/v1", "claude-sonnet-4-5", "ANTHROPIC_API_KEY", "messages"),
        ),
        (
            {"address": "deepseek:deepseek-reasoner"},
            Endpoint("deepseek", "https://api.deepseek.com", "deepseek-reasoner", "DEEPSEEK_API_KEY"),
        ),
        (
            {"address": "openrouter:qwen/qwen3-8b:free"},
            Endpoint("openrouter", "https://openrouter.ai/api/v1", "qwen/qwen3-8b:free", "OPENROUTER_API_KEY"),
        ),
        (
            {"address": "together:Qwen/Qwen3-8B"},
            Endpoint("together", "https://api.together.ai/v1", "Qwen/Qwen3-8B", "TOGETHER_API_KEY"),
        ),
        ({"address": "ollama:qwen3:8b"}, Endpoint("ollama", "http://127.0.0.1:11434/v1", "qwen3:8b", None)),
        ({"address": "http://h/v1", "model": "m", "api": "messages"}, Endpoint("http", "http://h/v1", "m", None, "messages")),
        (
            {"address": "azure:https://r.openai.azure.com/openai/v1", "model": "my-deployment"},
            Endpoint("azure", "https://r.openai.azure.com/openai/v1", "my-deployment", "AZURE_OPENAI_API_KEY"),
        ),
    ],
)
def test_an_address_says_where_calls_go(spec: dict[str, Any], found: Endpoint) -> None:
    assert endpoint(TeacherSpec(**spec)) == found


def test_a_key_of_a_provider_goes_to_its_own_host() -> None:
    assert key_for(place("openai:m"), Environment(VARIABLES)) == KEY
    own = place("https://api.openai.com/v1", model="m", key_env="OPENAI_API_KEY")
    assert key_for(own, Environment(VARIABLES)) == KEY


@pytest.mark.parametrize(
    "address",
    [
        "https://evil.example/v1",
        "vllm:http://127.0.0.1:8000/v1",
        "https://api.openai.com.evil.example/v1",
        "https://evil.example/api.openai.com/v1",
        "https://evil.example#@api.openai.com/v1",
        "https://evil.example?api.openai.com",
    ],
)
@pytest.mark.parametrize("variable", ["OPENAI_API_KEY", "AWS_SECRET_ACCESS_KEY", "VLLM_KEY"])
def test_no_key_goes_to_a_host_that_only_the_recipe_names(address: str, variable: str) -> None:
    with pytest.raises(InputError, match=f"would send the key in {variable} to") as caught:
        key_for(place(address, model="m", key_env=variable), Environment(VARIABLES))
    assert f"--allow-key {variable}=" in caught.value.fix
    assert KEY not in str(caught.value)


def test_a_recipe_cannot_send_another_key_to_a_provider() -> None:
    with pytest.raises(InputError, match="would send the key in AWS_SECRET_ACCESS_KEY"):
        key_for(place("openai:m", key_env="AWS_SECRET_ACCESS_KEY"), Environment(VARIABLES))


def test_the_person_allows_one_key_for_one_host() -> None:
    person = Environment(VARIABLES, frozenset({("VLLM_KEY", "gpu1")}))
    assert key_for(place("http://gpu1:8000/v1", model="m", key_env="VLLM_KEY"), person) == "vk"
    assert key_for(place("http://GPU1/v1", model="m", key_env="VLLM_KEY"), person) == "vk"
    for address, variable in [("http://gpu2/v1", "VLLM_KEY"), ("http://gpu1/v1", "OPENAI_API_KEY")]:
        with pytest.raises(InputError, match="would send the key"):
            key_for(place(address, model="m", key_env=variable), person)


@pytest.mark.parametrize("variable", ["NOWHERE", "EMPTY"])
def test_a_missing_key_says_which_variable_to_set(variable: str) -> None:
    person = Environment(VARIABLES, frozenset({(variable, "gpu1")}))
    with pytest.raises(InputError, match=f"the variable {variable} is not set") as caught:
        key_for(place("http://gpu1/v1", model="m", key_env=variable), person)
    assert f"export {variable}=" in caught.value.fix


def test_without_a_variable_no_key_is_looked_for() -> None:
    assert key_for(place("http://gpu1/v1", model="m"), Environment(VARIABLES)) is None


def test_an_allowed_key_arrives_and_nothing_else_does(tmp_path: Path) -> None:
    with serving() as server:
        spec = TeacherSpec(address=server.url, model="m", key_env="VLLM_KEY", extra_headers={"x-a": "1"}, extra_body={"top_k": 3})
        ask(open_teacher(spec, tmp_path, Environment(VARIABLES, frozenset({("VLLM_KEY", "127.0.0.1")}))), a_request())
        (arrived,) = server.requests
    headers = {name.lower(): value for name, value in arrived.headers.items()}
    assert headers["authorization"] == "Bearer vk"
    assert headers["x-a"] == "1"
    assert arrived.body["top_k"] == 3
    assert KEY not in str(arrived)


def test_a_script_that_is_wrong_says_where(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="wrong at `transient`"):
        open_teacher(TeacherSpec(address="scripted:", script={"transient": 2}), tmp_path, Environment({}))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"address": "anthropic:c", "api": "chat"}, "anthropic does not speak `api: chat`"),
        ({"address": "deepseek:d", "api": "messages"}, "deepseek does not speak"),
        ({"address": "azure:https://r.openai.azure.com/openai/v1"}, "does not say which model"),
        ({"address": "http://h/v1"}, "does not say which model"),
        ({"address": "sglang:g:1/v1"}, "must begin with http"),
        ({"address": "ollama:"}, "names no model"),
        ({"address": "anthropc:c"}, "is not known"),
    ],
)
def test_an_address_that_cannot_be_used_says_why(fields: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        endpoint(TeacherSpec(**fields))
    assert caught.value.fix


@pytest.mark.parametrize("name", [name for name, provider in PROVIDERS.items() if provider.key_env])
def test_each_providers_key_goes_to_its_own_host_and_to_no_other(name: str) -> None:
    variable = str(PROVIDERS[name].key_env)
    person = Environment({variable: KEY})
    assert key_for(place(f"{name}:m"), person) == KEY
    for other in {*PROVIDERS} - {name}:
        with pytest.raises(InputError, match=f"would send the key in {variable}"):
            key_for(place(f"{other}:m", key_env=variable), person)


def test_a_key_for_azure_needs_the_persons_word_since_the_recipe_names_the_host() -> None:
    there = place("azure:https://r.openai.azure.com/openai/v1", model="d")
    with pytest.raises(InputError, match=r"would send the key in AZURE_OPENAI_API_KEY to r\.openai\.azure\.com"):
        key_for(there, Environment({"AZURE_OPENAI_API_KEY": KEY}))
    allowed = frozenset({("AZURE_OPENAI_API_KEY", "r.openai.azure.com")})
    assert key_for(there, Environment({"AZURE_OPENAI_API_KEY": KEY}, allowed)) == KEY


def test_azure_gets_its_own_header_and_the_query_stays_behind_the_path(tmp_path: Path) -> None:
    with serving() as server:
        address = f"azure:{server.origin}/openai/deployments/d?api-version=2024-10-21"
        spec = TeacherSpec(address=address, model="d", key_env="VLLM_KEY")
        ask(open_teacher(spec, tmp_path, Environment(VARIABLES, frozenset({("VLLM_KEY", "127.0.0.1")}))), a_request())
        (arrived,) = server.requests
    headers = {name.lower(): value for name, value in arrived.headers.items()}
    assert headers["api-key"] == "vk"
    assert "authorization" not in headers
    assert arrived.path == "/openai/deployments/d/chat/completions"
    assert arrived.query == "api-version=2024-10-21"


@pytest.mark.parametrize(("given", "seconds"), [(None, 0.0), ("90s", 90.0), ("20m", 1200.0), ("1.5h", 5400.0)])
def test_how_long_a_server_is_waited_for(given: str | None, seconds: float) -> None:
    assert TeacherSpec(address="vllm:http://g/v1", wait_for=given).wait_s == seconds


@pytest.mark.parametrize("given", ["20", "m", "-5m", "20 minutes", "1e9h"])
def test_a_duration_that_is_none_is_refused(given: str) -> None:
    with pytest.raises(ValidationError):
        TeacherSpec(address="vllm:http://g/v1", wait_for=given)
