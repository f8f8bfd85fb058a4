"""A changed recipe in an old folder: say what it means, and ask before finished samples are made again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from gristmill.errors import InputError
from gristmill.ids import canonical_json
from gristmill.recipe.document import dump_document
from gristmill.records import Sampling

if TYPE_CHECKING:
    from gristmill.engine.opening import Opening
    from gristmill.engine.planning import Plan
    from gristmill.store.ledger import Ledger
    from gristmill.store.rundir import RunFolder

ORDER = ("generate", "grade", "select", "export")
STAGES: dict[str, str] = {
    "prompts": "generate", "task": "generate", "teacher": "generate", "teachers": "generate", "roles": "generate",
    "prompt": "generate", "sampling": "generate", "seed": "generate", "grade": "grade", "target": "select", "select": "select",
    "split": "select", "budget": "nothing", "export": "export", "name": "export", "window": "nothing",
}  # fmt: skip
"""What a change of a recipe's key makes necessary; each stage redoes those after it."""


def check_changes(plan: Plan, ledger: Ledger, opening: Opening) -> None:
    """Say what a changed recipe means, and make sure that it may make new calls.

    Raises:
        InputError: where finished samples would not stand any more and nobody said yes.
    """
    now = plan.recipe.model_dump(mode="json")
    before = ledger.fact("recipe")
    old: dict[str, Any] = {} if before is None else orjson.loads(before)
    changed = [key for key in now if before is not None and old.get(key) != now[key]]
    if changed:
        stages = {STAGES.get(key, "generate") for key in changed}
        redone = ORDER[min((ORDER.index(stage) for stage in stages if stage in ORDER), default=len(ORDER)) :]
        opening.say(f"the recipe has changed: {', '.join(changed)}; what is redone: {', '.join(redone) or 'nothing'}")
        finished = int(ledger.scalar("SELECT count(*) FROM samples"))
        if _samples_fall(old, now) and finished and not opening.yes:
            raise InputError(
                f"with the changed {', '.join(changed)} the {finished:,} finished samples do not stand: "
                f"up to {finished:,} new calls",
                fix="Say `--yes` to go on in this folder, or choose another with `-o FOLDER`.",
            )


def keep_recipe(plan: Plan, folder: RunFolder, ledger: Ledger) -> None:
    """Remember the recipe that the run goes on with, in the ledger and as files."""
    now = plan.recipe.model_dump(mode="json")
    ledger.remember("recipe", canonical_json(now).decode())
    folder.keep_recipe(f"# paths are relative to {plan.base}\n{dump_document(now)}", plan.recipe_id)


def _samples_fall(old: dict[str, Any], now: dict[str, Any]) -> bool:
    """Whether a change touches what a teacher sees or who answers."""

    def seen(recipe: dict[str, Any]) -> Any:
        sampling = {name: recipe["sampling"].get(name) for name in Sampling.model_fields}
        specs: dict[str, dict[str, Any]] = {"teacher": recipe["teacher"] or {}, **recipe["teachers"]}
        teachers = {name: {k: spec.get(k) for k in ("address", "model", "revision")} for name, spec in specs.items()}
        prompt = {k: v for k, v in recipe["prompt"].items() if k != "answer_format"}
        return [recipe["task"], prompt, sampling, teachers, recipe["roles"], recipe["seed"]]

    return canonical_json(seen(old)) != canonical_json(seen(now))
