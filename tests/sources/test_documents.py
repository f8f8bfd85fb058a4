"""Documents as prompts: places, rows that hold documents, groups, contexts across documents, and mistakes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.runs import query, run
from tests.tasks.kinds import kind_recipe

from gristmill.errors import SourceError
from gristmill.recipe.model import Recipe, SourceSpec
from gristmill.sources.documents import DocumentSource

if TYPE_CHECKING:
    from pathlib import Path

    from gristmill.records import Prompt


def spec(**fields: Any) -> SourceSpec:
    return SourceSpec.model_validate({"documents": "d", "license": "CC-BY-4.0", "origin": "human", **fields})


def prompts(source: DocumentSource) -> list[Prompt]:
    return [row.prompt for row in source.rows() if row.prompt is not None]


def folder(tmp_path: Path, count: int = 3) -> Path:
    root = tmp_path / "d"
    root.mkdir()
    for number in range(count):
        text = "\n\n".join(f"Paragraph {number}.{part}. {'Some words of it. ' * 8}" for part in range(6))
        (root / f"{number}.md").write_text(f"# Title {number}\n\n{text}\n")
    return root


def test_a_passage_knows_where_it_is_from(tmp_path: Path) -> None:
    root = folder(tmp_path)
    found = prompts(DocumentSource(spec(chunk={"tokens": 100, "overlap": 10}), root))
    assert len(found) > 6
    for prompt in found:
        text = (tmp_path / str(prompt.meta["document"])).read_text()
        assert text[int(str(prompt.meta["start"])) : int(str(prompt.meta["end"]))] == prompt.messages[0].content
        assert prompt.meta["characters"] == len(text)
        assert str(prompt.meta["heading"]).startswith("Title")
        assert prompt.source_id == f"{prompt.meta['document']}#{prompt.meta['chunk']}"
        assert (prompt.license, prompt.origin) == ("CC-BY-4.0", "human")


def test_rows_may_hold_documents(tmp_path: Path) -> None:
    rows = [{"body": "# One\n\nText.", "name": "First"}, {"body": ""}, {"body": "Two."}]
    path = tmp_path / "d.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    source = DocumentSource(spec(documents="d.jsonl", text="body", title="name", markup="markdown"), path)
    found = list(source.rows())
    assert sorted(row.reject or "" for row in found) == ["", "", "no_text"]
    assert [prompt.meta["title"] for prompt in prompts(source)] == ["First", None]
    with pytest.raises(SourceError, match="no field `bdy`"):
        list(DocumentSource(spec(text="bdy"), path).rows())


def test_neighbours_and_passages_of_other_documents_stand_in_one_prompt(tmp_path: Path) -> None:
    root = folder(tmp_path, 5)
    single = prompts(DocumentSource(spec(chunk={"tokens": 60, "overlap": 0}), root))
    grouped = prompts(DocumentSource(spec(chunk={"tokens": 60, "overlap": 0, "group": 3}), root))
    assert len(single) / 4 < len(grouped) < len(single) / 2
    across = prompts(DocumentSource(spec(chunk={"tokens": 60, "overlap": 0, "across": 3}), root))
    assert len(across) > len(single) / 2
    for prompt in across:
        parts = prompt.meta["parts"]
        assert isinstance(parts, list)
        assert len({str(part["document"]) for part in parts if isinstance(part, dict)}) == 3
    again = prompts(DocumentSource(spec(chunk={"tokens": 60, "overlap": 0, "across": 3}), root))
    assert [prompt.id for prompt in again] == [prompt.id for prompt in across]


def test_the_fingerprint_follows_the_files(tmp_path: Path) -> None:
    root = folder(tmp_path)
    marks = {DocumentSource(spec(), root).fingerprint(), DocumentSource(spec(chunk={"tokens": 100}), root).fingerprint()}
    (root / "new.md").write_text("# New")
    marks.add(DocumentSource(spec(), root).fingerprint())
    assert len(marks) == 3


def test_what_is_left_out_is_counted_in_the_run(tmp_path: Path) -> None:
    root = folder(tmp_path, 1)
    (root / ".hidden.md").write_text("no")
    (root / "data.zip").write_bytes(b"PK")
    path = kind_recipe(tmp_path, [], "rewrite", {"section": ["Written {n}."]}, prompts={"documents": "d", "origin": "human"})
    found = run(path, tmp_path / "run")
    source = next(stage for stage in found["funnel"] if stage["stage"] == "source")
    assert source["dropped"] == {"dotfile": 1, "unknown_format": 1}
    assert query(f"SELECT count(*) FROM '{tmp_path}/run/tables/samples.parquet'") == [(1,)]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({"path": "a.jsonl", "chunk": {"tokens": 100}}, "`chunk` is for documents"),
        ({"documents": "d", "path": "a.jsonl"}, "one of `path`, `documents`"),
        ({"documents": "d", "title": "t"}, "name the field that holds them"),
        ({"documents": "d", "chunk": {"tokens": 100, "overlap": 90}}, "more than half"),
    ],
)
def test_mistakes_say_what_to_write(source: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Recipe.model_validate({"name": "a", "prompts": source, "teacher": "builtin", "grade": "math"})


def test_a_folder_without_documents_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    with pytest.raises(SourceError, match="no document"):
        list(DocumentSource(spec(), tmp_path / "d").rows())
