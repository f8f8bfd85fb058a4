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
    from collections.abc import Callable, Iterator

    from gristmill.ports import SourceRow

TASKS: Shelf[TaskFunction] = Shelf("task")


def task(  # noqa: PLR0913 - one parameter a trait
    name: str,
    *,
    version: int,
    options: type[Frozen] = Frozen,
    templates: tuple[str, ...] = (),
    spread: Callable[[Iterator[SourceRow], Any, int], Iterator[SourceRow]] | None = None,
    roles: tuple[str, ...] = (),
    counted: tuple[str, ...] = (),
    carries: tuple[str, ...] = (),
    keeps_all: bool = False,
    holds_prompt: bool = False,
) -> Callable[[Any], Any]:
    """Register a task.

    Args:
        name: As recipes write it.
        version: A new one makes finished samples stale.
        options: Its options.
        templates: What it fills through its session, by name and version (`qa/ask@1`); a recipe may put its own in their place.
            A task that has some is not framed by the recipe's `prompt.template`.
        spread: Makes the rows of a source into what is asked, such as ten questions of one document. It is given the rows, the
            options and the run's seed, is pure, and keeps no more than one document.
        roles: Whom it asks besides `teacher`.
        counted: Keys of `meta` whose values are counted in summary and report: `type`, `style`.
        carries: Options that name fields of the rows that the task needs in `meta`.
        holds_prompt: Whether every conversation holds its prompt, so that equal ones can only be of one prompt.
        keeps_all: Whether every sample that graders looked at is kept, whatever they said, and each prompt has one.
    """
    return TASKS.add(
        name,
        version=version,
        options=options,
        templates=templates,
        spread=spread,
        roles=roles,
        counted=counted,
        carries=carries,
        keeps_all=keeps_all,
        holds_prompt=holds_prompt,
    )
