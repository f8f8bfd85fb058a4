"""What people look at: text that came from a model or a file, made safe, dollars, and walls.

Such text is hostile: escape sequences could retitle a window or hide a line, bidirectional controls could show another answer
than the one that was graded. Wherever it is shown, in a terminal or on a page, these characters are spelled out. The trade-off:
scripts that need zero-width joiners show them as codes; nothing is hidden, which matters more here.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_HOSTILE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)


def dollars(value: float | None) -> str:
    """Return US dollars for people: to the cent from one dollar on, below it with three digits that count; `unknown` for None."""
    if value is None:
        return "unknown"
    return f"${value:,.2f}" if value >= 1 or value == 0 else f"${Decimal(f'{value:.3g}'):f}"


def walls(sandbox: Mapping[str, Any]) -> str:
    """Return in what walls code of models ran, and how much of it, for people; `sandbox` is what a run observed."""
    pace = f", {sandbox['per_s']:,.0f} a second" if sandbox["per_s"] else ""
    return f"{sandbox['tier']} walls, {sandbox['programs']:,} programs{pace}"


def safe(text: str) -> str:
    """Return text with control, bidirectional and zero-width characters spelled out; newlines and tabs stay."""
    return _HOSTILE.sub(lambda match: f"\\u{{{ord(match[0]):x}}}", text)
