"""YAML 1.2 to plain values, and everything that a hostile text may not do."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.errors import RecipeError
from gristmill.recipe.document import MAX_CHARS, MAX_DEPTH, MAX_VALUES, dump_document, parse_document

TEXT = st.text(st.characters(exclude_categories=("Cs", "Cc", "Cn")))
KEYS = st.text(st.characters(exclude_categories=("Cs", "Cc", "Cn")), min_size=1)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**62), 2**62) | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=12,
)


def refused(text: str) -> RecipeError:
    with pytest.raises(RecipeError) as caught:
        parse_document(text, "r.yaml")
    return caught.value


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("no", "no"),
        ("on", "on"),
        ("yes", "yes"),
        ("Off", "Off"),
        ("true", True),
        ("FALSE", False),
        ("", None),
        ("~", None),
        ("Null", None),
        ("3e-4", 3e-4),
        ("+.5", 0.5),
        ("1.", 1.0),
        ("2E3", 2000.0),
        ("012", 12),
        ("-7", -7),
        ("0o17", 15),
        ("0x1F", 31),
        ("0b11", "0b11"),
        ("1_000", "1_000"),
        ("12:30:45", "12:30:45"),
        ("2026-01-02", "2026-01-02"),
        (".nan", ".nan"),
        (".inf", ".inf"),
        ("-.INF", "-.INF"),
        ("nan", "nan"),
        ("1e999", "1e999"),
        ("'3'", "3"),
        ('"no"', "no"),
        ("<<", "<<"),
        ("=", "="),
    ],
)
def test_core_schema(written: str, meant: Any) -> None:
    found = parse_document(f"a: {written}\n", "r.yaml").content["a"]
    assert (found, type(found)) == (meant, type(meant))


@pytest.mark.parametrize(
    ("text", "place", "said", "fix"),
    [
        ("", "r.yaml", "empty", "gristmill init"),
        ("# only a comment\n", "r.yaml", "empty", "gristmill init"),
        ("a:\n\tb: 1\n", "r.yaml:2:1", "tab", "spaces"),
        ("a:\n  b: 1\n\tc: 2\n", "r.yaml:3:1", "tab", "spaces"),
        ("a: 1\nb: 2\na: 3\n", "r.yaml:3:1", "`a` is written twice (first in line 1)", "Keep one"),
        ("a: {b: 1, b: 2}\n", "r.yaml:1:11", "`b` is written twice", "Keep one"),
        ("? [a]\n: 1\n", "r.yaml:1:3", "a key must be plain text", "name: value"),
        ("a: &x [*x]\n", "r.yaml:1:4", f"more than {MAX_DEPTH} deep", "Flatten"),
        ("a: *nowhere\n", "r.yaml:1:4", "undefined alias", "anchor"),
        ("a: b: c\n", "r.yaml:1:5", "not YAML", "quotes"),
        ("a: {b\n", "r.yaml:2:1", "not YAML", "quotes"),
        ("a: 1\n---\nb: 2\n", "r.yaml:2:1", "another document", "quotes"),
        ("a: \x00\n", "r.yaml", "not YAML", "examples"),
        ("a: \x1b[31m\n", "r.yaml", "not YAML", "examples"),
        ("a: \ud800\n", "r.yaml", "not YAML", "examples"),
        (f"a: {'9' * 300}\n", "r.yaml:1:4", "too large", "2^63"),
    ],
)
def test_a_mistake_has_its_place_and_its_fix(text: str, place: str, said: str, fix: str) -> None:
    error = refused(text)
    assert error.where == place
    assert said in str(error)
    assert fix in error.fix
    assert "\n" not in str(error)


@pytest.mark.parametrize(
    "value",
    [
        "!!python/object/apply:os.system ['true']",
        "!!python/name:os.system x",
        "!!python/object/new:dict {}",
        "!!binary aGk=",
        "!!set {a}",
        "!!omap [a: 1]",
        "!mine text",
        "!mine [1]",
        "!mine {a: 1}",
        "!<tag:example.org,2026:x> {a: 1}",
    ],
)
def test_no_tag_makes_an_object(value: str) -> None:
    error = refused(f"one: 1\na: {value}\n")
    assert "is not allowed" in str(error)
    assert error.where == "r.yaml:2:4"


def test_a_plain_tag_on_a_collection_is_allowed() -> None:
    assert parse_document("a: !!seq [1]\nb: !!map {c: 2}\n", "r.yaml").content == {"a": [1], "b": {"c": 2}}


def test_an_alias_bomb_ends_early() -> None:
    lines = ["a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"{new}: &{new} [{', '.join(['*' + old] * 10)}]" for old, new in zip("abcdefgh", "bcdefghi", strict=True)]
    error = refused("\n".join(lines))
    assert f"more than {MAX_VALUES:,} values" in str(error)
    assert error.where.startswith("r.yaml:")


def test_an_alias_that_is_small_is_expanded() -> None:
    assert parse_document("a: &x {b: 1}\nc: *x\n", "r.yaml").content == {"a": {"b": 1}, "c": {"b": 1}}


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 1000])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ("{a: ", "}")])
def test_deep_nesting_is_refused(depth: int, opening: str, closing: str) -> None:
    assert f"nested more than {MAX_DEPTH} deep" in str(refused(opening * depth + "1" + closing * depth))


def test_a_giant_text_is_not_read() -> None:
    error = refused("#" * (MAX_CHARS + 1))
    assert f"at most {MAX_CHARS:,}" in str(error)
    assert "prompts.path" in error.fix


def test_a_merge_key_is_an_ordinary_key_and_merges_nothing() -> None:
    assert parse_document("a: &x {b: 1}\nc: {<<: *x, d: 2}\n", "r.yaml").content["c"] == {"<<": {"b": 1}, "d": 2}


def test_every_value_knows_its_place() -> None:
    document = parse_document("a: 1\nlist:\n  - x\n  - {key: value}\n", "r.yaml")
    assert document.where(("a",)) == "r.yaml:1:1"
    assert document.where(("list", 1)) == "r.yaml:4:5"
    assert document.where(("list", 1, "key")) == "r.yaml:4:6"
    assert document.where(("list", 1, "nowhere", "deep")) == "r.yaml:4:5"


@given(st.text() | st.text("[]{}:,-&*!#|>'\"% \n\tab1.?"))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    try:
        where = parse_document(text, "r.yaml").where(())
    except RecipeError as error:
        where = error.where
    assert re.fullmatch(r"r\.yaml(:[1-9]\d*:[1-9]\d*)?", where)


@given(st.dictionaries(KEYS, PLAIN, min_size=1, max_size=4))
def test_what_is_dumped_is_read_back(content: dict[str, Any]) -> None:
    assert parse_document(dump_document(content), "r.yaml").content == content


@pytest.mark.parametrize(
    "text", ["no", "3", "3e-4", "~", "2026-01-02", "a: b", "#x", "a\nb\n", "a\tb", " x", "'", '"', "*a", "!x"]
)
def test_text_that_looks_like_something_else_stays_text(text: str) -> None:
    assert parse_document(dump_document({"a": [text]}), "r.yaml").content == {"a": [text]}
