"""Rows of data files as prompts; a row that cannot be one is a reject with file and line."""

from __future__ import annotations

import gzip
import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from gristmill.errors import SourceError
from gristmill.messages import Message, ToolCall, user
from gristmill.recipe.model import SourceSpec
from gristmill.sources.rows import MAPPING_ROWS, RowSource

if TYPE_CHECKING:
    from pathlib import Path

    from gristmill.ports import SourceRow
    from gristmill.records import Prompt


DEEP: dict[str, Any] = json.loads('{"a":' * 300 + "1" + "}" * 300)


def source(path: Path, rows: list[Any], **mapping: Any) -> RowSource:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows), encoding="utf-8")
    return RowSource(SourceSpec(path=path.name, **mapping), path)


def rows_of(path: Path, rows: list[Any], **mapping: Any) -> list[SourceRow]:
    return list(source(path, rows, **mapping).rows())


def prompt_of(path: Path, row: dict[str, Any], **mapping: Any) -> Prompt:
    (found,) = rows_of(path, [row], **mapping)
    assert found.prompt is not None, found
    return found.prompt


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "q.jsonl"


def test_a_row_becomes_a_prompt_with_all_that_is_declared(file: Path) -> None:
    row = {"question": "1+1?", "answer": "2", "level": {"n": 3}, "other": "left behind"}
    found = prompt_of(
        file, row, prompt="question", reference="answer", meta=("level", "nothing"), domain="sums", origin="human", license="MIT"
    )
    assert found.messages == (user("1+1?"),)
    assert (found.reference, found.domain, found.origin, found.license) == ("2", "sums", "human", "MIT")
    assert found.meta == {"level": {"n": 3}}
    assert found.source_id == "q.jsonl#1"


def test_what_is_not_declared_is_unknown(file: Path) -> None:
    found = prompt_of(file, {"prompt": "x"})
    assert (found.reference, found.domain, found.origin, found.license, found.meta) == (None, None, "unknown", None, {})


@pytest.mark.parametrize(
    ("value", "text"),
    [("2", "2"), (2, "2"), (0.5, "0.5"), (True, "true"), ([1, "a"], '[1,"a"]'), ({"a": None}, '{"a":null}'), (None, None)],
)
def test_a_reference_that_is_not_text_is_its_json(file: Path, value: Any, text: str | None) -> None:
    assert prompt_of(file, {"prompt": "x", "answer": value}, reference="answer").reference == text


def test_the_id_depends_on_what_a_teacher_sees_and_on_nothing_else(file: Path) -> None:
    first = prompt_of(file, {"prompt": "x", "a": "1"}, reference="a")
    assert prompt_of(file, {"prompt": "x", "a": "2"}, reference="a", license="MIT", origin="human", meta=("a",)).id == first.id
    assert prompt_of(file, {"chat": [{"role": "user", "content": "x"}]}, messages="chat").id == first.id
    assert prompt_of(file, {"prompt": "y", "a": "1"}, reference="a").id != first.id
    system = [{"role": "system", "content": "s"}, {"role": "user", "content": "x"}]
    assert prompt_of(file, {"chat": system}, messages="chat").id != first.id


def test_a_whole_conversation_can_be_the_prompt(file: Path) -> None:
    chat = [
        {"role": "user", "content": "2*3?"},
        {"role": "assistant", "content": "", "tool_calls": [{"id": "1", "name": "calc", "arguments": '{"x": 1.50}'}]},
        {"role": "tool", "content": "6", "tool_call_id": "1"},
    ]
    found = prompt_of(file, {"chat": chat}, messages="chat")
    assert found.messages == tuple(Message.model_validate(message) for message in chat)
    assert found.messages[1].tool_calls[0].arguments == '{"x": 1.50}'


@pytest.mark.parametrize(
    ("chat", "reason"),
    [
        ([], "bad_messages"),
        ([{"role": "user"}], "bad_messages"),
        ([{"role": "human", "content": "x"}], "bad_messages"),
        ([{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}], "bad_messages"),
        (["x"], "bad_messages"),
        ("  \n", "empty_prompt"),
        (7, "not_text"),
        (None, "not_text"),
        ({"a": 1}, "not_text"),
    ],
)
def test_a_prompt_that_is_none_is_rejected_with_its_place(file: Path, chat: Any, reason: str) -> None:
    (found,) = rows_of(file, [{"chat": chat}], messages="chat")
    assert (found.place, found.prompt, found.reject) == ("q.jsonl:1", None, reason)
    assert "`chat` holds" in found.detail


def test_chats_are_read_as_providers_and_data_sets_write_them(file: Path) -> None:
    """Keys that say nothing are null, an assistant that calls has no content, and a call stands under `function`."""
    call = {"id": "1", "type": "function", "function": {"name": "calc", "arguments": '{"x": 1.50}'}, "index": None}
    chat = [
        {"role": "system", "content": "s", "name": None, "tool_calls": None},
        {"role": "user", "content": "2*3?", "name": None, "tool_calls": None, "tool_call_id": None},
        {"role": "assistant", "content": None, "refusal": None, "tool_calls": [call]},
        {"role": "tool", "content": None, "tool_call_id": "1"},
        {"role": "assistant", "tool_calls": [{"id": "2", "name": "calc", "arguments": {"x": 2}}]},
        {"role": "tool", "content": "4", "tool_call_id": "2"},
    ]
    found = prompt_of(file, {"chat": chat}, messages="chat").messages
    assert [message.content for message in found] == ["s", "2*3?", "", "", "", "4"]
    assert found[2].tool_calls == (ToolCall(id="1", name="calc", arguments='{"x": 1.50}'),)
    assert found[4].tool_calls == (ToolCall(id="2", name="calc", arguments='{"x":2}'),)
    plain = [{"role": "system", "content": "s"}, {"role": "user", "content": "2*3?"}]
    assert prompt_of(file, {"chat": chat[:2]}, messages="chat").id == prompt_of(file, {"chat": plain}, messages="chat").id


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ({"role": "user", "content": "x", "name": "Ann"}, "message 2: there is no key `name`, the keys are role, content, "),
        (
            {"role": "human", "content": "x"},
            "message 2: `role`: input should be 'system', 'user', 'assistant' or 'tool', got 'human'",
        ),
        ({"role": "user", "content": None}, "message 2: `content` is missing"),
        (
            {"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "f"}}]},
            "message 2: `tool_calls.0.arguments` is missing",
        ),
        (
            {"role": "assistant", "tool_calls": [{"id": "1", "name": "f", "arguments": DEEP}]},
            "message 2: `tool_calls.0.arguments`: ",
        ),
        ({"role": "assistant", "tool_calls": 7}, "message 2: `tool_calls.0`: input should be a valid dictionary"),
        (
            {"role": "assistant", "content": "x"},
            "the last message is the assistant's, and a prompt ends with a user's or a tool's",
        ),
        ("x", "message 2: input should be a valid dictionary"),
    ],
)
def test_what_is_wrong_with_a_chat_is_named(file: Path, message: Any, said: str) -> None:
    (found,) = rows_of(file, [{"chat": [{"role": "user", "content": "x"}, message]}], messages="chat")
    assert found.reject == "bad_messages"
    assert said in found.detail
    assert "`chat` holds" in found.detail


def test_bad_rows_among_good_ones_are_rejects_and_end_nothing(file: Path) -> None:
    rows = [{"prompt": "a"}, "{oops", {"promt": "b"}, {"prompt": ""}, "[1]", {"prompt": "c"}]
    assert [(row.place, row.reject) for row in rows_of(file, rows)] == [
        ("q.jsonl:1", None),
        ("q.jsonl:2", "bad_json"),
        ("q.jsonl:3", "missing_field"),
        ("q.jsonl:4", "empty_prompt"),
        ("q.jsonl:5", "not_an_object"),
        ("q.jsonl:6", None),
    ]


@pytest.mark.parametrize(
    ("mapping", "said", "fix"),
    [
        ({"prompt": "qestion"}, "no field `qestion` (`prompts.prompt`)", "Did you mean `prompt: question`?"),
        ({"messages": "chat"}, "no field `chat` (`prompts.messages`)", "The row has: question, answer."),
        ({"prompt": "question", "reference": "anwser"}, "no field `anwser` (`prompts.reference`)", "`reference: answer`?"),
    ],
)
def test_a_wrong_mapping_is_an_error_and_not_a_thousand_rejects(file: Path, mapping: dict[str, str], said: str, fix: str) -> None:
    rows = [{"question": str(number), "answer": "2"} for number in range(3 * MAPPING_ROWS)]
    seen: list[SourceRow] = []
    with pytest.raises(SourceError) as caught:
        seen.extend(source(file, rows, **mapping).rows())
    assert said in str(caught.value)
    assert str(caught.value).startswith("q.jsonl:1: ")
    assert fix in caught.value.fix


def test_one_good_row_among_the_first_means_that_the_mapping_is_right(file: Path) -> None:
    rows = [{"x": 1}] * 5 + [{"prompt": "p"}] + [{"x": 1}] * (2 * MAPPING_ROWS)
    found = rows_of(file, rows)
    assert [row.reject for row in found].count("missing_field") == len(rows) - 1


def test_an_empty_file_has_no_rows(file: Path) -> None:
    assert rows_of(file, []) == []


def test_a_file_in_which_nothing_can_be_read_has_rejects_alone(file: Path) -> None:
    assert {row.reject for row in rows_of(file, ["{"] * 3)} == {"bad_json"}


def test_a_folder_is_one_source_and_places_name_the_file(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    (folder / "b").mkdir(parents=True)
    (folder / "a.csv").write_text("prompt,answer\nx,1\n")
    (folder / "b" / "c.jsonl.gz").write_bytes(gzip.compress(b'{"prompt": "y", "answer": "2"}\n{"prompt": 1}\n'))
    found = list(RowSource(SourceSpec(path="data"), folder).rows())
    assert [(row.place, row.reject) for row in found] == [
        ("data/a.csv:2", None),
        ("data/b/c.jsonl.gz:1", None),
        ("data/b/c.jsonl.gz:2", "not_text"),
    ]
    assert [row.prompt.source_id for row in found if row.prompt] == ["data/a.csv#2", "data/b/c.jsonl.gz#1"]


def test_the_fingerprint_changes_with_content_and_mapping_alone(file: Path) -> None:
    first = source(file, [{"prompt": "x"}])
    stamp = file.stat().st_mtime_ns
    mark = first.fingerprint()
    assert RowSource(first.spec, file).fingerprint() == mark
    assert RowSource(first.spec.model_copy(update={"reference": "a"}), file).fingerprint() != mark
    os.utime(file, ns=(stamp, stamp + 1))
    assert first.fingerprint() != mark
    os.utime(file, ns=(stamp, stamp))
    assert first.fingerprint() == mark
    file.write_text('{"prompt": "longer"}\n')
    os.utime(file, ns=(stamp, stamp))
    assert first.fingerprint() != mark


def test_numbers_too_large_or_not_finite_never_reach_a_prompt(tmp_path: Path) -> None:
    file = tmp_path / "q.json"
    file.write_text('[{"prompt": "a", "m": NaN}, {"prompt": "b", "m": 1e999}, {"prompt": "c", "m": 99999999999999999999}]')
    found = list(RowSource(SourceSpec(path="q.json", meta=("m",)), file).rows())
    assert [row.place for row in found] == ["q.json:1", "q.json:2", "q.json:3"]
    assert all(row.reject or (row.prompt and row.prompt.model_dump_json()) for row in found)
