"""`word_problems` as a source: arithmetic problems made by rule, with their answers, for as many prompts as are wanted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gristmill.ids import canonical_json, content_id
from gristmill.messages import user
from gristmill.ports import SourceRow
from gristmill.records import Prompt
from gristmill.sources.word_problems import word_problems

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gristmill.recipe.model import WordProblems
    from gristmill.sources.word_problems import WordProblem

GENERATOR_VERSION = 1
TOOLS = {"+": "add", "-": "subtract", "*": "multiply", "/": "divide"}
"""The calculator's tools, each of two numbers `a` and `b`; `answer` ends."""


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
                reference=_reference(problem, spec.answer_as),
                domain="arithmetic",
                origin="template",
                source_id=f"word_problems#{index}",
                license="CC0-1.0",
                meta={"steps": problem.steps},
            )
            yield SourceRow(f"word_problems:{index}", prompt)


def _reference(problem: WordProblem, answer_as: str) -> str:
    """Return a problem's answer as the grader of a style wants it."""
    if answer_as == "function":
        tests = [f"assert solve() == {problem.answer}"]
        return canonical_json({"mode": "function", "entry_point": "solve", "tests": tests}).decode()
    if answer_as == "calls":
        calls = [{TOOLS[one.operator]: {"a": [one.a], "b": [one.b]}} for one in problem.operations]
        functions = [_tool(name, "a", "b") for name in TOOLS.values()]
        return canonical_json(
            {"function": [*functions, _tool("answer", "n")], "possible_answer": [*calls, {"answer": {"n": [problem.answer]}}]}
        ).decode()
    return str(problem.answer)


def _tool(name: str, *parameters: str) -> dict[str, Any]:
    properties = {parameter: {"type": "integer"} for parameter in parameters}
    return {"name": name, "parameters": {"type": "object", "properties": properties, "required": [*parameters]}}
