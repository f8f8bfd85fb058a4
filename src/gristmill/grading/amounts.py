"""Numbers in prose, and what tells two of them apart.

Numbers in digits are read by value: with their sign, with the word for thousands or millions after them, and as a fraction where
they are one. Numbers in words come and go in good writing (`the two men`, `both`), so they count only where one was exchanged for
another. What a number counts is looked at where people would be misled: currencies, shares, times of day, spans and lengths; a
number that had one of these and has another is a changed number, even though its digits are the same.
"""

from __future__ import annotations

import re
import unicodedata
from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

LONGEST = 60
"""Digits of a number that are read."""
_SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9, "bn": 10**9, "trillion": 10**12}
_SHORT = {"k": 10**3, "K": 10**3, "M": 10**6, "mn": 10**6, "B": 10**9, "bn": 10**9}
_DIGITS = r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)*"
_VULGAR = "".join(chr(code) for code in (*range(0xBC, 0xBF), *range(0x2150, 0x215F)))
_NUMBER = re.compile(
    rf"(?<![\w.])(?P<sign>[-−])?(?P<digits>{_DIGITS})?(?P<vulgar>[{_VULGAR}])|"
    rf"(?<![\w./])(?P<top>\d{{1,2}})/(?P<bottom>\d{{1,2}})(?![\w/.-])|"
    rf"(?<![\w.])(?P<minus>[-−])?(?P<plain>{_DIGITS})"
    rf"(?:(?P<short>[kKMB]|mn|bn)(?!\w)|[ \u00a0-](?P<scale>(?i:{'|'.join(_SCALES)}))s?\b)?"
)
_SECTION = re.compile(r"(?:^|\n)[ \t]*(?:\d{1,3}[.)]|[-*+])[ \t]+")
"""Marks of list items: they count steps and say nothing."""
_WORDS = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen"),
    *("fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty"),
)
_TENS = {"twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90}
_FACTORS: dict[str, Fraction] = {
    **{word: Fraction(value) for word, value in _SCALES.items()},
    "dozen": Fraction(12),
    "half": Fraction(1, 2),
}
_ORDINALS = {"first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8, "ninth": 9,
             "tenth": 10, "once": 1, "twice": 2, "thrice": 3, "double": 2, "both": 2, "pair": 2, "couple": 2}  # fmt: skip
_PARTS = {"half": Fraction(1, 2), "third": Fraction(1, 3), "quarter": Fraction(1, 4), "three quarters": Fraction(3, 4),
          "two thirds": Fraction(2, 3), "fifth": Fraction(1, 5), "eighth": Fraction(1, 8)}  # fmt: skip
_COUNTED: dict[str, dict[str, str]] = {
    "share": {"%": r"%|per ?cent\w*|pct"},
    "currency": {
        "$": r"\$|dollars?|usd|cents?|bucks",
        "€": r"€|euros?|eur",
        "£": r"£|pounds?|gbp|sterling",
        "¥": r"¥|yen|yuan|jpy|cny|rmb",
        "₹": r"₹|rupees?|inr",
    },
    "time of day": {"a.m.": r"a\.?m\.?|morning|midnight", "p.m.": r"p\.?m\.?|(?:after)?noon|evening|night|tonight"},
    "span": {
        "seconds": r"seconds?|secs?",
        "minutes": r"minutes?|mins?",
        "hours": r"hours?|hrs?|hourly",
        "days": r"days?|daily",
        "weeks": r"weeks?|weekly",
        "months": r"months?|monthly",
        "years": r"years?|yearly|annual\w*|aged?|old",
    },
    "length": {"km": r"km|kilomet(?:er|re)s?", "miles": r"miles?"},
    "temperature": {"°C": r"°\s?c|celsius|centigrade", "°F": r"°\s?f|fahrenheit"},
}
"""What a number may count: by family, each with the words that say it anywhere in a text."""
_AFTER = re.compile(
    rf"(?<![\w.])(?P<number>{_DIGITS})(?:[ \u00a0-](?:{'|'.join(_SCALES)}))?[ \u00a0-]?"
    r"(?P<mark>%|per ?cent\b|pct\b|€|£|dollars?\b|euros?\b|pounds?\b|yen\b|rupees?\b|[ap]\.?m\b|seconds?\b|minutes?\b|hours?\b|"
    r"days?\b|weeks?\b|months?\b|years?\b|km\b|kilomet(?:er|re)s?\b|miles?\b|°\s?[CF]\b)",
    re.IGNORECASE,
)
_BEFORE = re.compile(rf"(?P<mark>[$€£¥₹])\s?(?P<number>{_DIGITS})")


def amounts(text: str) -> frozenset[Fraction | str]:
    """Return the numbers in digits, by value; what has two points or more (a version, an address, a section) as it stands."""
    return frozenset(_amounts(_SECTION.sub("\n", text)))


def _amounts(text: str) -> Iterable[Fraction | str]:
    for match in _NUMBER.finditer(text):
        if match["vulgar"]:
            whole = Fraction((match["digits"] or "0").replace(",", "")) if (match["digits"] or "").count(".") < 2 else Fraction(0)
            yield (whole + _vulgar(match["vulgar"])) * (-1 if match["sign"] else 1)
        elif match["top"]:
            top, bottom = int(match["top"]), int(match["bottom"])
            yield from (Fraction(top, bottom),) if 0 < top < bottom else (Fraction(top), Fraction(bottom))
        elif match["plain"].count(".") > 1:
            yield match["plain"].replace(",", "")
        elif len(match["plain"]) <= LONGEST:
            scale = _SHORT.get(match["short"] or "", 1) * _SCALES.get((match["scale"] or "").lower(), 1)
            value = Fraction(match["plain"].replace(",", "")) * scale
            yield -value if match["minus"] and value else value


def _vulgar(sign: str) -> Fraction:
    return Fraction(unicodedata.numeric(sign)).limit_denominator(20)


@lru_cache(4)  # it is asked for each number that is missing, of the same two texts
def spoken(text: str) -> frozenset[Fraction]:
    """Return the numbers that stand in words, each part and the whole: 20, 5 and 25 of `twenty-five`; -5 of `minus five`."""
    found: set[Fraction] = set()
    for run in _runs(text):
        total = current = Fraction(0)
        for word in run:
            value = _value(word)
            total, current = _added(word, value, total, current)
            found |= {value, current, total + current}
    found |= {Fraction(value) for word, value in _ORDINALS.items() if re.search(rf"\b{word}\b", text, re.IGNORECASE)}
    found |= {value for words, value in _PARTS.items() if re.search(rf"\b{words}\b", text.replace("-", " "), re.IGNORECASE)}
    found |= {Fraction(ordinal) for ordinal in re.findall(r"\b(\d{1,60})(?:st|nd|rd|th)\b", text)}
    if re.search(r"\b(?:minus|negative|below)\b", text, re.IGNORECASE):
        found |= {-value for value in found} | {-value for value in amounts(text) if isinstance(value, Fraction)}
    return frozenset(found)


def _runs(text: str) -> list[list[str]]:
    """Return the words and digits that make up one number each, in their order."""
    runs: list[list[str]] = [[]]
    for word in re.findall(r"[a-z]+|\d[\d,.]*", text.casefold().replace("-", " ")):
        if _known(word):
            runs[-1].append(word)
        elif word != "and" and runs[-1]:
            runs.append([])
    return [run for run in runs if run]


def _known(word: str) -> bool:
    plain = word.replace(",", "").rstrip(".")
    figures = re.fullmatch(r"\d+(?:\.\d+)?", plain) is not None and len(plain) <= LONGEST
    return word in _WORDS or word in _TENS or word in _FACTORS or figures


def _value(word: str) -> Fraction:
    if word in _WORDS:
        return Fraction(_WORDS.index(word))
    if word in _TENS:
        return Fraction(_TENS[word])
    return _FACTORS[word] if word in _FACTORS else Fraction(word.replace(",", "").rstrip("."))


def _added(word: str, value: Fraction, total: Fraction, current: Fraction) -> tuple[Fraction, Fraction]:
    """Return the finished part of a number and the part that goes on, with one more word."""
    if word not in _FACTORS:
        return total, current + value
    current = (current or 1) * value
    return (total + current, Fraction(0)) if value >= 1000 else (total, current)


def _whole_words(text: str) -> frozenset[Fraction]:
    """Return the numbers that stand in words alone, whole; `one` and `half` are words like others."""
    found: set[Fraction] = set()
    for run in _runs(text):
        if any(word[0].isdigit() for word in run):
            continue
        total = current = Fraction(0)
        for word in run:
            total, current = _added(word, _value(word), total, current)
        found.add(total + current)
    return frozenset(value for value in found if value not in (0, 1, Fraction(1, 2)))


def changed(before: str, after: str, *, words: bool) -> tuple[list[str], list[str]]:
    """Return what numbers of a text lost in another that tells the same, and what they gained.

    Args:
        before: The text.
        after: The other.
        words: Whether numbers in words are compared: where some may be missing, an exchange cannot be told from two changes.
    """
    lost, gained = list[str](), list[str]()
    if words:
        said, told = _whole_words(before), _whole_words(after)
        gone, new = said - spoken(after) - amounts(after), told - spoken(before) - amounts(before)
        if gone and new:
            lost, gained = [*map(str, gone)], [*map(str, new)]
    had, has = _marks(before), _marks(after)
    for family, kinds in _COUNTED.items():
        mine, theirs = had.get(family, set()), has.get(family, set())
        numbers = {number for number, _ in theirs}
        unsaid, untold = ({kind for kind, words in kinds.items() if not _says(text, words)} for text in (after, before))
        lost += [f"{value} {kind}" for value, kind in sorted(mine - theirs) if value in numbers or kind in unsaid]
        gained += [f"{value} {kind}" for value, kind in sorted(theirs - mine) if kind in untold]
    return lost, gained


def _says(text: str, words: str) -> bool:
    return re.search(rf"(?<![^\W\d_])(?:{words})(?![^\W\d_])", text, re.IGNORECASE) is not None


def _marks(text: str) -> dict[str, set[tuple[Fraction, str]]]:
    """Return what numbers in digits count, by family."""
    found: dict[str, set[tuple[Fraction, str]]] = {}
    for match in (*_AFTER.finditer(text), *_BEFORE.finditer(text)):
        number = match["number"].replace(",", "")
        if number.count(".") > 1 or len(number) > LONGEST:
            continue
        if (counted := _counted(match["mark"])) is not None:
            family, kind = counted
            found.setdefault(family, set()).add((Fraction(number), kind))
    return found


@lru_cache(1024)
def _counted(mark: str) -> tuple[str, str] | None:
    """Return the family and the kind of what a mark beside a number says."""
    kinds = ((family, kind, words) for family, kinds in _COUNTED.items() for kind, words in kinds.items())
    return next(((family, kind) for family, kind, words in kinds if re.fullmatch(words, mark, re.IGNORECASE)), None)
