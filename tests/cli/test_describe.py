"""`gristmill describe`: nothing that can be named is missing, and every name leads to its options."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gristmill import api, errors
from gristmill.engine.describing import ENDINGS
from gristmill.engine.summary import EXIT_CODES
from gristmill.errors import GristmillError
from gristmill.exporting.registry import EXPORTERS
from gristmill.grading.registry import GRADERS
from gristmill.recipe.model import SourceSpec, TeacherSpec
from gristmill.recipe.templates import shipped_names
from gristmill.tasks.registry import TASKS
from gristmill.teachers.addresses import BUILTIN, FORMS, PROVIDERS, SCHEMES, endpoint
from tests.cli.commands import gristmill, inside

KINDS = {"sources", "tasks", "teachers", "templates", "graders", "exports", "errors", "exit_codes", "commands"}


def kinds_of_error(kind: type[GristmillError] = GristmillError) -> Iterator[type[GristmillError]]:
    yield kind
    for narrower in kind.__subclasses__():
        yield from kinds_of_error(narrower)


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    done = inside(tmp_path_factory.mktemp("describe"), "describe", "--json")
    assert done.code == 0
    return done.object


def names(things: list[dict[str, Any]]) -> list[str]:
    return [thing["name"] for thing in things]


def test_everything_is_there(described: dict[str, list[dict[str, Any]]]) -> None:
    """Every plug-in, source, template, error, ending and command, each with a line of help."""
    assert set(described) == KINDS
    for kind, shelf in (("tasks", TASKS), ("graders", GRADERS), ("exports", EXPORTERS)):
        assert names(described[kind]) == [plugin.name for plugin in shelf]
    assert names(described["sources"]) == ["path", "documents", "source", "word_problems"]
    assert names(described["templates"]) == ["plain", *shipped_names()]
    ours = [kind.__name__ for kind in kinds_of_error() if kind.__module__ == errors.__name__]
    assert len(ours) > 8
    assert names(described["errors"]) == ours
    assert all(thing["help"] for things in described.values() for thing in things)
    for things in described.values():
        assert len(set(names(things))) == len(things)


def test_every_address_form_is_understood_and_every_scheme_has_one() -> None:
    for form in FORMS:
        address = form.replace("HOST:PORT", "127.0.0.1:8000")
        assert endpoint(TeacherSpec(address=address, model="m")).kind
    schemes = {form.partition(":")[0] for form in FORMS}
    assert schemes == {*SCHEMES, *PROVIDERS, *BUILTIN, "FILE.gguf"} - {"https"}


def test_every_command_of_the_help_is_there(tmp_path: Path, described: dict[str, list[dict[str, Any]]]) -> None:
    """With just the options that its own help shows."""
    shown = inside(tmp_path, "--help").out.partition("Commands:\n")[2]
    commands = re.findall(r"^  (\w+)", shown, re.MULTILINE)
    assert {"serve", "describe", "doctor"} <= set(commands)
    assert names(described["commands"]) == commands
    for command in described["commands"]:
        flags = set(re.findall(r"--[a-z-]+|(?<= )-n\b", inside(tmp_path, command["name"], "--help").out)) - {"--help"}
        assert {name for name in names(command["options"]) if name.startswith("-")} == flags


def test_exit_codes_are_those_that_exist(described: dict[str, list[dict[str, Any]]]) -> None:
    """Each once, with the status of the run and the errors that end with it."""
    codes = {int(code["name"]): code for code in described["exit_codes"]}
    assert set(codes) == {0, 1, 2, 3, 4, 5, 6, 7, 130} == {*EXIT_CODES.values(), *(kind.exit_code for kind in kinds_of_error())}
    assert set(ENDINGS) == set(EXIT_CODES)
    for status, code in EXIT_CODES.items():
        assert codes[code]["status"] == [status]
        assert codes[code]["help"] == ENDINGS[status]
    assert codes[5]["status"] == ["exhausted"]
    assert codes[2]["errors"] == ["InputError", "NoSandbox", "RecipeError", "SourceError"]
    assert "bug" in codes[1]["help"]


def test_options_are_those_of_the_models(described: dict[str, list[dict[str, Any]]]) -> None:
    path, documents, source, word_problems = described["sources"]
    assert not {"documents", "source"} & {*names(path["options"])}
    assert "chunk.tokens" in names(documents["options"])
    assert names(source["options"])[0] == "source"
    kinds = {"documents", "source", "word_problems"}
    assert {name.split(".")[0] for name in names(path["options"])} | kinds == set(SourceSpec.model_fields)
    count = word_problems["options"][0]
    assert count == {
        "name": "count",
        "type": "whole number ≥ 1",
        "required": False,
        "default": 1000,
        "help": "How many; any number.",
    }
    teacher = described["teachers"][0]
    assert {name.partition(".")[0] for name in names(teacher["options"])} == set(TeacherSpec.model_fields) - {"address", "script"}
    scripted = next(thing for thing in described["teachers"] if thing["name"] == "scripted:")
    assert "script.latency_s" in names(scripted["options"])


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [
        ("math", "graders", ["answer_format", "text, default auto. `auto`, `boxed`", "`unsimplified`"]),
        ("regex", "graders", ["pattern", "text, required."]),
        ("length", "graders", ["chars | words | lines, default words", "whole number ≥ 0, optional"]),
        ("parquet", "exports", ["pass_rate: DOUBLE"]),
        ("chain", "templates", ["{{ prompt }}", "hash"]),
        ("openai", "teachers", ["OPENAI_API_KEY", "limits.in_flight", "whole number 1 to 100000, optional"]),
        ("word_problems", "sources", ["steps", "[whole number 1 to 4, whole number 1 to 4], default [1, 4]"]),
        ("LedgerError", "errors", ["exit code", "6", "Stopped"]),
        ("130", "exit_codes", ["interrupted"]),
        ("serve", "commands", ["--port", "whole number 0 to 65535, default 8080", "MODEL"]),
    ],
)
def test_one_thing_whole(tmp_path: Path, name: str, kind: str, said: list[str]) -> None:
    done = inside(tmp_path, "describe", name, COLUMNS="120")
    assert done.code == 0
    for words in said:
        assert words in done.out
    assert set(inside(tmp_path, "describe", name, "--json").object) == {kind}


def test_the_table_fits_a_terminal_and_names_everything(tmp_path: Path) -> None:
    done = gristmill(tmp_path, "describe")
    assert done.code == 0
    assert max(map(len, done.out.splitlines())) <= 100
    for things in api.catalogue().values():
        for name in names(things):
            assert re.search(rf"^  {re.escape(name)}( |$)", done.out, re.MULTILINE), name


def test_an_unknown_name_gets_the_nearest(tmp_path: Path) -> None:
    done = inside(tmp_path, "describe", "mth")
    assert (done.code, done.out) == (2, "")
    assert "there is nothing called `mth`" in done.err
    assert "Did you mean `math`?" in done.err
