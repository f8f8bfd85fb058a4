"""What headers say about going on, in every provider's spelling."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from gristmill.records import Allowance, Pace
from gristmill.teachers.pace import pace_of

NOW = 1_790_000_000.0
"""2026-09-21T14:13:20Z."""


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "Mon, 21 Sep 2026 14:14:20 GMT"}, 60.0),
        ({"retry-after": "Mon, 21 Sep 2026 14:00:00 GMT"}, 0.0),
        ({"retry-after": "Mon, 21 Sep 2026 14:14:20 GMT", "Date": "Mon, 21 Sep 2026 14:14:10 GMT"}, 10.0),
        ({"retry-after": "2", "retry-after-ms": "1500"}, 1.5),
        ({"retry-after": "2", "retry-after-ms": "soon"}, 2.0),
    ],
)
def test_retry_after(headers: Mapping[str, str], seconds: float) -> None:
    assert pace_of(headers, NOW) == Pace(retry_after_s=seconds)


@pytest.mark.parametrize("unit", [1, 1000])
def test_a_wait_that_is_a_time_since_1970_in_seconds_or_milliseconds(unit: int) -> None:
    assert pace_of({"retry-after": str(int((NOW + 30) * unit))}, NOW) == Pace(retry_after_s=30.0)
    reset = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": str(int((NOW + 5) * unit))}
    assert pace_of(reset, NOW) == Pace(requests=Allowance(0.0, 5.0))


def test_a_wait_that_nobody_can_have_meant_is_none() -> None:
    for value in ("1e300", "99999999999999999", "200000", "Mon, 21 Sep 2099 14:14:20 GMT"):
        assert pace_of({"retry-after": value}, NOW) is None


@pytest.mark.parametrize("value", ["", "soon", "nan", "inf", "1e999", "Wed, 99 Oct 2026 07:28:00 GMT"])
def test_a_wait_that_cannot_be_read_is_none(value: str) -> None:
    assert pace_of({"retry-after": value}, NOW) is None


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("6m0s", 360.0), ("1s", 1.0), ("20ms", 0.02), ("2m59.56s", 179.56), ("1h0m0s", 3600.0), ("8.64s", 8.64), ("12", 12.0)],
)
def test_what_openai_says_is_left(value: str, seconds: float) -> None:
    headers = {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-reset-requests": value,
        "x-ratelimit-limit-tokens": "150000",
        "x-ratelimit-remaining-tokens": "149984",
        "x-ratelimit-reset-tokens": value,
    }
    pace = pace_of(headers, NOW)
    assert pace is not None
    assert pace.requests == (59.0, pytest.approx(seconds))
    assert pace.tokens == (149_984.0, pytest.approx(seconds))


def test_a_reset_that_is_a_time_since_1970() -> None:
    headers = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": str(NOW + 5)}
    assert pace_of(headers, NOW) == Pace(requests=Allowance(0.0, 5.0))


def test_what_anthropic_says_is_left_is_the_least_of_its_counts() -> None:
    headers = {
        "anthropic-ratelimit-requests-remaining": "3",
        "anthropic-ratelimit-requests-reset": "2026-09-21T14:13:50Z",
        "anthropic-ratelimit-tokens-remaining": "9000",
        "anthropic-ratelimit-tokens-reset": "2026-09-21T14:13:30Z",
        "anthropic-ratelimit-output-tokens-remaining": "100",
        "anthropic-ratelimit-output-tokens-reset": "2026-09-21T16:13:40+02:00",
    }
    assert pace_of(headers, NOW) == Pace(requests=Allowance(3.0, 30.0), tokens=Allowance(100.0, 20.0))


@pytest.mark.parametrize("reset", ["", "soon", "2026-09-21T14:13:50", "1y"])
def test_a_reset_that_cannot_be_read_is_none(reset: str) -> None:
    headers = {"anthropic-ratelimit-requests-remaining": "0", "anthropic-ratelimit-requests-reset": reset}
    assert pace_of(headers, NOW) == Pace(requests=Allowance(0.0))


def test_headers_about_other_things_say_nothing() -> None:
    headers = {"content-type": "application/json", "date": "Mon, 21 Sep 2026 14:14:10 GMT", "x-ratelimit-limit": "5"}
    assert pace_of(headers, NOW) is None
