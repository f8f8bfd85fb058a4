"""The ledger's tables, and how an older ledger becomes a newer one.

Integer row ids everywhere, text once in `blobs`, two indexes on 16-byte ids: `prompts.prompt_id` and `blobs.hash`. All
other look-ups go by integers that grow with the plan, because random keys cost six times as much (255 µs a sample against
39 µs, measured in the design study). `blobs` alone holds text, so a takedown can delete there and every hash still verifies.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from sqlite3 import Connection

VERSION = 3

TABLES = """
CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE blobs(id INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE, data BLOB NOT NULL);
CREATE TABLE dims(id INTEGER PRIMARY KEY, kind TEXT NOT NULL, hash BLOB NOT NULL, content TEXT NOT NULL);
CREATE TABLE prompts(
  id INTEGER PRIMARY KEY, prompt_id BLOB NOT NULL UNIQUE, body INTEGER NOT NULL, reference INTEGER NOT NULL,
  source INTEGER NOT NULL, generation INTEGER NOT NULL, rows INTEGER NOT NULL, conflict INTEGER NOT NULL DEFAULT 0,
  prefix BLOB, together BLOB);
CREATE TABLE plan(position INTEGER PRIMARY KEY, prompt INTEGER NOT NULL);
CREATE TABLE rejects(
  id INTEGER PRIMARY KEY, source INTEGER NOT NULL, place TEXT NOT NULL, reason TEXT NOT NULL, detail TEXT NOT NULL);
CREATE TABLE requests(
  id INTEGER PRIMARY KEY, prompt INTEGER NOT NULL, sample_index INTEGER NOT NULL, context INTEGER NOT NULL,
  step TEXT NOT NULL, occurrence INTEGER NOT NULL, request_id BLOB NOT NULL, params INTEGER NOT NULL,
  messages BLOB NOT NULL, seed INTEGER NOT NULL);
CREATE INDEX requests_of ON requests(prompt, sample_index);
CREATE TABLE replies(
  request INTEGER PRIMARY KEY, message INTEGER, finish TEXT NOT NULL, model INTEGER, input_tokens INTEGER,
  output_tokens INTEGER, cached_tokens INTEGER, reasoning_tokens INTEGER, estimated INTEGER NOT NULL DEFAULT 0,
  cost_usd REAL, provider_request_id TEXT, meta TEXT, at REAL NOT NULL, ms REAL);
CREATE TABLE attempts(
  id INTEGER PRIMARY KEY, request INTEGER NOT NULL, number INTEGER NOT NULL, started REAL NOT NULL, ended REAL,
  code TEXT, kind TEXT, detail TEXT, evidence INTEGER, possibly_billed INTEGER NOT NULL DEFAULT 0,
  reserved_usd REAL, reserved_tokens INTEGER, batch INTEGER);
CREATE INDEX attempts_of ON attempts(request);
CREATE INDEX attempts_in ON attempts(batch) WHERE batch IS NOT NULL;
CREATE TABLE batches(
  id INTEGER PRIMARY KEY, teacher TEXT NOT NULL, mark TEXT NOT NULL, batch_id TEXT, submitted REAL NOT NULL, ended REAL,
  state TEXT);
CREATE TABLE moments(
  prompt INTEGER NOT NULL, sample_index INTEGER NOT NULL, step TEXT NOT NULL, occurrence INTEGER NOT NULL,
  value REAL NOT NULL, PRIMARY KEY(prompt, sample_index, step, occurrence)) WITHOUT ROWID;
CREATE TABLE samples(
  id INTEGER PRIMARY KEY, prompt INTEGER NOT NULL, sample_index INTEGER NOT NULL, context INTEGER NOT NULL,
  sample_id BLOB NOT NULL, payload BLOB NOT NULL, status TEXT NOT NULL, reason TEXT, messages BLOB NOT NULL,
  answer INTEGER, input_tokens INTEGER, output_tokens INTEGER, reasoning_tokens INTEGER, cost_usd REAL,
  requests BLOB NOT NULL, meta TEXT);
CREATE INDEX samples_of ON samples(prompt, sample_index);
CREATE TABLE grades(
  sample INTEGER NOT NULL, grader INTEGER NOT NULL, reference INTEGER NOT NULL, passed INTEGER, score REAL,
  reason TEXT NOT NULL, evidence TEXT, ms REAL, PRIMARY KEY(sample, grader)) WITHOUT ROWID;
CREATE TABLE decisions(sample INTEGER PRIMARY KEY, kept INTEGER NOT NULL, rule TEXT NOT NULL, twin INTEGER);
CREATE TABLE events(id INTEGER PRIMARY KEY, at REAL NOT NULL, kind TEXT NOT NULL, detail TEXT NOT NULL);
"""

NAMES = (
    "meta", "blobs", "dims", "prompts", "plan", "rejects", "requests", "replies", "attempts", "batches", "moments", "samples",
    "grades", "decisions", "events",
)  # fmt: skip

Migration = Callable[[Connection], None]


def _reservations(db: Connection) -> None:
    """Version 2: what was set aside for an attempt, so that one without an end stays set aside; batches; shared prefixes."""
    db.execute("ALTER TABLE prompts ADD COLUMN prefix BLOB")
    db.execute("ALTER TABLE attempts ADD COLUMN reserved_usd REAL")
    db.execute("ALTER TABLE attempts ADD COLUMN reserved_tokens INTEGER")
    db.execute("ALTER TABLE attempts ADD COLUMN batch INTEGER")
    db.execute("CREATE INDEX attempts_in ON attempts(batch) WHERE batch IS NOT NULL")
    db.execute(
        "CREATE TABLE batches(id INTEGER PRIMARY KEY, teacher TEXT NOT NULL, mark TEXT NOT NULL, batch_id TEXT, "
        "submitted REAL NOT NULL, ended REAL, state TEXT)"
    )


def _together(db: Connection) -> None:
    """Version 3: which prompts are on one side of a split; those that were planned before stay on theirs, each by itself."""
    db.execute("ALTER TABLE prompts ADD COLUMN together BLOB")


MIGRATIONS: Mapping[int, Migration] = {1: _reservations, 2: _together}
"""From version n to n + 1; run on a copy, which takes the ledger's place when all of them went well."""
