"""How far a run is: one snapshot for `status.json`, the live line and the last word.

The snapshot is made from counters in memory, at most once a second, and replaces `status.json` as a whole, so another process
can read it while the run goes on.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from gristmill.store.place import disk_error

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from gristmill.engine.generate import Generation
    from gristmill.ports import Clock
    from gristmill.store.rundir import RunFolder

EVERY_S = 1.0


class Snapshot(NamedTuple):
    """Where a run is."""

    stage: str
    rows: int
    """Rows in the training split by now, over prompts settled without a gap."""
    target: int | None
    prompts: int
    settled: int
    samples: int
    accepted: int
    in_flight: int
    calls: int
    replayed: int
    output_tokens: int
    cost_usd: float | None
    """Of all processes of the run; None where one cost is unknown."""
    elapsed_s: float
    distinct_rate: float | None = None
    """Share of the last accepted samples that were no near duplicates, where those are looked for."""

    def plain(self) -> dict[str, Any]:
        """Return the snapshot as `status.json` holds it."""
        return self._asdict()


class Progress:
    """Makes snapshots and hands them on, not too often."""

    def __init__(self, folder: RunFolder, clock: Clock, show: Callable[[Snapshot], None], prompts: int) -> None:
        self._folder = folder
        self._clock = clock
        self._show = show
        self._prompts = prompts
        self._began = clock.monotonic()
        self._last = float("-inf")
        self.generation: Generation | None = None

    @property
    def elapsed_s(self) -> float:
        """Return seconds since the run began in this process."""
        return self._clock.monotonic() - self._began

    @contextmanager
    def beating(self) -> Generator[None]:
        """Note every second that the run goes on, also while it only waits."""
        loop = asyncio.get_running_loop()

        def beat() -> None:
            nonlocal handle
            self.tick()
            handle = loop.call_later(EVERY_S, beat)

        handle = loop.call_later(EVERY_S, beat)
        try:
            yield
        finally:
            handle.cancel()

    def tick(self) -> None:
        """Note that something happened."""
        now = self._clock.monotonic()
        if now - self._last >= EVERY_S:
            self._last = now
            snapshot = self.snapshot("generate")
            self._write({"status": "running", **snapshot.plain()})
            self._show(snapshot)

    def _write(self, status: dict[str, Any]) -> None:
        if self.generation is not None:
            self.generation.door.remember_hours()
        try:
            self._folder.write_status(status)
        except OSError as error:
            failure = disk_error(error)
            if failure is None or self.generation is None:
                raise
            self.generation.door.switch.stop(failure)

    def snapshot(self, stage: str) -> Snapshot:
        """Return where the run is."""
        work = self.generation
        assert work is not None
        dispatchers = set(work.door.dispatchers.values())
        selector = work.settler.selector
        return Snapshot(
            stage=stage,
            rows=selector.train_rows,
            target=selector.rules.target_rows,
            prompts=self._prompts,
            settled=work.settler.next,
            samples=work.finished + work.standing,
            accepted=work.accepted,
            in_flight=sum(dispatcher.in_flight for dispatcher in dispatchers),
            calls=sum(dispatcher.calls for dispatcher in dispatchers),
            replayed=work.replayed,
            output_tokens=work.output_tokens,
            cost_usd=work.door.purse.spent_usd,
            elapsed_s=round(self.elapsed_s, 3),
            distinct_rate=selector.distinct_rate,
        )
