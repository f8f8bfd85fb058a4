"""What people see: the live line, and one way to report."""

from __future__ import annotations

import shutil
import sys
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING, Any

import orjson

from gristmill.visible import safe

if TYPE_CHECKING:
    from collections.abc import Generator

    from gristmill.engine.progress import Snapshot


def indented(text: str, limit: int = 1200) -> str:
    """Return text as an indented block, cut where it is very long."""
    shown = safe(text)
    if len(shown) > limit:
        shown = f"{shown[:limit]}… ({len(text):,} characters)"
    return "\n".join(f"    {line}" for line in shown.splitlines() or [""])


class Reporter:
    """Writes for a person, or one JSON object for a program."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self._live = sys.stderr.isatty() and not as_json
        self._width = 0
        self._out = sys.stdout

    @contextmanager
    def only_result(self) -> Generator[None]:
        """While the block runs, let what somebody's own code prints go to standard error."""
        with redirect_stdout(sys.stderr):
            yield

    def say(self, *lines: str) -> None:
        """Tell a person something, now; on standard error, so that standard output stays the result."""
        for line in lines:
            self._clear()
            sys.stderr.write(f"{safe(line)}\n")
        sys.stderr.flush()

    def result(self, text: str, content: dict[str, Any]) -> None:
        """Give the result: text for a person, or the object for a program."""
        self._clear()
        if self.as_json:
            self._out.write(orjson.dumps(content, option=orjson.OPT_INDENT_2).decode() + "\n")
        else:
            self._out.write(text if text.endswith("\n") else text + "\n")
        self._out.flush()

    def show(self, snapshot: Snapshot) -> None:
        """Show how far a run is, in one line that is written over."""
        if not self._live:
            return
        line = live_line(snapshot)[: shutil.get_terminal_size().columns - 1]
        sys.stderr.write("\r" + line.ljust(self._width))
        sys.stderr.flush()
        self._width = len(line)

    def indexing(self, rows: int) -> None:
        """Show how many source rows were read."""
        if self._live:
            line = f"reading prompts: {rows:,} rows"
            sys.stderr.write("\r" + line)
            sys.stderr.flush()
            self._width = len(line)

    def grading(self, rows: int) -> None:
        """Show how many rows are graded."""
        if self._live:
            line = f"graded: {rows:,} rows"
            sys.stderr.write("\r" + line)
            sys.stderr.flush()
            self._width = len(line)

    def _clear(self) -> None:
        if self._width:
            sys.stderr.write("\r" + " " * self._width + "\r")
            self._width = 0


def live_line(snapshot: Snapshot) -> str:
    """Return a run's state in one line: rows, acceptance, speed, dollars, time left."""
    goal = f"/{snapshot.target:,}" if snapshot.target else ""
    parts = [f"rows {snapshot.rows:,}{goal}", f"prompts {snapshot.settled:,}/{snapshot.prompts:,}"]
    if snapshot.samples:
        parts.append(f"accepted {snapshot.accepted / snapshot.samples:.0%} of {snapshot.samples:,}")
    if snapshot.distinct_rate is not None:
        parts.append(f"{snapshot.distinct_rate:.0%} distinct")
    if snapshot.output_tokens and snapshot.elapsed_s:
        parts.append(f"{snapshot.output_tokens / snapshot.elapsed_s:,.0f} tok/s")
    parts.append(f"in flight {snapshot.in_flight}")
    if snapshot.cost_usd:
        projected = f" of about ${snapshot.cost_usd / share:.2f}" if (share := done_share(snapshot)) else ""
        parts.append(f"${snapshot.cost_usd:.2f}{projected}")
    elif snapshot.cost_usd is None:
        parts.append("$ unknown")
    if (share := done_share(snapshot)) and share < 1:
        parts.append(f"{duration(snapshot.elapsed_s / share - snapshot.elapsed_s)} left")
    return " · ".join(parts)


def done_share(snapshot: Snapshot) -> float:
    """Return how much of the run is done, 0 to 1."""
    by_rows = snapshot.rows / snapshot.target if snapshot.target else 0.0
    by_prompts = snapshot.settled / snapshot.prompts if snapshot.prompts else 0.0
    return min(1.0, max(by_rows, by_prompts))


def duration(seconds: float) -> str:
    """Return seconds as people say them."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
