"""Tasks by name and version.

A task is an ordinary async function from a prompt to a sample. It may call models many times, loop and branch; all its
effects go through the session, so after a crash it simply runs again and recorded effects return at once. A new version
number makes finished samples stale.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gristmill.messages import Frozen
from gristmill.ports import TaskFunction
from gristmill.registry import Shelf

if TYPE_CHECKING:
    from collections.abc import Callable

TASKS: Shelf[TaskFunction] = Shelf("task")


def task(name: str, *, version: int, options: type[Frozen] = Frozen) -> Callable[[Any], Any]:
    """Register a task."""
    return TASKS.add(name, version=version, options=options)
