"""What kind of thing a reference is: said by the recipe, or told by its form.

The kind decides how an answer is compared: numbers exactly, structures part by part, expressions by algebra, words as words. It
is the reference that is looked at, since a person wrote it; the answer is hostile and gets no say. A form that could be two kinds
is the stricter one.
"""

from __future__ import annotations

import re
from typing import Literal

from gristmill.grading.answers.expressions import is_mathematical
from gristmill.grading.answers.numbers import Number, read
from gristmill.grading.answers.quantities import is_choice, read_date, read_time
from gristmill.grading.answers.structures import read_structure, tidy, without_name

Kind = Literal[
    "int", "rational", "decimal", "percent", "money", "time", "date", "choice", "tuple", "interval", "set", "expression", "text"
]
NUMBERS = frozenset({"int", "rational", "decimal", "percent", "money"})
STRUCTURES = frozenset({"tuple", "interval", "set"})
_PLAIN_DECIMAL = re.compile(r"[-+$€£¥\s]*[\d,]*\.\d+\s*")


def kind_of(reference: str) -> Kind:
    """Return what a reference is, by its form."""
    number = read(reference).number
    if number is not None:
        return _kind_of_number(number, reference)
    if is_choice(reference):
        return "choice"
    if read_time(reference) is not None:
        return "time"
    return "date" if read_date(reference) is not None else _form_of(reference)


def _kind_of_number(number: Number, reference: str) -> Kind:
    if number.percent:
        return "percent"
    if number.unit[:1] in ("$", "€", "£", "¥") and number.unit:
        return "money"
    if _PLAIN_DECIMAL.fullmatch(reference):
        return "decimal"
    return "int" if number.value.denominator == 1 else "rational"


def _form_of(reference: str) -> Kind:
    text = without_name(tidy(reference))
    structure = read_structure(text)
    if structure is not None and all(map(_is_part, structure.parts)):
        if structure.shape == "set":
            return "set"
        mixed = structure.brackets in ("(]", "[)") or structure.shape == "union" or "infty" in text
        return "interval" if mixed else "tuple"
    return "expression" if is_mathematical(text) else "text"


def _is_part(part: str) -> bool:
    """Whether a part of a structure is a number, an expression or a structure again, and not a word."""
    if read(part).number is not None or is_mathematical(part) or part[:1] in "'\"":
        return True
    inner = read_structure(part)
    return inner is not None and all(map(_is_part, inner.parts))
