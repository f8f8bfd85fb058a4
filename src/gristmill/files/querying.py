"""Questions to a folder of Parquet files, in SQL: each file is a table named after it.

DuckDB reads only the columns that a question needs, so a table of millions of rows is summed up in flat memory. The questions are
written here in the project; what files hold is only ever data.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from gristmill.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path


class Ask(Protocol):
    """Asks one question and returns all rows of its answer."""

    def __call__(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Return the rows; `?` in the question stands for the next of `values`."""
        ...


@contextmanager
def querying(folder: Path) -> Generator[Ask]:
    """Open every Parquet file of a folder as a table.

    Raises:
        SourceError: where a file cannot be read, now or when it is asked about.
    """
    import duckdb  # 67 MB that `--help` has no use for

    connection = duckdb.connect()

    def ask(sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        try:
            return connection.execute(sql, list(values)).fetchall()
        except duckdb.IOException as error:
            raise SourceError(f"cannot read the tables in {folder}: {_first_line(error)}", fix=_FIX) from None
        except duckdb.InvalidInputException as error:
            raise SourceError(f"a table in {folder} is damaged: {_first_line(error)}", fix=_FIX) from None

    try:
        connection.execute("SET threads=1")  # the order of float sums is part of what is written down
        for path in sorted(folder.glob("*.parquet")):
            quoted = str(path).replace("'", "''")
            ask(f"CREATE VIEW {path.stem} AS SELECT * FROM read_parquet('{quoted}')")  # noqa: S608 - quoted
        yield ask
    finally:
        connection.close()


_FIX = "Run the recipe again: tables are written anew from the ledger, without a call."


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
