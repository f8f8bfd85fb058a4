"""Is this machine fit to run on? One check after the other, each with what was found and what to do about it.

What can be tried is tried: a ledger's journal in the folder itself, a Parquet file, an answer of the model that ships. All of it
goes into folders that are removed again. Variables with keys are told by name, never by value.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import platform
import shutil
import sqlite3
import sys
import tempfile
import time
from contextlib import closing
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from gristmill import __version__
from gristmill.errors import GristmillError, LedgerError
from gristmill.files.querying import querying
from gristmill.files.writing import write_parquet
from gristmill.ports import TeacherFault
from gristmill.sandbox.opening import remedy, tried
from gristmill.store.ledger import check_sqlite
from gristmill.store.place import NETWORK_DISKS, disk_kind, reserve_bytes, writable
from gristmill.teachers.addresses import BUILTIN, PROVIDERS, shipped_models

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

GIB = 1024**3
LITTLE_DISK = GIB
LITTLE_MEMORY = GIB // 2
"""A run takes 131 MB with 200,000 prompts; each worker and a model come on top."""
OLDEST_PYTHON = (3, 11)
QUESTION = "Tom has 3 apples and buys 4 more. How many apples does Tom have?\nSolve step by step. End with #### and the number."
State = Literal["ok", "warning", "problem"]


class Check(NamedTuple):
    """One thing that was looked at."""

    name: str
    state: State
    found: str
    remedy: str = ""
    """What to do; empty where all is well."""


def checkup(folder: Path, variables: Mapping[str, str], *, mounts: str | None = None, models: Path | None = None) -> list[Check]:
    """Check this machine and the folder in which runs are to be written.

    Args:
        folder: Need not exist; then the nearest folder above it that does is checked.
        variables: The environment.
        mounts: The text of `/proc/self/mounts`; read from there by default.
        models: The folder of the models that ship, where it is not the package's own.
    """
    return [*_machine(), *_models(models or shipped_models()), *_folder(folder, mounts), _parquet(), _sandbox(), _keys(variables)]


def _machine() -> Iterator[Check]:
    python = platform.python_version()
    old = sys.version_info < OLDEST_PYTHON
    yield Check("python", "problem", python, "Use Python 3.11 or newer.") if old else Check("python", "ok", python)
    yield Check("gristmill", "ok", __version__)
    known = platform.system() == "Linux"
    yield (
        Check("platform", "ok", platform.platform())
        if known
        else Check("platform", "warning", platform.platform(), "It is tested on Linux alone.")
    )
    yield Check("cores", "ok", f"{_cores()} for this process")
    yield _memory()


def _cores() -> int:
    """Return the cores that this process may use."""
    if sys.version_info >= (3, 13):
        return os.process_cpu_count() or 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _memory() -> Check:
    table = Path("/proc/meminfo")
    if not table.exists():
        return Check("memory", "ok", "unknown on this system")
    lines = (line.split() for line in table.read_text(encoding="ascii").splitlines())
    sizes = {fields[0].rstrip(":"): int(fields[1]) * 1024 for fields in lines if len(fields) > 1}
    free = sizes.get("MemAvailable", 0)
    found = f"{_gib(free)} available of {_gib(sizes.get('MemTotal', 0))}"
    if free < LITTLE_MEMORY:
        return Check("memory", "warning", found, "Close other programs: less than half a GiB may not do.")
    return Check("memory", "ok", found)


def _models(models: Path) -> Iterator[Check]:
    try:
        import_module("xllamacpp")  # 100 MB, found only by loading it
        yield Check("local models", "ok", f"xllamacpp {version('xllamacpp')}")
        runs = True
    except ImportError as error:
        yield Check(
            "local models", "warning", f"the `local` extra is not installed ({error})", 'Run `pip install "gristmill[local]"`.'
        )
        runs = False
    damaged = _damaged(models)
    if damaged:
        again = "Install gristmill again: `pip install --force-reinstall gristmill`."
        yield Check("model files", "problem", f"damaged or missing: {', '.join(damaged)}", again)
    else:
        yield Check("model files", "ok", f"match their checksums in {models}")
    if runs and BUILTIN["builtin"] not in damaged:
        yield _answer(models / BUILTIN["builtin"])


def _damaged(models: Path) -> list[str]:
    """Return the names of files that do not match their checksum."""
    sums = models / "SHA256SUMS"
    if not sums.exists():
        return [sums.name]
    expected = (line.split(maxsplit=1) for line in sums.read_text(encoding="utf-8").splitlines())
    return [name for digest, name in expected if _digest(models / name) != digest]


def _digest(path: Path) -> str | None:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None


def _answer(path: Path) -> Check:
    """Let the model that ships answer once."""
    from gristmill.teachers.gguf import GgufModel  # brings a model runtime

    async def ask() -> str:
        model = GgufModel(path, slots=1)
        try:
            messages = [{"role": "user", "content": QUESTION}]
            reply = await model.complete({"messages": messages, "temperature": 0, "max_tokens": 60})
            return str(reply["choices"][0]["message"]["content"])
        finally:
            await model.close()

    began = time.perf_counter()
    try:
        text = asyncio.run(ask())
    except (GristmillError, TeacherFault) as error:
        return Check("builtin", "problem", f"does not answer: {error}", "Install the `local` extra again.")
    found = f"answered {text!r} in {1000 * (time.perf_counter() - began):.0f} ms, loading it"
    if "####" not in text:
        return Check("builtin", "problem", found, "It ought to end with #### and a number: install the `local` extra again.")
    return Check("builtin", "ok", found)


def _folder(folder: Path, mounts: str | None) -> Iterator[Check]:
    """Check the disk of a folder, or of the nearest one above it that exists."""
    there = next(path for path in (folder.absolute(), *folder.absolute().parents) if _exists(path))
    place = there if there.is_dir() else there.parent
    kind = disk_kind(place, mounts)
    disk = f"{place} is on {kind or 'a disk of unknown kind'}"
    if kind.split(".")[0] in NETWORK_DISKS:
        yield Check("disk", "problem", f"{disk}, a network disk: no place for a ledger", "Run with `--ledger-dir LOCAL_FOLDER`.")
    else:
        yield Check("disk", "ok", disk)
    free = shutil.disk_usage(place).free
    if free < reserve_bytes(place):
        yield Check("free disk", "problem", f"{_gib(free)}, less than a run keeps in reserve", "Free some space.")
    elif free < LITTLE_DISK:
        yield Check("free disk", "warning", _gib(free), "Free some space: less than a GiB is soon full.")
    else:
        yield Check("free disk", "ok", _gib(free))
    if there != place:
        yield Check("writable", "problem", f"{there} is no folder", "Run with `-o FOLDER`, another one.")
    elif not writable(place):
        yield Check("writable", "problem", f"nothing can be written into {place}", "Run with `-o FOLDER`, another one.")
    else:
        yield Check("writable", "ok", f"a file was written into {place} and removed")
        yield _ledger(place)


def _exists(path: Path) -> bool:
    try:
        path.stat()
    except OSError:  # also where a folder above may not be searched
        return False
    return True


def _ledger(place: Path) -> Check:
    """Try a ledger's journal: two connections to one file, one writes and the other reads it."""
    name = f"SQLite {sqlite3.sqlite_version}"
    try:
        check_sqlite()
        with tempfile.TemporaryDirectory(prefix=".gristmill-doctor-", dir=place) as folder:
            path = Path(folder) / "ledger.sqlite"
            with closing(sqlite3.connect(path)) as writer, closing(sqlite3.connect(path)) as reader:
                (mode,) = writer.execute("PRAGMA journal_mode=WAL").fetchone()
                writer.execute("CREATE TABLE t(x)")
                writer.execute("INSERT INTO t VALUES (1)")
                writer.commit()
                good = mode == "wal" and reader.execute("SELECT x FROM t").fetchone() == (1,)
    except LedgerError as error:
        return Check("ledger", "problem", str(error), error.fix)
    except (sqlite3.Error, OSError) as error:
        return Check("ledger", "problem", f"{name}: {error}", "Run with `--ledger-dir LOCAL_FOLDER`.")
    if not good:
        return Check("ledger", "problem", f"{name} has no write-ahead log here", "Run with `--ledger-dir LOCAL_FOLDER`.")
    return Check("ledger", "ok", f"{name}, write-ahead log works there")


def _parquet() -> Check:
    """Write a Parquet file and read it again."""
    again = "Install gristmill again: `pip install --force-reinstall gristmill`."
    try:
        import duckdb  # 67 MB that `--help` has no use for
    except ImportError as error:
        return Check("parquet", "problem", str(error), again)
    try:
        name = f"DuckDB {version('duckdb')}"
        with tempfile.TemporaryDirectory(prefix="gristmill-doctor-") as folder:
            write_parquet(Path(folder) / "t.parquet", {"x": "BIGINT"}, [{"x": 1}])
            with querying(Path(folder)) as ask:
                good = ask("SELECT x FROM t") == [(1,)]
    except (duckdb.Error, GristmillError, OSError) as error:
        return Check("parquet", "problem", str(error).splitlines()[0], "Look at the space in the folder for temporary files.")
    if not good:
        return Check("parquet", "problem", f"{name} reads other values than it wrote", again)
    return Check("parquet", "ok", f"{name} writes Parquet and reads it")


def _sandbox() -> Check:
    """Lean against the walls in which code of models runs."""
    try:
        seen = asyncio.run(tried("medium"))
    except GristmillError as error:
        return Check("sandbox", "warning", str(error), error.fix)
    found = f"{seen.tier}: {len(seen.checks)} of {len(seen.checks)} attacks failed"
    return (
        Check("sandbox", "warning", f"{found}; not {'; '.join(seen.better)}", remedy(seen.better))
        if seen.better
        else Check("sandbox", "ok", found)
    )


def _keys(variables: Mapping[str, str]) -> Check:
    names = sorted({provider.key_env for provider in PROVIDERS.values() if provider.key_env})
    found = [name for name in names if variables.get(name, "").strip()]
    return Check("keys", "ok", f"set: {', '.join(found)}" if found else f"none is set ({', '.join(names)} would be used)")


def _gib(size: int) -> str:
    return f"{size / GIB:.1f} GiB"
