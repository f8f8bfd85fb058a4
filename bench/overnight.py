"""A night's work by a clock 200 times as fast: 10,000 accepted traces, each 20 to 200 seconds long, 512 in flight."""

from __future__ import annotations

from pathlib import Path

from bench.measure import Figure, run_apart, write_recipe

ROWS = 10_000
FASTER = 200


def figures(folder: Path) -> list[Figure]:
    """Run it once: two in three samples pass, prompts are tried up to eight times."""
    place = folder / "overnight"
    script = {"answers": ["A", "A", "B"], "latency_s": [20 / FASTER, 200 / FASTER]}
    path = write_recipe(place, 11_000, script)
    text = path.read_text().replace("in_flight: 64", "in_flight: 512")
    head, _, rest = text.partition("sampling:\n")
    grade = rest[rest.index("grade:") :]
    path.write_text(f"{head}sampling: {{want: 1, max_attempts: 8, temperature: 0.7}}\ntarget: {{rows: {ROWS}}}\n{grade}")
    ran = run_apart(path, place / "run")
    return [
        Figure(f"{ROWS:,} traces overnight, our CPU", ran.cpu_s, "s", goal=30.0),
        Figure(f"  their {ran.made:,} calls, at {FASTER}:1", ran.wall_s, "s"),
    ]
