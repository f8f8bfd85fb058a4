"""What a response's headers say about how fast to go on: `Retry-After`, and what is left of the provider's limits.

Three families are read: `retry-after` (seconds or an HTTP date, RFC 9110 section 10.2.3) with `retry-after-ms`; OpenAI's
`x-ratelimit-{remaining,reset}-{requests,tokens}` with durations such as `6m0s` or `20ms`
(platform.openai.com/docs/guides/rate-limits); and Anthropic's
`anthropic-ratelimit-{requests,tokens,input-tokens,output-tokens}-{remaining,reset}` with RFC 3339 times
(docs.claude.com/en/api/rate-limits). A header that cannot be read is as good as none. The limits themselves are not read:
whether one is by the second, minute or day no header says, while what remains and until when is all that there is to obey.
"""

from __future__ import annotations

import math
import re
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from gristmill.records import Allowance, Pace

if TYPE_CHECKING:
    from collections.abc import Mapping

_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|us|µs|ns|[dhms])")
_DURATION = re.compile(rf"(?:{_PART.pattern})+")
_NAMES = ("retry-after", "x-ratelimit-", "anthropic-ratelimit-")
_TOKENS = ("tokens", "input-tokens", "output-tokens")
_A_YEAR_S = 366 * 86400.0
_MILLISECONDS_FROM = 1e11
"""As seconds since 1970 this would be the year 5138."""
LONGEST_S = 2 * 86400.0
"""Limits are by the day at most; a longer wait is a mistake of the server's, and its own pace is found by trying."""


def pace_of(headers: Mapping[str, str], now: float) -> Pace | None:
    """Return what a response's headers say about going on, or None where they say nothing.

    Args:
        headers: By name in any case.
        now: Seconds since 1970; the response's own `Date` goes before it, so that a wrong clock does not matter.
    """
    told = {low: value.strip() for name, value in headers.items() if (low := name.lower()).startswith(_NAMES)}
    if not told:
        return None
    now = _http_date(next((value for name, value in headers.items() if name.lower() == "date"), "")) or now
    pace = Pace(_retry_after(told, now), _allowance(told, ("requests",), now), _allowance(told, _TOKENS, now))
    return None if pace == Pace() else pace


def _retry_after(told: Mapping[str, str], now: float) -> float | None:
    """Return the seconds that a response asks to wait."""
    exact, value = _number(told.get("retry-after-ms", "")), told.get("retry-after", "")
    if exact is not None:
        return _bounded(exact / 1000)
    seconds, moment = _number(value), _http_date(value)
    if seconds is not None:
        return _bounded(_from_now(seconds, now))
    return None if moment is None else _bounded(moment - now)


def _from_now(number: float, now: float) -> float:
    """Return seconds from now: more than a year of them is a time since 1970, and much more than that one in milliseconds."""
    if number > _MILLISECONDS_FROM:
        number /= 1000
    return number - now if number > _A_YEAR_S else number


def _bounded(seconds: float) -> float | None:
    """Return seconds to wait, or None where they are so many that nobody can have meant it."""
    return max(0.0, seconds) if seconds <= LONGEST_S else None


def _allowance(told: Mapping[str, str], kinds: tuple[str, ...], now: float) -> Allowance | None:
    """Return what is left of a kind: the least, where a provider counts several of them."""
    found: list[Allowance] = []
    for kind in kinds:
        left = _number(told.get(f"x-ratelimit-remaining-{kind}", ""))
        if left is not None:
            found.append(Allowance(left, _duration(told.get(f"x-ratelimit-reset-{kind}", ""), now)))
        left = _number(told.get(f"anthropic-ratelimit-{kind}-remaining", ""))
        if left is not None:
            found.append(Allowance(left, _until(told.get(f"anthropic-ratelimit-{kind}-reset", ""), now)))
    return min(found, key=lambda allowance: allowance.remaining, default=None)


def _number(value: str) -> float | None:
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _duration(value: str, now: float) -> float | None:
    """Return the seconds of `6m0s`, `20ms` or a bare number; a number of more than a year is taken for a time since 1970."""
    if _DURATION.fullmatch(value):
        return _bounded(sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(value)))
    seconds = _number(value)
    return None if seconds is None else _bounded(_from_now(seconds, now))


def _until(value: str, now: float) -> float | None:
    """Return the seconds until an RFC 3339 time."""
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return None if moment.tzinfo is None else _bounded(moment.timestamp() - now)


def _http_date(value: str) -> float | None:
    try:
        return parsedate_to_datetime(value).timestamp()
    except (ValueError, OverflowError):
        return None
