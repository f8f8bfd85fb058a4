"""What tests of several rooms share: one demo run, made once however many workers there are."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import filelock
import pytest
from hypothesis import settings

from tests.runs import MAIN

# Properties hold or do not; how long an example takes says how busy the machine is. Hypothesis knows that of CI alone.
settings.register_profile("untimed", settings(), deadline=None)
settings.load_profile("untimed")


@pytest.fixture(scope="session", autouse=True)
def _limits_of_their_own(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep what runs learn of servers' limits out of the user's folder: the next test may have the same port."""
    os.environ["XDG_RUNTIME_DIR"] = str(tmp_path_factory.mktemp("runtime"))


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder in which `gristmill demo` ran without a network and without a key, with `demo.json` about the process."""
    shared = tmp_path_factory.getbasetemp().parent if "PYTEST_XDIST_WORKER" in os.environ else tmp_path_factory.getbasetemp()
    folder = shared / "demo"
    with filelock.FileLock(f"{folder}.lock"):
        if not (folder / "demo.json").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            _run_demo(folder)
    return folder


def _run_demo(folder: Path) -> None:
    alone = ["unshare", "--map-root-user", "--net"] if sys.platform == "linux" and shutil.which("unshare") else []
    environment = {name: value for name, value in os.environ.items() if not name.endswith(("_KEY", "_KEYS", "_proxy", "_PROXY"))}
    with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
        process = subprocess.Popen(
            [*alone, sys.executable, "-c", MAIN.format(prelude=_LEAVES_STATUS), "demo"],
            cwd=folder,
            env=environment,
            stdout=out,
            stderr=err,
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    peak = _peak_bytes(folder / "status", usage.ru_maxrss)
    content = {"code": process.returncode, "peak_bytes": peak, "cpu_s": usage.ru_utime + usage.ru_stime, "alone": bool(alone)}
    (folder / "demo.json").write_text(json.dumps(content))


_STATUS = "/proc/self/status"
_LEAVES_STATUS = (
    f"import atexit, os, shutil; os.path.exists({_STATUS!r}) and atexit.register(shutil.copyfile, {_STATUS!r}, 'status')"
)


def _peak_bytes(status: Path, most: int) -> int:
    """Return a process's largest resident memory.

    On Linux `ru_maxrss` counts what the process was before it became this program, a test run of any size; its status does not.
    """
    if not status.exists():
        return most * (1 if sys.platform == "darwin" else 1024)
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024
