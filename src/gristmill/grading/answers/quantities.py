"""Times of day, dates, choices, ratios, mixed measures and bases: short answers that look like numbers and are none.

Each is read whole or not at all. A time is minutes after midnight where it says so (`2:30 pm`), and only hours and minutes where
it does not; `2:30` answers `14:30` no more than `2` answers `14`. A date must name its year, and one that could be read two ways
(`03/04/2024`) is not read. `5 ft 3 in` is a number for each unit, `2:3` an ordered pair up to a factor, and `101_2` digits with a
base.
"""

from __future__ import annotations

import datetime as dt
import re
from fractions import Fraction
from typing import NamedTuple

from gristmill.grading.answers.units import is_unit, powers_of

_TIME = re.compile(r"(\d{1,2})[:.](\d{2})(?::(\d{2}))?\s*(a\.?m\.?|p\.?m\.?|hours|hrs|h|o'clock)?\.?", re.IGNORECASE)
_HOUR = re.compile(r"(\d{1,2})\s*(a\.?m\.?|p\.?m\.?|o'clock)\.?", re.IGNORECASE)
_MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
_ISO_DATE = re.compile(r"(\d{4})[-/.](\d{1,2})[-/.](\d{1,2})")
_WORD_DATE = re.compile(
    r"(?:(?:mon|tues|wednes|thurs|fri|satur|sun)day,?\s+)?(?:(?:the\s+)?(\d{1,2})(?:st|nd|rd|th)?\s+(?:of\s+)?([a-z]{3,9})\.?"
    r"|([a-z]{3,9})\.?\s+(\d{1,2})(?:st|nd|rd|th)?),?\s+(\d{4})\.?",
    re.IGNORECASE,
)
_CHOICE = re.compile(
    r"(?:(?:the )?(?:correct )?(?:answer|option|choice)\s*(?:is|:)?\s*)?[(\[]?([A-Za-z])[)\].:]?(?:\s+\S.*)?\.?", re.DOTALL
)
_HEDGED = re.compile(
    r"[A-Za-z](?:[)\]]?\s*(?:or|and|[,/&])\s*[(\[]?[A-Za-z](?!\w)"
    r"|[)\]]?\s+(?:is|isn|was|wasn|can|cannot|could|do|does|don|doesn|am|not)\b(?!\s+(?:correct|right|the\b)))",
    re.IGNORECASE,
)
"""Two letters at once, or a letter of which something else is said than that it is right."""
_LETTER = re.compile(r"[(\[]?([A-J])[)\].]?")


_MEASURE = re.compile(r"\s*(?:,|and\b|&)?\s*(\d+(?:\.\d+)?)\s*([^\W\d_]+)\.?", re.IGNORECASE)
_RATIO = re.compile(r"(\d{1,15})\s*(?::|to)\s*(\d{1,15})\.?")
_BASED = re.compile(r"\(?([0-9A-Za-z]{1,60})\)?\s*_\s*\{?\s*(?:\\text\s*\{)?\s*(\d{1,2})\s*\}{0,2}\.?")


class Time(NamedTuple):
    """A time of day."""

    hour: int
    minute: int
    second: int
    half: str
    """`am` or `pm` where the text says so, else empty: hours of a clock with 24."""

    def __str__(self) -> str:
        """Return the normal form."""
        return (
            f"{self.hour}:{self.minute:02}"
            + (f":{self.second:02}" if self.second else "")
            + (f" {self.half}" if self.half else "")
        )


def read_time(text: str) -> Time | None:
    """Return the time of day that a text is, and nothing else."""
    text = text.strip()
    if match := _TIME.fullmatch(text):
        hour, minute, second, mark = int(match[1]), int(match[2]), int(match[3] or 0), (match[4] or "")
    elif match := _HOUR.fullmatch(text):
        hour, minute, second, mark = int(match[1]), 0, 0, match[2]
    else:
        return None
    half = mark.lower().replace(".", "") if mark[:1].lower() in ("a", "p") else ""
    if minute > 59 or second > 59 or hour > (12 if half else 24):
        return None
    return Time(hour, minute, second, half)


def same_time(answer: Time, reference: Time) -> bool:
    """Whether two times are the same; one that does not say am or pm leaves it to the other, on a clock with twelve hours."""
    if answer.half and reference.half:
        return answer == reference
    if answer.half or reference.half:
        one, other = (answer, reference) if answer.half else (reference, answer)
        hour = one.hour % 12 + (12 if one.half == "pm" else 0)
        return other.hour in (hour, one.hour) and answer[1:3] == reference[1:3]
    return answer == reference


def read_date(text: str) -> dt.date | None:
    """Return the day that a text names with its year, and nothing else."""
    text = text.strip()
    if match := _ISO_DATE.fullmatch(text):
        year, month, day = int(match[1]), int(match[2]), int(match[3])
    elif match := _WORD_DATE.fullmatch(text):
        name = (match[2] or match[3]).lower()
        found = [number for number, full in enumerate(_MONTHS, start=1) if full.startswith(name) and len(name) >= 3]
        if len(found) != 1:
            return None
        year, month, day = int(match[5]), found[0], int(match[1] or match[4])
    else:
        return None
    try:
        return dt.date(year, month, day)
    except ValueError:
        return None


def read_measures(text: str) -> dict[str, Fraction] | None:
    """Return the number of each unit of a mixed measure (`5 ft 3 in`, `1 hour and 20 minutes`), or None where it is none."""
    found: dict[str, Fraction] = {}
    at, text = 0, text.strip()
    while at < len(text):
        match = _MEASURE.match(text, at)
        unit = "" if match is None else "inch" if match[2] == "in" else match[2]
        powers = powers_of(unit) if is_unit(unit) else None
        if match is None or powers is None or len(powers) != 1 or set(powers) & set(found):
            return None
        found |= dict.fromkeys(powers, Fraction(match[1]))
        at = match.end()
    return found if len(found) > 1 else None


def read_ratio(text: str) -> Fraction | None:
    """Return the first part of a ratio (`2:3`, `2 to 3`) over the second, or None where it is none."""
    match = _RATIO.fullmatch(text.strip().strip("$").strip())
    return Fraction(int(match[1]), int(match[2])) if match and int(match[2]) else None


def read_based(text: str) -> tuple[str, str] | None:
    """Return the digits and the base of a number that names its base (`101_2`), or None."""
    match = _BASED.fullmatch(text.strip().strip("$").strip())
    return (match[1].upper().lstrip("0") or "0", match[2].lstrip("0")) if match else None


def read_choice(text: str) -> str | None:
    """Return the letter of a multiple choice, perhaps with the words of the choice after it; None where it is not one alone."""
    match = _CHOICE.fullmatch(text := text.strip()[:400])
    return match[1].upper() if match and not _HEDGED.match(text, match.start(1)) else None


def is_choice(text: str) -> bool:
    """Whether a reference is one letter of a multiple choice."""
    return _LETTER.fullmatch(text.strip()) is not None
