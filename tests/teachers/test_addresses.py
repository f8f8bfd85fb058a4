"""Addresses, and the rule for keys: a key goes to its provider's own host, or where the person says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.servers import serving
from tests.teachers.asking import KEY, a_request, ask

from gristmill.errors import InputError
from gristmill.recipe.model import TeacherSpec
from gristmill.teachers.addresses import Endpoint, Environment, endpoint, key_for, open_teacher

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
