"""One switch that ends a run in good order.

Whoever finds a reason to stop (a fatal answer, a full disk, Ctrl-C) turns the switch; nothing new is admitted from then on,
what is in flight is awaited and recorded. The first reason stays.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from gristmill.errors import Stopped


class StopSwitch:
    """Off until somebody turns it."""

    def __init__(self) -> None:
        self.error: Stopped | None = None
        self.interrupted = False
        self._listeners: list[Callable[[], None]] = []
        self._turned = asyncio.Event()

    @property
    def on(self) -> bool:
        """Whether nothing new may begin."""
        return self.interrupted or self.error is not None

    def stop(self, error: Stopped) -> None:
        """Stop for an outside reason; a later reason changes nothing."""
        if not self.on:
            self.error = error
        self._tell()

    def interrupt(self) -> None:
        """Stop because a person asked for it."""
        self.interrupted = True
        self._tell()

    def listen(self, listener: Callable[[], None]) -> None:
        """Call `listener` when the switch is turned."""
        self._listeners.append(listener)

    async def pause(self, seconds: float) -> None:
        """Wait, but no longer than the run goes on."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._turned.wait()

    def _tell(self) -> None:
        self._turned.set()
        for listener in self._listeners:
            listener()
