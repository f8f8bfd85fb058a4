"""The walls without namespaces, put up by the program itself before it is anything else: Landlock, the filter, then the program.

Sent in as text like `program`; both stay in force over `exec` and for every child. Numbers are the kernel's (linux/landlock.h,
prctl.h).
"""


def confine(readable, writable, filter_bytes, command, environment):
    """Give up everything but reading some folders and writing one, then become the program."""
    import ctypes
    import os
    import struct

    libc = ctypes.CDLL(None, use_errno=True)

    def call(number, *arguments):
        result = libc.syscall(number, *arguments)
        if result < 0:
            raise OSError(ctypes.get_errno(), f"system call {number}")
        return result

    create, add, restrict = 444, 445, 446
    abi = call(create, None, ctypes.c_size_t(0), ctypes.c_uint32(1))
    if abi < 6:
        raise OSError(38, f"Landlock of version {abi}: signals are not bounded before version 6")
    if libc.prctl(38, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "no_new_privs")
    everything = (1 << 16) - 1
    ruleset = struct.pack("=QQQ", everything, 3, 3)
    held = call(create, ruleset, ctypes.c_size_t(len(ruleset)), ctypes.c_uint32(0))
    read, write_file = (1 << 0) | (1 << 2) | (1 << 3), (1 << 1) | (1 << 2)
    for access, places in ((read, readable), (everything, [writable]), (write_file, ["/dev/null"]), (1 << 2, ["/dev/urandom"])):
        for place in places:
            try:
                descriptor = os.open(place, os.O_PATH | os.O_CLOEXEC)
            except FileNotFoundError:
                continue
            rule = struct.pack("=Qi", access, descriptor)
            call(add, held, ctypes.c_int(1), rule, ctypes.c_uint32(0))
            os.close(descriptor)
    call(restrict, held, ctypes.c_uint32(0))
    os.close(held)
    os.chdir(writable)
    lines = ctypes.create_string_buffer(filter_bytes, len(filter_bytes))
    program = struct.pack("HxxxxxxQ", len(filter_bytes) // 8, ctypes.addressof(lines))
    if libc.prctl(22, 2, ctypes.c_char_p(program), 0, 0):
        raise OSError(ctypes.get_errno(), "seccomp")
    os.execve(command[0], command, environment)
