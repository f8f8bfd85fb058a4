"""Constraints that can be checked by counting, as words in an instruction and as options of the graders that check them.

An instruction that says "in at most 80 words, in three bullets, with the word `harbour`" can be verified without a judge (Zhou et
al. 2023, "Instruction-Following Evaluation", arXiv 2311.07911). Here a constraint is made by its kind's generator, says itself in
English, and names the grader with its options; the grader `constraints` looks nowhere else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    from pydantic import JsonValue


class Constraint(NamedTuple):
    """A constraint in words, and how it is checked."""

    text: str
    grader: str
    options: dict[str, JsonValue]


LANGUAGES = {"German": "de", "French": "fr", "Spanish": "es", "Italian": "it"}
WORDS = ("however", "because", "example", "careful", "first", "together", "instead", "morning")


def _at_most(rng: random.Random) -> Constraint:
    most = rng.choice((40, 60, 80, 120, 150))
    return Constraint(f"Answer in at most {most} words.", "length", {"max": most})


def _at_least(rng: random.Random) -> Constraint:
    least = rng.choice((60, 100, 150))
    return Constraint(f"Answer in at least {least} words.", "length", {"min": least})


def _bullets(rng: random.Random) -> Constraint:
    count = rng.choice((3, 4, 5))
    return Constraint(f"Use exactly {count} bullet points.", "count", {"of": "bullets", "exactly": count})


def _paragraphs(rng: random.Random) -> Constraint:
    count = rng.choice((2, 3))
    return Constraint(
        f"Write exactly {count} paragraphs, with an empty line between them.", "count", {"of": "paragraphs", "exactly": count}
    )


def _sentences(rng: random.Random) -> Constraint:
    most = rng.choice((2, 3, 5))
    return Constraint(f"Use no more than {most} sentences.", "count", {"of": "sentences", "max": most})


def _json(_rng: random.Random) -> Constraint:
    return Constraint("Answer with one JSON value and nothing else.", "format", {"form": "json"})


def _keyword(rng: random.Random) -> Constraint:
    word = rng.choice(WORDS)
    return Constraint(f'Use the word "{word}".', "keywords", {"all": [word]})


def _forbidden(rng: random.Random) -> Constraint:
    word = rng.choice(WORDS)
    return Constraint(f'Do not use the word "{word}".', "keywords", {"none": [word]})


def _language(rng: random.Random) -> Constraint:
    name = rng.choice(sorted(LANGUAGES))
    return Constraint(f"Answer in {name}.", "language", {"language": LANGUAGES[name]})


KINDS: dict[str, Callable[[random.Random], Constraint]] = {
    "at_most": _at_most,
    "at_least": _at_least,
    "bullets": _bullets,
    "paragraphs": _paragraphs,
    "sentences": _sentences,
    "json": _json,
    "keyword": _keyword,
    "forbidden": _forbidden,
    "language": _language,
}
