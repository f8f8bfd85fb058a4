"""Replies that are read as JSON, a model or lines, and asked for again where they cannot be."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel

from gristmill.tasks.asking import labelled, model_in, object_in, schema_in


class City(BaseModel):
    """A city."""

    name: str
    people: int


def test_an_object_is_found_in_a_fence_or_between_words() -> None:
    for text in ('{"a": 1}', 'Here:\n```json\n{"a": 1}\n```', 'First {not json}, then {"a": 1} and {"a": 2}'):
        assert object_in(text) == {"a": 1}
    for text in ("none", "[1, 2]", "{" * 5000, '{"a": '):
        with pytest.raises(ValueError, match="no JSON object"):
            object_in(text)


def test_a_model_says_what_is_wrong() -> None:
    assert model_in(City)('{"name": "Arles", "people": 50000}').people == 50000
    with pytest.raises(ValueError, match="people"):
        model_in(City)('{"name": "Arles", "people": "many"}')


def test_a_schema_says_what_is_wrong_and_fetches_nothing() -> None:
    schema: dict[str, Any] = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    assert schema_in(schema)('{"n": 3}') == {"n": 3}
    with pytest.raises(ValueError, match="n: 'x' is not of type"):
        schema_in(schema)('{"n": "x"}')
    with pytest.raises(ValueError, match="no JSON Schema"):
        schema_in({"type": "thing"})
    with pytest.raises(ValueError, match="points out of the schema"):
        schema_in({"$ref": "http://127.0.0.1:9/schema.json"})


def test_lines_are_read_and_a_missing_one_is_named() -> None:
    assert labelled("Instruction: Do it.\nNow.\n\nAnd more.", ("instruction",)) == {"instruction": "Do it.\nNow."}
    with pytest.raises(ValueError, match="no line `Answer"):
        labelled("Question: Who?", ("question", "answer"))
    with pytest.raises(ValueError, match="no line `Answer"):
        labelled("Question: Who?\nAnswer:  \n", ("question", "answer"))
