"""Folders in which a ledger may or may not live."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gristmill.errors import InputError
from gristmill.store.place import check_folder, disk_kind
from tests.runs import MAIN, command, finish, recipe

MOUNTS = """\
/dev/vda / ext4 rw 0 0
server:/x /data nfs4 rw 0 0
tmp /data/local tmpfs rw 0 0
host#share /mnt/with\\040space fuse.sshfs rw 0 0
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/", "ext4"), ("/data", "nfs4"), ("/data/run/deep", "nfs4"), ("/data/local/run", "tmpfs"), ("/database", "ext4")],
)
def test_the_nearest_mount_decides(path: str, kind: str) -> None:
    """The longest mount point above a path is its disk."""
    assert disk_kind(Path(path), MOUNTS) == kind


def test_network_disks_are_refused_by_name(tmp_path: Path) -> None:
    """The message names the disk's kind and the way out."""
    mounts = f"server:/x {tmp_path} nfs4 rw 0 0\n"
    with pytest.raises(InputError, match=r"network disk \(nfs4\)") as caught:
        check_folder(tmp_path / "run", mounts)
    assert "--ledger-dir" in caught.value.fix
    with pytest.raises(InputError, match=r"fuse\.sshfs"):
        check_folder(tmp_path / "run", f"h#s {tmp_path} fuse.sshfs rw 0 0\n")


def test_ledger_dir_puts_the_ledger_elsewhere_and_is_remembered(tmp_path: Path) -> None:
    """The run goes on from the other place without being told again."""
    path = recipe(tmp_path, prompts=5)
    arguments = ("run", str(path), "-o", str(tmp_path / "run"), "--json")
    code, _, err = finish(command(*arguments, "--ledger-dir", str(tmp_path / "fast")))
    assert code == 0, err
    assert not (tmp_path / "run/ledger.sqlite").exists()
    code, out, _ = finish(command(*arguments))
    assert code == 0
    assert '"made": 0' in out


def test_two_processes_at_once(tmp_path: Path) -> None:
    """The second one is told in one line, and the first one is not disturbed."""
    path = recipe(tmp_path, prompts=3, script={"latency_s": [30, 30], "log": "log"})
    first = command("run", str(path), "-o", str(tmp_path / "run"))
    while not (tmp_path / "log").exists() or not (tmp_path / "log").stat().st_size:
        assert first.poll() is None
    code, _, err = finish(command("run", str(path), "-o", str(tmp_path / "run")))
    assert code == 6
    assert err.startswith("error: another process is running")
    code, _, err = finish(command("run", str(path), "-o", str(tmp_path / "run"), "--fresh"))
    assert code == 6
    assert err.startswith("error: another process is running")
    assert first.poll() is None
    first.kill()
    first.communicate()


def in_namespace(script: str) -> subprocess.CompletedProcess[str]:
    """Run a shell script where it may mount."""
    unshare = shutil.which("unshare")
    assert unshare, "util-linux is needed"
    flags = ["-m"] if os.geteuid() == 0 else ["-rm"]
    return subprocess.run([unshare, *flags, "sh", "-ec", script], capture_output=True, text=True, timeout=120, check=False)


def gristmill(*arguments: str) -> str:
    """Return a shell command that runs gristmill."""
    return shlex.join([sys.executable, "-c", MAIN.format(prelude="pass"), *arguments])


def test_a_read_only_folder(tmp_path: Path) -> None:
    """One line that names the folder and the way out."""
    path = recipe(tmp_path, prompts=3)
    (tmp_path / "disk").mkdir()
    run = gristmill("run", str(path), "-o", str(tmp_path / "disk/run"))
    done = in_namespace(f"mount -t tmpfs -o ro none {tmp_path}/disk; {run}")
    assert done.returncode == 2, done.stderr
    assert "Read-only file system" in done.stderr
    assert "-o FOLDER" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_full_disk(tmp_path: Path) -> None:
    """Exit 6, then with room again it goes on and asks for nothing that is on record."""
    path = recipe(tmp_path, prompts=2500, script={"log": "log"}, export=["messages"])
    (tmp_path / "disk").mkdir()
    run = gristmill("run", str(path), "-o", str(tmp_path / "disk/run"), "--json")
    ids = (
        "import sqlite3, sys; rows = sqlite3.connect(sys.argv[1]).execute("
        "'SELECT lower(hex(q.request_id)) FROM requests q JOIN replies r ON r.request = q.id'); "
        "print(*(r[0] for r in rows), sep=chr(10))"
    )
    script = f"""
        mount -t tmpfs -o size=3m none {tmp_path}/disk
        set +e; {run}; echo "first $?"; set -e
        {sys.executable} -c "{ids}" {tmp_path}/disk/run/ledger.sqlite > {tmp_path}/known
        cp {tmp_path}/log {tmp_path}/log.first
        mount -o remount,size=64m {tmp_path}/disk
        {run} > {tmp_path}/second
        echo "second $?"
    """
    done = in_namespace(script)
    assert "first 6" in done.stdout, done.stdout + done.stderr
    assert "second 0" in done.stdout, done.stderr
    assert "full" in done.stderr
    assert "Traceback" not in done.stderr
    first = (tmp_path / "log.first").read_text().split()
    known = set((tmp_path / "known").read_text().split())
    later = (tmp_path / "log").read_text().split()[len(first) :]
    assert 0 < len(known) < 2500
    assert not known & set(later)
    assert later
