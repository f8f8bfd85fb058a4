"""Ctrl-C: the first time what is in flight is awaited and what is accepted is exported, the second time the process ends now.

Ending now loses nothing that was recorded, because the ledger was on disk before anything was used.
"""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from gristmill.sending.stopping import StopSwitch

INTERRUPTED = 130


@contextmanager
def interruptible(switch: StopSwitch, say: Callable[..., None]) -> Generator[None]:
    """While the block runs, let SIGINT and SIGTERM turn the switch; a second one ends the process."""
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        if switch.interrupted:
            os._exit(INTERRUPTED)
        say("stopping: waiting for what is in flight; once more to stop now (nothing recorded is lost)")
        switch.interrupt()

    numbers = (signal.SIGINT, signal.SIGTERM)
    try:
        for number in numbers:
            loop.add_signal_handler(number, on_signal)
    except (
        NotImplementedError,
        RuntimeError,
        ValueError,
    ):  # Windows, or not the main thread: the caller's own handling
        yield
        return
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
