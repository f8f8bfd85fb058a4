"""One registry for everything that a recipe names: tasks, graders, sources, teachers, exporters.

A plug-in is a function with a name, a version, an options model and one line of help. A decorator adds it to its shelf; a
recipe finds it by name; `gristmill describe` prints the shelves. The trade-off: names are global in a process, so a name
that is taken raises at once.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Generic, NamedTuple, TypeVar

from gristmill.errors import InputError
from gristmill.messages import Frozen

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])


class Plugin(NamedTuple, Generic[FunctionT]):
    """A registered function and what the recipe needs to know of it."""

    name: str
    version: int
    function: FunctionT
    options: type[Frozen]
    summary: str
    traits: Mapping[str, Any]
    """What a shelf wants to know besides: for a grader `type` and `killable`."""

    @property
    def identity(self) -> str:
        """Return `name@version`."""
        return f"{self.name}@{self.version}"


class Shelf(Generic[FunctionT]):
    """All plug-ins of one kind."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._plugins: dict[str, Plugin[FunctionT]] = {}
        self._apart: dict[str, Plugin[FunctionT]] | None = None
        """Where plug-ins of a file of the user's go while it is loaded."""
        self._own: dict[str, Plugin[FunctionT]] = {}

    def add(self, name: str, *, version: int, options: type[Frozen] = Frozen, **traits: Any) -> Callable[[FunctionT], FunctionT]:
        """Return a decorator that registers a function under `name`.

        Raises:
            ValueError: where the name is taken.
        """

        def register(function: FunctionT) -> FunctionT:
            if name in self._plugins or (self._apart is not None and name in self._apart):
                raise ValueError(f"the {self.kind} `{name}` is registered twice")
            summary = (function.__doc__ or "").strip().split("\n")[0]
            shelf = self._plugins if self._apart is None else self._apart
            shelf[name] = Plugin(name, version, function, options, summary, traits)
            return function

        return register

    @contextmanager
    def apart(self) -> Generator[dict[str, Plugin[FunctionT]]]:
        """Let what is registered meanwhile stay off the shelf, and yield it by name."""
        self._apart = {}
        try:
            yield self._apart
        finally:
            self._apart = None

    def put(self, plugin: Plugin[FunctionT], name: str | None = None) -> None:
        """Put a plug-in of the user's on the shelf, by the name that the recipe has for it; another one of that name goes."""
        self._own[name or plugin.name] = plugin

    def get(self, name: str) -> Plugin[FunctionT]:
        """Return the plug-in called `name`.

        Raises:
            InputError: where there is none; the message names the nearest one.
        """
        if name in self._own:
            return self._own[name]
        try:
            return self._plugins[name]
        except KeyError:
            near = nearest(name, self._plugins)
            meant = f"Did you mean `{near}`? " if near else ""
            raise InputError(
                f"there is no {self.kind} `{name}`", fix=f"{meant}There are: {', '.join(sorted(self._plugins))}."
            ) from None

    def __iter__(self) -> Iterator[Plugin[FunctionT]]:
        return iter(sorted(self._plugins.values(), key=lambda plugin: plugin.name))

    def __contains__(self, name: str) -> bool:
        return name in self._plugins or name in self._own


def nearest(name: str, names: Iterable[str]) -> str | None:
    """Return the one of `names` that is most like `name`, or None where none is close."""
    return next(iter(difflib.get_close_matches(name, list(names), n=1, cutoff=0.5)), None)
