"""How long `--help` and `status` take."""

from __future__ import annotations

import sys
from pathlib import Path

from bench.measure import Figure, median, run_apart, spent, write_recipe

PROGRAM = "import sys; sys.argv = ['gristmill', *sys.argv[1:]]; from gristmill.cli.main import main; main()"


def figures(folder: Path) -> list[Figure]:
    """Measure medians of seven."""
    run_apart(write_recipe(folder / "status", 10), folder / "status/run")
    help_s = median([spent([sys.executable, "-c", PROGRAM, "--help"]).wall_s for _ in range(7)])
    status_s = median([spent([sys.executable, "-c", PROGRAM, "status", str(folder / "status/run")]).wall_s for _ in range(7)])
    floor = median([spent([sys.executable, "-c", "import typer"]).wall_s for _ in range(7)])
    return [
        Figure("gristmill --help", help_s, "s", floor, "import typer", "0.5", help_s < 0.5),
        Figure("gristmill status", status_s, "s", floor, "import typer", "", None),
    ]
