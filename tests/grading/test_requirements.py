"""What an instruction can demand: form, JSON Schema, words, counts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gristmill.grading.requirements import JsonSchemaOptions, sentences
from tests.grading.asking import graded_by


@pytest.mark.parametrize(
    ("form", "good", "bad"),
    [
        ("json", '{"a": [1, 2]}', '{"a": NaN}'),
        ("json", '```json\n{"a": 1}\n```', 'Here: {"a": 1}'),
        ("bullets", "- one\n- two\n", "- one\nand two"),
        ("numbered", "1. one\n2) two", "1. one\n- two"),
        ("plain", "Two * three is 6, and a_b stays. 2 - 1 = 1", "# Title\ntext"),
        ("plain", "no marks", "a **bold** word"),
        ("code_block", "```\nx = 1\n```", "Code:\n```\nx = 1\n```"),
        ("title", "<<The Sea>>\ntext", "The Sea\ntext"),
        ("quoted", '"all of it"', 'not "all" of it'),
        ("lowercase", "all low, even 7", "Not all"),
        ("uppercase", "ALL UP", "NOT All"),
    ],
)
def test_forms(form: str, good: str, bad: str) -> None:
    assert graded_by("format", good, form=form).passed is True
    assert graded_by("format", bad, form=form).reason == f"not_{form}"
    assert graded_by("format", "", form=form).passed is False


SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"name": {"type": "string", "pattern": "^[a-z]+$"}, "age": {"type": "integer", "minimum": 0}},
    "required": ["name"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ('{"name": "ann", "age": 3}', "json_schema"),
        ('```json\n{"name": "ann"}\n```', "json_schema"),
        ('{"name": "Ann"}', "against_schema"),
        ('{"name": "ann", "age": -1}', "against_schema"),
        ('{"name": "ann", "extra": 1}', "against_schema"),
        ("[]", "against_schema"),
        ("name: ann", "not_json"),
        ("[" * 100_000, "not_json"),
    ],
)
def test_schemas(answer: str, reason: str) -> None:
    verdict = graded_by("json_schema", answer, schema=SCHEMA)
    assert (verdict.reason, verdict.passed) == (reason, reason == "json_schema")


def test_a_schema_is_checked_when_the_recipe_is_and_fetches_nothing() -> None:
    with pytest.raises(ValidationError, match="no JSON Schema"):
        JsonSchemaOptions(schema={"type": "objekt"})
    with pytest.raises(ValidationError, match="points out of the schema"):
        JsonSchemaOptions(schema={"properties": {"a": {"$ref": "https://example.com/s.json"}}})
    JsonSchemaOptions(schema={"$defs": {"a": {"type": "string"}}, "$ref": "#/$defs/a"})


@pytest.mark.parametrize(
    ("options", "passed"),
    [
        ({"all": ["apple", "pear"]}, True),
        ({"all": ["apple", "plum"]}, False),
        ({"any": ["plum", "pear"]}, True),
        ({"none": ["app"]}, True),
        ({"none": ["PEAR"]}, False),
        ({"none": ["PEAR"], "case": True}, True),
        ({"times": {"apple": [2, 2]}}, True),
        ({"times": {"apple": [3, None]}}, False),
    ],
)
def test_keywords_are_whole_words(options: dict[str, Any], *, passed: bool) -> None:
    assert graded_by("keywords", "An apple, an Apple and a pear.", **options).passed is passed


@pytest.mark.parametrize(
    ("of", "count"),
    [("words", 14), ("sentences", 4), ("paragraphs", 2), ("lines", 3), ("bullets", 1), ("headings", 0), ("code_blocks", 0)],
)
def test_counts(of: str, count: int) -> None:
    text = "Dr. No said so. It is 3.5 m high!\nWhy?\n\n- because it was"
    assert graded_by("count", text, of=of, exactly=count).passed is True
    assert graded_by("count", text, of=of, min=count + 1).reason == "too_few"
    if count:
        assert graded_by("count", text, of=of, max=count - 1).reason == "too_many"


@given(st.text())
def test_sentences_lose_nothing_but_space(text: str) -> None:
    assert "".join("".join(sentences(text)).split()) == "".join(text.split())


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_any_json_has_the_form_json(value: Any) -> None:
    assert graded_by("format", json.dumps(value), form="json").passed is True
