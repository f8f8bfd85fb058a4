"""Graders by name and version, and the computations that they may need.

A grader reads nothing but its arguments, so grading again costs no tokens. One that needs nothing else is a pure function
`(Prompt, Sample, options) -> Verdict`. One that has to ask is async and takes a session besides: it asks a model (recorded and
paid like a task's call) or runs a *computation*, a pure function that can hang on hostile text (a regular expression of the
user's, a symbolic engine) and therefore runs in a worker process with a time limit. A new version number makes stored grades
stale: they are made again.
"""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, NamedTuple

from gristmill.messages import Frozen
from gristmill.ports import ComputationFunction, GraderFunction
from gristmill.registry import Shelf

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from gristmill.ports import Session
    from gristmill.records import GradeType, Prompt

GRADERS: Shelf[GraderFunction] = Shelf("grader")
COMPUTATIONS: Shelf[ComputationFunction] = Shelf("computation")


class Needs(NamedTuple):
    """What a grader asks for besides its arguments."""

    computations: tuple[str, ...] = ()
    sandbox: bool = False
    """Whether it runs code of models, so that the sandbox is tried before the run."""
    whole: bool = False
    """Whether it looks at a sample's conversation and `meta` and not only at its answer, so that outputs in files may be
    objects."""


def grader(  # noqa: PLR0913 - one parameter a trait
    name: str,
    *,
    version: int,
    options: type[Frozen] = Frozen,
    kind: GradeType = "verifier",
    short: str | None = None,
    needs: Needs | None = None,
    proof: Callable[[str, Any], str | None] | None = None,
    examine: Callable[[Prompt, Any, Session], Awaitable[str | None]] | None = None,
) -> Callable[[Any], Any]:
    """Register a grader.

    An async one is given a session besides; one of kind `judge` is paid for, so it is asked only where its word can decide.

    Args:
        name: As recipes write it.
        version: A new one makes stored grades stale.
        options: Its options.
        kind: Whether a rule verifies or a model judges.
        short: The option that is meant where only a value is given: `{regex: "^A"}`.
        needs: What must be there before it runs.
        proof: Returns an answer that is right by a reference, if one can be told, so that references can be put to their grader.
        examine: Returns what is weak about a reference, where that takes more than putting answers to the grader.
    """

    def register(function: Any) -> Any:
        traits: dict[str, Any] = {
            "type": kind,
            "asks": inspect.iscoroutinefunction(function),
            "short": short,
            "needs": needs or Needs(),
            "proof": proof,
            "examine": examine,
        }
        return GRADERS.add(name, version=version, options=options, **traits)(function)

    return register


def computation(name: str, *, first: dict[str, Any] | None = None) -> Callable[[Any], Any]:
    """Register a pure function of JSON values that runs in a worker process with a time and a memory limit.

    Args:
        name: As sessions ask for it.
        first: Arguments of a call that makes it load what takes long; a worker makes it before the time of its first job begins.
    """
    return COMPUTATIONS.add(name, version=1, first=first)
