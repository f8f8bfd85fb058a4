"""Files are written whole or not at all, and Parquet with the types that were declared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.runs import query

from gristmill.files.reading import read_rows
from gristmill.files.writing import RowSink, replacing, replacing_folder, write_json, write_jsonl, write_parquet, write_text

if TYPE_CHECKING:
    from pathlib import Path

COLUMNS = {
    "text": "VARCHAR",
    "count": "BIGINT",
    "share": "DOUBLE",
    "yes": "BOOLEAN",
    "tags": "VARCHAR[]",
    "messages": "STRUCT(role VARCHAR, content VARCHAR)[]",
    'it\'s "odd"': "VARCHAR",
}
TEXT = st.text(st.characters(exclude_categories=("Cs",)))
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "text": st.none() | TEXT | st.sampled_from(["1", "true", "2026-01-02", "null", '{"a": 1.50}', "007"]),
            "count": st.none() | st.integers(-(2**63), 2**63 - 1),
            "share": st.none() | st.floats(allow_nan=False, allow_infinity=False, allow_subnormal=False),
            "yes": st.none() | st.booleans(),
            "tags": st.none() | st.lists(st.none() | TEXT, max_size=3),
            "messages": st.none() | st.lists(st.fixed_dictionaries({"role": TEXT, "content": st.none() | TEXT}), max_size=3),
            'it\'s "odd"': st.none() | TEXT,
        }
    ),
    max_size=5,
)


def read(path: Path) -> list[Any]:
    return [row for _, row in read_rows(path)]


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
@settings(max_examples=25)
@given(rows=ROWS)
def test_rows_come_back_as_they_went_in(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, rows: list[dict[str, Any]]
) -> None:
    path = tmp_path_factory.mktemp("rows") / f"it's.{suffix}"
    sink = RowSink(path, COLUMNS)
    for row in rows:
        sink.write(row)
    sink.commit()
    assert read(path) == rows
    assert sink.rows == len(rows)
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_an_empty_parquet_file_has_its_columns_and_types(tmp_path: Path) -> None:
    assert write_parquet(tmp_path / "f.parquet", COLUMNS, []) == 0
    found = query("DESCRIBE SELECT * FROM read_parquet(?)", str(tmp_path / "f.parquet"))
    assert {name: kind.replace('"', "") for name, kind, *_ in found} == COLUMNS


def test_parquet_keeps_the_order_of_many_rows(tmp_path: Path) -> None:
    path = tmp_path / "f.parquet"
    assert write_parquet(path, {"n": "BIGINT"}, ({"n": n} for n in range(30_000))) == 30_000
    assert [row["n"] for row in read(path)] == list(range(30_000))


def test_a_row_that_does_not_fit_leaves_the_earlier_parquet_file(tmp_path: Path) -> None:
    path = tmp_path / "f.parquet"
    write_parquet(path, {"n": "BIGINT"}, [{"n": 1}])
    with pytest.raises(duckdb.Error):
        write_parquet(path, {"n": "BIGINT"}, [{"n": "no number"}])
    assert read(path) == [{"n": 1}]
    assert [file.name for file in tmp_path.iterdir()] == ["f.parquet"]


def test_a_sink_that_is_discarded_leaves_the_earlier_file(tmp_path: Path) -> None:
    path = tmp_path / "f.jsonl"
    write_jsonl(path, [{"a": 1}])
    sink = RowSink(path, {"a": "BIGINT"})
    sink.write({"a": 2})
    sink.discard()
    assert read(path) == [{"a": 1}]
    assert [file.name for file in tmp_path.iterdir()] == ["f.jsonl"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_replacing_is_whole_or_not_at_all(tmp_path: Path, error: type[BaseException]) -> None:
    path = tmp_path / "sub" / "f.txt"
    write_text(path, "old")

    def fail() -> None:
        with replacing(path) as stream:
            stream.write(b"half of the n")
            raise error

    with pytest.raises(error):
        fail()
    assert path.read_text() == "old"
    assert [file.name for file in path.parent.iterdir()] == ["f.txt"]
    with replacing(path) as stream:
        stream.write(b"new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"


def test_replacing_folder_is_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "export"
    with replacing_folder(path) as fresh:
        write_text(fresh / "a.txt", "old")

    def fail() -> None:
        with replacing_folder(path) as fresh:
            write_text(fresh / "b.txt", "half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert {file.name for file in path.iterdir()} == {"a.txt"}
    assert [file.name for file in tmp_path.iterdir()] == ["export"]
    with replacing_folder(path) as fresh:
        write_text(fresh / "b.txt", "new")
    assert {file.name for file in path.iterdir()} == {"b.txt"}
    assert [file.name for file in tmp_path.iterdir()] == ["export"]


def test_what_is_not_ours_is_kept(tmp_path: Path) -> None:
    path = tmp_path / "export"
    for name in ("messages/train.jsonl", "messages/notes/why.txt", "EVAL.md", "rl/train.jsonl"):
        write_text(path / name, "old")
    (path / "empty").mkdir()
    (path / "link").symlink_to("EVAL.md")
    with replacing_folder(path, lambda relative: relative.name == "train.jsonl") as fresh:
        write_text(fresh / "messages/train.jsonl", "new")
    assert {str(file.relative_to(path)): file.read_text() for file in path.rglob("*") if file.is_file()} == {
        "messages/train.jsonl": "new", "messages/notes/why.txt": "old", "EVAL.md": "old", "link": "old",
    }  # fmt: skip
    assert (path / "empty").is_dir()
    assert (path / "link").is_symlink()
    assert not (path / "rl").exists()


def test_what_a_crash_left_behind_is_cleared(tmp_path: Path) -> None:
    path = tmp_path / "export"
    write_text(tmp_path / ".export.part" / "junk.txt", "junk")
    with replacing_folder(path) as fresh:
        write_text(fresh / "a.txt", "new")
    assert {file.name for file in path.iterdir()} == {"a.txt"}
    assert [file.name for file in tmp_path.iterdir()] == ["export"]


def test_json_keeps_the_order_of_keys(tmp_path: Path) -> None:
    write_json(tmp_path / "f.json", {"b": 1, "a": {"d": [1], "c": "é"}})
    assert (tmp_path / "f.json").read_text(encoding="utf-8") == (
        '{\n  "b": 1,\n  "a": {\n    "d": [\n      1\n    ],\n    "c": "é"\n  }\n}\n'
    )
