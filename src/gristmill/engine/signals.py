"""Ctrl-C: the first time what is in flight is awaited and what is accepted is exported, the second time the process ends now.

Ending now loses nothing that was recorded, because the ledger was on disk before anything was used. The signal is heard by Python
and not by the event loop, so the second one ends the process also where somebody's code holds the loop up.
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
    asked = False

    def interrupt() -> None:
        say("stopping: waiting for what is in flight; once more to stop now (nothing recorded is lost)")
        switch.interrupt()

    def on_signal(*_: object) -> None:
        nonlocal asked
        if asked:
            os._exit(INTERRUPTED)
        asked = True
        loop.call_soon_threadsafe(interrupt)

    numbers = (signal.SIGINT, signal.SIGTERM)
    try:
        before = [signal.signal(number, on_signal) for number in numbers]
    except ValueError:  # not the main thread: the caller's own handling
        yield
        return
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
