"""`python -m bench [--json] [NAME …]`: run the benches of these names, or all of them, and print one table."""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
from pathlib import Path

from bench import demo, grades, limited, overnight, per_sample, sandboxed, scale, startup, transport
from bench.measure import Figure

ALL = {
    "startup": startup,
    "demo": demo,
    "grades": grades,
    "sandboxed": sandboxed,
    "transport": transport,
    "limited": limited,
    "overnight": overnight,
    "per_sample": per_sample,
    "scale": scale,
}
BENCHES = {name: bench.figures for name, bench in ALL.items()}
HEAD = f"{'figure':<36}{'ours':>12}{'floor':>12}{'x':>7}  {'goal':<10}{'':<8}floor is"


def main(words: list[str] | None = None) -> None:
    """Run those benches that are named, or all."""
    words = sys.argv[1:] if words is None else words
    unknown = [word for word in words if word != "--json" and word not in BENCHES]
    if unknown:
        sys.exit(f"there is no bench {unknown[0]}: name some of {', '.join(BENCHES)}, or none for all")
    found: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="gristmill-bench-") as folder:
        for name in [name for name in BENCHES if name in words] or list(BENCHES):
            found += BENCHES[name](Path(folder))
    print(as_json(found) if "--json" in words else as_table(found))


def as_json(found: list[Figure]) -> str:
    """Return the figures with the machine that they were measured on."""
    machine = {"cores": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}
    return json.dumps({"machine": machine, "figures": [figure.plain() for figure in found]}, indent=2)


def as_table(found: list[Figure]) -> str:
    """Return the figures as lines of text."""
    return "\n".join([HEAD, *map(line, found)])


def line(figure: Figure) -> str:
    """Return one figure as a line of text."""
    floor = f"{number(figure.floor)} {figure.unit}" if figure.floor else ""
    ratio = f"{figure.value / figure.floor:.2f}" if figure.floor else ""
    unit = "x" if figure.goal_is_ratio else figure.unit
    goal = "" if figure.goal is None else f"<= {figure.goal:g} {unit}"
    met = {True: "met", False: "MISSED", None: ""}[figure.met]
    ours = f"{number(figure.value)} {figure.unit}"
    return f"{figure.name:<36}{ours:>12}{floor:>12}{ratio:>7}  {goal:<10}{met:<8}{figure.floor_is}".rstrip()


def number(value: float) -> str:
    """Return a number with three digits that count."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


if __name__ == "__main__":
    main()
