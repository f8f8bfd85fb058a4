"""Kinds, graders and sources of one's own: a Python file beside the recipe, loaded only where the person trusts it.

A recipe is hostile input, and a file that it names runs with all rights of the person who starts it, outside of every wall. So
a name such as `my_kind.py:poem` is an error unless the person says `--trust`; `check` never loads it and says so. What is
loaded uses the very decorators that shipped kinds use; the bytes of the file are part of its identity, so samples and grades go
stale when it changes.
"""

from __future__ import annotations

import hashlib
import re
import sys
import traceback
from contextlib import contextmanager
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pydantic import ConfigDict

from gristmill.engine.guarding import OWN_MODULE, guarded
from gristmill.errors import InputError, SourceError
from gristmill.grading.registry import GRADERS, Needs
from gristmill.messages import Frozen
from gristmill.recipe.grades import graders_in
from gristmill.registry import Plugin, Shelf
from gristmill.sources.rows import OwnRows
from gristmill.tasks.registry import TASKS

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from gristmill.recipe.model import Recipe

Trust = Literal["yes", "no", "unseen"]
"""Whether the person trusts the recipe's Python files; `unseen` looks at everything else, as `check` does."""
DIGITS = 8
"""Of a file's hash, in the identity of what is in it."""
_NAME = re.compile(r"(?P<path>[^:]+\.py):(?P<function>[A-Za-z_]\w*)")


class Loaded(NamedTuple):
    """What is in one Python file."""

    digest: str
    """The hash of its bytes (SHA-256)."""
    functions: dict[str, Any]
    plugins: dict[str, dict[str, Plugin[Any]]]
    """By shelf and name of the function."""


class _Anything(Frozen):
    """Options of what was not looked at."""

    model_config = ConfigDict(extra="allow")


_UNSEEN: dict[str, dict[str, Any]] = {
    "task": {
        "templates": (),
        "spread": None,
        "roles": (),
        "counted": (),
        "carries": (),
        "keeps_all": False,
        "holds_prompt": False,
    },
    "grader": {"type": "verifier", "asks": False, "short": None, "needs": Needs(), "proof": None, "examine": None},
}


def is_own(name: str) -> bool:
    """Whether a name is that of a function in a Python file."""
    return _NAME.fullmatch(name) is not None


def own_names(recipe: Recipe) -> list[str]:
    """Return every name of a recipe that means a function in a Python file."""
    names = [recipe.task.name, *(choice.name for choice in graders_in(recipe.grade))]
    names += [spec.source for spec in recipe.prompts if spec.source is not None]
    return [name for name in dict.fromkeys(names) if is_own(name)]


def put_own(shelf: Shelf[Any], name: str, base: Path, trust: Trust) -> None:
    """Put the plug-in that a name means on its shelf, where the name is that of a function in a file; others are there.

    Raises:
        InputError: where it is not trusted, cannot be loaded, or is no such plug-in.
    """
    if not is_own(name):
        return
    path, function = _placed(name, base)
    _check_trust(name, trust)
    if trust == "unseen":
        traits = _UNSEEN[shelf.kind]
        shelf.put(Plugin(name, 0, _not_loaded, _Anything, "not looked at: it is loaded with --trust alone", traits))
        return
    loaded = load_file(path)
    plugin = loaded.plugins[shelf.kind].get(function)
    if plugin is None:
        there = ", ".join(sorted(loaded.plugins[shelf.kind])) or "none"
        raise InputError(
            f"{path} has no {shelf.kind} `{function}`",
            fix=f"Put `@{shelf.kind}({function!r}, version=1)` before the function; there is: {there}.",
        )
    shelf.put(plugin._replace(name=f"{name}#{loaded.digest[:DIGITS]}", function=guarded(plugin.function)), name)


def own_rows(name: str, base: Path, trust: Trust) -> OwnRows:
    """Return the source that a name means.

    Raises:
        InputError: where it is not trusted, cannot be loaded, or is no function.
    """
    if not is_own(name):
        raise InputError(f"`source: {name}` names no function in a file", fix="Write `source: my_file.py:my_rows`.")
    path, function = _placed(name, base)
    _check_trust(name, trust)
    if trust == "unseen":
        return OwnRows(name, "unseen", lambda: iter(()))
    loaded = load_file(path)
    rows: Any = loaded.functions.get(function)
    if not callable(rows):
        raise InputError(f"{path} has no function `{function}`", fix="A source is a function that yields rows as objects.")
    return OwnRows(name, loaded.digest, lambda: _told(rows, path))


def own_digests(recipe: Recipe, base: Path, trust: Trust) -> dict[str, str]:
    """Return the hash of the file behind every name that means a function in one, for those who ask later what ran.

    Raises:
        InputError: where a file cannot be loaded.
    """
    if trust != "yes":
        return {}
    return {name: load_file(_placed(name, base)[0]).digest for name in own_names(recipe)}


def _told(rows: Callable[[], Any], path: Path) -> Iterator[Any]:
    """Yield what a source of the user's yields; where it breaks, say where in its file.

    Raises:
        SourceError: where it breaks, or yields nothing that can be gone through.
    """
    with _telling_where(path, SourceError):
        yield from rows()


def _check_trust(name: str, trust: Trust) -> None:
    if trust == "no":
        raise InputError(
            f"`{name}` is a Python file, and running it is running a program of whoever wrote the recipe",
            fix="Read it, and if you trust it, add --trust.",
        )


def _placed(name: str, base: Path) -> tuple[Path, str]:
    """Return the file and the function that a name means.

    Raises:
        InputError: where a relative path leaves the recipe's folder: who reads the recipe would not see what they trust.
    """
    match = _NAME.fullmatch(name)
    assert match is not None
    written, function = Path(match.group("path")), match.group("function")
    path = base / written
    if not written.is_absolute() and not path.resolve().is_relative_to(base.resolve()):
        raise InputError(
            f"`{name}` is outside of the recipe's folder",
            fix=f"Put the file beside the recipe, or name it in full: `{path.resolve()}:{function}`.",
        )
    return path, function


def _not_loaded(*_arguments: Any) -> Any:
    raise InputError("this was not loaded", fix="Add --trust.")


_loaded: dict[tuple[str, str], Loaded] = {}


def load_file(path: Path) -> Loaded:
    """Run a Python file and return what it registers, once for each content.

    Raises:
        InputError: where it is not there, does not run, or takes a name that ships.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}", fix="The path is relative to the recipe.") from None
    digest = hashlib.sha256(data).hexdigest()
    known = _loaded.get((str(path), digest))
    if known is not None:
        return known
    name = f"{OWN_MODULE}{hashlib.sha256(str(path).encode()).hexdigest()[:DIGITS]}_{digest[:DIGITS]}"
    spec = spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[name] = module  # options models look their types up there
    with TASKS.apart() as tasks, GRADERS.apart() as graders:
        try:
            with _telling_where(path, InputError):
                spec.loader.exec_module(module)
        except InputError:
            del sys.modules[name]
            raise
    found = Loaded(digest, dict(vars(module)), {"task": _by_function(tasks), "grader": _by_function(graders)})
    _loaded[str(path), digest] = found
    return found


@contextmanager
def _telling_where(path: Path, kind: type[InputError]) -> Generator[None]:
    """Make what goes wrong in a file of the user's one message with file and line, also where it wants to end the process."""
    try:
        yield
    except SystemExit as error:
        raise kind(f"{_place(path, error)}: SystemExit: {error}", fix="Mend the file.") from None
    except Exception as error:  # noqa: BLE001 - somebody's code: told with file and line, as a row with its reason is
        raise kind(f"{_place(path, error)}: {type(error).__name__}: {error}", fix="Mend the file.") from None


def _by_function(plugins: dict[str, Plugin[Any]]) -> dict[str, Plugin[Any]]:
    return {plugin.function.__name__: plugin for plugin in plugins.values()}


def _place(path: Path, error: BaseException) -> str:
    """Return file and line of a mistake in a file."""
    if isinstance(error, SyntaxError):
        return f"{path}:{error.lineno}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return f"{path}:{lines[-1]}" if lines else str(path)
