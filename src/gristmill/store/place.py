"""Is this folder a place for a ledger? Network disks, read-only folders and full disks are refused with their name.

SQLite's write-ahead log needs shared memory and honest locks, which NFS, Lustre, SMB and FUSE do not give
(sqlite.org/wal.html, "all processes using a database must be on the same host computer"), so those are refused with a way
out: the ledger on a local disk, the rest where it was.
"""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

from gristmill.errors import InputError, LedgerError

NETWORK_DISKS = ("nfs", "nfs4", "lustre", "cifs", "smb3", "smbfs", "fuse", "9p", "beegfs", "gpfs", "ceph", "glusterfs")
RESERVE_BYTES = 64 * 1024 * 1024
"""Free space below which no new call is admitted, so that the replies in flight still fit."""


def disk_kind(path: Path, mounts: str | None = None) -> str:
    """Return the file system type of `path` as the kernel names it, or '' where it does not tell.

    Args:
        path: An existing folder.
        mounts: The text of `/proc/self/mounts`; read from there by default.
    """
    if mounts is None:
        table = Path("/proc/self/mounts")
        if not table.exists():
            return ""
        mounts = table.read_text(errors="replace")
    real, best, kind = str(path.resolve()), "", ""
    for line in mounts.splitlines():
        fields = line.split()
        if len(fields) < 3:
            continue
        point = fields[1].replace("\\040", " ")
        if (real == point or real.startswith(point.rstrip("/") + "/")) and len(point) >= len(best):
            best, kind = point, fields[2]
    return kind


def check_folder(folder: Path, mounts: str | None = None) -> None:
    """Make `folder` if need be, and make sure that a ledger can live there.

    Raises:
        InputError: where it is on a network disk, or cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot make the folder {folder}: {error.strerror}", fix="Choose another one with `-o FOLDER`."
        ) from None
    kind = disk_kind(folder, mounts)
    if kind.split(".")[0] in NETWORK_DISKS:
        raise InputError(
            f"{folder} is on a network disk ({kind}), where a ledger is not safe",
            fix="Put the ledger on a local disk: `--ledger-dir FOLDER`.",
        )
    if not writable(folder):
        raise InputError(f"the folder {folder} is read-only", fix="Choose another one with `-o FOLDER`.")


def writable(folder: Path) -> bool:
    """Return whether a file can be written into an existing folder, by writing one and removing it."""
    probe = folder / f".probe-{os.getpid()}"
    try:
        probe.write_bytes(b"")
        probe.unlink()
    except OSError:
        return False
    return True


def disk_error(error: OSError) -> LedgerError | None:
    """Return what an error of the system means where it is the disk's, else None."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO):
        return LedgerError(
            f"the disk fails: {error.strerror or error}", fix="Free some space or mend the disk, and run again to go on."
        )
    return None


def reserve_bytes(folder: Path) -> int:
    """Return the free space to keep: 64 MiB, or a twentieth of a small disk."""
    return min(RESERVE_BYTES, shutil.disk_usage(folder).total // 20)


def check_space(folder: Path) -> None:
    """Make sure that the disk has room for what is in flight.

    Raises:
        LedgerError: where the free space is below the reserve.
    """
    free, reserve = shutil.disk_usage(folder).free, reserve_bytes(folder)
    if free < reserve:
        raise LedgerError(
            f"the disk of {folder} is nearly full: {free // 1024:,} KiB free, {reserve // 1024:,} KiB are kept in reserve",
            fix="Free some space and run again: nothing that was recorded is lost.",
        )
