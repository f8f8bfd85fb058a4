"""`gristmill demo`: the quickstart recipe, with the model that comes with gristmill.

The recipe is put beside the run's folder, so that whoever liked the demo has a file to change; one that is there already is
somebody's work and is run as it is.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from gristmill import api
from gristmill.cli.run import finish
from gristmill.cli.terminal import Reporter
from gristmill.files.writing import write_text


def demo_command(output: str, *, as_json: bool) -> None:
    """Write the quickstart recipe beside `output` and run it there."""
    reporter = Reporter(as_json=as_json)
    recipe = Path(f"{output.rstrip('/')}.yaml")
    shipped = (resources.files("gristmill.assets") / "recipes" / "quickstart.yaml").read_text(encoding="utf-8")
    if not recipe.exists():
        write_text(recipe, shipped)
    elif recipe.read_text(encoding="utf-8") != shipped:
        reporter.say(f"{recipe} was changed and is run as it is; remove it to have the shipped one again")
    loaded = api.load(recipe)
    folder = api.run_folder(loaded.recipe.name, output)
    opening = api.Opening(say=reporter.say, show=reporter.show, indexing=reporter.indexing, yes=True)
    summary = api.run(api.plan(loaded), folder, opening)
    finish(summary, folder, str(recipe), reporter, () if summary.exit_code else _real_teacher(recipe))


def _real_teacher(recipe: Path) -> tuple[str, ...]:
    """Return the one line that makes the demo a real run."""
    return (
        "",
        f"a real teacher is one line of {recipe}, for example",
        '  teacher: {address: "http://127.0.0.1:8000/v1", model: Qwen/Qwen3-8B}',
        f"then: gristmill run {recipe} -o {recipe.with_name('mine')}",
    )
