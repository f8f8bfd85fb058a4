r"""The cascade: is this answer the reference? The cheapest and surest test that can decide does.

Equal text, then exact numbers, then quantities, then parts one by one, then algebra, then words. Integers and rationals are never
compared with a tolerance: `101` is not `100`, `0.33` is not `1/3`. Where no test applies the answer is *unverifiable*, never
wrong: only a difference that was seen is a failure. What only algebra can decide comes back as `Pending`, since algebra may hang
and nothing here may.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

from gristmill.grading.answers.expressions import is_bounded, is_mathematical, same_constant
from gristmill.grading.answers.kinds import NUMBERS, STRUCTURES, kind_of
from gristmill.grading.answers.numbers import Number, conclusion, equal, read, show, worked_out
from gristmill.grading.answers.quantities import (
    read_based,
    read_choice,
    read_date,
    read_measures,
    read_ratio,
    read_time,
    same_time,
)
from gristmill.grading.answers.structures import Structure, aligned, name_of, read_structure, tidy, without_name

if TYPE_CHECKING:
    from gristmill.grading.answers.kinds import Kind

MAX_ANSWER = 10_000
"""Characters of an answer; what is longer is no short answer."""


class Rules(NamedTuple):
    """What a recipe may loosen or tighten."""

    decimals: int | None = None
    """Compare numbers after rounding to so many digits."""
    simplified: bool = False
    """Fail arithmetic in place of its result (`49 + 216`) or before it (`8 - 4 = 4`)."""
    ordered: bool = True
    """Whether a bare list (`1, 2`) keeps its order; one in brackets always does, and a set never."""


class Compared(NamedTuple):
    """The outcome: passed, failed, or (None) unverifiable, by which test."""

    passed: bool | None
    reason: str
    method: str
    normalised: str | None = None


class Pending(NamedTuple):
    """What only algebra can decide: pairs of reference and answer that must all be equal."""

    pairs: tuple[tuple[str, str], ...]


_QUOTED = re.compile(r"(['\"])(.*)\1", re.DOTALL)
EXACT = Compared(True, "equal", "text")


def compare(reference: str, answer: str, kind: Kind, rules: Rules) -> Compared | Pending:
    """Compare an extracted answer with a reference of a known kind."""
    if len(answer) > MAX_ANSWER:
        return Compared(None, "unparsable", kind)
    if _same_text(reference, answer):
        return EXACT._replace(normalised=answer.strip()[:200])
    if (said := _by_form(reference, answer)) is not None:
        return said
    return _by_kind(reference, answer, kind, rules)


def _by_kind(reference: str, answer: str, kind: Kind, rules: Rules) -> Compared | Pending:
    if kind in NUMBERS:
        return _numbers(reference, answer, kind, rules)
    if kind in STRUCTURES:
        return _structures(without_name(tidy(reference)), without_name(tidy(answer)), kind, rules)
    if kind == "expression":
        return _expressions(without_name(tidy(reference)), tidy(answer))
    return _quantities(reference, answer, kind)


def _by_form(reference: str, answer: str) -> Compared | None:
    """Compare ratios, mixed measures and numbers that name their base, where both are one."""
    for form, reader in (("ratio", read_ratio), ("measures", read_measures), ("base", read_based)):
        wanted = reader(reference)
        found = None if wanted is None else reader(answer)
        if found is not None:
            return _verdict(found, wanted, form, same=found == wanted)
        if wanted is not None and form == "measures" and is_mathematical(tidy(answer)):
            return Compared(None, "unparsable", form)  # letters would be multiplied
    return None


def _quantities(reference: str, answer: str, kind: Kind) -> Compared:
    """Compare choices, times, dates and words."""
    if kind == "choice":
        found, wanted = read_choice(answer), read_choice(reference)
        return _verdict(found, wanted, kind, same=found == wanted)
    if kind == "time":
        time, reference_time = read_time(answer), read_time(reference)
        same = time is not None and reference_time is not None and same_time(time, reference_time)
        return _verdict(time, reference_time, kind, same=same)
    if kind == "date":
        day, reference_day = read_date(answer), read_date(reference)
        return _verdict(day, reference_day, kind, same=day == reference_day)
    same = _folded(reference) == _folded(answer)
    return Compared(True, "equal", "text") if same else Compared(None, "unverifiable", "text")


def _same_text(reference: str, answer: str) -> bool:
    if reference.strip() == answer.strip():
        return True
    one, other = tidy(reference), tidy(answer)
    return bool(one) and _unspaced(one) == _unspaced(other) and (" " not in one or is_mathematical(one))


def _unspaced(text: str) -> str:
    """Return mathematics without the spaces that mean nothing: all but those between digits, unless three follow."""
    return re.sub(r"(?<!\d) | (?!\d)| (?=\d{3}(?!\d))", "", text)


def _folded(text: str) -> str:
    """Return words as words: case, spacing, quotes, emphasis and a full stop at the end do not matter."""
    return re.sub(r",\s*", ", ", " ".join(text.split())).strip(" .\"'`*$").casefold()


def _verdict(found: object, wanted: object, method: str, *, same: bool) -> Compared:
    if found is None or wanted is None:
        return Compared(None, "unparsable", method)
    return Compared(same, "equal" if same else "different", method, str(found))


# --- numbers


def _numbers(reference: str, answer: str, kind: Kind, rules: Rules) -> Compared | Pending:
    wanted = read(reference).number
    if wanted is None:
        return Compared(None, "reference_not_a_number", kind)
    found = read(answer)
    if found.number is not None:
        same = equal(found.number, wanted) or _rounded(found.number, wanted, rules)
        if same and found.worked and rules.simplified:
            return Compared(False, "unsimplified", "arithmetic", show(found.number))
        return Compared(same, "equal" if same else "different", "number", show(found.number))
    if found.problem == "unsimplified":
        value = worked_out(answer)
        right = not rules.simplified and value == wanted.value
        return Compared(right, "unsimplified", "arithmetic", str(value) if right else None)
    text = without_name(tidy(answer))
    if is_mathematical(text) and read_time(answer) is None:
        return _expressions(tidy(reference), tidy(answer))
    return _said(answer, wanted, found.problem or "unparsable")


def _said(answer: str, wanted: Number, problem: str) -> Compared:
    """Take a time of day for its hour and sentences for their conclusion, where that is the reference; neither contradicts it."""
    if (time := read_time(answer)) is not None:
        whole = time.minute == time.second == 0 and time.hour == wanted.value
        return Compared(True, "equal", "hour", str(time)) if whole else Compared(None, "unparsable", "hour", str(time))
    if (last := conclusion(answer)) is not None and equal(last, wanted):
        return Compared(True, "equal", "conclusion", show(last))
    return Compared(None if problem == "unparsable" else False, problem, "number")


def _rounded(found: Number, wanted: Number, rules: Rules) -> bool:
    if rules.decimals is None or found.percent != wanted.percent:
        return False
    step = Fraction(1, 10**rules.decimals)
    return round(found.value / step) == round(wanted.value / step)


# --- things with parts


def _structures(reference: str, answer: str, kind: Kind, rules: Rules) -> Compared | Pending:
    wanted, found = read_structure(reference), read_structure(answer)
    if wanted is None:
        return Compared(None, "reference_unparsable", kind)
    if found is None:
        return _without_parts(reference, answer, kind)
    found = aligned(wanted, found)
    if not _same_brackets(wanted, found) or len(wanted.parts) != len(found.parts):
        return Compared(False, "different", kind, answer[:200])
    bare = not (wanted.brackets or found.brackets)
    named = bare and all(name_of(part) for part in (*wanted.parts, *found.parts))  # names say what is what, not the order
    if kind == "set" or wanted.shape == "union" or named or (bare and not rules.ordered):
        return _unordered(wanted, found, kind, rules)
    pairs: list[tuple[str, str]] = []
    for one, other in zip(wanted.parts, found.parts, strict=True):
        result = _part(one, other, rules)
        if isinstance(result, Pending):
            pairs += result.pairs
        elif result.passed is not True:
            return result._replace(method=kind, normalised=answer[:200])
    return Pending(tuple(pairs)) if pairs else Compared(True, "equal", kind, answer[:200])


def _without_parts(reference: str, answer: str, kind: Kind) -> Compared | Pending:
    r"""Compare an answer that has no parts of its own: `1 \pm 2` may be a set of two, one number is none."""
    if is_mathematical(answer) and ("pm" in answer or "±" in answer or "{" in reference):
        return _expressions(reference, answer)
    alone = read(answer).number is not None
    return Compared(False, "different", kind, answer[:200]) if alone else Compared(None, "unparsable", kind)


def _part(reference: str, answer: str, rules: Rules) -> Compared | Pending:
    """Compare two parts; those that are structures have brackets of their own, and a quoted one is a text."""
    if quoted := _QUOTED.fullmatch(reference):
        other = _QUOTED.fullmatch(answer)
        same = quoted[2] == (other[2] if other else answer)
        return Compared(True, "equal", "text") if same else Compared(None, "unverifiable", "text")
    names = {name_of(reference), name_of(answer)}
    if len(names) == 2 and None not in names:
        return Compared(False, "different", "name", answer[:200])
    return compare(reference, answer, kind_of(reference), rules)


def _same_brackets(wanted: Structure, found: Structure) -> bool:
    """Whether brackets say the same: a bare list leaves them open."""
    if not wanted.brackets or not found.brackets:
        return "set" not in (wanted.shape, found.shape) or not (wanted.brackets and found.brackets)
    return wanted.brackets == found.brackets


def _unordered(wanted: Structure, found: Structure, kind: Kind, rules: Rules) -> Compared | Pending:
    """Match parts in any order: each of the reference takes one that is surely equal; what is left over needs algebra."""
    left, unmatched = list(found.parts), list[str]()
    for one in wanted.parts:
        match = next((other for other in left if (said := _part(one, other, rules)) == said and _passes(said)), None)
        if match is None:
            unmatched.append(one)
        else:
            left.remove(match)
    if not unmatched:
        return Compared(True, "equal", kind, ", ".join(found.parts)[:200])
    if len(unmatched) == 1:
        result = _part(unmatched[0], left[0], rules)
        return result if isinstance(result, Pending) else result._replace(method=kind)
    if all(read(part).number is not None for part in (*unmatched, *left)):
        return Compared(False, "different", kind, ", ".join(found.parts)[:200])
    return Compared(None, "unparsable", kind)


def _passes(result: Compared | Pending) -> bool:
    return isinstance(result, Compared) and result.passed is True


# --- algebra


_SUM = re.compile(r"(?=\D*\d)[\d\s+*/().-]+")
_NAME = re.compile(r"\\?[A-Za-z]+(?:_\{?\w+\}?)?(?:\s*\(\s*\w(?:\s*,\s*\w)*\s*\))?|\|?[A-Z]{2,3}\|?|\\angle\s*[A-Z]+")
_FACTOR = re.compile(r"\s*(?:\\times|\\cdot|[*×·])\s*")


def _letters(text: str) -> set[str]:
    """Return the variables of an expression."""
    return set(re.findall(r"[A-Za-z]", re.sub(r"\\[A-Za-z]+", " ", text)))


def _factors(text: str) -> list[int] | None:
    """Return the factors of a written-out product of whole numbers, in order of size; powers count as often as they say."""
    pieces = _FACTOR.split(text.strip())
    if len(pieces) < 2:
        return None
    factors: list[int] = []
    for piece in pieces:
        match = re.fullmatch(r"(\d{1,15})(?:\s*(?:\^|\*\*)\s*\{?(\d{1,2})\}?)?", piece)
        if match is None:
            return None
        factors += [int(match[1])] * int(match[2] or 1)
    return sorted(factors)


def _expressions(reference: str, said: str) -> Compared | Pending:
    answer = without_name(said)
    named = answer != said
    if _same_text(reference, answer):
        return EXACT._replace(normalised=answer[:200])
    if not is_mathematical(answer):
        return Compared(None, "unparsable", "expression")
    if not (is_bounded(answer) and is_bounded(reference)):
        return Compared(None, "too_large", "expression")
    if (factors := _factors(reference)) is not None:
        same = _factors(answer) == factors  # a reference that is a product wants the factors, not their value
        return Compared(same, "equal" if same else "different", "factors", answer[:200])
    sides = [side for side in re.split(r"(?<![<>!])=", answer) if side.strip()]
    steps: list[str] = []
    if len(sides) > 1 and "=" not in reference and not same_constant(reference):
        *steps, answer = (side.strip() for side in sides)  # a chain ends in its result …
        if not (named or _NAME.fullmatch(steps[0])) and _letters(steps[0]) - _letters(answer):
            return Compared(None, "unparsable", "expression")  # `2x = 7` says what twice it is
    sums = [step for step in steps if _SUM.fullmatch(step)]  # … and each sum on the way has to come to it
    return Pending(((reference, answer), *((answer, step) for step in sums)))
