"""The log of a run, read back: which checkpoints to ship, and the learning curve as a picture."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from tools.train_builtin.data import STYLES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

Row = dict[str, float]

TEACHER_PASS1, STUDENT_PASS1 = 0.6, 0.2
COLOURS = dict(zip(STYLES, ("#2563eb", "#c2410c", "#15803d"), strict=True))
WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 640, 320, 48, 40, 30


def read_log(path: Path) -> list[Row]:
    """Return the rows of ``log.csv``."""
    with path.open(newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def nearest(rows: Sequence[Row], pass1: float) -> int:
    """Return the step at which the style furthest from the wanted pass@1 is nearest to it."""
    row = min(rows, key=lambda row: max(abs(row[f"{style}_pass1"] - pass1) for style in STYLES))
    return int(row["step"])


def curve(rows: Sequence[Row], marks: dict[str, int]) -> str:
    """Draw pass@1 over steps as SVG, one line a style, a dashed line at every marked step."""
    last = rows[-1]["step"]

    def x(step: float) -> float:
        return round(LEFT + step / last * (WIDTH - LEFT - 16), 1)

    def y(share: float) -> float:
        return round(HEIGHT - BOTTOM - share * (HEIGHT - BOTTOM - TOP), 1)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">',
        "<title>pass@1 at temperature 0.8 on the development problems, by training step</title>",
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
    ]
    for share in (0, 0.25, 0.5, 0.75, 1):
        parts.append(f'<path d="M{LEFT} {y(share)}H{WIDTH - 16}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y(share) + 4}" text-anchor="end">{share:.0%}</text>')
    parts += [
        f'<text x="{x(step)}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{step}</text>'
        for step in range(0, int(last) + 1, 500)
    ]
    for name, step in marks.items():
        parts.append(f'<path d="M{x(step)} {y(0)}V{y(1)}" stroke="#777" stroke-dasharray="4 3"/>')
        parts.append(f'<text x="{x(step) + 4}" y="{y(1) + 12}" fill="#555">{name}</text>')
    for n, style in enumerate(STYLES):
        points = " ".join(f"{x(row['step'])},{y(row[f'{style}_pass1'])}" for row in rows)
        parts.append(f'<polyline points="{points}" fill="none" stroke="{COLOURS[style]}" stroke-width="2"/>')
        parts.append(f'<text x="{LEFT + n * 80}" y="18" fill="{COLOURS[style]}">{style}</text>')
    return "\n".join([*parts, "</svg>\n"])
