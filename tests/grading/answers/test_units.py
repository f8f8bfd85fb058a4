"""Units: told apart where both are known, and the same however they are written."""

from __future__ import annotations

import pytest

from gristmill.grading.answers.units import is_unit, may_touch, powers_of, same_unit


@pytest.mark.parametrize(
    ("one", "other"),
    [
        *(("m^3", "m^2"), ("m/s^2", "m/s"), ("MB", "GB"), ("kPa", "Pa"), ("nm", "μm"), ("acres", "hectares"), ("¥", "$")),
        *(("kcal", "cal"), ("kWh", "kW"), ("degrees fahrenheit", "degrees celsius"), ("degrees", "radians"), ("miles", "mph")),
        *(("square meters", "meters"), ("hours", "minutes"), ("per hour", "hour"), ("mL", "ML"), ("dollars", "cents")),
    ],
)
def test_different_units(one: str, other: str) -> None:
    assert not same_unit(one, other)
    assert not same_unit(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        *(
            ("sq ft", "ft^2"),
            ("m²", "square meters"),
            ("km/h", "kilometers per hour"),
            ("mph", "miles per hour"),
            ("apples", "km"),
        ),
        *(("dollars per hour", "$"), ("degrees celsius", "degrees"), ("hours of work", "hrs"), ("KM", "km"), ("litres", "L")),
        *(("", "km"), ("cubic feet", "ft³"), ("meters per second", "m/s"), ("US dollars", "$")),
    ],
)
def test_the_same_unit_in_another_form_or_one_that_is_not_known(one: str, other: str) -> None:
    assert same_unit(one, other)
    assert same_unit(other, one)


def test_powers() -> None:
    assert powers_of("kg m/s^2") == {"kilogram": 1, "meter": 1, "second": -2}
    assert powers_of("bananas per hour") is None


def test_what_touches_a_number_is_a_unit_only_where_it_is_no_product() -> None:
    """`2mg` may be mass times acceleration, `2km` and `2kWh` may not."""
    letters = ("km", "kWh", "MB", "mg", "nm", "x", "N", "ab")
    assert [word for word in letters if may_touch(word)] == ["km", "kWh", "MB"]
    assert [word for word in letters if is_unit(word)] == ["km", "kWh", "MB", "mg", "nm"]
