"""Each flag of bubblewrap is there because of what happens without it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from gristmill.sandbox import seccomp
from gristmill.sandbox.supervisor import filter_file
from gristmill.sandbox.walls import FILTER, bubblewrap, flags
from tests.sandbox.walls_here import needs_bubblewrap

pytestmark = needs_bubblewrap
PYTHON = next(prefix for prefix in (Path(sys.base_prefix).resolve(), Path("/usr")) if (prefix / "bin/python3").exists())
BIG = "open('{}', 'wb').write(bytes({} << 20))"


def within(code: str, *left_out: str, **options: Any) -> str:
    """Run code in bubblewrap with all flags but those left out; return what it prints, or the type of what it raises."""
    words = without(list(flags(PYTHON)), list(left_out))
    descriptor = filter_file()
    words = [str(descriptor) if word == FILTER else word for word in words]
    tried = (
        f"try:\n    print({code})\nexcept BaseException as error:\n    print(type(error).__name__, getattr(error, 'errno', ''))"
    )
    command = [bubblewrap() or "", *words, "/py/bin/python3", "-s", "-S", "-P", "-c", tried]
    done = subprocess.run(command, capture_output=True, text=True, check=False, pass_fds=(descriptor,), timeout=30, **options)
    os.close(descriptor)
    return done.stdout.strip() or f"exit {done.returncode}: {done.stderr.strip()[:200]}"


def without(words: list[str], left_out: list[str]) -> list[str]:
    """Return the flags without a run of words."""
    if not left_out:
        return words
    size = len(left_out)
    at = next(at for at in range(len(words)) if words[at : at + size] == left_out)
    return words[:at] + words[at + size :]


LISTENER = "__import__('socket').create_connection(('127.0.0.1', {}), timeout=2) and 'connected'"
CASES: dict[str, tuple[list[str], str, str]] = {
    "uid": (["--uid", "65534"], "__import__('os').getuid()", "65534"),
    "gid": (["--gid", "65534"], "__import__('os').getgid()", "65534"),
    "environment": (["--clearenv"], "'SECRET' in __import__('os').environ", "False"),
    "session": (["--new-session"], "__import__('os').getsid(0) > 0", "True"),
    "processes": (["--unshare-all"], "max(int(p) for p in __import__('os').listdir('/proc') if p.isdigit()) < 20", "True"),
    "read-only": (["--remount-ro", "/"], "open('/x', 'w') and 'written'", "OSError 30"),
    "work": (["--size", "67108864"], BIG.format("/tmp/x", 70), "OSError 28"),
    "shared memory": (["--size", "1048576"], BIG.format("/dev/shm/x", 2), "OSError 28"),
    "own proc": (["--proc", "/proc"], "__import__('os').path.exists('/proc/self/status')", "True"),
    "own devices": (["--dev", "/dev"], "__import__('os').path.exists('/dev/null')", "True"),
    "place": (["--chdir", "/tmp"], "__import__('os').getcwd()", "/tmp"),
    "order of hashes": (["--setenv", "PYTHONHASHSEED", "0"], "__import__('sys').flags.hash_randomization", "0"),
}


@pytest.mark.parametrize("name", list(CASES))
def test_a_flag_is_missed(name: str) -> None:
    left_out, code, expected = CASES[name]
    environment = {"env": {"SECRET": "x"}}
    assert within(code, **environment) == expected
    assert within(code, *left_out, **environment) != expected


def test_no_capability_is_left() -> None:
    """Also where everything else would leave some: `--cap-drop ALL`."""
    code = "[line for line in open('/proc/self/status') if line.startswith('CapEff')][0].split()[1]"
    assert int(within(code), 16) == 0
    if os.geteuid() == 0:
        words = list(flags(PYTHON))
        root = words[words.index("--unshare-user") : words.index("ALL") + 1]
        assert int(within(code, *root), 16) != 0


def test_the_network_is_not_there() -> None:
    """With the filter away as well, so that it is the namespace that is seen."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        code = LISTENER.format(server.getsockname()[1])
        assert "connected" not in within(code, *(["--seccomp", FILTER] if seccomp.supported() else []))
        bare = [sys.executable, "-I", "-S", "-c", f"print({code})"]
        assert subprocess.run(bare, capture_output=True, text=True, check=True).stdout.strip() == "connected"


def test_nothing_outlives_who_started_it() -> None:
    """Kill -9 of the supervisor ends the program: `--die-with-parent`."""
    descriptor = filter_file()
    words = [str(descriptor) if word == FILTER else word for word in flags(PYTHON)]
    inner = "import time; print('up', flush=True); time.sleep(97)"
    command = [bubblewrap() or "", *words, "/py/bin/python3", "-s", "-S", "-P", "-c", inner]
    parent = f"import subprocess; p = subprocess.Popen({command!r}, pass_fds=({descriptor},)); print(p.pid, flush=True); p.wait()"
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True, pass_fds=(descriptor,)) as started:
        assert started.stdout is not None
        said = {started.stdout.readline().strip(), started.stdout.readline().strip()}
        (child,) = (int(word) for word in said - {"up"})
        started.send_signal(signal.SIGKILL)
        started.wait()
    ends = time.monotonic() + 5
    while _runs(child) and time.monotonic() < ends:
        os.sched_yield()
    assert not _runs(child)
    os.close(descriptor)


def _runs(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False
