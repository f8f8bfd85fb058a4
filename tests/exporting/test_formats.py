"""Every format's rows have exactly the columns that it declares, with the types that it declares."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.runs import query

from gristmill.exporting import formats
from gristmill.exporting.files import ExportFiles
from gristmill.exporting.registry import EXPORTERS, GradedPrompt
from gristmill.messages import Message, ToolCall, user
from gristmill.records import Lineage, Prompt, Record

if TYPE_CHECKING:
    from pathlib import Path

NAMES = [plugin.name for plugin in EXPORTERS]
CALL = ToolCall(id="c", name="calc", arguments='{"b": 1.50,  "a": 1}')
MESSAGES = (
    Message(role="system", content="s"),
    user('a "quoted"\nquestion \u2028 é'),
    Message(role="assistant", content="", tool_calls=(CALL,)),
    Message(role="tool", content="1.5", tool_call_id="c"),
    Message(role="assistant", content="1.5", thinking="add them"),
)
RECORD = Record(
    id="007",
    messages=MESSAGES,
    reference="1e3",
    grader="math@1",
    pass_rate=0.5,
    split="train",
    origin="model",
    depth=1,
    license=("MIT", "unknown"),
    lineage=Lineage(
        prompt_id="p",
        sample_id="s",
        sample_index=0,
        request_ids=("r1", "r2"),
        grades=("math@1=equal",),
        parents=("p",),
        source_id="q.jsonl#1",
        generator="http/m",
        run="r",
    ),
    meta={"level": [1, None, {"x": "2026-01-02"}]},
)
GRADED = GradedPrompt(
    prompt=Prompt(id="p", messages=MESSAGES[:2], reference="2", origin="human", source_id="q#1"),
    messages=MESSAGES[:2],
    split="test",
    grader="math@1",
    passed=1,
    graded=4,
    license=("MIT",),
)


def row_of(name: str, item: Any = None, **options: Any) -> dict[str, Any]:
    plugin = EXPORTERS.get(name)
    unit = RECORD if plugin.traits["unit"] == "record" else GRADED
    return plugin.function(item or unit, plugin.options(**options))


def test_the_formats_of_the_spine_are_there() -> None:
    assert formats.__name__ == "gristmill.exporting.formats"
    assert {"messages", "prompt_completion", "rl", "parquet"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_row_has_just_the_declared_columns_in_order(name: str) -> None:
    assert list(row_of(name)) == list(EXPORTERS.get(name).traits["columns"])


@pytest.mark.parametrize("name", NAMES)
def test_every_format_can_be_written_with_its_declared_types(name: str, tmp_path: Path) -> None:
    plugin = EXPORTERS.get(name)
    files = ExportFiles(tmp_path, [(plugin, plugin.options())])
    files.write(RECORD)
    files.write_prompt(GRADED)
    rows = files.commit()[name]
    split = "train" if plugin.traits["unit"] == "record" else "test"
    assert rows[split] == 1
    path = tmp_path / name / f"{split}.{plugin.traits['suffix']}"
    if path.suffix == ".jsonl":
        assert json.loads(path.read_text(encoding="utf-8")) == row_of(name)
        return
    found = query("DESCRIBE SELECT * FROM read_parquet(?)", str(path))
    assert [(column, kind.replace('"', "")) for column, kind, *_ in found] == list(plugin.traits["columns"].items())


def test_parquet_rewrites_nothing(tmp_path: Path) -> None:
    plugin = EXPORTERS.get("parquet")
    files = ExportFiles(tmp_path, [(plugin, plugin.options())])
    files.write(RECORD)
    files.commit()
    path = str(tmp_path / "parquet" / "train.parquet")
    (found,) = query("SELECT id, reference, messages, meta FROM read_parquet(?)", path)
    assert found[:2] == ("007", "1e3")
    assert [message["content"] for message in found[2]] == [message.content for message in MESSAGES]
    assert json.loads(found[2][2]["tool_calls"])[0]["arguments"] == CALL.arguments
    assert json.loads(found[3]) == RECORD.meta


def test_reasoning_is_put_before_the_answer_or_dropped() -> None:
    assert row_of("messages")["messages"][-1]["content"] == "<think>\nadd them\n</think>\n\n1.5"
    assert row_of("messages", thinking="drop")["messages"][-1]["content"] == "1.5"
    assert row_of("prompt_completion", thinking="drop")["completion"] == [{"role": "assistant", "content": "1.5"}]


def test_prompt_and_completion_are_the_whole_conversation() -> None:
    row = row_of("prompt_completion")
    assert row["prompt"] + row["completion"] == row_of("messages")["messages"]
    assert [message["role"] for message in row["completion"]] == ["assistant"]


def test_rl_has_prompt_reference_grader_and_pass_rate() -> None:
    row = row_of("rl")
    assert row["prompt"] == [{"role": "system", "content": "s"}, {"role": "user", "content": MESSAGES[1].content}]
    assert (row["reference"], row["grader"], row["pass_rate"], row["graded"]) == ("2", "math@1", 0.25, 4)


def test_a_format_has_a_training_file_even_if_nothing_is_kept(tmp_path: Path) -> None:
    chosen = [(plugin, plugin.options()) for plugin in EXPORTERS]
    assert ExportFiles(tmp_path, chosen).commit() == {name: {"train": 0} for name in NAMES}
    for plugin, _ in chosen:
        assert (tmp_path / plugin.name / f"train.{plugin.traits['suffix']}").is_file()


def test_what_is_discarded_leaves_no_file(tmp_path: Path) -> None:
    files = ExportFiles(tmp_path, [(plugin, plugin.options()) for plugin in EXPORTERS])
    files.write(RECORD)
    files.discard()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
