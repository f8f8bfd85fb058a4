"""What Python users import: load a recipe, check it, run it, look at a run.

The commands are thin covers of these functions. Everything that a command prints comes back as plain values here.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gristmill.engine import describing
from gristmill.engine.opening import Opening
from gristmill.engine.planning import Plan, make_plan
from gristmill.engine.previewing import preview as preview_plan
from gristmill.engine.probing import probe as probe_plan
from gristmill.engine.run import run as run_plan
from gristmill.errors import InputError
from gristmill.exporting.registry import EXPORTERS
from gristmill.grading.registry import GRADERS
from gristmill.recipe.grades import RULES
from gristmill.recipe.load import Loaded, load_recipe
from gristmill.recipe.model import Recipe
from gristmill.sending.spending import is_paid as recipe_is_paid
from gristmill.store.reader import Reader
from gristmill.store.rundir import RunFolder, current_status
from gristmill.tasks.registry import TASKS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gristmill.engine.checkup import Check
    from gristmill.engine.opening import Until
    from gristmill.engine.summary import Summary
    from gristmill.registry import Shelf
    from gristmill.teachers.addresses import Environment
    from gristmill.teachers.serving import Served

__all__ = [
    "Loaded", "Opening", "Plan", "catalogue", "checkup", "earlier", "is_paid", "load", "plan", "preview", "probe",
    "recipe_schema", "run", "run_folder", "serve", "stage", "status",
]  # fmt: skip


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


def plan(loaded: Loaded, base: str | Path | None = None, *, trust: bool | None = False) -> Plan:
    """Resolve a recipe; its relative paths are relative to `base`, by default the recipe's own folder.

    Args:
        loaded: The recipe.
        base: The folder that paths are relative to.
        trust: Whether Python files that the recipe names are run; None looks at everything but them, and such a plan cannot run.

    Raises:
        RecipeError: where a name or an option is wrong, with its place.
    """
    folder = Path(base) if base is not None else Path(loaded.document.name).resolve().parent
    return make_plan(loaded, folder, "unseen" if trust is None else "yes" if trust else "no")


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
    return current_status(RunFolder(Path(folder)))


def is_paid(recipe: Plan) -> bool:
    """Return whether any teacher of a plan costs money by tokens: its price is known, or it is a hosted provider's."""
    return recipe_is_paid(recipe.recipe, recipe.endpoints)


def preview(recipe: Plan, folder: RunFolder, opening: Opening, count: int = 5) -> dict[str, Any]:
    """Make the first samples of a plan in at most `count` calls and return them with their grades.

    Raises:
        GristmillError: for the user's mistakes and outside reasons.
    """
    return preview_plan(recipe, folder, opening, count)


def probe(recipe: Plan, environment: Environment, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Ask each teacher of a plan once, with a tiny prompt and the real parameters; it is not recorded anywhere.

    Args:
        recipe: The plan.
        environment: Variables, and which key may go where.
        say: Told what is waited for.

    Returns:
        For each teacher what came back, or its `error` in the provider's words.
    """
    return probe_plan(recipe, environment, say)


def stage(name: str) -> Until:
    """Return a stage by its name.

    Raises:
        InputError: where there is no such stage to stop after.
    """
    if name == "index" or name == "grade":
        return name
    raise InputError(f"`--until {name}` is no stage", fix="Write `--until index` or `--until grade`.")


def serve(address: str, ready: Callable[[Served], None], *, port: int = 8080, slots: int = 16, threads: int = 1) -> None:
    """Serve a model over OpenAI's chat completions, on this machine alone, until SIGINT or SIGTERM.

    Args:
        address: `builtin`, `builtin-student` or a GGUF file.
        ready: Called once, when requests are taken, with the URL, the model's name and its limits.
        port: 0 takes a free one.
        slots: Requests to answer side by side.
        threads: Threads that calculate.

    Raises:
        InputError: where there is no such model, it cannot be loaded, or the port cannot be had.
    """
    from gristmill.teachers.serving import serve as serve_model  # brings a web server

    serve_model(address, Path(), port=port, slots=slots, threads=threads, ready=ready)


def catalogue() -> dict[str, list[dict[str, Any]]]:
    """Return what there is, by kind: sources, tasks, teachers, templates, graders, exports, errors and exit codes."""
    return describing.catalogue()


def checkup(folder: str | Path = "runs") -> list[Check]:
    """Check this machine and the place where runs are to be written; nothing that is written stays.

    Args:
        folder: Need not exist; then the nearest folder above it that does is checked.
    """
    from gristmill.engine.checkup import checkup as check_machine  # may bring a model runtime

    return check_machine(Path(folder), os.environ)


GRADER_KEYS: dict[str, dict[str, Any]] = {
    "by": {"type": "string", "description": "The teacher that a judge asks."},
    "when": {"enum": ["always", "unverifiable", "failed"]},
    "calibration": {"type": "string", "description": "What `gristmill audit --by` found out about this judge."},
}
"""What may stand beside a grader's name."""


def recipe_schema() -> dict[str, Any]:
    """Return the recipe's JSON Schema, with the names and options of every task, grader and export format."""
    whole = Recipe.model_json_schema()
    whole["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    whole["title"] = "gristmill recipe"
    shelves: dict[str, Shelf[Any]] = {"task": TASKS, "grade": GRADERS, "export": EXPORTERS}
    for key, shelf in shelves.items():
        forms: list[dict[str, Any]] = []
        for plugin in shelf:
            options = plugin.options.model_json_schema(ref_template="#/$defs/{model}")
            whole["$defs"].update(options.pop("$defs", {}))
            forms.append({"const": plugin.name, "description": plugin.summary})
            value = options
            if plugin.traits.get("short"):
                value = {"anyOf": [options, options["properties"][plugin.traits["short"]]]}
            beside = GRADER_KEYS if key == "grade" else {}
            forms.append({"type": "object", "properties": {plugin.name: value, **beside}, "required": [plugin.name]})
        if key == "grade":
            several = {"type": "array", "items": {"$ref": "#/$defs/grade_choice"}, "minItems": 1}
            forms += [{"type": "object", "properties": {rule: several}, "required": [rule]} for rule in RULES]
        whole["$defs"][f"{key}_choice"] = {"anyOf": forms}
        choice = {"$ref": f"#/$defs/{key}_choice"}
        several = {"anyOf": [choice, {"type": "array", "items": choice}]}
        description = whole["properties"][key].get("description", "")
        whole["properties"][key] = {**(choice if key == "task" else several), "description": description}
    for key in ("prompts",):
        source = {"$ref": "#/$defs/SourceSpec"}
        whole["properties"][key] = {"anyOf": [source, {"type": "array", "items": source, "minItems": 1}]}
    spec = {"anyOf": [{"type": "string"}, {"$ref": "#/$defs/TeacherSpec"}]}
    whole["properties"]["teacher"] = spec
    whole["properties"]["teachers"] = {"type": "object", "additionalProperties": spec}
    return whole
