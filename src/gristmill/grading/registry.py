"""Graders by name and version.

A rule grader is a pure function `(Prompt, Sample, options) -> Verdict`: it reads nothing but its arguments, so grading
again costs no tokens. A grader that can hang on hostile text (a regular expression of the user's, a symbolic engine) is
registered with `killable=True` and runs in a worker process with a time limit; the engine turns a crash or a timeout
into `passed=None` with a reason. A new version number makes stored grades stale: they are made again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gristmill.messages import Frozen
from gristmill.ports import GraderFunction
from gristmill.registry import Shelf

if TYPE_CHECKING:
    from collections.abc import Callable

    from gristmill.records import GradeType

GRADERS: Shelf[GraderFunction] = Shelf("grader")


def grader(
    name: str,
    *,
    version: int,
    options: type[Frozen] = Frozen,
    killable: bool = False,
    kind: GradeType = "verifier",
) -> Callable[[Any], Any]:
    """Register a grader; `killable` ones run in a worker process with a time limit."""
    return GRADERS.add(name, version=version, options=options, killable=killable, type=kind)
