"""Reading a ledger: rows, texts and shared content. Another run's ledger is only ever this."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any, Self

import orjson
import zstandard

from gristmill.errors import LedgerError
from gristmill.store import schema
from gristmill.store.writer import ledger_failure

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

RAW, ZSTD = b"\x00", b"\x01"
"""The first byte of a blob says how the rest is packed."""


def unpack_text(data: bytes, unpacker: zstandard.ZstdDecompressor) -> bytes:
    """Return a blob's text.

    Raises:
        zstandard.ZstdError: where it is damaged.
    """
    return unpacker.decompress(data[1:]) if data[:1] == ZSTD else bytes(data[1:])


class Rows(sqlite3.Cursor):
    """Rows of a query. SQLite reads pages as rows are fetched, so damage shows here as often as when the query is made."""

    reader: Reader

    def fetchone(self) -> Any:
        """Return the next row, or None."""
        try:
            return super().fetchone()
        except sqlite3.Error as error:
            raise self.reader.failed(error) from None

    def fetchall(self) -> list[Any]:
        """Return the rows that are left."""
        try:
            return super().fetchall()
        except sqlite3.Error as error:
            raise self.reader.failed(error) from None

    def __next__(self) -> Any:
        try:
            return super().__next__()
        except sqlite3.Error as error:
            raise self.reader.failed(error) from None


class Reader:
    """Reads what is on disk, through one connection, in the thread that opened it."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.reader = connection
        self._unpacker = zstandard.ZstdDecompressor()

    @classmethod
    def at(cls, path: Path, *, brief: bool = False) -> Self:
        """Open the ledger of a run that is not ours, for reading.

        Args:
            path: The ledger.
            brief: For a look of a moment: where nobody has the ledger open, no write-ahead log is left beside it. A run that
                began during a longer look would change pages under it.

        Raises:
            LedgerError: where it cannot be read, or is of another version.
        """
        try:
            still = brief and not path.with_name(f"{path.name}-wal").exists()
            connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro{'&immutable=1' if still else ''}", uri=True)
            found = int(connection.execute("PRAGMA user_version").fetchone()[0])
        except sqlite3.Error as error:
            raise ledger_failure(error) from None
        if found != schema.VERSION:
            raise LedgerError(
                f"{path} has ledger version {found}, this gristmill reads {schema.VERSION}",
                fix="Continue that run once first.",
            )
        return cls(connection)

    def query(self, sql: str, values: Sequence[Any] = ()) -> Rows:
        """Read rows that are on disk.

        Raises:
            LedgerError: where the ledger cannot be read, now or while the rows are fetched.
        """
        rows = self.reader.cursor(Rows)
        rows.reader = self
        try:
            rows.execute(sql, values)
        except sqlite3.Error as error:
            raise self.failed(error) from None
        return rows

    def failed(self, error: sqlite3.Error) -> LedgerError:
        """Return what a failed read means to the person who runs this."""
        return ledger_failure(error)

    def damaged(self, text: str, fix: str) -> LedgerError:
        """Return the error of a text that cannot be read back."""
        return LedgerError(text, fix=fix)

    def scalar(self, sql: str, values: Sequence[Any] = ()) -> Any:
        """Return the first value of the first row, or None."""
        row = self.query(sql, values).fetchone()
        return row[0] if row else None

    def text(self, row: int) -> bytes:
        """Return the text of a blob.

        Raises:
            LedgerError: where it is not there: it was on a damaged page, or was taken down.
        """
        data = self.scalar("SELECT data FROM blobs WHERE id=?", (row,))
        if data is None:
            raise self.damaged(f"text {row} is not in the ledger", "Run again: what it belongs to is made anew.")
        return self.unpacked(data, str(row))

    def unpacked(self, data: bytes, name: str) -> bytes:
        """Return the text in a blob's data.

        Raises:
            LedgerError: where it is damaged.
        """
        try:
            return unpack_text(data, self._unpacker)
        except zstandard.ZstdError:
            raise self.damaged(f"text {name} of the ledger is damaged", "Run again: it is mended first.") from None

    def json(self, row: int) -> Any:
        """Return a blob of JSON as plain Python."""
        return orjson.loads(self.text(row))

    def dims(self, kind: str) -> dict[int, dict[str, Any]]:
        """Return all shared content of a kind by row id."""
        return {row: orjson.loads(text) for row, text in self.query("SELECT id, content FROM dims WHERE kind=?", (kind,))}

    def fact(self, key: str) -> str | None:
        """Return a remembered fact of the run."""
        return self.scalar("SELECT value FROM meta WHERE key=?", (key,))
