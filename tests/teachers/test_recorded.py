"""`recorded`: completions of a file, matched by the prompt's text, by number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.teachers.asking import a_request, ask, fault_of

from gristmill.errors import SourceError
from gristmill.files.writing import write_jsonl
from gristmill.messages import Message, user
from gristmill.teachers.recorded import RecordedTeacher

if TYPE_CHECKING:
    from pathlib import Path

ROW = {"prompt": "2+2?", "completions": ["4", "5"], "models": ["org/a", "org/b"]}


def recorded(folder: Path, *rows: Any) -> RecordedTeacher:
    write_jsonl(folder / "c.jsonl", rows)
    return RecordedTeacher(folder / "c.jsonl")


def test_sample_i_gets_completion_i_and_its_model(tmp_path: Path) -> None:
    first, second = ask(recorded(tmp_path, ROW), a_request(index=0), a_request(index=1))
    assert (first.message.content, first.model, first.cost_usd) == ("4", "org/a", 0.0)
    assert (second.message.content, second.model) == ("5", "org/b")


def test_the_file_is_the_model_where_no_model_is_named(tmp_path: Path) -> None:
    (reply,) = ask(recorded(tmp_path, {"prompt": "2+2?", "completions": ["4"]}), a_request())
    assert reply.model == "c.jsonl"


def test_the_last_message_of_the_user_is_what_is_matched(tmp_path: Path) -> None:
    messages = (Message(role="system", content="s"), user("other"), Message(role="assistant", content="a"), user("2+2?"))
    (reply,) = ask(recorded(tmp_path, ROW), a_request(messages=messages))
    assert reply.message.content == "4"


def test_what_is_not_recorded_ends_the_prompt(tmp_path: Path) -> None:
    unknown = fault_of(recorded(tmp_path, ROW), a_request("9+9?"))
    assert (unknown.kind, unknown.code) == ("exhausted", "no_recorded_prompt")
    assert "template: plain" in str(unknown)
    more = fault_of(recorded(tmp_path, ROW), a_request(index=2))
    assert (more.kind, more.code) == ("exhausted", "no_more_recorded")
    assert "only 2" in str(more)


def test_the_first_row_of_a_prompt_counts(tmp_path: Path) -> None:
    (reply,) = ask(recorded(tmp_path, ROW, {**ROW, "completions": ["6", "7"]}), a_request())
    assert reply.message.content == "4"


def test_the_revision_is_the_content(tmp_path: Path) -> None:
    revisions: list[str | None] = []
    for row in (ROW, ROW, {**ROW, "completions": ["4", "6"]}, {**ROW, "prompt": "2 + 2?"}):
        teacher = recorded(tmp_path, row)
        revisions.append(teacher.identity.revision)
        ask(teacher)
    assert revisions[0] == revisions[1]
    assert len(set(revisions)) == 3


def test_a_folder_of_files(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "all" / "a.jsonl", [ROW])
    write_jsonl(tmp_path / "all" / "b.jsonl", [{"prompt": "3+3?", "completions": ["6"]}])
    replies = ask(RecordedTeacher(tmp_path / "all"), a_request("3+3?"), a_request("2+2?"))
    assert [reply.message.content for reply in replies] == ["6", "4"]


@pytest.mark.parametrize(
    ("row", "said", "fix"),
    [
        ({"question": "q"}, "needs `prompt` (a text) and `completions`", "The row has: question."),
        ({"prompt": 1, "completions": []}, "needs `prompt`", "The row has"),
        ({"prompt": "q", "completions": "text"}, "needs `prompt`", "The row has"),
        ({"prompt": "q", "completions": [1]}, "must be texts", "Mend"),
        ({**ROW, "models": ["a"]}, "one model per completion", "Mend"),
        ([1], "not_an_object", "Mend"),
    ],
)
def test_a_row_that_is_wrong_is_named(tmp_path: Path, row: Any, said: str, fix: str) -> None:
    with pytest.raises(SourceError, match=r"c\.jsonl:2: ") as caught:
        recorded(tmp_path, ROW, row)
    assert said in str(caught.value)
    assert fix in caught.value.fix


def test_a_file_without_completions(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="holds no completions"):
        recorded(tmp_path)
