"""Figures as inline SVG, written by hand: about a kilobyte each, no library, no script.

Widths are percentages and heights are pixels, with no view box: a figure fills whatever width it has and its text keeps its size,
on a telephone as on a wall. Colours come from the page's style sheet, so dark, light and print are one figure; no meaning is in
colour alone (rejected is hatched, segments are numbered). Every figure has a title and a description for screen readers.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import markupsafe
from markupsafe import Markup

from gristmill.visible import safe

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gristmill.report.model import Bin, FunnelStage, Share

ROW, BAR = 46, 16
_AXIS = 22
_HALF = 92
_MOST_TICKS = 5


class Segment(NamedTuple):
    """A part of a bar."""

    label: str
    amount: float
    hatched: bool = False


def percent(share: float | None, digits: int = 1) -> str:
    """Return a share for people; a dash where it is not known."""
    return "–" if share is None else f"{share:.{digits}%}"


def _escape(text: str) -> str:
    return str(markupsafe.escape(safe(text)))


def _figure(name: str, title: str, description: str, height: float, parts: Iterable[str]) -> Markup:
    body = "".join(parts)
    return Markup(  # noqa: S704 - every text in `parts` was escaped where it was put in
        f'<svg role="img" width="100%" height="{height:g}" aria-labelledby="{name}-title {name}-desc">'
        f'<title id="{name}-title">{_escape(title)}</title><desc id="{name}-desc">{_escape(description)}</desc>'
        f'<defs><pattern id="{name}-hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
        '<rect width="6" height="6" class="hatch-ground"/><rect width="3" height="6" class="hatch-line"/></pattern></defs>'
        f"{body}</svg>"
    )


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    style = f' class="{kind}"' if kind else ""
    end = f' text-anchor="{anchor}"' if anchor != "start" else ""
    return f'<text x="{x:.2f}%" y="{y:g}"{style}{end}>{_escape(text)}</text>'


def _rect(x: float, y: float, width: float, height: float, fill: str, title: str = "") -> str:
    said = f"<title>{_escape(title)}</title>" if title else ""
    paint = f'fill="url(#{fill[1:]})"' if fill.startswith("#") else f'class="{fill}"'
    return f'<rect x="{x:.2f}%" y="{y:g}" width="{width:.2f}%" height="{height:g}" {paint}>{said}</rect>'


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line x1="{x1:.2f}%" y1="{y1:g}" x2="{x2:.2f}%" y2="{y2:g}" class="{kind}"/>'


def funnel(name: str, stages: Sequence[FunnelStage]) -> Markup:
    """Draw one bar a stage: what was kept, and behind it, hatched, what was dropped."""
    most = max((stage.entered for stage in stages), default=0) or 1
    parts: list[str] = []
    for number, stage in enumerate(stages):
        top = number * ROW
        kept, dropped = 100 * stage.kept / most, 100 * (stage.entered - stage.kept) / most
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in stage.dropped.items())
        parts += [
            _text(0, top + 14, stage.stage, "strong"),
            _text(100, top + 14, f"{stage.kept:,} of {stage.entered:,} {stage.unit}", anchor="end"),
            _rect(0, top + 21, 100, BAR, "track"),
            _rect(0, top + 21, kept, BAR, "c1", f"kept {stage.kept:,}"),
            _rect(kept, top + 21, dropped, BAR, f"#{name}-hatch", f"dropped: {reasons}") if dropped else "",
        ]
    description = "; ".join(f"{s.stage}: {s.kept} of {s.entered} {s.unit} kept" for s in stages)
    return _figure(name, "What each stage kept", description, len(stages) * ROW, parts)


def shares(name: str, title: str, by: str, groups: Sequence[Share]) -> Markup:
    """Draw one bar a group from 0 to 100 %, with its 95 % interval as a line; `by` is what the groups differ in."""
    parts: list[str] = []
    for number, group in enumerate(groups):
        top = number * ROW
        parts += [
            _text(0, top + 14, f"{by} {group.label}", "strong"),
            _text(100, top + 14, f"{percent(group.share)} of {group.n:,}", anchor="end"),
            _rect(0, top + 21, 100, BAR, "track"),
        ]
        if group.share is not None and group.low is not None and group.high is not None:
            low, high, middle = 100 * group.low, 100 * group.high, top + 21 + BAR / 2
            parts += [
                _rect(0, top + 21, 100 * group.share, BAR, "c1", f"{group.passed:,} of {group.n:,}"),
                _line(low, middle, high, middle, "whisker"),
                _line(low, middle - 5, low, middle + 5, "whisker"),
                _line(high, middle - 5, high, middle + 5, "whisker"),
            ]
    bottom = len(groups) * ROW
    for tick in (0, 25, 50, 75, 100):
        parts += [_line(tick, bottom, tick, bottom + 4, "axis"), _text(tick, bottom + 17, f"{tick} %", "small", _anchor(tick))]
    description = "; ".join(
        f"{by} {g.label}: {percent(g.share)} of {g.n}, 95 % interval {percent(g.low)} to {percent(g.high)}" for g in groups
    )
    return _figure(name, title, description, bottom + _AXIS, parts)


def _anchor(tick: float) -> str:
    return "start" if tick == 0 else "end" if tick == 100 else "middle"


def histogram(name: str, unit: str, bins: Sequence[Bin]) -> Markup:
    """Draw accepted samples above a line and rejected ones below it, over the same lengths and to the same scale."""
    most = max((max(b.accepted, b.rejected) for b in bins), default=0) or 1
    middle, width = 20 + _HALF, 100 / max(len(bins), 1)
    bottom = middle + _HALF
    parts = [_text(0, 12, f"accepted ↑ (most {max((b.accepted for b in bins), default=0):,})", "small")]
    for number, part in enumerate(bins):
        up, down = _HALF * part.accepted / most, _HALF * part.rejected / most
        left, said = number * width + 0.3, f"{part.low:,} to {'more' if part.high is None else f'{part.high - 1:,}'} {unit}"
        parts += [
            _rect(left, middle - up, width - 0.6, up, "c1", f"{said}: accepted {part.accepted:,}") if up else "",
            _rect(left, middle, width - 0.6, down, f"#{name}-hatch", f"{said}: rejected {part.rejected:,}") if down else "",
        ]
    parts += [
        _line(0, middle, 100, middle, "axis"),
        _text(0, bottom + 14, f"rejected ↓ (most {max((b.rejected for b in bins), default=0):,})", "small"),
        _text(100, bottom + 14, f"{unit} →", "small", "end"),
    ]
    every = max(1, math.ceil(len(bins) / _MOST_TICKS))
    for number in range(0, len(bins), every):
        parts += [
            _line(number * width, bottom + 22, number * width, bottom + 26, "axis"),
            _text(number * width, bottom + 39, f"{bins[number].low:,}", "small"),
        ]
    parts.append(_line(0, bottom + 22, 100, bottom + 22, "axis"))
    total = f"{sum(b.accepted for b in bins)} accepted and {sum(b.rejected for b in bins)} rejected samples"
    description = f"{total} by {unit}; the table below has every bar."
    return _figure(name, f"Length of samples in {unit}", description, bottom + 44, parts)


class Step(NamedTuple):
    """One step of a waterfall."""

    label: str
    usd: float
    hatched: bool = False
    apart: bool = False
    """Whether it is beside the sum and not part of it."""


def waterfall(name: str, title: str, steps: Sequence[Step]) -> Markup:
    """Draw dollars step by step, each where the one before ended, and the sum of those that are not apart at the end."""
    whole = sum(step.usd for step in steps if not step.apart)
    most = max(whole + sum(step.usd for step in steps if step.apart), 1e-12)
    parts: list[str] = []
    left = 0.0
    for number, step in enumerate([*steps, Step("all calls", whole)]):
        last = number == len(steps)
        top, start = number * ROW, 0.0 if last else whole if step.apart else left
        fill = f"#{name}-hatch" if step.hatched or step.apart else "c5" if last else "c1"
        parts += [
            _text(0, top + 14, step.label, "strong"),
            _text(100, top + 14, f"${step.usd:,.4f}", anchor="end"),
            _rect(0, top + 21, 100, BAR, "track"),
            _rect(100 * start / most, top + 21, max(100 * step.usd / most, 0.1), BAR, fill, f"{step.label}: ${step.usd:,.6f}"),
        ]
        left += 0.0 if step.apart or last else step.usd
    description = "; ".join(f"{step.label}: ${step.usd:,.4f}" for step in steps) + f"; all calls: ${whole:,.4f}"
    return _figure(name, title, description, (len(steps) + 1) * ROW, parts)


def stack(name: str, title: str, unit: str, segments: Sequence[Segment]) -> Markup:
    """Draw one bar of numbered segments that together are the whole; the table below says what each number is."""
    whole = sum(segment.amount for segment in segments) or 1
    parts = [_rect(0, 0, 100, 34, "track")]
    left = 0.0
    for number, segment in enumerate(segments, start=1):
        width = 100 * segment.amount / whole
        if not width:
            continue
        fill = f"#{name}-hatch" if segment.hatched else f"c{1 + (number - 1) % 6}"
        share = f"{number} {segment.label}: {segment.amount:,} {unit}, {width:.1f} %"
        parts += [
            _rect(left, 0, max(width - 0.3, 0.1), 34, fill, share),
            _text(left + width / 2, 22, str(number), "on-hatch" if segment.hatched else "on-bar", "middle") if width >= 5 else "",
        ]
        left += width
    description = "; ".join(f"{s.label}: {s.amount:,} {unit}" for s in segments)
    return _figure(name, title, description, 34, parts)
