r"""Equality of mathematical expressions, by math-verify on sympy: the last resort, and only for mathematics.

math-verify reads `cat` as a product and finds it equal to `act`, and takes minutes for `9^9^9^9`. So an expression gets there
only if it is short, has no words in it, and no powers or factorials that grow beyond reason; and it gets there in a worker
process that can be killed. The parser is latex2sympy's grammar; sympy's own `parse_expr` evaluates Python and never sees a
model's text.
"""

from __future__ import annotations

import logging
import random
import re
from fractions import Fraction
from importlib import import_module
from typing import Any

from gristmill.grading.registry import computation

MAX_CHARACTERS = 300
_KNOWN = frozenset(
    word
    for line in (
        "sin cos tan cot sec csc arcsin arccos arctan sinh cosh tanh log ln exp lg sqrt frac pi infty cdot times div pm mp",
        "alpha beta gamma delta epsilon theta lambda mu nu rho sigma tau phi varphi psi omega zeta eta kappa xi chi",
        "Gamma Delta Theta Lambda Sigma Phi Psi Omega Re Im arg circ degree le ge leq geq lt gt neq ne cup cap emptyset",
        "mathbb setminus binom choose begin end pmatrix bmatrix vmatrix matrix cases overline vec hat bar lfloor rfloor lceil",
        "rceil lvert rvert mid int sum prod lim partial operatorname deg min max gcd lcm mod pmod bmod abs det prime text",
        "mathrm displaystyle",
    )
    for word in line.split()
)
_SHORT_WORDS = frozenset(re.findall(r"\w+", "an as at be by do go he if is it me my no of on or so to up us we am pm"))
_WORD = re.compile(r"[A-Za-z]+")
_RELATIONS = re.compile(r"\\(?:to|in)(?![A-Za-z])")
_MATHEMATICAL = re.compile(r"[0-9+*/^=<>|!√π×÷·±∞°²³]|\\[a-zA-Z]|-")
_TOWER = re.compile(r"\^\s*\{?\s*[^{}\s+*/=,)-]{1,40}\s*\}?\s*\)?\s*\^|\*\*\s*[^\s+/=,)-]{1,40}\s*\*\*")
_BIG_POWER = re.compile(r"(?:\^|\*\*)\s*[{(]*\s*-?\s*(?:\d\s*){4,}|\d{5,}\s*!|!\s*!|(?:\)|\})\s*!")
_FORBIDDEN = re.compile(r"__|['\"`;#@?]|\.[A-Za-z_]|\b(?:lambda|import|exec|eval)\b\s*[(:]")
_PYTHON = (
    (re.compile(r"\*\*\s*\(([^()]{1,40})\)"), r"^{\1}"),
    (re.compile(r"\*\*\s*(-?[A-Za-z0-9.]+)"), r"^{\1}"),
    (re.compile(r"\^\s*\(([^()]{1,40})\)"), r"^{\1}"),
    (re.compile(r"\^\s*(-\d+|\d{2,})"), r"^{\1}"),
    (re.compile(r"(?<!\\)\bsqrt\s*\(([^()]{1,60})\)"), r"\\sqrt{\1}"),
    (re.compile(r"(?<![\\A-Za-z])(sin|cos|tan|log|ln|exp|pi|sqrt)(?![A-Za-z])"), r"\\\1 "),
    (re.compile(r"\\sqrt\s*([0-9A-Za-z])"), r"\\sqrt{\1}"),
    (re.compile(r"√\s*\(([^()]{1,60})\)"), r"\\sqrt{\1}"),
    (re.compile(r"√\s*([0-9]+|[A-Za-z])"), r"\\sqrt{\1}"),
    (re.compile(r"π"), r"\\pi "),
    (re.compile(r"[×·]"), r"\\times "),
    (re.compile(r"÷"), "/"),
    (re.compile(r"²"), "^{2}"),
    (re.compile(r"³"), "^{3}"),
    (re.compile(r"(?<=[0-9A-Za-z)}])\s*\*\s*(?=[0-9A-Za-z({\\-])"), r" \\cdot "),
)
_CONSTANT = re.compile(r"\s*\+\s*(?:C|c|K|k|\\text\{ ?C\}|\\mathrm\{C\})\s*$")
DECIMALS = 10
"""To which numbers of any form are compared: with math-verify's six, `3.141593` would be pi."""
POINTS = 6
"""Rational points at which derivatives are compared: two different rational functions of degree 20 agree at so many random
ones out of thousands less often than once in 10^9 (Schwartz 1980)."""


def is_mathematical(text: str) -> bool:
    """Whether a text can be an expression: it has a digit, an operator or a command, and no words."""
    if not text or len(text) > MAX_CHARACTERS or _FORBIDDEN.search(text):
        return False
    if not _MATHEMATICAL.search(text) and not re.fullmatch(r"[A-Za-z]", text):
        return False
    words = _WORD.findall(_RELATIONS.sub(" ", text))
    return all(word in _KNOWN or _is_product(word) or (len(word) <= 2 and word not in _SHORT_WORDS) for word in words)


def _is_product(word: str) -> bool:
    """Whether letters are a product of variables (`abc`, `xyz`) rather than a word: three that follow each other."""
    return len(word) == 3 and ord(word[2]) - ord(word[1]) == ord(word[1]) - ord(word[0]) == 1


def is_bounded(text: str) -> bool:
    """Whether working an expression out stays small: no towers of powers, no exponents or factorials of five digits."""
    return _TOWER.search(text) is None and _BIG_POWER.search(text) is None


def in_latex(text: str) -> str:
    """Return an expression in LaTeX; Python's and plain typing's powers, roots and products become commands."""
    for pattern, plain in _PYTHON:
        text = pattern.sub(plain, text)
    return text


def same_constant(reference: str) -> bool:
    """Whether a reference is an antiderivative: it ends in a constant of integration."""
    return _CONSTANT.search(reference) is not None


@computation("same_expressions", first={"pairs": [[r"\frac{x}{2}+1", r"1+\frac{x}{2}"]]})
def same_expressions(pairs: list[list[str]]) -> bool | None:
    """Whether every pair of expressions (reference, answer) is equal; None where that cannot be said. What cannot be read raises.

    An antiderivative is compared by its derivative, at random rational points.
    """
    undecided = False
    for reference, answer in pairs:
        same = _same(reference, answer)
        if same is False:
            return False
        undecided = undecided or same is None
    return None if undecided else True


def _same(reference: str, answer: str) -> bool | None:
    if same_constant(reference):
        return _same_derivative(_parsed(_CONSTANT.sub("", reference)), _parsed(_CONSTANT.sub("", answer)))
    left, right = _parsed(reference), _parsed(answer)
    logging.getLogger("math_verify").setLevel(logging.ERROR)  # it warns that it has no time limit: the worker has one
    verify: Any = import_module("math_verify").verify
    exact = {"float_rounding": DECIMALS, "timeout_seconds": None}
    return bool(verify(left, right, **exact) or verify(right, left, **exact))


def _parsed(text: str) -> Any:
    reader: Any = import_module("latex2sympy2_extended.latex2sympy2")
    cases = reader.ConversionConfig(lowercase_symbols=False)  # `X` and `x` are two things
    return reader.latex2sympy(in_latex(text), conversion_config=cases)


def _same_derivative(left: Any, right: Any) -> bool | None:
    """Compare two antiderivatives of one variable at random rational points."""
    sympy: Any = import_module("sympy")
    symbols = left.free_symbols | right.free_symbols
    if len(symbols) > 1:
        return False if left.free_symbols != right.free_symbols else None
    if not symbols:
        return True
    (symbol,) = symbols
    difference = sympy.diff(sympy.sympify(left).doit() - sympy.sympify(right).doit(), symbol)
    rng = random.Random(0)
    for _ in range(POINTS):
        point = Fraction(rng.randint(1, 9_999), rng.randint(1, 99))
        value = difference.subs(symbol, sympy.Rational(point.numerator, point.denominator))
        if abs(sympy.N(value, 30)) > sympy.Float("1e-15") * max(1, abs(sympy.N(sympy.diff(left.doit(), symbol).subs(symbol, 1)))):
            return False
    return True
