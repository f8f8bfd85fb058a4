"""`gristmill init`: a commented recipe of a kind that runs as it is, with a little data beside it.

A kind's files are in `assets/kinds/KIND`: the recipe, in which `@NAME@` stands for the name, and what it reads. So a further
kind is a folder. The teacher of each plays back what stands in the recipe or beside it: every stage can be seen without a key
and without a network, and a real teacher is one line.
"""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from gristmill.cli.terminal import Reporter
from gristmill.errors import InputError
from gristmill.files.writing import write_jsonl, write_text
from gristmill.recipe.model import NAME_PATTERN
from gristmill.registry import nearest
from gristmill.sources.word_problems import WordProblem, word_problems

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.resources.abc import Traversable

PROBLEMS = 20
SEED = 7
DEFAULT = "reasoning"


def kinds() -> list[str]:
    """Return the kinds of data that there is a first recipe for."""
    return sorted(folder.name for folder in (resources.files("gristmill.assets") / "kinds").iterdir() if folder.is_dir())


def init_command(name: str, kind: str, *, as_json: bool) -> None:
    """Write a recipe and its data into this folder; nothing is overwritten."""
    if not re.match(NAME_PATTERN, name):
        raise InputError(f"`{name}` cannot name a recipe", fix="Use letters, digits, `.`, `_` and `-`.")
    if kind not in kinds():
        near = nearest(kind, kinds())
        meant = f"Did you mean `{near}`? " if near else ""
        raise InputError(f"there is no recipe for the kind `{kind}`", fix=f"{meant}There are: {', '.join(kinds())}.")
    texts = {Path(f"{name}.yaml" if path == "recipe.yaml" else f"{name}.{path}"): text for path, text in _files(kind)}
    tables = _problems(name) if kind == DEFAULT else {}
    for path in (*texts, *tables):
        if path.exists():
            raise InputError(f"{path} is there already", fix="Choose another name: `gristmill init NAME`.")
    for path, rows in tables.items():
        write_jsonl(path, iter(rows))
    for path, text in texts.items():
        path.parent.mkdir(exist_ok=True)
        write_text(path, text.replace("@NAME@", name))
    written = [str(path) for path in (*texts, *tables)]
    text = f"wrote {', '.join(written)}\nnext: gristmill run {name}.yaml"
    Reporter(as_json=as_json).result(text, {"written": written, "recipe": f"{name}.yaml"})


def _files(kind: str) -> Iterator[tuple[str, str]]:
    """Yield the files of a kind, by their path within its folder."""

    def within(folder: Traversable, prefix: str) -> Iterator[tuple[str, str]]:
        for file in sorted(folder.iterdir(), key=lambda one: one.name):
            if file.is_dir():
                yield from within(file, f"{prefix}{file.name}/")
            else:
                yield f"{prefix}{file.name}", file.read_text("utf-8")

    yield from within(resources.files("gristmill.assets") / "kinds" / kind, "")


def _problems(name: str) -> dict[Path, list[dict[str, object]]]:
    """Return problems that are made by rule, and three answers to each: some of them are wrong on purpose."""
    problems = list(word_problems(SEED, PROBLEMS, (1, 4)))
    asked: list[dict[str, object]] = [{"question": p.text, "answer": str(p.answer)} for p in problems]
    answered: list[dict[str, object]] = [
        {"prompt": p.text, "completions": _completions(p, number)} for number, p in enumerate(problems)
    ]
    return {Path(f"{name}.problems.jsonl"): asked, Path(f"{name}.completions.jsonl"): answered}


def _completions(problem: WordProblem, number: int) -> list[str]:
    """Return three answers: two with a slip (but for every third problem), then a right one (but for every seventh)."""
    steps = " ".join(problem.equations)
    right = f"{steps} #### {problem.answer}"
    slip = f"{steps} #### {problem.answer + 1 + number % 3}"
    return [right if number % 3 == 0 else slip, slip, slip if number % 7 == 6 else right]
