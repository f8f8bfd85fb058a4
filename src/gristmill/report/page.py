"""The report as one self-contained HTML page: no script, no network, no font, no picture but the figures in it.

Everything in a report may be hostile text. Jinja escapes it, characters that hide or turn text are spelled out, and a content
security policy forbids the page to load or run anything, so that a mistake in the first two would still do nothing.
"""

from __future__ import annotations

from importlib import resources
from typing import TYPE_CHECKING

import jinja2
from markupsafe import Markup

from gristmill.report import figures
from gristmill.report.figures import Segment, percent
from gristmill.visible import safe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gristmill.report.model import Report, Spend

_HATCHED = {"failed", "ungraded", "no_sample", "not_wanted"}
FATES = {
    "kept": "kept",
    "over_target": "accepted, but beyond the target",
    "duplicate": "accepted, but a repeat",
    "per_prompt": "accepted, but over the cap per prompt",
    "failed": "rejected by a grader",
    "ungraded": "could not be graded",
    "not_wanted": "not asked for by the sampling rule",
    "no_sample": "calls that no sample stands on",
}


def draw_page(report: Report) -> str:
    """Return the page of a report; the same report gives the same bytes."""
    assets = resources.files("gristmill.assets") / "report"
    environment = jinja2.Environment(
        autoescape=True,
        finalize=_spelled_out,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(number=_number, percent=percent, usd=_usd, fate=_fate)
    template = environment.from_string((assets / "page.html.jinja").read_text(encoding="utf-8"))
    style = (assets / "page.css").read_text(encoding="utf-8")
    return template.render(report=report, style=style, figures=_figures(report), spend_unit=spend_unit(report.spend))


def _figures(report: Report) -> dict[str, Markup]:
    by = report.difficulty.by or "up to characters"
    return {
        "funnel": figures.funnel("funnel", report.funnel),
        "difficulty": figures.shares("difficulty", f"Acceptance of first samples by {by}", by, report.difficulty.groups),
        "by_index": figures.shares("index", "Acceptance by sample index", "index", report.by_index),
        "lengths": figures.histogram("lengths", report.lengths.unit, report.lengths.bins),
        "origins": figures.stack(
            "origins",
            "Kept rows by the origin of their prompt",
            "rows",
            [Segment(f"{part.origin}, {part.source}", part.rows) for part in report.composition.origins],
        ),
        "spend": figures.stack(
            "spend", f"Where the {spend_unit(report.spend)} went", spend_unit(report.spend), _spend(report.spend)
        ),
    }


def spend_unit(spend: Sequence[Spend]) -> str:
    """Return what the bill is drawn in: dollars where they are known and not all 0, else tokens, else calls."""
    if all(part.cost_usd is not None for part in spend) and any(part.cost_usd for part in spend):
        return "dollars"
    return "calls" if any(part.output_tokens is None for part in spend) else "output tokens"


def _spend(spend: Sequence[Spend]) -> list[Segment]:
    unit = spend_unit(spend)
    amounts = [
        (part.cost_usd if unit == "dollars" else part.output_tokens if unit == "output tokens" else part.calls) or 0
        for part in spend
    ]
    return [Segment(_fate(p.fate), a, hatched=p.fate in _HATCHED) for p, a in zip(spend, amounts, strict=True)]


def _spelled_out(value: object) -> object:
    """Return what a template puts out, its text with nothing hidden in it."""
    return safe(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _fate(rule: str) -> str:
    """Return what a rule means, for people."""
    return FATES.get(rule, rule)


def _number(value: float | None, digits: int = 0) -> str:
    return "unknown" if value is None else f"{value:,.{digits}f}"


def _usd(value: float | None) -> str:
    if value is None:
        return "unknown"
    return f"${value:,.2f}" if value >= 1 or value == 0 else f"${value:.3g}"
