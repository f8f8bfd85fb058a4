"""Run a command where no namespaces can be made, as in a container under Docker's default filter.

`python -m tests.sandbox.no_namespaces COMMAND …`: `unshare`, `mount` and a `clone` into namespaces are denied, and `clone3` is
not there, so that the C library falls back to `clone`.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys

LOAD, EQUAL, ANY_BIT, RETURN = 0x20, 0x15, 0x45, 0x06
NOT_PERMITTED, NOT_THERE, ALLOWED = 0x50000 | 1, 0x50000 | 38, 0x7FFF0000
UNSHARE, MOUNT, CLONE3, CLONE = 272, 165, 435, 56
NEW = 0x7E020000
"""All flags of `clone` that make a namespace."""
SET_SECCOMP, NO_NEW_PRIVILEGES, FILTER = 22, 38, 2


class Filter(ctypes.Structure):
    """A program for the kernel."""

    _fields_ = [("length", ctypes.c_ushort), ("steps", ctypes.c_void_p)]


def deny() -> None:
    """Deny namespaces to this process and all that it starts."""
    steps = [
        (LOAD, 0, 0, 0),
        *((EQUAL, 0, 1, UNSHARE), (RETURN, 0, 0, NOT_PERMITTED)),
        *((EQUAL, 0, 1, MOUNT), (RETURN, 0, 0, NOT_PERMITTED)),
        *((EQUAL, 0, 1, CLONE3), (RETURN, 0, 0, NOT_THERE)),
        *((EQUAL, 0, 3, CLONE), (LOAD, 0, 0, 16), (ANY_BIT, 0, 1, NEW), (RETURN, 0, 0, NOT_PERMITTED)),
        (RETURN, 0, 0, ALLOWED),
    ]
    packed = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    program, libc = Filter(len(steps), ctypes.addressof(packed)), ctypes.CDLL(None, use_errno=True)
    if libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0) or libc.prctl(SET_SECCOMP, FILTER, ctypes.byref(program), 0, 0):
        raise OSError(ctypes.get_errno(), "the filter was not taken")


if __name__ == "__main__":
    deny()
    os.execvp(sys.argv[1], sys.argv[1:])
