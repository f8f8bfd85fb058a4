"""A run while it runs: the live line in a real terminal, `status` from another process, Ctrl-C, and a report of what there is."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import filelock
import pytest

from tests.cli.commands import SCRIPT, inside
from tests.runs import recipe

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a terminal here is a pseudo-terminal of Unix")


def test_the_live_line_status_and_ctrl_c(tmp_path: Path) -> None:
    import pty

    path = recipe(tmp_path, prompts=5000, script={"latency_s": [0.01, 0.05], "cost_usd": 0.001}, target={"rows": 2000})
    ours, theirs = pty.openpty()
    words = [str(SCRIPT), "run", str(path), "-o", "out"]
    wide = {**os.environ, "COLUMNS": "200"}
    process = subprocess.Popen(words, cwd=tmp_path, env=wide, stdout=subprocess.PIPE, stderr=theirs)
    os.close(theirs)
    shown = b""
    while b" left" not in shown:
        shown += os.read(ours, 4096)
    line = shown.decode()
    for part in ("rows ", "/2,000", "prompts ", "accepted ", "in flight ", "$", " left"):
        assert part in line
    assert max(int(count) for count in re.findall(r"in flight (\d+)", line)) <= 64

    during = inside(tmp_path, "status", "out", "--json").object
    assert during["status"] == "running"
    assert during["samples"] > 0
    early = inside(tmp_path, "report", "out", "--json")
    assert early.code == 2
    assert "no tables to report on yet (it is running)" in early.object["error"]

    process.send_signal(signal.SIGINT)
    rest = b""
    while True:
        try:
            more = os.read(ours, 4096)
        except OSError:  # Linux says so when the other end of a terminal is closed
            break
        if not more:
            break
        rest += more
    out, _ = process.communicate()
    assert process.returncode == 130
    assert b"interrupted" in out
    assert b"run again" in rest.lower()
    assert inside(tmp_path, "status", "out", "--json").object["status"] == "interrupted"
    report = json.loads((tmp_path / "out/report.json").read_text())
    _check_a_run_whose_process_is_gone(tmp_path)
    assert report["status"] == "interrupted"
    assert report["headline"]["samples"] > 0
    again = inside(tmp_path, "report", "out")
    assert again.out.startswith("out/report.html")


def _check_a_run_whose_process_is_gone(folder: Path) -> None:
    """A status that says it is running, is old, and nobody holds the run's lock."""
    status = folder / "out/status.json"
    status.write_text(json.dumps({**json.loads(status.read_text()), "status": "running"}))
    assert inside(folder, "status", "out", "--json").object["status"] == "running"
    os.utime(status, (0, 0))
    gone = inside(folder, "status", "out", "--json").object
    assert (gone["status"], gone["error"]) == ("interrupted", "the process that ran it is gone; run again to go on")
    with filelock.FileLock(str(folder / "out/.lock")):
        assert inside(folder, "status", "out", "--json").object["status"] == "running"
