"""How long `--help` and `status` take."""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import median

from bench.measure import Figure, run_apart, spent, write_recipe

PROGRAM = "import sys; sys.argv = ['gristmill', *sys.argv[1:]]; from gristmill.cli.main import main; main()"
ROUNDS = 7


def figures(folder: Path) -> list[Figure]:
    """Measure medians of seven, taking turns so that a busy moment strikes all alike."""
    run = folder / "status/run"
    run_apart(write_recipe(folder / "status", 10), run)
    programs = {
        "help": ["-c", PROGRAM, "--help"],
        "status": ["-c", PROGRAM, "status", str(run)],
        "floor": ["-c", "import typer"],
    }
    rounds = [{name: spent([sys.executable, *words]) for name, words in programs.items()} for _ in range(ROUNDS)]
    wall = {name: median(one[name].wall_s for one in rounds) for name in programs}
    cpu = {name: median(one[name].cpu_s for one in rounds) for name in programs}
    floor_is = "python -c 'import typer'"
    return [
        Figure("gristmill --help", wall["help"], "s", wall["floor"], floor_is, 0.5),
        Figure("gristmill --help, CPU", cpu["help"], "s", cpu["floor"], floor_is),
        Figure("gristmill status", wall["status"], "s", wall["floor"], floor_is),
    ]
