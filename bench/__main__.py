"""`python -m bench [--json] [per_sample] [scale] [startup]`: run the benches and print one table."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

from bench import per_sample, scale, startup
from bench.measure import Figure

BENCHES = {"startup": startup.figures, "per_sample": per_sample.figures, "scale": scale.figures}


def main() -> None:
    """Run those that are named, or all."""
    wanted = [name for name in sys.argv[1:] if name in BENCHES] or list(BENCHES)
    found: list[Figure] = []
    with tempfile.TemporaryDirectory(prefix="gristmill-bench-") as folder:
        for name in wanted:
            found += BENCHES[name](Path(folder))
    if "--json" in sys.argv:
        print(json.dumps([figure.plain() for figure in found], indent=2))
        return
    print(f"{'figure':<28}{'ours':>12}{'floor':>12}  {'x':>5}  {'goal':<7}{'':<5} floor is")
    for figure in found:
        floor = f"{figure.floor:,.3g} {figure.unit}" if figure.floor else ""
        ratio = f"{figure.value / figure.floor:.1f}" if figure.floor else ""
        met = {True: "met", False: "MISSED", None: ""}[figure.met]
        ours = f"{figure.value:,.3g} {figure.unit}"
        print(f"{figure.name:<28}{ours:>12}{floor:>12}  {ratio:>5}  {figure.goal:<7}{met:<6} {figure.floor_is}")


if __name__ == "__main__":
    main()
