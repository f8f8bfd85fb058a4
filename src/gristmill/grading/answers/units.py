"""What a number counts: units by name and symbol, with their powers, and nothing converted.

A unit is told from another only where both are known: `7 m^3` is not `7 m^2`, `20 °F` is not `20 °C`, while `7 apples` may well
be `7 pieces`. Words after a known unit (`5 hours of work`) do not matter. Symbols are read as they are written, since `mW` is not
`MW`; a symbol in the wrong case is known where it can only be one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_PREFIXES = {
    "nano": "n", "micro": "μµu", "milli": "m", "centi": "c", "kilo": "k", "mega": "M", "giga": "G", "tera": "T",
}  # fmt: skip
_PREFIXED = {
    "meter": ("m", "meter metre"),
    "gram": ("g", "gram gramme"),
    "second": ("s", "second"),
    "liter": ("L l", "liter litre"),
    "pascal": ("Pa", "pascal"),
    "watt": ("W", "watt"),
    "watt hour": ("Wh", ""),
    "joule": ("J", "joule"),
    "hertz": ("Hz", "hertz"),
    "volt": ("V", "volt"),
    "ampere": ("A", "ampere amp"),
    "newton": ("N", "newton"),
    "mole": ("mol", "mole"),
    "calorie": ("cal", "calorie"),
    "byte": ("B", "byte"),
    "electronvolt": ("eV", "electronvolt"),
}
"""Units that take prefixes, with their symbols and words."""
_PLAIN = {
    "dollar": "$ usd dollar dollars bucks us",
    "euro": "€ eur euro euros",
    "pound_money": "£ gbp",
    "yen": "¥ jpy yen",
    "rupee": "₹ rs inr rupee rupees",
    "cent": "cent cents",
    "second": "sec secs",
    "minute": "min mins minute minutes",
    "hour": "h hr hrs hour hours",
    "day": "day days",
    "week": "week weeks",
    "month": "month months",
    "year": "yr yrs year years",
    "inch": "inch inches",
    "foot": "ft foot feet",
    "yard": "yd yard yards",
    "mile": "mi mile miles",
    "acre": "acre acres",
    "hectare": "ha hectare hectares",
    "ounce": "oz ounce ounces",
    "pound": "lb lbs",
    "ton": "ton tons tonne tonnes",
    "gallon": "gal gallon gallons",
    "quart": "qt quart quarts",
    "pint": "pint pints",
    "degree": "degree degrees deg °",
    "celsius": "celsius",
    "fahrenheit": "fahrenheit",
    "kelvin": "kelvin kelvins",
    "radian": "rad radian radians",
    "am": "am",
    "pm": "pm",
    "dozen": "dozen dozens",
    "bit": "bit bits",
}
_MORE = {
    "mph": (("mile", 1), ("hour", -1)),
    "kph": (("kilometer", 1), ("hour", -1)),
    "kmh": (("kilometer", 1), ("hour", -1)),
}
"""Symbols of two units."""
_TEMPERATURES = frozenset({"celsius", "fahrenheit", "kelvin"})
_ALONE = frozenset("mgsl")
"""Symbols of one letter that are units: other letters are variables first."""


def _symbols() -> dict[str, str]:
    found: dict[str, str] = {}
    for name, (symbols, _) in _PREFIXED.items():
        for symbol in symbols.split():
            if len(symbol) > 1 or symbol.lower() in _ALONE:
                found[symbol] = name
            found |= {f"{sign}{symbol}": f"{prefix}{name}" for prefix, signs in _PREFIXES.items() for sign in signs}
    return found


def _words() -> dict[str, str]:
    found = {word: name for name, words in _PLAIN.items() for word in words.split()}
    for name, (_, words) in _PREFIXED.items():
        for word in words.split():
            for prefix in ("", *_PREFIXES):
                found[f"{prefix}{word}"] = found[f"{prefix}{word}s"] = f"{prefix}{name}"
    return found


def _in_any_case(symbols: dict[str, str]) -> dict[str, str]:
    """Return the symbols in lower case that can only be one unit."""
    names: dict[str, set[str]] = {}
    for symbol, name in symbols.items():
        names.setdefault(symbol.lower(), set()).add(name)
    return {symbol: found.pop() for symbol, found in names.items() if len(found) == 1}


_SYMBOLS, _WORDS = _symbols(), _words()
_IN_ANY_CASE = _in_any_case(_SYMBOLS)
_TOUCHING = frozenset(
    [*(word for words in _PLAIN.values() for word in words.split()), "mm", "cm", "km", "m", "g", "kg", "l", "ml", "s", *_MORE]
) - {"rad", "deg", "ha", "gal", "rs", "bit"}  # fmt: skip
_PIECE = re.compile(r"(?P<word>[^\W\d_²³]+|[$€£¥₹°])|(?P<power>\^?[23²³])|(?P<per>/)|[\s().,'\"-]+")
_RAISED = "^"
_POWERS = {"2": 2, "3": 3, "²": 2, "³": 3}
_BEFORE = {"square": 2, "sq": 2, "cubic": 3, "cu": 3}


def is_unit(word: str) -> bool:
    """Whether a word or symbol is a unit that is known."""
    return _kind(word) is not None or word.lower() in _MORE


def may_touch(word: str) -> bool:
    """Whether letters that touch a number (`5km`) are a unit: what could be a product of variables (`2mg`) is not."""
    return word.lower() in _TOUCHING or (len(word) > 1 and word in _SYMBOLS and not word.islower())


def _kind(word: str) -> str | None:
    low = word.lower()
    return _SYMBOLS.get(word) or _WORDS.get(low) or _IN_ANY_CASE.get(low)


def powers_of(unit: str) -> dict[str, int] | None:
    """Return a unit as powers of known ones (`m/s^2` is meter 1, second -2), or None where it begins with another word."""
    found: dict[str, int] = {}
    last = ""
    for kind, power in _terms(unit):
        if kind == _RAISED:
            found |= {last: found[last] * power} if last else {}
        elif kind != last or power not in (1, -1):  # `US dollars` names one twice
            found |= {kind: found.get(kind, 0) + power}
            last = kind
    if _TEMPERATURES & {*found}:
        found.pop("degree", None)
    return found or None


def _terms(unit: str) -> Iterator[tuple[str, int]]:
    """Yield the units of a text with their powers, and what raises the one before; a word that is none ends it."""
    sign = before = 1
    begun = False
    for match in _PIECE.finditer(unit):
        word = (match["word"] or "").lower()
        if match["per"] or word == "per" or (begun and word in ("a", "an", "each")):
            sign = -1
        elif match["power"]:
            yield _RAISED, _POWERS[match["power"].lstrip("^")]
        elif word in _BEFORE:
            before = _BEFORE[word]
        elif word:
            kind = _kind(match["word"])
            if kind is None and word not in _MORE:
                return  # `hours of work`
            yield from _MORE[word] if kind is None else ((kind, sign * before),)
            begun, before = True, 1


def same_unit(one: str, other: str) -> bool:
    """Whether two units may be the same: they differ only where both are known and are different ones.

    A price may leave away what it is for (`18 dollars`, `18 dollars an hour`), and degrees what they are degrees of.
    """
    left, right = powers_of(one), powers_of(other)
    if left is None or right is None or left == right:
        return True
    if {*left} | {*right} <= {"degree", *_TEMPERATURES} and "degree" in (*left, *right):
        return True
    above = [{name: power for name, power in powers.items() if power > 0} for powers in (left, right)]
    money = {*above[0]} <= {"dollar", "euro", "pound_money", "yen", "rupee", "cent"}
    return money and above[0] == above[1] and (len(left) == len(above[0]) or len(right) == len(above[1]))
