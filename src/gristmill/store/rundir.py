"""The run's folder: what lies where, and who may write.

```
runs/NAME/
  recipe.yaml         the resolved recipe of the last run; every earlier one is under recipes/
  ledger.sqlite       everything that was paid for (or under --ledger-dir, with ledger.place saying where)
  status.json         how far it is, replaced as a whole, so it can be read while the run goes on
  export/             the data, with README.md, the dataset card
  tables/             the tables behind it, as Parquet, joined by ids
  report.html         what to look at; report.json has the same numbers
  pilot.json          what the pilot said of the whole run, where one was made
  summary.json        the last word of the run, as `run --json` printed it
  manifest.json       what made it: recipe, versions, counts
```
One process writes at a time; a lock that the system lets go of when the process dies says which.
"""

from __future__ import annotations

import hashlib
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import filelock
import orjson

from gristmill.errors import InputError, LedgerError
from gristmill.files.writing import write_json, write_text
from gristmill.store.ledger import Ledger
from gristmill.store.place import check_folder

if TYPE_CHECKING:
    from collections.abc import Generator


LIVE_S = 10.0
"""A run that goes on writes its status every second, so one that is older than this may have no process any more."""


class RunFolder:
    """Paths of one run."""

    def __init__(self, path: Path, ledger_dir: Path | None = None) -> None:
        """Take a run's folder; `ledger_dir` puts the ledger on another disk."""
        self.path = path
        self._ledger_dir = ledger_dir

    @property
    def ledger(self) -> Path:
        """Return the ledger's path: here, or where `ledger.place` says."""
        pointer = self.path / "ledger.place"
        if self._ledger_dir is not None:
            mark = hashlib.sha256(str(self.path.resolve()).encode()).hexdigest()[:12]
            return self._ledger_dir / f"{self.path.name}-{mark}.sqlite"
        if pointer.exists():
            return Path(pointer.read_text(encoding="utf-8").strip())
        return self.path / "ledger.sqlite"

    @property
    def status(self) -> Path:
        """Return the path of `status.json`."""
        return self.path / "status.json"

    @property
    def export(self) -> Path:
        """Return the folder of exported data."""
        return self.path / "export"

    @property
    def tables(self) -> Path:
        """Return the folder of tables."""
        return self.path / "tables"

    @property
    def recipe(self) -> Path:
        """Return the path of the resolved recipe."""
        return self.path / "recipe.yaml"

    @property
    def manifest(self) -> Path:
        """Return the path of the manifest."""
        return self.path / "manifest.json"

    @property
    def summary(self) -> Path:
        """Return the path of the last run's summary."""
        return self.path / "summary.json"

    @property
    def report(self) -> Path:
        """Return the path of the page; its numbers are beside it, as JSON."""
        return self.path / "report.html"

    @property
    def pilot(self) -> Path:
        """Return the path of what the pilot said."""
        return self.path / "pilot.json"

    def read_status(self) -> dict[str, Any]:
        """Return the status that the run last wrote.

        Raises:
            InputError: where there is no run.
        """
        if not self.status.exists():
            raise InputError(f"there is no run in {self.path}", fix="Start one with `gristmill run RECIPE`.")
        try:
            return orjson.loads(self.status.read_bytes())
        except orjson.JSONDecodeError:
            raise InputError(f"{self.status} cannot be read", fix="`gristmill run` of its recipe writes it anew.") from None

    def write_status(self, status: dict[str, Any]) -> None:
        """Replace the status."""
        write_json(self.status, status)

    def keep_recipe(self, text: str, recipe_id: str) -> None:
        """Keep a resolved recipe under its id, and as the current one."""
        write_text(self.path / "recipes" / f"{recipe_id}.yaml", text)
        write_text(self.recipe, text)


def current_status(folder: RunFolder) -> dict[str, Any]:
    """Return the status of a run; one that says it is running, and whose process is gone, was interrupted.

    Raises:
        InputError: where there is no run.
    """
    content = folder.read_status()
    if content["status"] != "running" or time.time() - folder.status.stat().st_mtime < LIVE_S:
        return content
    try:
        check_idle(folder)
    except (LedgerError, OSError):  # somebody has it, or it cannot be said
        return content
    return {**content, "status": "interrupted", "error": "the process that ran it is gone; run again to go on"}


@contextmanager
def open_run(folder: RunFolder) -> Generator[Ledger]:
    """Lock the folder and open its ledger.

    Raises:
        InputError: where the folder is no place for a ledger.
        LedgerError: where another process has it, or the ledger cannot be opened.
    """
    ledger_path = folder.ledger
    if ledger_path.parent != folder.path:
        check_folder(ledger_path.parent)
        folder.path.mkdir(parents=True, exist_ok=True)
        write_text(folder.path / "ledger.place", f"{ledger_path}\n")
    else:
        check_folder(folder.path)
    lock = _locked(folder)
    try:
        ledger = Ledger(ledger_path)
        try:
            yield ledger
        finally:
            ledger.close()
    finally:
        lock.release()


def check_idle(folder: RunFolder) -> None:
    """Make sure that no process is running a folder that exists.

    Raises:
        LedgerError: where one is.
    """
    _locked(folder).release()


def _locked(folder: RunFolder) -> filelock.BaseFileLock:
    lock = filelock.FileLock(str(folder.path / ".lock"))
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise LedgerError(
            f"another process is running {folder.path}", fix="Wait for it, or choose another folder with `-o FOLDER`."
        ) from None
    return lock
