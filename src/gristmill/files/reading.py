"""Data files to rows, one at a time, whatever their format and compression.

Every row comes with its place, and a row that cannot be read is a `BadRow` with a reason instead of an exception: one bad
line in ten million must not end a night's run. Files are hostile: nothing is inferred, lines are bounded, and a compressed
file is never held whole. Parquet goes through DuckDB, which is loaded only then.
"""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import json
import math
import re
from contextlib import closing, contextmanager
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
SUFFIXES = {".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "json", ".csv": "csv", ".tsv": "csv", ".parquet": "parquet"}
COMPRESSIONS = (".gz", ".zst")
MAX_LINE_BYTES = 32 * 1024 * 1024
_PARQUET_BATCH = 1024
_CHUNK_CHARS = 1 << 16
_ZSTD_BYTES = 1024
_SPACE = " \t\r\n"
_STORABLE = range(-(2**63), 2**64)
"""The whole numbers that orjson writes; larger ones are kept as their text."""
_DECODER = json.JSONDecoder()
"""Only finds where a value ends; orjson reads it, which refuses NaN and half surrogate pairs."""
_LONG_NUMBER = re.compile(rb"-[0-9]{19}|[0-9]{20}")
"""What orjson might have rounded: it makes a float of a whole number that has no 64 bits."""


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


def all_rows(path: Path) -> Iterator[NumberedRow]:
    """Yield the rows of a data file, or of all data files in a folder one after the other, with flat memory.

    Raises:
        SourceError: where there is none, or one cannot be opened at all.
    """
    return (item for file in data_files(path) for item in read_rows(file))


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
        number = 0
        try:
            with closing({"jsonl": _jsonl, "json": _json, "csv": _csv}[kind](stream)) as reader:
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
                yield io.BufferedReader(_ZstdFrames(raw))
            case _:
                yield raw


class _ZstdFrames(io.RawIOBase):
    """Unpacks zstd frames; unlike the library's own reader it says when the last one breaks off."""

    def __init__(self, raw: BinaryIO) -> None:
        self._pieces = _unpacked(raw)
        self._rest = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int:
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._rest = memoryview(piece)
        size = min(len(buffer), len(self._rest))
        buffer[:size] = self._rest[:size]
        self._rest = self._rest[size:]
        return size


def _unpacked(raw: BinaryIO) -> Iterator[bytes]:
    """Yield what a zstd file holds; little goes in at a time, since four bytes may become 128 KiB."""
    decoder = None
    while data := raw.read(_ZSTD_BYTES):
        while data:
            decoder = decoder or zstandard.ZstdDecompressor().decompressobj()
            yield decoder.decompress(data)
            data = decoder.unused_data if decoder.eof else b""
            decoder = None if decoder.eof else decoder
    if decoder is not None:
        raise EOFError("the last zstd frame breaks off")


def _jsonl(stream: BinaryIO) -> Generator[NumberedRow]:
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
    if _LONG_NUMBER.search(line):
        try:
            value = json.loads(line, parse_int=_whole)
        except RecursionError:
            return BadRow("bad_json", "too deep")
    return as_object(value) or _no_object(value)


def _whole(digits: str) -> int | str:
    """Return a whole number, or its digits where JSON is not sure to hold it."""
    number = int(digits)
    return number if number in _STORABLE else digits


def _no_object(value: Any) -> Row | BadRow:
    return {} if value == {} else BadRow("not_an_object", f"a row must be an object, got {str(value)[:60]!r}")


def _json(stream: BinaryIO) -> Generator[NumberedRow]:
    """Stream the objects of one JSON array; a single object is one row."""
    with io.TextIOWrapper(stream, encoding="utf-8-sig", errors="strict") as text:
        number = 0
        try:
            for row in _json_rows(text):
                number += 1
                yield NumberedRow(number, row)
        except UnicodeDecodeError:
            yield NumberedRow(number + 1, BadRow("not_utf8", "the file is not UTF-8 text from here on"))


def _json_rows(text: io.TextIOWrapper) -> Iterator[Row | BadRow]:
    """Yield the values of a JSON text that may be an array; what comes after a mistake is not read."""
    buffer = text.read(_CHUNK_CHARS).lstrip(_SPACE)
    while buffer == "" and (chunk := text.read(_CHUNK_CHARS)):
        buffer = chunk.lstrip(_SPACE)
    array = buffer.startswith("[")
    buffer, ended = buffer.removeprefix("["), not buffer
    while True:
        buffer = buffer.lstrip(_SPACE + ",")
        if array and buffer.startswith("]"):
            return
        end, problem = _json_end(buffer)
        if end:
            yield _object(buffer[:end].encode())
            buffer = buffer[end:]
        elif ended or len(buffer) > MAX_LINE_BYTES or problem == "too deep":
            if array or buffer:
                yield BadRow("bad_json", problem or "the array is not closed")
            return
        if not end or len(buffer) < _CHUNK_CHARS // 2:
            chunk = text.read(_CHUNK_CHARS if end else max(_CHUNK_CHARS, len(buffer)))
            ended = not chunk
            buffer += chunk


def _json_end(buffer: str) -> tuple[int, str]:
    """Return where the first JSON value ends, or 0 and why it does not."""
    try:
        return (_DECODER.raw_decode(buffer)[1] if buffer else 0), ""
    except json.JSONDecodeError as error:
        return 0, str(error)
    except RecursionError:
        return 0, "too deep"


def _csv(stream: BinaryIO) -> Generator[NumberedRow]:
    csv.field_size_limit(MAX_LINE_BYTES)
    with io.TextIOWrapper(stream, encoding="utf-8-sig", errors="surrogateescape", newline="") as text:
        first = text.readline(MAX_LINE_BYTES)
        reader = csv.reader(itertools.chain([first] if first else [], text), strict=True, delimiter=_delimiter(first))
        header: list[str] | None = None
        while True:
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield NumberedRow(reader.line_num, BadRow("bad_csv", str(error)))
                if header is None:
                    return
                continue
            if header is None:
                header = cells
            elif cells:
                yield NumberedRow(reader.line_num, _csv_row(header, cells))


def _delimiter(header: str) -> str:
    """Return what separates cells: a comma, or in a header without one a tab or the semicolon of many countries."""
    return next((mark for mark in ",\t;" if mark in header), ",")


def _csv_row(header: list[str], cells: list[str]) -> Row | BadRow:
    if len(cells) != len(header):
        return BadRow("bad_csv", f"{len(cells)} cells, the header has {len(header)}")
    if not all(map(_is_text, [*header, *cells])):
        return BadRow("not_utf8", "the row or the header is not UTF-8 text")
    return dict(zip(header, cells, strict=True))


def _is_text(cell: str) -> bool:
    """Return whether a cell was UTF-8; bytes that were not are surrogates by now."""
    return cell.isascii() or not any("\udc80" <= char <= "\udcff" for char in cell)


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
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, int):
        return value if value in _STORABLE else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list | tuple):
        return [_plain(item) for item in as_items(value)]
    content = as_object(value)
    return str(value) if content is None else {str(key): _plain(item) for key, item in content.items()}
