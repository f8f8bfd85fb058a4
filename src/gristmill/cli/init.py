"""`gristmill init`: a commented recipe that runs as it is, with a little data beside it.

The data are word problems and answers that are made by rule, some of them wrong on purpose: they show every stage without a key
and without a network, and are replaced by one line.
"""

from __future__ import annotations

import re
from pathlib import Path

from gristmill.cli.terminal import Reporter
from gristmill.errors import InputError
from gristmill.files.writing import write_jsonl, write_text
from gristmill.recipe.model import NAME_PATTERN
from gristmill.sources.word_problems import WordProblem, word_problems

PROBLEMS = 20
SEED = 7

RECIPE = """\
# A recipe: what to ask, whom, how to grade, what to keep, what to write.
#   gristmill check {name}.yaml      shows every value and where the prompts go
#   gristmill preview {name}.yaml    makes five samples and shows them
#   gristmill run {name}.yaml        runs it, or goes on where it stopped
name: {name}

# Where prompts come from: a JSONL, JSON, CSV or Parquet file (or .gz, .zst, or a folder of them).
prompts: {{path: {name}.problems.jsonl, prompt: question, reference: answer, origin: template, license: CC0-1.0}}

# Who answers. This one replays a file, so nothing leaves your machine. For a real one, put one of these lines in its place:
#   teacher: openai:gpt-5-mini
#   teacher: {{address: "http://127.0.0.1:8000/v1", model: Qwen/Qwen3-8B}}
teacher: {{address: "recorded:{name}.completions.jsonl", license: CC0-1.0}}

# How the prompt is put. `plain` sends it as it is; `hash@1` or `boxed@1` ask for a marked answer, which a real teacher needs.
prompt: {{template: plain, answer_format: hash}}

# Look for one right sample per prompt, in at most four.
sampling: {{want: 1, max_attempts: 4}}

# A sample is accepted if all of these pass it.
grade: [math, {{length: {{max: 400}}}}]

# Hold out a tenth of the prompts.
split: {{validation: 0.1}}

export: [messages, rl]
"""


def init_command(name: str, *, as_json: bool) -> None:
    """Write a recipe and its data into this folder; nothing is overwritten."""
    if not re.match(NAME_PATTERN, name):
        raise InputError(f"`{name}` cannot name a recipe", fix="Use letters, digits, `.`, `_` and `-`.")
    files = {kind: Path(f"{name}.{kind}") for kind in ("yaml", "problems.jsonl", "completions.jsonl")}
    for file in files.values():
        if file.exists():
            raise InputError(f"{file} is there already", fix="Choose another name: `gristmill init NAME`.")
    problems = list(word_problems(SEED, PROBLEMS, (1, 4)))
    write_jsonl(files["problems.jsonl"], ({"question": p.text, "answer": str(p.answer)} for p in problems))
    write_jsonl(
        files["completions.jsonl"],
        ({"prompt": p.text, "completions": _completions(p, number)} for number, p in enumerate(problems)),
    )
    write_text(files["yaml"], RECIPE.format(name=name))
    written = [str(file) for file in files.values()]
    text = f"wrote {', '.join(written)}\nnext: gristmill run {name}.yaml"
    Reporter(as_json=as_json).result(text, {"written": written, "recipe": str(files["yaml"])})


def _completions(problem: WordProblem, number: int) -> list[str]:
    """Return three answers: two with a slip (but for every third problem), then a right one (but for every seventh)."""
    steps = " ".join(problem.equations)
    right = f"{steps} #### {problem.answer}"
    slip = f"{steps} #### {problem.answer + 1 + number % 3}"
    return [right if number % 3 == 0 else slip, slip, slip if number % 7 == 6 else right]
