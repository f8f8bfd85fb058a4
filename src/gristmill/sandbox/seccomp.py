"""A filter of system calls, assembled here: what no program that answers a question has use for.

A list of what is denied, not of what is allowed: Python's own needs change with every release, and namespaces, rlimits and
dropped rights bear the weight; the filter takes away the kernel's larger doors. Every rule answers with an errno of its own
(from 3001 on, where no real one is), so a test sees which rule it met. Programs for another architecture are killed. Numbers
are those of x86-64 (Linux, arch/x86/entry/syscalls/syscall_64.tbl); elsewhere there is no filter and the tier is lower.
"""

from __future__ import annotations

import platform
import struct
from collections.abc import Mapping

FIRST_ERRNO = 3001
RULES: Mapping[str, int] = {
    "ptrace": 101, "process_vm_readv": 310, "process_vm_writev": 311, "bpf": 321, "perf_event_open": 298,
    "userfaultfd": 323, "keyctl": 250, "add_key": 248, "request_key": 249, "io_uring_setup": 425,
    "io_uring_enter": 426, "io_uring_register": 427, "unshare": 272, "setns": 308, "mount": 165, "umount2": 166,
    "open_tree": 428, "move_mount": 429, "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433,
    "mount_setattr": 442, "pivot_root": 155, "chroot": 161, "kexec_load": 246, "kexec_file_load": 320,
    "init_module": 175, "finit_module": 313, "delete_module": 176, "reboot": 169, "swapon": 167, "swapoff": 168,
    "open_by_handle_at": 304, "name_to_handle_at": 303, "kcmp": 312, "pidfd_getfd": 438, "sched_setscheduler": 144,
    "sched_setattr": 314, "shmget": 29, "shmat": 30, "shmctl": 31, "semget": 64, "semop": 65, "semctl": 66,
    "msgget": 68, "msgsnd": 69, "msgrcv": 70, "msgctl": 71, "acct": 163, "quotactl": 179, "syslog": 103,
    "settimeofday": 164, "clock_settime": 227, "iopl": 172, "ioperm": 173, "personality": 135, "vhangup": 153,
    "fanotify_init": 300, "lookup_dcookie": 212, "memfd_secret": 447,
}  # fmt: skip
"""Denied system calls by name."""
_ARCH_X86_64, _X32 = 0xC000003E, 0x40000000
_CLONE, _CLONE3, _IOCTL, _SOCKET = 56, 435, 16, 41
_NEW_NAMESPACES = 0x7E020000 | 0x00000080
"""CLONE_NEW* of user, mount, net, pid, ipc, uts, cgroup and time (linux/sched.h)."""
_TIOCSTI = 0x5412
_AF_UNIX = 1
_LOAD, _EQUAL, _AT_LEAST, _ANY_BITS, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
_ENOSYS = 38
_NUMBER_AT, _ARCH_AT, _ARGUMENT_AT = 0, 4, 16


LEAVING: Mapping[str, int] = {"setsid": 112, "setpgid": 109}
"""Denied besides where there is no namespace of processes: whoever stays in the group is killed with it."""


def errno_of(name: str) -> int:
    """Return the errno with which a rule answers."""
    return FIRST_ERRNO + [*RULES, "clone", "ioctl", "socket", *LEAVING].index(name)


def supported() -> bool:
    """Whether the filter knows this machine's system calls."""
    return platform.system() == "Linux" and platform.machine() == "x86_64"


def program(*, stay: bool = False) -> bytes:
    """Return the filter as the kernel wants it: instructions of classic BPF (linux/filter.h).

    Args:
        stay: Whether a program may not leave its group of processes either.
    """
    lines: list[tuple[int, int, int, int]] = [
        (_LOAD, 0, 0, _ARCH_AT),
        (_EQUAL, 1, 0, _ARCH_X86_64),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER_AT),
        (_AT_LEAST, 0, 1, _X32),
        (_RETURN, 0, 0, _KILL),
        (_EQUAL, 0, 1, _CLONE3),  # its flags are behind a pointer; glibc falls back to clone
        (_RETURN, 0, 0, _ERRNO | _ENOSYS),
    ]
    for name, number in {**RULES, **(LEAVING if stay else {})}.items():
        lines += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _ERRNO | errno_of(name))]
    lines += _where(_CLONE, 0, _ANY_BITS, _NEW_NAMESPACES, errno_of("clone"))
    lines += _where(_IOCTL, 1, _EQUAL, _TIOCSTI, errno_of("ioctl"))
    lines += [
        (_EQUAL, 0, 4, _SOCKET),  # only sockets between processes within the walls
        (_LOAD, 0, 0, _ARGUMENT_AT),
        (_EQUAL, 1, 0, _AF_UNIX),
        (_RETURN, 0, 0, _ERRNO | errno_of("socket")),
        (_LOAD, 0, 0, _NUMBER_AT),
        (_RETURN, 0, 0, _ALLOW),
    ]
    return b"".join(struct.pack("<HBBI", *line) for line in lines)


def _where(number: int, argument: int, test: int, value: int, errno: int) -> list[tuple[int, int, int, int]]:
    """Return the lines that deny a call where one of its arguments meets a test."""
    return [
        (_EQUAL, 0, 4, number),
        (_LOAD, 0, 0, _ARGUMENT_AT + 8 * argument),
        (test, 0, 1, value),
        (_RETURN, 0, 0, _ERRNO | errno),
        (_LOAD, 0, 0, _NUMBER_AT),
    ]
