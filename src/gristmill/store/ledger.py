"""The ledger: every effect of a run, on disk before it is used.

SQLite from the standard library, write-ahead log, `synchronous=FULL`. One thread writes (see `writer`), the engine's thread
reads; row ids are handed out here, so a row can be referred to before it is on disk. A text is stored once, by its hash.
What a row means is said by the functions of `effects`, `outcomes` and `prompts`; this module is the file itself: opening,
versions, damage, blobs and dimensions.
"""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import threading
from typing import TYPE_CHECKING, Any

import zstandard

from gristmill.errors import LedgerError
from gristmill.ids import canonical_json, content_digest, text_digest
from gristmill.store import schema
from gristmill.store.reader import RAW, ZSTD, Reader
from gristmill.store.salvage import salvage
from gristmill.store.seen import Seen
from gristmill.store.writer import Statement, Writer, is_damage, ledger_failure

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence
    from pathlib import Path

OLDEST_SQLITE = (3, 33, 0)
"""The first that changes many rows at once (`UPDATE … FROM`), of August 2020; Python brings its system's."""
_COMPRESS_FROM = 96
_REMEMBERED = 4_096


class Ledger(Reader):
    """An open ledger. Reading is for the thread that opened it; writing goes to the writer's thread."""

    def __init__(self, path: Path, *, version: int = schema.VERSION, migrations: Mapping[int, Any] = schema.MIGRATIONS) -> None:
        """Open or make the ledger at `path`; after an unclean end it is checked, and mended if need be.

        Raises:
            LedgerError: where it is of a newer version, cannot be opened, or SQLite is too old.
        """
        check_sqlite()
        self.path = path
        self.notes: list[str] = []
        """What happened on opening that a person should know: damage, what was lost, a migration."""
        self.was_clean = True
        try:
            self._open(version, migrations)
        except sqlite3.Error as error:
            raise ledger_failure(error) from None

    def _open(self, version: int, migrations: Mapping[int, Any]) -> None:
        if self.path.exists() and self.path.stat().st_size > 0:
            self._check(version, migrations)
        self._db = _connect(self.path)
        if not self._db.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
            self._db.executescript(f"BEGIN; {schema.TABLES} PRAGMA user_version={version}; COMMIT;")
        self._db.execute("INSERT OR REPLACE INTO meta VALUES('clean', '0')")
        self._db.execute("PRAGMA wal_checkpoint(PASSIVE)")
        super().__init__(_connect(self.path))
        self.reader.execute("PRAGMA query_only=1")
        self.writer = Writer(self._db)
        self.put = self.writer.put
        """Queues a write; it is durable once `durable` returns."""
        self.durable = self.writer.durable
        """Waits until everything queued so far is on disk."""
        self._next: dict[str, int] = {}
        self._blob_ids: dict[bytes, int] = {}
        self._older_ids: dict[bytes, int] = {}
        """Of the texts before those, which may not be on disk until `_older_written`."""
        self._older_written = threading.Event()
        self._older_written.set()
        self._dim_ids: dict[tuple[str, bytes], int] = {}
        self._known_dims: dict[tuple[Any, ...], int] = {}
        self._seen: Seen | None = None
        self._packer = zstandard.ZstdCompressor(level=3)
        self._texts = Statement("INSERT INTO blobs VALUES", "(?,?,?)", prepare=self._packed)

    def _check(self, version: int, migrations: Mapping[int, Any]) -> None:
        suspect = self._suspect.read_text(encoding="utf-8") if self._suspect.exists() else ""
        with contextlib.closing(sqlite3.connect(self.path)) as db:
            try:
                found = int(db.execute("PRAGMA user_version").fetchone()[0])
                clean = db.execute("SELECT value FROM meta WHERE key='clean'").fetchone()
                self.was_clean = clean is not None and clean[0] == "1" and not suspect
                damage = [] if self.was_clean else [row[0] for row in db.execute("PRAGMA quick_check(20)")]
            except sqlite3.DatabaseError as error:
                found, damage = version, [str(error)]
        damage = [suspect] if suspect else damage
        if found > version:
            raise LedgerError(
                f"{self.path} was written by a newer gristmill (ledger version {found}, this one knows {version})",
                fix="Upgrade gristmill, or start anew with `--fresh`.",
            )
        if damage and damage != ["ok"]:
            self.was_clean = False
            self.notes.extend(salvage(self.path, damage))
            self._suspect.unlink(missing_ok=True)
        elif found < version:
            self._migrate(found, version, migrations)

    def _migrate(self, found: int, version: int, migrations: Mapping[int, Any]) -> None:
        fresh = self.path.with_suffix(".migrating")
        with contextlib.closing(sqlite3.connect(self.path)) as old:
            old.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        shutil.copyfile(self.path, fresh)
        with contextlib.closing(sqlite3.connect(fresh)) as db:
            for step in range(found, version):
                migrations[step](db)
            db.execute(f"PRAGMA user_version={version}")
            db.commit()
        kept = self.path.with_suffix(f".v{found}")
        self.path.replace(kept)
        fresh.replace(self.path)
        self.notes.append(f"the ledger was brought from version {found} to {version}; the earlier one is {kept.name}")

    @property
    def _suspect(self) -> Path:
        """Return the file that says what was found damaged, so that the next opening mends the ledger."""
        return self.path.with_suffix(".suspect")

    def failed(self, error: sqlite3.Error) -> LedgerError:
        """Return what a failed read or write means; damage makes the next opening mend the ledger."""
        if is_damage(error):
            self._suspect.write_text(str(error), encoding="utf-8")
        return super().failed(error)

    def damaged(self, text: str, fix: str) -> LedgerError:
        """Return the error of a text that cannot be read back, and make the next opening mend the ledger."""
        self._suspect.write_text(text, encoding="utf-8")
        return super().damaged(text, fix)

    # -- rows and their ids ------------------------------------------------------------------------------------------

    def next_id(self, table: str) -> int:
        """Hand out the next row id of `table`."""
        if table not in self._next:
            self._next[table] = self.scalar(f"SELECT coalesce(max(id), 0) FROM {table}") + 1  # noqa: S608 - our own names
        value = self._next[table]
        self._next[table] = value + 1
        return value

    @contextlib.contextmanager
    def bulk(self) -> Generator[sqlite3.Connection]:
        """Write in one transaction from this thread, while nothing is queued; for indexing and for final tables."""
        self.writer.drain()
        try:
            self._db.execute("BEGIN IMMEDIATE")
            yield self._db
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            raise self.failed(error) from None
        finally:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            self._next.clear()
            self._blob_ids.clear()
            self._older_ids.clear()

    # -- texts -------------------------------------------------------------------------------------------------------

    def blob(self, data: bytes, db: sqlite3.Connection | None = None) -> int:
        """Store `data` once and return its row id; with `db`, inside that bulk transaction."""
        digest = text_digest(data)
        known = self._blob_ids.get(digest) or self._older_ids.get(digest)
        if known is not None:
            return known
        lookup, found = "SELECT id FROM blobs WHERE hash=?", None
        self._seen = self._seen or self._all_seen()
        if self._seen.add(digest):
            found = (db.execute(lookup, (digest,)) if db else self.query(lookup, (digest,))).fetchone()
        row = found[0] if found else self.next_id("blobs")
        if not found:
            if db is not None:
                db.execute("INSERT INTO blobs VALUES(?,?,?)", self._packed((row, digest, data)))
            else:
                self.put(self._texts, (row, digest, data))
        if len(self._blob_ids) >= _REMEMBERED and self._older_written.is_set():  # all of the older ones are found on disk now
            self._older_ids, self._blob_ids, self._older_written = self._blob_ids, {}, self.writer.mark()
        self._blob_ids[digest] = row
        return row

    def _packed(self, values: Sequence[Any]) -> Sequence[Any]:
        """Return a text's row with the text as it is stored; compression also tells on reading whether it is whole."""
        row, digest, data = values
        return row, digest, ZSTD + self._packer.compress(data) if len(data) >= _COMPRESS_FROM else RAW + data

    def _all_seen(self) -> Seen:
        """Return the hashes of all texts that are on disk; read when the first text is stored, since a look stores none."""
        seen = Seen()
        for (digest,) in self.query("SELECT hash FROM blobs"):
            seen.add(digest)
        return seen

    # -- things that many rows share ---------------------------------------------------------------------------------

    def dim(self, kind: str, content: Mapping[str, Any]) -> int:
        """Store shared content (a teacher, a context, a grader) once and return its row id."""
        digest = content_digest(kind, content)
        key = (kind, digest)
        if key not in self._dim_ids:
            row = self.scalar("SELECT id FROM dims WHERE kind=? AND hash=?", key)
            if row is None:
                row = self.next_id("dims")
                self.put("INSERT INTO dims VALUES(?,?,?,?)", (row, kind, digest, canonical_json(content).decode()))
            self._dim_ids[key] = row
        return self._dim_ids[key]

    def dim_of(self, kind: str, parts: tuple[Any, ...], content: Callable[[], Mapping[str, Any]]) -> int:
        """Return the row of shared content that follows from hashable `parts`: put together and hashed once for equal ones."""
        key = (kind, *parts)
        known = self._known_dims.get(key)
        if known is None:
            if len(self._known_dims) >= _REMEMBERED:
                self._known_dims.clear()
            known = self._known_dims[key] = self.dim(kind, content())
        return known

    # -- small facts -------------------------------------------------------------------------------------------------

    def remember(self, key: str, value: str) -> None:
        """Remember a fact of the run."""
        self.put("INSERT OR REPLACE INTO meta VALUES(?,?)", (key, value))

    def event(self, at: float, kind: str, detail: str) -> None:
        """Note something that happened to the run."""
        self.put("INSERT INTO events(at, kind, detail) VALUES(?,?,?)", (at, kind, detail))

    def close(self) -> None:
        """Write what is queued, mark the end as clean and let go.

        Raises:
            LedgerError: where the log cannot be folded into the file; what was recorded is safe in the log.
        """
        if self.writer.failure is None:
            self.put("INSERT OR REPLACE INTO meta VALUES('clean', '1')", ())
        self.writer.close()
        self.reader.close()
        try:
            if self.writer.failure is None:
                self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        except sqlite3.Error as error:
            raise ledger_failure(error) from None
        finally:
            self._db.close()


def check_sqlite() -> None:
    """Make sure that this Python's SQLite can write a ledger.

    Raises:
        LedgerError: where it is too old.
    """
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        raise LedgerError(
            f"this Python has SQLite {sqlite3.sqlite_version}, and the ledger needs {'.'.join(map(str, OLDEST_SQLITE))}",
            fix="Use a Python with a newer SQLite: python.org's, uv's or conda's.",
        )


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=10.0, cached_statements=256)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    db.execute("PRAGMA cache_size=-4000")
    db.execute("PRAGMA temp_store=FILE")
    return db
