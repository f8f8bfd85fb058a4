"""A source whose rows a kind of data makes into what is asked: ten questions of one document, five styles of one text.

How is the kind's business (a pure function over the rows); here it becomes a source like any other, so prompts are planned,
counted and resumed as those of a file are. What is asked follows from rows, options and seed alone.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gristmill.messages import Frozen
    from gristmill.ports import PromptSource, SourceRow


class SpreadSource:
    """Prompts that a task makes from the rows of another source."""

    def __init__(
        self,
        source: PromptSource,
        spread: Callable[[Iterator[SourceRow], Frozen, int], Iterator[SourceRow]],
        options: Frozen,
        seed: int,
    ) -> None:
        self._source = source
        self._spread = spread
        self._options = options
        self._seed = seed

    @property
    def name(self) -> str:
        """Return the name of the source that is spread."""
        return self._source.name

    def fingerprint(self) -> str:
        """Return a text that changes with the source, the task's options and the seed."""
        parts = [self._source.fingerprint(), self._options.model_dump_json(), str(self._seed)]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]

    def rows(self) -> Iterator[SourceRow]:
        """Yield what is asked; rejects of the source pass as they are."""
        return self._spread(self._source.rows(), self._options, self._seed)
