"""Near duplicates among short texts: questions and instructions that say the same in almost the same words.

A text is the set of its words and of its pairs of neighbouring words; two are near duplicates from a Jaccard similarity on. The
search is exact: two sets can only be so alike if they share one of a few tokens that come first in an order that both follow
(the prefix filter of Bayardo, Ma and Srikant 2007, "Scaling up all pairs similarity search"), so only texts that do are
compared. The order puts long tokens first, which are rare. Memory is a set of hashes for each text that is kept; this is for
questions, not for documents.
"""

from __future__ import annotations

import math
import zlib
from itertools import pairwise
from typing import NamedTuple

from gristmill.prose import words

MOST_WORDS = 400
"""Words of a text that are compared."""


class Shape(NamedTuple):
    """A text as far as its neighbours are looked for."""

    tokens: frozenset[int]
    ranked: tuple[int, ...]
    """The tokens, in the order that all texts follow."""


def shape_of(text: str) -> Shape:
    """Return the words and pairs of words of a text."""
    said = words(text)[:MOST_WORDS]
    pairs = {f"{one} {other}" for one, other in pairwise(said)}
    ranked = sorted({*said, *pairs}, key=lambda token: (-len(token), token))
    hashes = tuple(dict.fromkeys(zlib.crc32(token.encode()) for token in ranked))
    return Shape(frozenset(hashes), hashes)


class NearIndex:
    """The texts that are kept, by group."""

    def __init__(self, threshold: float) -> None:
        """Take the similarity, above 0 and at most 1, from which two texts are near duplicates."""
        self._threshold = threshold
        self._kept: list[tuple[int, frozenset[int]]] = []
        self._by_token: dict[tuple[str, int], list[int]] = {}

    def twin(self, group: str, shape: Shape) -> int | None:
        """Return the name of the first kept text of the group that is a near duplicate, or None."""
        places = {place for token in self._prefix(shape) for place in self._by_token.get((group, token), ())}
        for place in sorted(places):
            name, tokens = self._kept[place]
            common = len(tokens & shape.tokens)
            if common >= self._threshold * (len(tokens) + len(shape.tokens) - common) - 1e-9:
                return name
        return None

    def add(self, group: str, name: int, shape: Shape) -> None:
        """Keep a text under a name."""
        place = len(self._kept)
        self._kept.append((name, shape.tokens))
        for token in self._prefix(shape):
            self._by_token.setdefault((group, token), []).append(place)

    def _prefix(self, shape: Shape) -> tuple[int, ...]:
        size = len(shape.ranked)
        return shape.ranked[: size - math.ceil(self._threshold * size - 1e-9) + 1]
