"""Data files to rows, one at a time, whatever their format and compression.

Every row comes with its place, and a row that cannot be read is a `BadRow` with a reason instead of an exception: one bad
line in ten million must not end a night's run. Files are hostile: nothing is inferred, lines are bounded, and a compressed
file is never held whole. Parquet goes through DuckDB, which is loaded only then.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

import orjson
import zstandard

from gristmill.errors import SourceError
from gristmill.plain import as_items, as_object

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from gristmill.records import Row

FORMATS = ("jsonl", "json", "csv", "parquet")
SUFFIXES = {".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "json", ".csv": "csv", ".parquet": "parquet"}
COMPRESSIONS = (".gz", ".zst")
MAX_LINE_BYTES = 32 * 1024 * 1024
_PARQUET_BATCH = 1024
_CHUNK_CHARS = 1 << 16


class BadRow(NamedTuple):
    """A row that cannot be read, and why."""

    reason: str
    """A short word for the tables: `bad_json`, `not_utf8`, `not_an_object`, `line_too_long`, `bad_csv`, `truncated_file`."""
    detail: str


class NumberedRow(NamedTuple):
    """A row with its line, or for Parquet and JSON its number, counted from 1."""

    number: int
    row: Row | BadRow


def data_files(path: Path) -> list[Path]:
    """Return the data file at `path`, or all data files in the folder `path`, sorted by name.

    Dotfiles and links that lead out of the folder are left out.

    Raises:
        SourceError: where there is none.
    """
    if not path.exists():
        near = _like(path)
        raise SourceError(f"there is no file {path}", fix=f"Did you mean {near}?" if near else "Check the path.")
    if path.is_file():
        return [path]
    root = path.resolve()
    found = [
        file
        for file in sorted(path.rglob("*"))
        if file.is_file()
        and _format_of(file)
        and not any(part.startswith(".") for part in file.relative_to(path).parts)
        and file.resolve().is_relative_to(root)
    ]
    if not found:
        raise SourceError(f"no data file in the folder {path}", fix=f"Files must end in {', '.join(SUFFIXES)}, .gz or .zst.")
    return found


def _like(path: Path) -> str | None:
    import difflib

    names = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
    return next(iter(difflib.get_close_matches(path.name, names, n=1)), None)


def _format_of(path: Path) -> str | None:
    suffixes = [s.lower() for s in path.suffixes]
    if suffixes and suffixes[-1] in COMPRESSIONS:
        suffixes.pop()
    return SUFFIXES.get(suffixes[-1]) if suffixes else None


def read_rows(path: Path, file_format: str | None = None) -> Iterator[NumberedRow]:
    """Yield the rows of one data file with flat memory.

    Args:
        path: A file; `.gz` and `.zst` are unpacked on the way.
        file_format: One of `FORMATS`, or None to go by the name.

    Raises:
        SourceError: where the format is unknown or the file cannot be opened at all.
    """
    kind = file_format or _format_of(path)
    if kind is None:
        raise SourceError(f"the format of {path} is not in its name", fix=f"Add `format:`, one of {', '.join(FORMATS)}.")
    if kind == "parquet":
        yield from _parquet(path)
        return
    with _opened(path) as stream:
        reader = {"jsonl": _jsonl, "json": _json, "csv": _csv}[kind](stream)
        number = 0
        try:
            for numbered in reader:
                number = numbered.number
                yield numbered
        except (EOFError, gzip.BadGzipFile, zstandard.ZstdError, OSError) as error:
            yield NumberedRow(number + 1, BadRow("truncated_file", f"the file ends or breaks here: {error}"))


@contextmanager
def _opened(path: Path) -> Generator[BinaryIO]:
    try:
        raw = path.open("rb")
    except OSError as error:
        raise SourceError(f"cannot open {path}: {error.strerror}", fix="Check the path and its permissions.") from None
    with raw:
        match path.suffix.lower():
            case ".gz":
                yield io.BufferedReader(gzip.GzipFile(fileobj=raw))
            case ".zst":
                yield io.BufferedReader(zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True))
            case _:
                yield raw


def _jsonl(stream: BinaryIO) -> Iterator[NumberedRow]:
    number = 0
    while line := stream.readline(MAX_LINE_BYTES + 1):
        number += 1
        if len(line) > MAX_LINE_BYTES:
            while line and not line.endswith(b"\n"):
                line = stream.readline(MAX_LINE_BYTES)
            yield NumberedRow(number, BadRow("line_too_long", f"more than {MAX_LINE_BYTES:,} bytes"))
            continue
        if number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        if line.strip():
            yield NumberedRow(number, _object(line))


def _object(line: bytes) -> Row | BadRow:
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        try:
            line.decode("utf-8")
        except UnicodeDecodeError:
            return BadRow("not_utf8", "the line is not UTF-8 text")
        return BadRow("bad_json", str(error))
    return as_object(value) or _no_object(value)


def _no_object(value: Any) -> Row | BadRow:
    return {} if value == {} else BadRow("not_an_object", f"a row must be an object, got {str(value)[:60]!r}")


def _json(stream: BinaryIO) -> Iterator[NumberedRow]:
    """Stream the objects of one JSON array; a single object is one row."""
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="strict")
    decoder = json.JSONDecoder()
    buffer, number, want, ended = "", 0, _CHUNK_CHARS, False
    try:
        while True:
            buffer = buffer.lstrip(" \t\r\n,") if number else buffer.lstrip(" \t\r\n[")
            try:
                value, end = decoder.raw_decode(buffer) if buffer and buffer[0] != "]" else (None, 0)
            except json.JSONDecodeError as error:
                if ended or len(buffer) > MAX_LINE_BYTES:
                    yield NumberedRow(number + 1, BadRow("bad_json", str(error)))
                    return
                end, value = 0, None
            if end:
                number += 1
                buffer = buffer[end:]
                yield NumberedRow(number, as_object(value) or _no_object(value))
            elif ended or buffer.startswith("]"):
                return
            if len(buffer) < want // 2 or not end:
                chunk = text.read(want if end else max(want, len(buffer)))
                ended = not chunk
                buffer += chunk
    except UnicodeDecodeError:
        yield NumberedRow(number + 1, BadRow("not_utf8", "the file is not UTF-8 text from here on"))


def _csv(stream: BinaryIO) -> Iterator[NumberedRow]:
    csv.field_size_limit(MAX_LINE_BYTES)
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="replace", newline="")
    reader = csv.reader(text, strict=True)
    header = next(reader, None)
    if header is None:
        return
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield NumberedRow(reader.line_num, BadRow("bad_csv", str(error)))
            continue
        if not cells:
            continue
        if len(cells) != len(header):
            found = f"{len(cells)} cells, the header has {len(header)}"
            yield NumberedRow(reader.line_num, BadRow("bad_csv", found))
        elif any("�" in cell for cell in cells):
            yield NumberedRow(reader.line_num, BadRow("not_utf8", "the row is not UTF-8 text"))
        else:
            yield NumberedRow(reader.line_num, dict(zip(header, cells, strict=True)))


def _parquet(path: Path) -> Iterator[NumberedRow]:
    import duckdb

    connection = duckdb.connect()
    try:
        try:
            cursor = connection.execute("SELECT * FROM read_parquet(?)", [str(path)])
        except duckdb.Error as error:
            raise SourceError(f"cannot read {path}: {str(error).splitlines()[0]}", fix="Is it a Parquet file?") from None
        names = [column[0] for column in cursor.description or ()]
        number = 0
        while batch := cursor.fetchmany(_PARQUET_BATCH):
            for cells in batch:
                number += 1
                yield NumberedRow(number, {k: _plain(v) for k, v in zip(names, cells, strict=True)})
    finally:
        connection.close()


def _plain(value: Any) -> Any:
    """Return a Parquet value as JSON can hold it; dates and decimals as their text."""
    if value is None or isinstance(value, str | int | bool):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list | tuple):
        return [_plain(item) for item in as_items(value)]
    content = as_object(value)
    return str(value) if content is None else {str(key): _plain(item) for key, item in content.items()}
