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
from gristmill.report.figures import Segment, Step, percent
from gristmill.report.numbers import total
from gristmill.visible import dollars, safe

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gristmill.report.model import Report, Spend

_HATCHED = {"failed", "ungraded", "no_sample", "not_wanted"}
FATES = {
    "kept": "kept",
    "annotated": "kept, though not passed by its graders",
    "annotated_ungraded": "kept, though it could not be graded",
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
    environment.filters.update(number=_number, percent=percent, usd=dollars, fate=_fate)
    template = environment.from_string((assets / "page.html.jinja").read_text(encoding="utf-8"))
    style = (assets / "page.css").read_text(encoding="utf-8")
    return template.render(
        report=report,
        style=style,
        figures=_figures(report),
        spend_unit=spend_unit(report.spend),
        lost_usd=total(part.reserved_usd for part in report.spend),
    )


def _figures(report: Report) -> dict[str, Markup]:
    by = report.difficulty.by or "up to characters"
    return {
        "funnel": figures.funnel("funnel", report.funnel),
        "difficulty": figures.shares("difficulty", f"Acceptance of first samples by {by}", by, report.difficulty.groups),
        "by_index": figures.shares("index", "Acceptance by sample index", "index", report.by_index),
        **_kind_figures(report),
        "lengths": figures.histogram("lengths", report.lengths.unit, report.lengths.bins),
        "origins": figures.stack(
            "origins",
            "Kept rows by the origin of their prompt",
            "rows",
            [Segment(f"{part.origin}, {part.source}", part.rows) for part in report.composition.origins],
        ),
        "spend": _spend_figure(report.spend),
    }


def _kind_figures(report: Report) -> dict[str, Markup]:
    counted = report.kind.counted if report.kind else ()
    return {
        f"kind {one.key}": figures.shares(f"kind-{number}", f"Acceptance by {one.key}", one.key, one.groups)
        for number, one in enumerate(counted)
    }


def spend_unit(spend: Sequence[Spend]) -> str:
    """Return what the bill is drawn in: dollars where they are known and not all 0, else tokens, else calls."""
    if all(part.cost_usd is not None for part in spend) and any(part.cost_usd for part in spend):
        return "dollars"
    return "calls" if any(part.output_tokens is None for part in spend) else "output tokens"


def _spend_figure(spend: Sequence[Spend]) -> Markup:
    unit = spend_unit(spend)
    if unit == "dollars":
        return figures.waterfall("spend", "What the dollars were for", _steps(spend))
    amounts = [(part.output_tokens if unit == "output tokens" else part.calls) or 0 for part in spend]
    segments = [Segment(_fate(p.fate), a, hatched=p.fate in _HATCHED) for p, a in zip(spend, amounts, strict=True)]
    return figures.stack("spend", f"Where the {unit} went", unit, segments)


def _steps(spend: Sequence[Spend]) -> list[Step]:
    """Return the bill step by step: what kept rows cost by what it was for, then everything that brought no row."""
    kept = [part.parts for part in spend if part.role == "teacher" and part.fate == "kept"]
    steps = [
        Step("kept: input", sum(part.input for part in kept)),
        Step("kept: cached input", sum(part.cached for part in kept)),
        Step("kept: output", sum(part.output for part in kept)),
        Step("kept: reasoning", sum(part.reasoning for part in kept)),
        Step("kept: not by tokens", sum(part.whole for part in kept)),
    ]
    steps += [
        Step(
            _fate(part.fate) if part.role == "teacher" else f"{part.role}: {_fate(part.fate)}", part.cost_usd or 0.0, hatched=True
        )
        for part in spend
        if part.role != "teacher" or part.fate != "kept"
    ]
    lost = Step("may have been billed for nothing", sum(part.reserved_usd or 0.0 for part in spend), apart=True)
    return [step for step in (*steps, lost) if step.usd]


def _spelled_out(value: object) -> object:
    """Return what a template puts out, its text with nothing hidden in it."""
    return safe(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _fate(rule: str) -> str:
    """Return what a rule means, for people."""
    return FATES.get(rule, rule)


def _number(value: float | None, digits: int = 0) -> str:
    return "unknown" if value is None else f"{value:,.{digits}f}"
