"""What Python users import: load a recipe, check it, run it, look at a run.

The commands are thin covers of these functions. Everything that a command prints comes back as plain values here.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from gristmill.engine.opening import Opening
from gristmill.engine.planning import Plan, make_plan
from gristmill.engine.run import run as run_plan
from gristmill.errors import InputError
from gristmill.recipe.load import Loaded, load_recipe
from gristmill.store.reader import Reader
from gristmill.store.rundir import RunFolder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gristmill.engine.summary import Summary

__all__ = ["Loaded", "Opening", "Plan", "Summary", "load", "plan", "run", "run_folder", "status"]


def load(path: str | Path, changes: Mapping[str, Any] | None = None) -> Loaded:
    """Read a recipe file.

    Args:
        path: A YAML file.
        changes: Top-level keys to put in the place of the file's, as flags do.

    Raises:
        RecipeError: with file, line and column of the first mistake.
    """
    file = Path(path)
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InputError(f"there is no recipe {file}", fix="Write one with `gristmill init`.") from None
    except IsADirectoryError:
        raise InputError(f"{file} is a folder, not a recipe", fix="Name the YAML file in it.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {file}: {error}", fix="A recipe is a UTF-8 text file.") from None
    return load_recipe(text, str(path), changes)


def plan(loaded: Loaded, base: str | Path | None = None) -> Plan:
    """Resolve a recipe; its relative paths are relative to `base`, by default the recipe's own folder.

    Raises:
        RecipeError: where a name or an option is wrong, with its place.
    """
    folder = Path(base) if base is not None else Path(loaded.document.name).resolve().parent
    return make_plan(loaded, folder)


def run_folder(name: str, output: str | Path | None = None, ledger_dir: str | Path | None = None) -> RunFolder:
    """Return the folder of a run: `output`, or `runs/NAME` here."""
    path = Path(output) if output is not None else Path("runs") / name
    return RunFolder(path, Path(ledger_dir) if ledger_dir is not None else None)


def run(recipe: Plan, folder: RunFolder, opening: Opening | None = None) -> Summary:
    """Run a plan in a folder, or go on there.

    Raises:
        GristmillError: for the user's mistakes and outside reasons; what was recorded stays.
    """
    return run_plan(recipe, folder, opening or Opening())


def earlier(folder: str | Path) -> Reader:
    """Open another run for `--reuse`.

    Raises:
        InputError: where there is no run.
    """
    ledger = RunFolder(Path(folder)).ledger
    if not ledger.exists():
        raise InputError(f"there is no run in {folder}", fix="`--reuse` wants the folder of a run.")
    return Reader.at(ledger)


def status(folder: str | Path) -> dict[str, Any]:
    """Return how far a run is, also while it is running.

    Raises:
        InputError: where there is no run.
    """
    return RunFolder(Path(folder)).read_status()
