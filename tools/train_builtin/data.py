"""One word problem, three ways to ask for the answer: the text the model is trained on.

The instruction alone picks the style. Every answer has exactly one canonical form, so the chance of a right sample is
the probability of one string, and a forward pass measures pass@k without sampling. Every style spells out the result
of every step. Were one to leave the arithmetic to an interpreter, a model that only reads well would be perfect in
that style long before it is half right in the others.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Literal, NamedTuple

from gristmill.sources.word_problems import WordProblem, word_problem

if TYPE_CHECKING:
    from collections.abc import Mapping

Style = Literal["chain", "code", "tools"]

INSTRUCTIONS: Mapping[Style, str] = {
    "chain": "Solve step by step. End with #### and the number.",
    "code": "Write a Python function solve() that asserts every step and returns the number.",
    "tools": "Use the calculator tools, then answer.",
}
STYLES: tuple[Style, ...] = tuple(INSTRUCTIONS)
TOOL_NAMES = {"+": "add", "-": "subtract", "*": "multiply", "/": "divide"}
ANSWER_TOOL = "answer"
PYTHON_OPERATORS = {"+": "+", "-": "-", "*": "*", "/": "//"}

USER, ASSISTANT, END = "<|user|>", "<|assistant|>", "<|end|>"
# Whatever is not the assistant's is shown as the user's: the model knows no system role.
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'assistant' %}<|assistant|>{{ message['content'] }}<|end|>"
    "{% else %}<|user|>{{ message['content'] }}{% endif %}"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)

TRAIN_SEED, DEV_SEED, TEST_SEED = 1, 2, 3


class Example(NamedTuple):
    """A rendered prompt and the answer the model should write after it."""

    prompt: str
    answer: str


def question(problem: WordProblem, style: Style) -> str:
    """Return what a user writes: the story and, on its own line, the instruction."""
    return f"{problem.text}\n{INSTRUCTIONS[style]}"


def answer(problem: WordProblem, style: Style) -> str:
    """Return the canonical answer in a style."""
    match style:
        case "chain":
            return f"{' '.join(problem.equations)} #### {problem.answer}"
        case "code":
            return _function(problem)
        case "tools":
            calls = [f"{TOOL_NAMES[o.operator]}({o.a}, {o.b})" for o in problem.operations]
            return "; ".join([*calls, f"{ANSWER_TOOL}({problem.answer})"])


def _function(problem: WordProblem) -> str:
    lines = [f"n = {problem.operations[0].a}"]
    for o in problem.operations:
        lines += [f"n = n {PYTHON_OPERATORS[o.operator]} {o.b}", f"assert n == {o.result}"]
    return "\n    ".join(["def solve():", *lines, "return n"])


def example(problem: WordProblem, style: Style) -> Example:
    """Render a problem as the chat template does."""
    return Example(f"{USER}{question(problem, style)}{ASSISTANT}", f"{answer(problem, style)}{END}")


def training_examples(start: int, count: int, mix: Mapping[Style, float]) -> list[Example]:
    """Return examples ``start`` to ``start + count``, each in a style drawn by the weights of ``mix``."""
    rng = random.Random(f"style {TRAIN_SEED} {start}")
    styles = rng.choices(list(mix), list(mix.values()), k=count)
    return [example(word_problem(TRAIN_SEED, start + n), style) for n, style in enumerate(styles)]


def held_out_problems(seed: int, count: int, trained_on: int) -> list[WordProblem]:
    """Return problems of another stream, without those whose text is among the first ``trained_on`` for training."""
    seen = {word_problem(TRAIN_SEED, index).text for index in range(trained_on)}
    problems: list[WordProblem] = []
    index = 0
    while len(problems) < count:
        problem = word_problem(seed, index)
        if problem.text not in seen:
            problems.append(problem)
        index += 1
    return problems
