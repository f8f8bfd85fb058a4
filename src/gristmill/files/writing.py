"""Rows to data files, whole or not at all.

A file is written beside its place and moved there when it is complete and on disk, so a reader never sees half of one and a
crash leaves the earlier one. Parquet is written by DuckDB from JSON lines with *declared* columns: inference would rewrite
tool arguments and turn ids into numbers.
"""

from __future__ import annotations

import os
import shutil
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

import orjson

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping
    from pathlib import Path

    from gristmill.records import Row


@contextmanager
def replacing(path: Path) -> Generator[BinaryIO]:
    """Open a new file that takes the place of `path` when the block ends well, and is removed when it does not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.part")
    try:
        with fresh.open("wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Write a whole text file."""
    with replacing(path) as stream:
        stream.write(text.encode())


def write_json(path: Path, content: object) -> None:
    """Write a whole JSON file, indented, with the keys in their order."""
    with replacing(path) as stream:
        stream.write(orjson.dumps(content, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))


def write_jsonl(path: Path, rows: Iterable[Row]) -> None:
    """Write a whole file of JSON lines."""
    with replacing(path) as stream:
        for row in rows:
            stream.write(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE))


ROW_GROUP = 16_384
"""Rows that are held in memory at one time while Parquet is written."""


PART_BYTES = 2 * 1024 * 1024
"""Rows on their way to Parquet are kept in files of this size: DuckDB's reader takes memory by the size of a file."""
LEAST_OBJECT_BYTES = 1024 * 1024
"""DuckDB reads ahead by several times the largest row that it is told to expect, so it is told what was written."""


class RowSink:
    """Rows to one file, JSON lines or Parquet by the file's suffix.

    Rows go to the disk as they come, so memory stays flat; Parquet is made from them when the sink is closed well.
    """

    def __init__(self, path: Path, columns: Mapping[str, str]) -> None:
        """Begin a file.

        Args:
            path: Ends in `.jsonl` or `.parquet`.
            columns: Column name to DuckDB type (`VARCHAR`, `BIGINT`, `DOUBLE`, `BOOLEAN`, `VARCHAR[]`, …), in order.
        """
        self.path = path
        self.rows = 0
        self._columns = columns
        self._longest = 0
        self._parquet = path.suffix == ".parquet"
        self._parts: list[Path] = []
        path.parent.mkdir(parents=True, exist_ok=True)
        self._stream = self._next_part()

    def write(self, row: Row) -> None:
        """Add a row with just the declared columns."""
        if self._parquet and self._stream.tell() >= PART_BYTES:
            self._stream.close()
            self._stream = self._next_part()
        line = orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
        self._stream.write(line)
        self._longest = max(self._longest, len(line))
        self.rows += 1

    def commit(self) -> None:
        """Put the finished file in its place, on disk."""
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._stream.close()
        if self._parquet:
            _to_parquet(self._parts, self.path, self._columns, max(LEAST_OBJECT_BYTES, 2 * self._longest))
            self.discard()
        else:
            self._parts[0].replace(self.path)

    def discard(self) -> None:
        """Remove what was written so far."""
        self._stream.close()
        for part in self._parts:
            part.unlink(missing_ok=True)

    def _next_part(self) -> BinaryIO:
        self._parts.append(self.path.with_name(f".{self.path.name}.part{len(self._parts)}"))
        return self._parts[-1].open("wb")


def write_parquet(path: Path, columns: Mapping[str, str], rows: Iterable[Row]) -> int:
    """Write rows as Parquet with declared columns and return how many."""
    sink = RowSink(path, columns)
    try:
        for row in rows:
            sink.write(row)
        sink.commit()
    except BaseException:
        sink.discard()
        raise
    return sink.rows


def _to_parquet(parts: list[Path], path: Path, columns: Mapping[str, str], largest: int) -> None:
    import duckdb

    fresh = path.with_name(f".{path.name}.fresh")
    files = ", ".join(_quoted(str(part)) for part in parts)
    declared = ", ".join(f"{_quoted(name)}: {_quoted(kind)}" for name, kind in columns.items())
    connection = duckdb.connect()
    try:
        connection.execute("SET preserve_insertion_order=true")
        connection.execute("SET threads=1")  # each thread holds a row group of its own
        connection.execute(
            f"COPY (SELECT * FROM read_json([{files}], format='newline_delimited', "  # noqa: S608 - quoted
            f"maximum_object_size={largest}, columns={{{declared}}})) "
            f"TO {_quoted(str(fresh))} (FORMAT PARQUET, COMPRESSION ZSTD, ROW_GROUP_SIZE {ROW_GROUP})"
        )
    except duckdb.Error:
        fresh.unlink(missing_ok=True)
        raise
    finally:
        connection.close()
    fresh.replace(path)


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


@contextmanager
def replacing_folder(path: Path, ours: Callable[[Path], bool] | None = None) -> Generator[Path]:
    """Fill a new folder that takes the place of `path` when the block ends well, and is removed when it does not.

    Args:
        path: The folder.
        ours: Whether a path within it is replaced; everything else that is there is kept. None replaces all.
    """
    fresh, old = path.with_name(f".{path.name}.part"), path.with_name(f".{path.name}.old")
    for leftover in (fresh, old):
        shutil.rmtree(leftover, ignore_errors=True)
    fresh.mkdir(parents=True)
    try:
        yield fresh
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    if path.exists():
        if ours is not None:
            _keep(path, fresh, ours)
        path.replace(old)
    fresh.replace(path)
    shutil.rmtree(old, ignore_errors=True)


def _keep(old: Path, fresh: Path, ours: Callable[[Path], bool]) -> None:
    """Put what is not ours beside what is new; the old folder stays whole until it is replaced."""
    for path in sorted(old.rglob("*")):
        relative = path.relative_to(old)
        place = fresh / relative
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()):
                place.mkdir(parents=True, exist_ok=True)
        elif not ours(relative) and not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, place, follow_symlinks=False)
