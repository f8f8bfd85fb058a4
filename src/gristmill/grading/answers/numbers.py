r"""Read a short answer as an exact rational number, or say why it is none.

Integers, decimals, scientific notation, `p/q`, mixed numbers and `\frac{p}{q}` all become one `Fraction`, so equality
is exact: `101` is not `100`, `27.0` is `27`, `.333333` is not `1/3`. There is no tolerance anywhere. Around the number
a currency sign, a percent sign, unit words and a full stop are allowed; a comma groups digits only as in `1,234,567`.

The trade-off is on the side of "cannot be read": a hedge ("40 or fewer"), several numbers ("18 hours and 48 minutes"),
a time of day, an algebraic term and a spelled-out number are not guessed at. A sum that was not worked out
(`220 + 150`) is told apart as `unsimplified`; a chain `a + b = c` is read as `c` when every part of it is
arithmetically true.

The order of the steps follows the usual answer cascade of math verifiers; unlike Qwen2.5-Math's `grader.py`, there is
no relative tolerance of 1e-4 and no silent factor of 100 for percent, because both pass wrong answers.
"""

from __future__ import annotations

import re
import unicodedata
from fractions import Fraction
from typing import Literal, NamedTuple

from gristmill.grading.answers.units import is_unit, may_touch, same_unit

MAX_TEXT = 1000
"""Characters of an answer that are looked at; a longer text is not a number with a unit."""
MAX_DIGITS = 300
"""Digits of one number."""
MAX_BITS = 100_000
"""Size of a number that a chain may compute on the way; towers of powers stop here."""

Problem = Literal["unsimplified", "not_a_number", "unparsable"]


class Number(NamedTuple):
    """An exact number as it was written."""

    value: Fraction
    percent: bool = False
    """Whether it carried a percent sign; the value is the number before the sign: 25 for `25%`."""
    unit: str = ""
    """The words after it, or its currency sign."""


class Reading(NamedTuple):
    """What a text is read as: a number, or the problem."""

    number: Number | None
    problem: Problem | None = None
    """`unsimplified`: arithmetic that was not worked out. `not_a_number`: neither digits nor number words.
    `unparsable`: the rest, such as several numbers, a hedge, a time; whether it is right cannot be said here."""
    worked: bool = False
    """Whether the number stands behind its working, as in `8 - 4 = 4`."""


def parse_number(text: str) -> Number | None:
    """Return the number that `text` is, or None."""
    return read(text).number


def equal(answer: Number, reference: Number) -> bool:
    """Say whether two numbers are the same as written.

    A percent sign is part of the form: `25%` answers the reference `25%` and, where the question asked for percent, the
    reference `25`; it does not answer `0.25`, and a bare `25` does not answer `25%`. Units matter only where both sides
    name one that is known and they are different kinds (`18 euros` against `$18`); no unit is ever converted.
    """
    if answer.value != reference.value or (reference.percent and not answer.percent):
        return False
    return same_unit(answer.unit, reference.unit)


def show(number: Number) -> str:
    """Return the normal form that stands in evidence: `18`, `7/2`, `25%`, `40 km/h`."""
    value = number.value
    size = max(value.numerator.bit_length(), value.denominator.bit_length())
    # Beyond this size Python refuses to print an integer, and nobody could read it.
    shown = str(value) if size <= 4 * MAX_DIGITS else f"a number of {size} bits"
    return f"{shown}{'%' if number.percent else ''}{f' {number.unit}' if number.unit else ''}"


def read(text: str) -> Reading:
    """Read `text` as one number, or say what stands against it."""
    if len(text) > MAX_TEXT:
        return Reading(None, "unparsable")
    plain = normalise(text)
    bracketed = _BRACKETED.fullmatch(plain)
    number = _whole(bracketed.group(1).strip() if bracketed else plain)
    if number is not None:
        return Reading(number)
    if "=" in plain and (number := _chain(plain)) is not None:
        return Reading(number, worked=True)
    if not any(character.isdigit() for character in plain):
        words = set(_WORD.findall(plain.lower()))
        return Reading(None, "unparsable" if words & _NUMBER_WORDS else "not_a_number")
    if "=" in plain:
        return Reading(None, "unparsable")
    computed = _compute(plain)
    return Reading(None, "unsimplified" if computed is not None and computed.operators else "unparsable")


def worked_out(text: str) -> Fraction | None:
    """Return the value of plain arithmetic, or None where the text is something else."""
    computed = _compute(normalise(text)) if len(text) <= MAX_TEXT else None
    return computed.value if computed is not None else None


_STATED = re.compile(
    r"(?:\b(?:is|are|was|were|be|equals|gives|gets?|has|have|makes|leaves|to|of)|[=:]|\\boxed\{)\s*[$€£¥({*]*\s*$"
)
_PART_OF = re.compile(
    r"\b(?:up to|(?:half|third|quarter|fourth|fifth|tenth|root|square|cube|logarithm|power|multiple|divisor|factor|fraction|"
    r"percent|percentage|part|most|inverse|negative|reciprocal) of)\s*[$€£¥({*]*\s*$",
    re.IGNORECASE,
)
"""What makes of the number after it another one."""
_LAST_NUMBER = re.compile(r"-?\s*(?:[0-9]{1,3}(?:,[0-9]{3})+(?!,?[0-9])|[0-9]+)(?:\.[0-9]+)?(?:/[0-9]+)?")
_WORDS_BEFORE = 4
MAX_CONCLUSION = 5_000


def conclusion(text: str) -> Number | None:
    """Return the number that a few sentences end with (`…, so there are 10 of them.`), or None.

    It has to be stated (`is`, `are`, `=`, …) without a hedge just before it, and nothing but its unit may follow. That is weaker
    evidence than a bare number: it can confirm a reference, and never contradicts one.
    """
    if len(text) > MAX_CONCLUSION:
        return None
    last = re.split(r"(?<=[.!?;])\s+(?=[A-Z])", " ".join(text.split()))[-1]
    found = list(_LAST_NUMBER.finditer(last))
    before = last[: found[-1].start()] if found else ""
    if len(_WORD.findall(before)) < 2 or _STATED.search(before) is None:
        return None
    near = _WORD.findall(before.lower())[-_WORDS_BEFORE:-1]
    if _PART_OF.search(before) is not None:
        return None
    if any(word in _HEDGES and word != "cannot" for word in near) or any(word.endswith("n't") for word in near):
        return None
    return _whole(normalise(last[found[-1].start() :].replace("$", "").strip("* ")))


# --- one spelling for everything

_SIGNS = str.maketrans(
    {"’": "'", "−": "-", "–": "-", "﹣": "-", "－": "-", "×": "*", "·": "*", "÷": "/", "∕": "/", "％": "%", "＄": "$"}
)
_LATEX_NUMBERS = (
    (re.compile(r"\\[dtc]frac(?![a-zA-Z])"), r"\\frac"),
    (re.compile(r"(?<=[0-9])(?:\{,\}|\\,|[\u2009\u202f])(?=[0-9]{3}(?![0-9]))"), ","),
)
_LATEX_WORDS = (
    (re.compile(r"\\(?:text(?:bf|it|rm)?|mathrm|mathbf|mbox|boxed|fbox|underline)\s*\{([^{}]*)\}"), r" \1 "),
    (re.compile(r"(?<=[0-9)])\s*[*]{2}\s*(?=[-0-9(])"), "^"),  # a power as Python writes it, before bold type goes
    (re.compile(r"\\!"), ""),
    (re.compile(r"\\(?:left|right)(?![a-zA-Z])|\\[;:()\[\]]|[*]{2}|`|(?<=[0-9])~"), " "),
    (re.compile(r"(?:\^\s*\{?\s*(?:\\circ|°)\s*\}?|°)\s*C(?![a-zA-Z])"), " degrees celsius "),
    (re.compile(r"(?:\^\s*\{?\s*(?:\\circ|°)\s*\}?|°)\s*F(?![a-zA-Z])"), " degrees fahrenheit "),
    (re.compile(r"\^\s*\{?\s*(?:\\circ|°)\s*\}?|°"), " degrees "),
    (re.compile(r"\\(?:textcolor|color)\s*\{[^{}]*\}\s*\{([^{}]*)\}"), r" \1 "),
    (re.compile(r"(?<=[A-Za-z])\s*\^\s*\{?([23])\}?(?![0-9])"), r"^\1"),
    (re.compile(r"\\(?:times|cdot)(?![a-zA-Z])"), "*"),
    (re.compile(r"\\div(?![a-zA-Z])"), "/"),
    (re.compile(r"\\([%$#&])"), r"\1"),
    (re.compile(r"\\,|\\ "), " "),
    (re.compile(r"(?<=[0-9)])\s*x\s*(?=[0-9(])"), "*"),
)
_REPEATING = re.compile(r"(?<![0-9.])([0-9]{0,20})\.([0-9]{0,20})\\(?:overline|bar)\s*\{([0-9]{1,20})\}(?![0-9])")
_FRAC = re.compile(r"\\frac\s*(?:\{([^{}]*)\}|([0-9]))\s*(?:\{([^{}]*)\}|([0-9]))")
_BAR = "⁄"
"""The bar of a fraction that was written as one, which binds tighter than a division sign."""
_SIGNED_INTEGER = re.compile(r"\s*([+-]?)\s*([0-9]+)\s*")


def normalise(text: str) -> str:
    """Return `text` in plain ASCII arithmetic where that changes nothing about the number."""
    if not text.isascii():
        text = "".join(_ascii_digit(character) for character in text.translate(_SIGNS))
    text = text.strip()
    if "\\" in text or "$" in text or "{" in text:
        text = _without_math_marks(text)
    for pattern, plain in _LATEX_NUMBERS:
        text = pattern.sub(plain, text)
    text = _REPEATING.sub(_repeating, text)
    text = _FRAC.sub(_one_fraction, text)  # before what wraps it is taken off: wrappers are read without inner braces
    for pattern, plain in _LATEX_WORDS:
        text = pattern.sub(plain, text)
    return text.strip().strip("\"'“”").strip().removeprefix("___").removesuffix("___").strip()


def _ascii_digit(character: str) -> str:
    """Return any script's decimal digit as 0-9 and `½` as a fraction; superscripts stay, because `10²` is not 102."""
    if character.isdecimal():
        return str(unicodedata.decimal(character))
    if unicodedata.category(character) == "No" and _BAR in (spread := unicodedata.normalize("NFKC", character)):
        return f" {spread}"
    return character


def _without_math_marks(text: str) -> str:
    """Take off the dollar signs that mean "mathematics" and leave those that mean money."""
    for mark in ("$$", "$"):
        inside = text.removeprefix(mark).removesuffix(mark)
        if len(text) - len(inside) == 2 * len(mark) and "$" not in inside.replace(r"\$", ""):
            return inside
    return text


def _repeating(match: re.Match[str]) -> str:
    whole, once, again = match.groups()
    value = Fraction(int(f"{whole}{once}{again}") - int(f"{whole}{once}" or "0"), 10 ** len(once) * (10 ** len(again) - 1))
    return f" {value.numerator}{_BAR}{value.denominator}"


def _one_fraction(match: re.Match[str]) -> str:
    over = match.group(1) if match.group(1) is not None else match.group(2)
    under = match.group(3) if match.group(3) is not None else match.group(4)
    top, bottom = _SIGNED_INTEGER.fullmatch(over), _SIGNED_INTEGER.fullmatch(under)
    if top is None or bottom is None:
        return f"(({over})/({under}))"
    negative = (top.group(1) == "-") != (bottom.group(1) == "-")
    return f" {'-' if negative else ''}{top.group(2)}{_BAR}{bottom.group(2)}"


# --- one number with what may stand around it

_GROUPED = r"[0-9]{1,3}(?:,[0-9]{3})+(?!,?[0-9])"
_INTEGER = rf"(?:{_GROUPED}|[0-9]+)"
_DECIMAL = rf"(?:{_INTEGER}(?:\.[0-9]*)?|\.[0-9]+)"
_NUMBER = re.compile(
    rf"""
    (?P<sign>[+-]?)\s*
    (?P<currency>(?:US|USD|EUR|GBP|Rs\.?)?\s*[$€£¥₹]?)\s*
    (?P<inner>[+-]?)\s*
    (?:
        (?:(?P<whole>{_INTEGER})(?:\s+and)?\s+)?(?P<over>{_INTEGER})(?:\s*/\s*|{_BAR})(?P<under>{_INTEGER})
      | (?P<mantissa>{_DECIMAL})\s*\*\s*10\s*\^\s*[({{]?(?P<power>[+-]?[0-9]{{1,4}})(?![0-9])[)}}]?
      | (?P<decimal>{_DECIMAL})(?:[eE](?P<exponent>[+-]?[0-9]{{1,4}})(?![0-9A-Za-z]))?
    )
    (?P<tail>.*)
    """,
    re.VERBOSE | re.DOTALL,
)
_LEAD_IN = re.compile(r"([A-Za-z][A-Za-z' ]*?)\s*(?:(?<=\w) (?:is|are|was|were|equals)(?= )|[=:])\s*(?=[-+$€£¥₹.0-9])")
_BRACKETED = re.compile(r"\(([^()]+)\)\.?")
_IN_BRACKETS = re.compile(r"([^()]+)\(([^()]+)\)\.?")
_WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*")


def _whole(text: str) -> Number | None:
    """Read a text that is one number with its surroundings, and nothing else."""
    lead = _LEAD_IN.match(text)
    if lead is not None and _harmless_lead(lead.group(1)):
        text = text[lead.end() :]
    match = _NUMBER.fullmatch(text)
    number = _from_match(match) if match else None
    if number is None and (twice := _IN_BRACKETS.fullmatch(text)):
        # `18 dollars ($18)` says one number twice; `18 (9 + 9)` or two numbers do not get here.
        first, second = (_NUMBER.fullmatch(part.strip()) for part in twice.groups())
        one, two = (_from_match(match) if match else None for match in (first, second))
        number = one if one is not None and two is not None and one.value == two.value else None
    return number


def _harmless_lead(lead: str) -> bool:
    words = lead.lower().split()
    if len(words) == 1 and len(lead) == 1:
        return True  # `x = 5`
    return len(words) <= 12 and all(_is_unit_word(word, alone=False) for word in words)


def _from_match(match: re.Match[str]) -> Number | None:
    part = match.groupdict(default="")
    if (part["sign"] and part["inner"]) or sum(map(str.isdigit, match.group())) > MAX_DIGITS:
        return None
    tail = None if part["tail"].startswith("!") else _read_tail(part["tail"])  # `4!` is a factorial
    magnitude = _magnitude(part)
    if tail is None or magnitude is None:
        return None
    negative = "-" in part["sign"] + part["inner"]
    unit = " ".join(filter(None, (part["currency"].strip(), tail.unit)))
    return Number((-magnitude if negative else magnitude) * tail.scale, tail.percent, unit)


def _magnitude(part: dict[str, str]) -> Fraction | None:
    plain = {name: value.replace(",", "") for name, value in part.items()}
    if plain["under"]:
        under, over = int(plain["under"]), int(plain["over"])
        if under == 0 or (plain["whole"] and over >= under):
            return None
        return int(plain["whole"] or "0") + Fraction(over, under)
    digits = plain["mantissa"] or plain["decimal"]
    return Fraction(digits.rstrip(".")) * Fraction(10) ** int(plain["power"] or plain["exponent"] or "0")


# --- what may follow a number


class _Tail(NamedTuple):
    percent: bool
    unit: str
    scale: int


_TAIL = re.compile(r"(?:[^\W\d_]\^?[23²³](?![0-9])|[^\W\d_]|[\s%$€£¥₹/.,;()\-'\"!])*")
_UNIT_POWER = re.compile(r"(?<=[^\W\d_²³])\^?[23²³](?![0-9])")
_SCALES = {"hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_PERCENT = {"percent", "pct"}
_NUMBERS = """zero none half third quarter one two three four five six seven eight nine ten eleven twelve thirteen
fourteen fifteen sixteen seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred
thousand million billion trillion dozen hundreds thousands millions billions trillions tenths hundredths thousandths
lakh lakhs crore crores bn mio ppm ppb mille halves thirds quarters fourths fifths"""
_DOUBTS = """or not cannot nor neither if unless than least most about approximately around roughly nearly almost
between to but however except depending depends maybe perhaps possibly probably might could unknown undetermined
assuming plus minus wrong incorrect false impossible"""
_MATHEMATICS = "pi sqrt root roots sin cos tan log ln exp mod squared cubed factorial frac over infinity inf choose"
_NUMBER_WORDS, _HEDGES, _MATH_WORDS = (frozenset(words.split()) for words in (_NUMBERS, _DOUBTS, _MATHEMATICS))


def _read_tail(tail: str) -> _Tail | None:
    """Read what follows a number as its unit; None where it could change what the number says."""
    if not tail.strip(" .!"):
        return _Tail(percent=False, unit="", scale=1)
    words = _WORD.findall(tail.lower())
    listed = tail.lstrip().startswith(",") or tail.count(",") > 1  # words that a number begins, not its unit
    if listed or any(character.isnumeric() for character in _UNIT_POWER.sub("", tail)):  # `10²`, `18万`
        return None
    if len(words) > 8 or not _TAIL.fullmatch(tail) or not all(_is_unit_word(word, alone=len(words) == 1) for word in words):
        return None
    # A letter that touches the number is a unit only where it is known as one: `5x` is a product, `5th` an ordinal.
    if tail[0].isascii() and tail[0].isalpha() and not may_touch(_WORD.findall(tail)[0]):
        return None
    scale = _SCALES.get(words[0], 1) if words and tail.lstrip()[:1].isalpha() else 1
    if _NUMBER_WORDS.intersection(words[1:] if scale > 1 or words[:1] == ["dozen"] else words):
        return None
    percent = "%" in tail or any(word in _PERCENT for word in words[:1])
    unit = " ".join(tail.strip(" .!").split())
    if scale > 1:
        unit = unit.split(" ", 1)[1] if " " in unit else ""
    return _Tail(percent, "" if percent else unit, scale)


def _is_unit_word(word: str, *, alone: bool) -> bool:
    """Say whether a word names a thing: no hedge, no mathematics, no single letter that could be a variable."""
    if word in _HEDGES or word in _MATH_WORDS or word.endswith("n't"):
        return False
    return len(word) > 1 or is_unit(word) or not word.isascii() or (not alone and word in ("a", "i", "s"))


# --- arithmetic that was written out


class _Computed(NamedTuple):
    value: Fraction
    operators: int


def _chain(text: str) -> Number | None:
    """Return the right side of `a = b = c` where every part is the same number; a lie on the way spoils it."""
    *steps, last = text.split("=")
    number = _whole(last.strip())
    if number is None:
        return None
    for step in steps:
        computed = _compute(step)
        if computed is None or computed.value != number.value:
            return None
    return number


_ASIDE = re.compile(r"(?<=\s)\((?=[^()]*[A-Za-z]{3})[A-Za-z' ,.]+\)")
_TOKEN = re.compile(rf"\s*(?:(?P<number>[0-9][0-9,]*(?:\.[0-9]*)?|\.[0-9]+)|(?P<sign>[-+*/^(){_BAR}]))")
_UNIT_IN_SUM = re.compile(r"\s*/\s*(?P<per>[A-Za-z]+)|(?<![A-Za-z])(?P<word>[A-Za-z]+)")


class _Unreadable(Exception):
    """The text is not arithmetic on plain numbers."""


def _compute(text: str) -> _Computed | None:
    """Work out plain arithmetic exactly; units and asides in brackets are left out."""
    try:
        tokens = _tokens(_UNIT_IN_SUM.sub(_drop_unit, _ASIDE.sub(" ", text)))
        value, at = _sum(tokens, 0, 0)
    except (_Unreadable, ZeroDivisionError):
        return None
    # A leading sign alone is no arithmetic.
    operators = sum(tokens.count(sign) for sign in "+*/^") + tokens[1:].count("-")
    return _Computed(value, operators) if at == len(tokens) else None


def _drop_unit(match: re.Match[str]) -> str:
    word = (match.group("per") or match.group("word")).lower()
    known = is_unit(word) or (len(word) > 2 and _is_unit_word(word, alone=True) and word not in _NUMBER_WORDS)
    return " " if known else match.group()


def _tokens(text: str) -> list[str]:
    tokens: list[str] = []
    text = re.sub(r"[$€£¥₹]", "", text).strip().rstrip(".").rstrip()
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise _Unreadable
        at = match.end()
        token = match.group("number") or match.group("sign").replace(_BAR, "/")
        if match.group("number") and not re.fullmatch(rf"(?:{_DECIMAL})", token):
            raise _Unreadable
        tokens.append(token.replace(",", ""))
    return tokens


def _sum(tokens: list[str], at: int, depth: int) -> tuple[Fraction, int]:
    value, at = _product(tokens, at, depth)
    while at < len(tokens) and tokens[at] in "+-":
        sign = tokens[at]
        other, at = _product(tokens, at + 1, depth)
        value = _bounded(value + other if sign == "+" else value - other)
    return value, at


def _product(tokens: list[str], at: int, depth: int) -> tuple[Fraction, int]:
    value, at = _power(tokens, at, depth)
    while at < len(tokens) and tokens[at] in "*/":
        sign = tokens[at]
        other, at = _power(tokens, at + 1, depth)
        value = _bounded(value * other if sign == "*" else value / other)
    return value, at


def _power(tokens: list[str], at: int, depth: int) -> tuple[Fraction, int]:
    if depth > 40 or at >= len(tokens):
        raise _Unreadable
    if tokens[at] in "+-":
        value, end = _power(tokens, at + 1, depth + 1)
        return (-value if tokens[at] == "-" else value), end
    if tokens[at] == "(":
        value, at = _sum(tokens, at + 1, depth + 1)
        if at >= len(tokens) or tokens[at] != ")":
            raise _Unreadable
        at += 1
    elif tokens[at][0].isdigit() or tokens[at][0] == ".":
        value = Fraction(tokens[at].rstrip("."))
        at += 1
    else:
        raise _Unreadable
    if at < len(tokens) and tokens[at] == "^":
        exponent, at = _power(tokens, at + 1, depth + 1)
        value = _raised(value, exponent)
    return value, at


def _raised(base: Fraction, exponent: Fraction) -> Fraction:
    bits = max(base.numerator.bit_length(), base.denominator.bit_length())
    if exponent.denominator != 1 or abs(exponent) > 9999 or bits * abs(exponent) > MAX_BITS:
        raise _Unreadable
    return base ** int(exponent)


def _bounded(value: Fraction) -> Fraction:
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > MAX_BITS:
        raise _Unreadable
    return value
