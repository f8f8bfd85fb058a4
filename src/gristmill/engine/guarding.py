"""Functions of the user's own, held so that no mistake in one takes the run with it.

A task or grader in a Python file beside the recipe runs in this process with all rights. What it raises is a row with its reason;
so is `sys.exit`, which would end everybody's work, and a plain function that does not come back, which would hold up every other
call. An alarm ends such a function, which works in the main thread and not on Windows; an async one that never awaits is ended by
Ctrl-C alone.
"""

from __future__ import annotations

import inspect
import signal
import traceback
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

LIMIT_S = 60.0
"""For one call of a plain function: long enough for whatever one row needs, short enough to wait for."""
OWN_MODULE = "gristmill_own_"
"""How the names of modules begin that were loaded from files of the user's own."""


class _TooLong(BaseException):
    """Raised by the alarm, past whatever the function catches of what goes wrong."""


def guarded(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that raises where `function` would end the process or, if it is a plain one, never come back.

    Raises:
        RuntimeError: by the function that is returned, for `sys.exit`.
        TimeoutError: by the function that is returned, where it took longer than `LIMIT_S`.
    """
    if inspect.iscoroutinefunction(function):

        @wraps(function)
        async def awaited(*arguments: Any) -> Any:
            with _staying():
                return await function(*arguments)

        return awaited

    @wraps(function)
    def called(*arguments: Any) -> Any:
        with _staying(), _alarmed(LIMIT_S):
            return function(*arguments)

    return called


def told(error: BaseException) -> str:
    """Return an exception in one line, with file and line where it came out of a file of the user's own."""
    mine = [
        f" at {Path(frame.f_code.co_filename).name}:{line}"
        for frame, line in traceback.walk_tb(error.__traceback__)
        if str(frame.f_globals.get("__name__")).startswith(OWN_MODULE)
    ]
    return f"{error!r}{mine[-1] if mine else ''}"


@contextmanager
def _staying() -> Generator[None]:
    try:
        yield
    except SystemExit as end:
        raise RuntimeError(f"it called sys.exit({end.code!r})").with_traceback(end.__traceback__) from None


@contextmanager
def _alarmed(limit_s: float) -> Generator[None]:
    def ring(*_: object) -> None:
        raise _TooLong

    try:
        before = signal.signal(signal.SIGALRM, ring)
    except (AttributeError, ValueError):  # Windows has no alarm, and only the main thread hears one
        yield
        return
    try:
        try:
            signal.setitimer(signal.ITIMER_REAL, limit_s)
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
    except _TooLong as end:
        raise TimeoutError(f"it did not come back within {limit_s:g} s").with_traceback(end.__traceback__) from None
