"""Reads the number out of an answer, whatever its style; ``None`` where there is none."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tools.train_builtin.data import Style

OPERATIONS = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
    "divide": lambda a, b: a // b if a % b == 0 else None,
}
# What the model's functions are made of; anything else is not run.
PYTHON_NODES = (
    *(ast.Module, ast.FunctionDef, ast.arguments, ast.Assign, ast.Return, ast.BinOp, ast.Name, ast.Constant),
    *(ast.Load, ast.Store, ast.Add, ast.Sub, ast.Mult, ast.FloorDiv),
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
                return _called(answer)
    except (SyntaxError, ValueError, TypeError, KeyError, NameError, ZeroDivisionError, AttributeError):
        return None


def _returned(answer: str) -> int | None:
    tree = ast.parse(answer)
    if not all(isinstance(node, PYTHON_NODES) for node in ast.walk(tree)):
        return None
    room: dict[str, object] = {"__builtins__": {}}
    exec(compile(tree, "<answer>", "exec"), room)  # assignments and arithmetic only, see PYTHON_NODES
    return room["solve"]()  # type: ignore[operator]


def _called(answer: str) -> int | None:
    """Return the last call's result; the arguments are the model's own numbers, so a slip on the way shows there."""
    result = None
    for statement in ast.parse(answer).body:
        call = statement.value  # type: ignore[attr-defined]
        a, b = (ast.literal_eval(argument) for argument in call.args)
        result = OPERATIONS[call.func.id](a, b)
    return result
