"""What processes share of an endpoint: one file, that no dead process blocks and no rubbish breaks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import filelock
import pytest

from gristmill.sending.pacing import Measured, Pacing, refused
from gristmill.sending.sharing import Booked, Known, Shared, book, correct, endpoint_name, shared_folder

NOW = 1_790_000_000.0
NAME = endpoint_name("http://127.0.0.1:8000/v1", "KEY")


def note(known: Known) -> tuple[Known, Pacing]:
    """Learn something of an endpoint."""
    pacing = refused(known.pacing, NOW, NOW - 1, None, Measured(100, 3, 1.5))
    return Known(pacing, (Booked(int(NOW), 70),)), pacing


def look(known: Known) -> tuple[Known, Known]:
    """Return what is known."""
    return known, known


def test_what_one_learned_the_other_knows(tmp_path: Path) -> None:
    one, other = Shared(NAME, tmp_path), Shared(NAME, tmp_path)
    pacing = one.change(NOW, note)
    assert other.change(NOW + 1, look) == Known(pacing, (Booked(int(NOW), 70),))
    assert Shared(None).change(NOW, look) == Known()
    assert Shared(endpoint_name("http://127.0.0.1:8000/v1", "OTHER_KEY"), tmp_path).change(NOW, look) == Known()
    for shared in (one, other):
        shared.close()


@pytest.mark.parametrize("content", [b"", b"{", b"[1,2,3]", b'[1,1790000000,[["x"],[]]]', b"\xff" * 100])
def test_rubbish_is_as_good_as_nothing(tmp_path: Path, content: bytes) -> None:
    (tmp_path / f"{NAME}.json").write_bytes(content)
    shared = Shared(NAME, tmp_path)
    assert shared.change(NOW, look) == Known()
    assert shared.change(NOW, note) == shared.change(NOW, look).pacing
    shared.close()


@pytest.mark.parametrize("later", [700.0, -700.0])
def test_what_is_old_or_from_the_future_is_forgotten(tmp_path: Path, later: float) -> None:
    shared = Shared(NAME, tmp_path)
    shared.change(NOW, note)
    assert shared.change(NOW + later, look) == Known()
    shared.close()


def test_a_process_that_dies_holding_the_lock_blocks_nobody(tmp_path: Path) -> None:
    lock = tmp_path / f"{NAME}.lock"
    program = f"import filelock; x = filelock.FileLock({str(lock)!r}); x.acquire(); print('held', flush=True); input()"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        shared = Shared(NAME, tmp_path)
        alone = shared.change(NOW, note)
        assert not (tmp_path / f"{NAME}.json").read_bytes(), "while the lock is held, a process goes on alone"
        holder.kill()
    assert shared.change(NOW, look) == Known()
    assert shared.change(NOW, note) == alone
    assert (tmp_path / f"{NAME}.json").read_bytes()
    shared.close()


def test_a_folder_that_is_not_there_is_no_obstacle(tmp_path: Path) -> None:
    shared = Shared(NAME, tmp_path / "missing")
    pacing = shared.change(NOW, note)
    assert shared.change(NOW, look).pacing == pacing


def test_the_folder_is_private(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    folder = shared_folder()
    assert folder is not None
    assert folder == tmp_path / "gristmill"
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o777)
    assert shared_folder() is None, "others could write there"
    folder.rmdir()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    folder.symlink_to(elsewhere)
    assert shared_folder() is None, "somebody else may have laid the link"
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert shared_folder() == tmp_path / f"gristmill-{os.getuid()}"


def test_the_lock_is_let_go_after_each_change(tmp_path: Path) -> None:
    shared = Shared(NAME, tmp_path)
    shared.change(NOW, note)
    with filelock.FileLock(tmp_path / f"{NAME}.lock", timeout=0):
        pass
    shared.close()


def test_no_minute_has_more_tokens_than_declared() -> None:
    """Whatever is booked when, every stretch of sixty seconds stays within the limit."""
    booked: tuple[Booked, ...] = ()
    taken: list[tuple[float, int]] = []
    now = NOW
    for number in range(500):
        tokens = 37 + number % 900
        while True:
            booked, wait_s = book(booked, now, tokens, 5000)
            if wait_s == 0:
                break
            now += wait_s
        taken.append((now, tokens))
        now += 0.3
    for start, _ in taken:
        assert sum(tokens for at, tokens in taken if start <= at < start + 60) <= 5000


def test_what_a_call_did_not_use_is_given_back() -> None:
    booked, _ = book((), NOW, 5000, 5000)
    assert book(booked, NOW + 1, 100, 5000)[1] > 0
    assert book(correct(booked, [Booked(int(NOW), -4900)]), NOW + 1, 100, 5000)[1] == 0
    assert correct(booked, [Booked(int(NOW) - 5, -100)]) == booked


def test_a_call_larger_than_the_limit_waits_for_an_empty_minute() -> None:
    booked, wait_s = book((), NOW, 9000, 5000)
    assert wait_s == 0
    assert 60 <= book(booked, NOW, 1, 5000)[1] <= 61
    assert book(booked, NOW + 61, 1, 5000)[1] == 0
