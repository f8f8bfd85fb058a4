"""`gristmill demo`."""

from __future__ import annotations

from pathlib import Path

import gristmill
from gristmill import api
from gristmill.cli.run import finish
from gristmill.cli.terminal import Reporter
from gristmill.errors import InputError

RECIPE = "gsm8k_recorded.yaml"


def demo_command(output: str, *, as_json: bool) -> None:
    """Run the recorded recipe of the source tree."""
    places = [Path("recipes"), Path(gristmill.__file__).parents[2] / "recipes"]
    recipe = next((folder / RECIPE for folder in places if (folder / RECIPE).is_file()), None)
    if recipe is None:
        raise InputError(
            f"recipes/{RECIPE} is not here",
            fix="Run the demo in gristmill's source tree, or make a recipe: `gristmill init`.",
        )
    reporter = Reporter(as_json=as_json)
    loaded = api.load(recipe)
    opening = api.Opening(say=reporter.say, show=reporter.show, indexing=reporter.indexing, yes=True)
    finish(api.run(api.plan(loaded), api.run_folder(loaded.recipe.name, output), opening), str(recipe), reporter)
