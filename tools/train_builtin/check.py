"""Reads the number out of an answer, whatever its style; ``None`` where there is none."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from tools.train_builtin.data import ANSWER_TOOL

if TYPE_CHECKING:
    from tools.train_builtin.data import Style

# What the model's functions are made of; anything else is not run.
PYTHON_NODES = (
    *(ast.Module, ast.FunctionDef, ast.arguments, ast.Assign, ast.Assert, ast.Return, ast.BinOp, ast.Name, ast.Constant),
    *(ast.Load, ast.Store, ast.Compare, ast.Eq, ast.Add, ast.Sub, ast.Mult, ast.FloorDiv),
)


def number_in(answer: str, style: Style) -> int | None:
    """Return the number an answer arrives at."""
    try:
        match style:
            case "chain":
                found = re.search(r" #### (\d+)$", answer)
                return int(found[1]) if found else None
            case "code":
                return _returned(answer)
            case "tools":
                found = re.fullmatch(rf"(?:\w+\(\d+, \d+\); )+{ANSWER_TOOL}\((\d+)\)", answer)
                return int(found[1]) if found else None
    except (SyntaxError, AssertionError, ArithmeticError, NameError, KeyError, TypeError):
        return None


def _returned(answer: str) -> int | None:
    tree = ast.parse(answer)
    if not all(isinstance(node, PYTHON_NODES) for node in ast.walk(tree)):
        return None
    room: dict[str, object] = {"__builtins__": {}}
    exec(compile(tree, "<answer>", "exec"), room)  # assignments and arithmetic only, see PYTHON_NODES
    return room["solve"]()  # type: ignore[operator]
