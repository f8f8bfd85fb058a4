"""Short arithmetic word problems, made on the spot: a prompt source that needs no file, no key and no network.

A problem is a little story about one quantity that changes hands, 1 to 4 times. Every problem is a pure function of
``(seed, index, steps)``, so a run can be continued, split or replayed by number alone, and the answer is known because
the story was written from the equations. The price is a narrow world: two people, one kind of thing, whole numbers
below 300. That is enough to exercise sampling and grading for real, and small enough for a one-million-parameter
model to learn; it says nothing about how well a model reasons elsewhere.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal, TypeVar

Operator = Literal["+", "-", "*", "/"]
T = TypeVar("T")

LARGEST = 120  # products beyond this are arithmetic drill, not reading
MOST_STEPS = 4  # a longer story no longer fits about 60 words


@dataclass(frozen=True, slots=True)
class Operation:
    """One step of the solution: ``a operator b = result``, in whole numbers."""

    operator: Operator
    a: int
    b: int
    result: int

    def __str__(self) -> str:
        return f"{self.a}{self.operator}{self.b}={self.result}"


@dataclass(frozen=True, slots=True)
class WordProblem:
    """A story that ends in a question, with the operations that answer it.

    Each operation starts from the result of the one before, so the last result is the answer.
    """

    text: str
    operations: tuple[Operation, ...]

    @property
    def equations(self) -> tuple[str, ...]:
        """The operations as text, such as ``25/5=5``."""
        return tuple(str(operation) for operation in self.operations)

    @property
    def answer(self) -> int:
        """The number the question asks for."""
        return self.operations[-1].result

    @property
    def steps(self) -> int:
        """How many operations it takes."""
        return len(self.operations)


@dataclass(frozen=True, slots=True)
class Person:
    """A name with the pronouns a sentence needs."""

    name: str
    he: str
    him: str
    his: str


WOMEN = tuple(
    Person(name, "she", "her", "her")
    for name in (
        *("Ada", "Amy", "Anna", "Bella", "Clara", "Dora", "Ella", "Emma", "Eva", "Grace"),
        *("Hana", "Ida", "Jane", "Julia", "Kate", "Lena", "Lily", "Lucy", "Maria", "Maya"),
        *("Mia", "Nina", "Nora", "Olga", "Rosa", "Ruth", "Sara", "Sofia", "Tess", "Zoe"),
    )
)
MEN = tuple(
    Person(name, "he", "him", "his")
    for name in (
        *("Adam", "Alan", "Ben", "Carl", "Dan", "David", "Eli", "Eric", "Felix", "Frank"),
        *("Hugo", "Ivan", "Jack", "James", "John", "Jonas", "Karl", "Leo", "Liam", "Luis"),
        *("Mark", "Max", "Noah", "Omar", "Oscar", "Paul", "Peter", "Sam", "Tom", "Victor"),
    )
)
THINGS = (
    *("apples", "badges", "balls", "beads", "books", "bottles", "buttons", "candles", "cards", "coins"),
    *("cookies", "crayons", "cups", "dolls", "eggs", "flags", "flowers", "keys", "kites", "lemons"),
    *("magnets", "maps", "marbles", "masks", "nuts", "oranges", "pears", "pencils", "photos", "plums"),
    *("posters", "puzzles", "ribbons", "rings", "rocks", "shells", "spoons", "stamps", "stickers", "tickets"),
)
PLACES = (
    *("airport", "bakery", "beach", "castle", "club", "fair", "farm", "garden", "gym", "harbor"),
    *("hotel", "library", "market", "museum", "office", "park", "pool", "school", "station", "theater"),
)
CONTAINERS = ("bags", "baskets", "boxes", "cartons", "cases", "crates", "jars", "sacks", "tins", "trays")

# {P} is the owner's name, {He} or {he} the pronoun; {F} the other person, whose pronouns always differ,
# so "he" and "she" are never in doubt. Numbers in sentences are at least 2, so every noun is plural.
OPENINGS = (
    "{P} has {a} {things}.",
    "{P} owns {a} {things}.",
    "{P} starts the day with {a} {things}.",
    "{P} comes to the {place} with {a} {things}.",
    "{P} keeps {a} {things} at the {place}.",
    "{P} has {a} {things} from the {place}.",
    "{P} has {a} {things}, all from {F}.",
    "At the {place}, {P} counts {his} {things} and finds {a}.",
)
PACKED_OPENINGS = (
    "{P} has {a} {containers} of {b} {things} each.",
    "{P} owns {a} {containers} with {b} {things} in each.",
    "{P} comes to the {place} with {a} {containers} of {b} {things} each.",
    "{P} keeps {a} {containers} at the {place}, with {b} {things} in each.",
)
CHANGES: dict[Operator, tuple[str, ...]] = {
    "+": (
        "{He} buys {b} more.",
        "{F} gives {him} {b} more.",
        "{He} finds {b} more {things} at the {place}.",
        "{He} wins {b} more at the {place}.",
        "{F} sends {him} {b} more {things}.",
        "Then {he} gets another {b} {things}.",
    ),
    "-": (
        "{He} gives {b} of them to {F}.",
        "{He} loses {b} of them at the {place}.",
        "{He} sells {b} {things} at the {place}.",
        "Then {he} gives away {b} {things}.",
        "{F} takes {b} of {his} {things}.",
        "{He} leaves {b} {things} at the {place}.",
    ),
    "*": (
        "Soon {he} has {b} times as many.",
        "A year later, {he} has {b} times as many {things}.",
        "{He} collects more until {he} has {b} times as many.",
        "{F} swaps with {him}, so {he} gets {b} {things} for each one.",
    ),
    "/": (
        "{He} puts them into {b} equal {containers} and keeps only one of the {containers}.",
        "{He} splits them into {b} equal {containers} and sells all but one of the {containers}.",
        "{He} trades every {b} {things} for a single new one.",
        "Then {he} keeps only one of every {b} {things}.",
    ),
}
DOUBLING = ("{He} doubles {his} number of {things}.", "{F} gives {him} as many again.")
HALVING = ("{He} gives half of them to {F}.", "{He} sells half of {his} {things} at the {place}.")
QUESTIONS = (
    "How many {things} does {P} have now?",
    "How many {things} does {he} have in the end?",
    "How many {things} does {P} have after that?",
    "Find the number of {things} {P} has now.",
)
DIVIDING_QUESTIONS = (
    "{He} shares them equally among {b} friends. How many {things} does each friend get?",
    "{He} packs them equally into {b} {containers}. How many {things} are in each?",
)


def word_problem(seed: int, index: int, steps: tuple[int, int] = (1, MOST_STEPS)) -> WordProblem:
    """Make problem number ``index`` of the stream ``seed``.

    Args:
        seed: Which stream of problems.
        index: Which problem of the stream; any order, any number of times.
        steps: The fewest and the most operations, both between 1 and 4.

    Returns:
        The same problem for the same arguments, on every platform.

    Raises:
        ValueError: If ``steps`` is not an ascending range within 1 to 4.
    """
    fewest, most = steps
    if not 1 <= fewest <= most <= MOST_STEPS:
        raise ValueError(f"steps must be two ascending numbers from 1 to {MOST_STEPS}, found [{fewest}, {most}]")
    digest = hashlib.sha256(f"word_problem@1 {seed} {index} {fewest} {most}".encode()).digest()
    rng = Random(int.from_bytes(digest))
    operations = _operations(rng, _between(rng, fewest, most))
    return WordProblem(_story(rng, operations), operations)


def word_problems(seed: int, count: int, steps: tuple[int, int] = (1, MOST_STEPS)) -> Iterator[WordProblem]:
    """Yield problems 0 to ``count - 1`` of the stream ``seed``."""
    return (word_problem(seed, index, steps) for index in range(count))


def _between(rng: Random, low: int, high: int) -> int:
    # Random.random() is the one method whose sequence Python promises to keep between versions.
    return low + int(rng.random() * (high - low + 1))


def _pick(rng: Random, options: Sequence[T]) -> T:
    return options[_between(rng, 0, len(options) - 1)]


def _operations(rng: Random, count: int) -> tuple[Operation, ...]:
    """Draw a chain of operations whose every number is a whole number from 2 to a few hundred."""
    # The first operator is drawn before the first number, or division would be rare among one-step problems.
    first = _pick(rng, tuple(CHANGES))
    divisor = _between(rng, 2, 9)
    start = divisor * _between(rng, 2, 12) if first == "/" else _between(rng, 4, 40 if first != "*" else 15)
    operations = [_operation(first, start, divisor) if first == "/" else _drawn(rng, first, start)]
    while len(operations) < count:
        value = operations[-1].result
        operations.append(_drawn(rng, _pick(rng, _possible(value)), value))
    return tuple(operations)


def _possible(value: int) -> tuple[Operator, ...]:
    """Return the operators that keep the next result a whole number from 2 to a few hundred."""
    possible: list[Operator] = ["+"]
    if value >= 4:
        possible.append("-")
    if 2 * value <= LARGEST:
        possible.append("*")
    if _divisors(value):
        possible.append("/")
    return tuple(possible)


def _divisors(value: int) -> tuple[int, ...]:
    return tuple(b for b in range(2, 10) if value % b == 0 and value > b)


def _drawn(rng: Random, operator: Operator, a: int) -> Operation:
    """Draw the second operand and complete the operation."""
    match operator:
        case "+":
            b = _between(rng, 2, 30)
        case "-":
            b = _between(rng, 2, min(a - 2, 30))
        case "*":
            b = _between(rng, 2, min(LARGEST // a, 9))
        case "/":
            b = _pick(rng, _divisors(a))
    return _operation(operator, a, b)


def _operation(operator: Operator, a: int, b: int) -> Operation:
    result = {"+": a + b, "-": a - b, "*": a * b, "/": a // b}[operator]
    return Operation(operator, a, b, result)


def _story(rng: Random, operations: tuple[Operation, ...]) -> str:
    """Tell the operations as events in the order they happen, and ask for the last result."""
    women_first = rng.random() < 0.5
    owner, friend = (_pick(rng, group) for group in ((WOMEN, MEN) if women_first else (MEN, WOMEN)))
    words = {"P": owner.name, "F": friend.name, "he": owner.he, "He": owner.he.title()}
    words |= {"him": owner.him, "his": owner.his, "things": _pick(rng, THINGS)}
    first, last = operations[0], operations[-1]
    packed = first.operator == "*" and rng.random() < 0.6
    asked = last.operator == "/" and rng.random() < 0.4
    sentences = [_told(rng, _pick(rng, PACKED_OPENINGS if packed else OPENINGS), words, first)]
    told = operations[1:] if packed else operations
    sentences += [_told(rng, _pick(rng, _changes(rng, step)), words, step) for step in told[: len(told) - asked]]
    sentences.append(_told(rng, _pick(rng, DIVIDING_QUESTIONS if asked else QUESTIONS), words, last))
    return " ".join(sentences)


def _changes(rng: Random, step: Operation) -> tuple[str, ...]:
    by_two = {"*": DOUBLING, "/": HALVING}.get(step.operator) if step.b == 2 else None
    return by_two if by_two and rng.random() < 0.5 else CHANGES[step.operator]


def _told(rng: Random, sentence: str, words: dict[str, str], step: Operation) -> str:
    drawn = {"place": _pick(rng, PLACES), "containers": _pick(rng, CONTAINERS)}
    return sentence.format(a=step.a, b=step.b, **drawn, **words)
