"""Data files to rows: every format, every compression, and every way to be broken."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.runs import query

from gristmill.errors import SourceError
from gristmill.files import reading
from gristmill.files.reading import BadRow, data_files, read_rows

if TYPE_CHECKING:
    from pathlib import Path

ROWS = [{"a": "x", "n": 1}, {"a": "é\u2028", "n": None}]


def write(path: Path, data: str | bytes) -> Path:
    raw = data.encode() if isinstance(data, str) else data
    if path.suffix == ".gz":
        raw = gzip.compress(raw)
    elif path.suffix == ".zst":
        raw = zstandard.compress(raw)
    path.write_bytes(raw)
    return path


def read(path: Path, file_format: str | None = None) -> list[tuple[int, Any]]:
    return [(number, row.reason if isinstance(row, BadRow) else row) for number, row in read_rows(path, file_format)]


def lines(rows: list[dict[str, Any]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
@pytest.mark.parametrize("kind", ["jsonl", "ndjson", "json"])
def test_json_formats_in_every_compression(tmp_path: Path, kind: str, suffix: str) -> None:
    text = json.dumps(ROWS) if kind == "json" else lines(ROWS)
    assert read(write(tmp_path / f"f.{kind}{suffix}", text)) == [(1, ROWS[0]), (2, ROWS[1])]


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_csv_in_every_compression(tmp_path: Path, suffix: str) -> None:
    text = 'a,b\r\n1,"two\nlines, and ""quotes"""\r\n,\r\n'
    expected = [(3, {"a": "1", "b": 'two\nlines, and "quotes"'}), (4, {"a": "", "b": ""})]
    assert read(write(tmp_path / f"f.csv{suffix}", text)) == expected


def test_csv_with_other_marks_between_cells(tmp_path: Path) -> None:
    expected = [(2, {"a": "1,5", "b": "x"})]
    assert read(write(tmp_path / "f.csv", "a;b\n1,5;x\n")) == expected
    assert read(write(tmp_path / "f.tsv", "a\tb\n1,5\tx\n")) == expected
    assert read(write(tmp_path / "g.csv", 'a,"b;c"\n1;5,x\n')) == [(2, {"a": "1;5", "b;c": "x"})]


def test_a_name_in_capitals_and_a_declared_format(tmp_path: Path) -> None:
    assert read(write(tmp_path / "F.JSONL", lines(ROWS))) == [(1, ROWS[0]), (2, ROWS[1])]
    assert read(write(tmp_path / "data.txt", lines(ROWS)), "jsonl") == [(1, ROWS[0]), (2, ROWS[1])]
    with pytest.raises(SourceError, match="is not in its name") as caught:
        read(tmp_path / "data.txt")
    assert "jsonl, json, csv, parquet" in caught.value.fix


def test_lines_that_cannot_be_read_are_rows_with_a_reason(tmp_path: Path) -> None:
    data = b'\xef\xbb\xbf{"a": 1}\n\n  \n{"a": \n[1]\n"text"\nnull\n{"a": "\xff"}\n{"a": NaN}\n{}\n{"a": "\\ud800"}\n{"a": 2}'
    assert read(write(tmp_path / "f.jsonl", data)) == [
        (1, {"a": 1}),
        (4, "bad_json"),
        (5, "not_an_object"),
        (6, "not_an_object"),
        (7, "not_an_object"),
        (8, "not_utf8"),
        (9, "bad_json"),
        (10, {}),
        (11, "bad_json"),
        (12, {"a": 2}),
    ]


def test_a_line_that_is_too_long_is_skipped_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_LINE_BYTES", 50)
    long = json.dumps({"a": "x" * 500})
    assert read(write(tmp_path / "f.jsonl", f'{{"a": 1}}\n{long}\n{{"a": 2}}\n{long}')) == [
        (1, {"a": 1}),
        (2, "line_too_long"),
        (3, {"a": 2}),
        (4, "line_too_long"),
    ]


JSON_TEXTS: list[tuple[str, list[Any]]] = [
    ("", []),
    ("[]", []),
    (" \n[ ]\n", []),
    ('{"a": 1}', [(1, {"a": 1})]),
    ('\ufeff [{"a": 1}, {"a": 2}]\n', [(1, {"a": 1}), (2, {"a": 2})]),
    ('[{"a": 1}, 7, [], {}]', [(1, {"a": 1}), (2, "not_an_object"), (3, "not_an_object"), (4, {})]),
    ('[{"a": 1}, {"a": ', [(1, {"a": 1}), (2, "bad_json")]),
    ('[{"a": 1} oops]', [(1, {"a": 1}), (2, "bad_json")]),
    ("7", [(1, "not_an_object")]),
    ("oops", [(1, "bad_json")]),
]


@pytest.mark.parametrize(("text", "expected"), JSON_TEXTS)
def test_json(tmp_path: Path, text: str, expected: list[Any]) -> None:
    assert read(write(tmp_path / "f.json", text)) == expected


def test_json_that_is_cut_off_is_not_taken_for_whole(tmp_path: Path) -> None:
    assert read(write(tmp_path / "f.json", '[{"a": 1}, {"a": 2}')) == [(1, {"a": 1}), (2, {"a": 2}), (3, "bad_json")]


def test_values_that_json_does_not_have_are_refused_one_by_one(tmp_path: Path) -> None:
    text = '[{"a": NaN}, {"a": -Infinity}, {"a": "\\ud800"}, {"a": 1}]'
    assert read(write(tmp_path / "f.json", text)) == [(1, "bad_json"), (2, "bad_json"), (3, "bad_json"), (4, {"a": 1})]


@pytest.mark.parametrize("kind", ["jsonl", "json"])
def test_json_that_is_very_deep_is_a_bad_row(tmp_path: Path, kind: str) -> None:
    assert read(write(tmp_path / f"f.{kind}", '{"a": ' + "[" * 100_000))[0][1] == "bad_json"


def test_whole_numbers_are_never_too_large_to_store(tmp_path: Path) -> None:
    text = '{"a": 123456789012345678901234567890}'
    for name in ("f.json", "f.jsonl"):
        assert read(write(tmp_path / name, text)) == [(1, {"a": "123456789012345678901234567890"})]
    path = tmp_path / "f.parquet"
    query(f"COPY (SELECT 123456789012345678901234567890::DECIMAL(38,0) AS a) TO '{path}' (FORMAT PARQUET)")
    assert read(path) == [(1, {"a": "123456789012345678901234567890"})]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("18446744073709551615", 2**64 - 1),
        ("18446744073709551616", "18446744073709551616"),
        ("-9223372036854775808", -(2**63)),
        ("-9223372036854775809", "-9223372036854775809"),
        ("12345678901234567890123.5", 12345678901234567890123.5),
        ("123456789012345678901e3", 123456789012345678901e3),
        ('[{"b": 18446744073709551617}, 0.1]', [{"b": "18446744073709551617"}, 0.1]),
        ('["18446744073709551617", null]', ["18446744073709551617", None]),
    ],
)
def test_a_whole_number_is_exact_however_large(tmp_path: Path, written: str, value: Any) -> None:
    for name in ("f.json", "f.jsonl"):
        assert read(write(tmp_path / name, f'{{"a": {written}, "c": 2.50}}')) == [(1, {"a": value, "c": 2.5})]


@pytest.mark.parametrize("value", ["NaN", "-Infinity", "1e999", '"\\ud800"', "9" * 400, "0" * 20])
def test_beside_a_large_number_nothing_else_is_let_in(tmp_path: Path, value: str) -> None:
    assert read(write(tmp_path / "f.jsonl", f'{{"a": 18446744073709551617, "b": {value}}}')) == [(1, "bad_json")]


def test_a_large_number_deep_inside_breaks_nothing(tmp_path: Path) -> None:
    text = '{"a": ' + "[" * 1000 + "18446744073709551617" + "]" * 1000 + "}"
    assert len(read(write(tmp_path / "f.jsonl", text + "\n{}\n"))) == 2


def test_the_replacement_character_is_text_like_any_other(tmp_path: Path) -> None:
    assert read(write(tmp_path / "f.csv", "a\n\ufffd\n")) == [(2, {"a": "\ufffd"})]


@settings(max_examples=60)
@given(
    rows=st.lists(st.dictionaries(st.text(max_size=3), st.text(max_size=9) | st.integers(0, 9), max_size=3), max_size=8),
    chunk=st.integers(2, 40),
    indent=st.sampled_from([None, 1]),
)
def test_json_is_streamed_over_every_chunk_edge(
    tmp_path_factory: pytest.TempPathFactory, rows: list[dict[str, Any]], chunk: int, indent: int | None
) -> None:
    path = tmp_path_factory.mktemp("json") / "f.json"
    path.write_text(json.dumps(rows, indent=indent), encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "_CHUNK_CHARS", chunk)
        assert read(path) == list(enumerate(rows, start=1))


def test_json_that_is_not_utf8(tmp_path: Path) -> None:
    assert read(write(tmp_path / "f.json", b'[{"a": "\xff"}]')) == [(1, "not_utf8")]


def test_csv_rows_that_do_not_fit(tmp_path: Path) -> None:
    data = b'\xef\xbb\xbfa,b\n1,2\n1\n1,2,3\n\n\xff,2\n"a"b,c\n3,4\n'
    assert read(write(tmp_path / "f.csv", data)) == [
        (2, {"a": "1", "b": "2"}),
        (3, "bad_csv"),
        (4, "bad_csv"),
        (6, "not_utf8"),
        (7, "bad_csv"),
        (8, {"a": "3", "b": "4"}),
    ]


def test_csv_with_a_nul_or_without_a_row(tmp_path: Path) -> None:
    found = read(write(tmp_path / "f.csv", b"a\nx\x00y\nz\n"))
    assert found[-1] == (3, {"a": "z"})
    assert found[0] in [(2, "bad_csv"), (2, {"a": "x\x00y"})]
    assert read(write(tmp_path / "g.csv", "")) == []
    assert read(write(tmp_path / "h.csv", "a,b\n")) == []


def test_csv_with_a_broken_header_is_a_bad_row(tmp_path: Path) -> None:
    assert read(write(tmp_path / "f.csv", '"a"b,c\n1,2\n'))[0][1] == "bad_csv"


def test_a_quote_that_is_never_closed_ends_the_file_as_a_bad_row(tmp_path: Path) -> None:
    assert read(write(tmp_path / "f.csv", 'a,b\n1,2\n3,"4\n5,6\n')) == [(2, {"a": "1", "b": "2"}), (4, "bad_csv")]


def test_parquet_values_become_plain_ones(tmp_path: Path) -> None:
    path = tmp_path / "f.parquet"
    query(
        "COPY (SELECT 'x' AS t, 1::BIGINT AS n, 'nan'::DOUBLE AS f, DATE '2026-01-02' AS d, 1.50::DECIMAL(4,2) AS c, "
        "[1, NULL] AS l, {'k': ['v']} AS s, NULL AS e, 'ab'::BLOB AS b, true AS y) TO '" + str(path) + "' (FORMAT PARQUET)"
    )
    expected = {
        "t": "x", "n": 1, "f": None, "d": "2026-01-02", "c": "1.50", "l": [1, None], "s": {"k": ["v"]}, "e": None,
        "b": "b'ab'", "y": True,
    }  # fmt: skip
    assert read(path) == [(1, expected)]


def test_more_parquet_rows_than_one_batch(tmp_path: Path) -> None:
    path = tmp_path / "f.parquet"
    query(f"COPY (SELECT range AS n FROM range(2500)) TO '{path}' (FORMAT PARQUET)")
    assert [row["n"] for _, row in read(path)] == list(range(2500))


def test_a_file_that_is_no_parquet(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot read") as caught:
        read(write(tmp_path / "f.parquet", b"hello"))
    assert "Parquet" in caught.value.fix


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_a_compressed_file_that_breaks_off_keeps_its_good_rows(tmp_path: Path, kind: str, suffix: str) -> None:
    words = [f"{number * 7919 % 10007:x}-{number}" for number in range(40_000)]
    text = "w\n" + "\n".join(words) + "\n" if kind == "csv" else lines([{"w": word} for word in words])
    path = write(tmp_path / f"f.{kind}{suffix}", text)
    path.write_bytes(path.read_bytes()[:-2000])
    found = read(path)
    assert found[-1][1] == "truncated_file"
    assert 0 < len(found) - 1 < len(words)
    assert [row["w"] for _, row in found[:-2]] == words[: len(found) - 2]


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_a_file_that_is_not_compressed_as_it_says(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"f.jsonl{suffix}"
    path.write_text(lines(ROWS))
    assert read(path) == [(1, "truncated_file")]


def test_several_frames_are_one_file(tmp_path: Path) -> None:
    one, two = lines(ROWS[:1]).encode(), lines(ROWS[1:]).encode()
    (tmp_path / "f.jsonl.zst").write_bytes(zstandard.compress(one) + zstandard.compress(two))
    (tmp_path / "f.jsonl.gz").write_bytes(gzip.compress(one) + gzip.compress(two))
    for name in ("f.jsonl.zst", "f.jsonl.gz"):
        assert read(tmp_path / name) == [(1, ROWS[0]), (2, ROWS[1])]


def test_a_folder_is_its_data_files_in_order_without_what_is_hidden_or_elsewhere(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    write(outside / "secret.jsonl", lines(ROWS))
    folder = tmp_path / "data"
    (folder / "sub").mkdir(parents=True)
    (folder / ".hidden").mkdir()
    wanted = [write(folder / name, lines(ROWS)) for name in ("b.jsonl", "sub/a.jsonl.gz")]
    write(folder / ".c.jsonl", lines(ROWS))
    write(folder / ".hidden" / "d.jsonl", lines(ROWS))
    write(folder / "notes.txt", "no data")
    (folder / "linked.jsonl").symlink_to(outside / "secret.jsonl")
    (folder / "linked").symlink_to(outside)
    (folder / "gone.jsonl").symlink_to(outside / "nothing.jsonl")
    inside = folder / "again.jsonl"
    inside.symlink_to(folder / "b.jsonl")
    assert data_files(folder) == [inside, *wanted]


def test_no_file_and_no_data(tmp_path: Path) -> None:
    write(tmp_path / "train.jsonl", "")
    with pytest.raises(SourceError, match="there is no file") as caught:
        data_files(tmp_path / "trian.jsonl")
    assert caught.value.fix == "Did you mean train.jsonl?"
    (tmp_path / "empty").mkdir()
    with pytest.raises(SourceError, match="no data file in the folder") as caught:
        data_files(tmp_path / "empty")
    assert ".jsonl" in caught.value.fix


def test_a_file_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="cannot open"):
        read(tmp_path / "gone.jsonl")


@settings(max_examples=80)
@given(data=st.binary(max_size=200), kind=st.sampled_from(["f.jsonl", "f.json", "f.csv", "f.jsonl.gz", "f.csv.zst"]))
def test_any_bytes_are_rows_or_reasons(tmp_path_factory: pytest.TempPathFactory, data: bytes, kind: str) -> None:
    path = tmp_path_factory.mktemp("any") / kind
    path.write_bytes(data)
    for number, row in read(path):
        assert number >= 1
        assert isinstance(row, dict | str)
