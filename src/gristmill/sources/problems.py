"""`word_problems` as a source: arithmetic problems made by rule, with their answers, for as many prompts as are wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gristmill.ids import content_id
from gristmill.messages import user
from gristmill.ports import SourceRow
from gristmill.records import Prompt
from gristmill.sources.word_problems import word_problems

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gristmill.recipe.model import WordProblems

GENERATOR_VERSION = 1


class WordProblemSource:
    """Prompts from the word problem generator."""

    def __init__(self, spec: WordProblems) -> None:
        self.spec = spec

    @property
    def name(self) -> str:
        """Return the source's name."""
        return "word_problems"

    def fingerprint(self) -> str:
        """Return the generator's version and options: together they are the content."""
        return f"word_problems@{GENERATOR_VERSION}{self.spec.model_dump_json()}"

    def rows(self) -> Iterator[SourceRow]:
        """Yield the problems; the license is CC0-1.0, since they are made by rule here."""
        spec = self.spec
        for index, problem in enumerate(word_problems(spec.seed, spec.count, spec.steps)):
            message = user(problem.text)
            prompt = Prompt(
                id=content_id("prompt", [message.canonical()]),
                messages=(message,),
                reference=str(problem.answer),
                domain="arithmetic",
                origin="template",
                source_id=f"word_problems#{index}",
                license="CC0-1.0",
                meta={"steps": problem.steps},
            )
            yield SourceRow(f"word_problems:{index}", prompt)
