"""The filter: every rule is met by a program within the walls, and says which it is."""

from __future__ import annotations

import errno

import pytest

from gristmill.plain import as_list
from gristmill.sandbox import seccomp
from tests.sandbox.walls_here import called, needs_bubblewrap

pytestmark = [needs_bubblewrap, pytest.mark.skipif(not seccomp.supported(), reason="the filter knows x86-64 alone")]
CALL = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def f(calls):
    found = []
    for number, *arguments in calls:
        ctypes.set_errno(0)
        libc.syscall(number, *[ctypes.c_long(one) for one in arguments])
        found.append(ctypes.get_errno())
    return found
"""


NEEDED = """
import os, random, subprocess, tempfile, threading
def f():
    thread = threading.Thread(target=print)
    thread.start()
    thread.join()
    pid = os.fork()
    if pid == 0:
        os._exit(3)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
"""


def met(*calls: tuple[int, ...]) -> list[int]:
    found = called(CALL, [list(call) for call in calls])
    assert as_list(found), found
    return [int(one) for one in as_list(found) or []]


def test_every_rule_answers_with_its_own_errno() -> None:
    found = met(*[(number, 0, 0, 0, 0, 0) for number in seccomp.RULES.values()])
    assert dict(zip(seccomp.RULES, found, strict=True)) == {name: seccomp.errno_of(name) for name in seccomp.RULES}
    assert len(set(found)) == len(found)


@pytest.mark.parametrize("flag", [0x10000000, 0x00020000, 0x40000000, 0x20000000, 0x08000000, 0x04000000, 0x02000000])
def test_no_namespace_is_made(flag: int) -> None:
    """CLONE_NEWUSER, NEWNS, NEWNET, NEWPID, NEWIPC, NEWUTS, NEWCGROUP; clone3 hides its flags and is not there."""
    assert met((56, flag, 0, 0, 0, 0), (435, 0, 0)) == [seccomp.errno_of("clone"), errno.ENOSYS]


def test_no_socket_but_between_processes_and_no_typing_into_a_terminal() -> None:
    inet, inet6, unix, netlink = 2, 10, 1, 16
    found = met((41, inet, 1, 0), (41, inet6, 1, 0), (41, netlink, 3, 0), (41, unix, 1, 0), (16, 0, 0x5412, 0))
    refused = seccomp.errno_of("socket")
    assert found == [refused, refused, refused, 0, seccomp.errno_of("ioctl")]


def test_what_python_needs_is_there() -> None:
    assert called(NEEDED) == 3
