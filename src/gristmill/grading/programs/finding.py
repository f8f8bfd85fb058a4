"""Where the program is in an answer: a fenced block, or the text; a body alone belongs under the question's own head."""

from __future__ import annotations

import ast
import re
from typing import TypeGuard

from gristmill.grading.programs.parsing import parsed

_FENCE = re.compile(r"^[ \t]*(```+|~~~+)[ \t]*([\w+#.-]*)[^\n]*\n(.*?)^[ \t]*\1[ \t]*$", re.DOTALL | re.MULTILINE)
_LITERAL = (ast.Constant, ast.List, ast.Tuple, ast.Dict, ast.Set, ast.UnaryOp, ast.USub, ast.UAdd, ast.Load)
_CALCULATING = frozenset(
    function.__name__
    for function in (
        abs, all, any, bool, dict, divmod, enumerate, filter, float, int, isinstance, len, list, map, max, min, pow, range,
        reversed, round, set, sorted, str, sum, tuple, zip,
    )
)  # fmt: skip
_REFLECTING = frozenset({"format", "format_map", "gi_frame", "cr_frame", "ag_frame", "f_globals", "f_locals", "f_back"})
LAST_LINES = 100
"""Lines that are each tried as a call: a hostile answer has half a million."""
_PYTHON = ("python", "py", "python3", "")


def whole_code(answer: str, entry_point: str, context: str, take: str) -> str:
    """Return the program in an answer: a fenced block, or the text; a body alone is put under the question's own head."""
    code = answer
    if take != "whole":
        blocks = [match[3] for match in _FENCE.finditer(answer) if match[2].lower() in _PYTHON]
        if blocks:
            code = blocks[-1 if take == "last" else 0]
    if (
        entry_point
        and not _defines(code, entry_point)
        and _defines(f"{context}\n{code}", entry_point)
        and f"def {entry_point}" in context
    ):
        return f"{context}{code}" if context.endswith("\n") else f"{context}\n{code}"
    return code


def _defines(code: str, name: str) -> bool:
    """Whether code parses and binds a name at its top."""
    tree = parsed(code)
    if tree is None:
        return re.search(rf"^(?:async )?(?:def|class) {re.escape(name)}\b|^{re.escape(name)}\s*=", code, re.MULTILINE) is not None
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.name == name:
            return True
        if isinstance(node, ast.Assign) and any(isinstance(target, ast.Name) and target.id == name for target in node.targets):
            return True
        if isinstance(node, ast.Import | ast.ImportFrom) and any((alias.asname or alias.name) == name for alias in node.names):
            return True
    return False


def arguments_in(answer: str, entry_point: str) -> ast.Call | None:
    """Return the call of a function that an answer proposes: `f(…)`, alone or in an assertion, or the arguments by themselves.

    The last fenced block is looked at first, then the whole text, then its last lines from the end on.
    """
    blocks = [match[3] for match in _FENCE.finditer(answer)]
    for text in (*blocks[-1:], answer, *answer.strip().splitlines()[: -LAST_LINES - 1 : -1]):
        call = _proposed(text.strip().strip("`"), entry_point)
        if call is not None:
            return call
    return None


def _proposed(text: str, entry_point: str) -> ast.Call | None:
    """Return the first call of the function in a text, or the call that the text would be between its parentheses."""
    for node in ast.walk(parsed(text) or ast.Module([], [])):
        if _calls(node, entry_point):
            return node
    match parsed(f"{entry_point}({text})"):
        case ast.Module(body=[ast.Expr(value=node)]) if _calls(node, entry_point):
            return node
        case _:
            return None


def _calls(node: ast.AST, entry_point: str) -> TypeGuard[ast.Call]:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == entry_point


def calculates(node: ast.expr) -> bool:
    """Whether an expression is a literal, or a lambda of its parameters, plain builtins and public methods alone.

    Such a function can only calculate: it reaches no module, no frame and nothing whose name begins with an underscore.
    """
    if not isinstance(node, ast.Lambda):
        return all(isinstance(one, _LITERAL) for one in ast.walk(node))
    parts = list(ast.walk(node.body))
    known = {
        one.arg
        for inner in (node, *parts)
        if isinstance(inner, ast.Lambda)
        for one in ast.walk(inner.args)
        if isinstance(one, ast.arg)
    }
    known |= {one.id for one in parts if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)}
    return all(
        (not isinstance(one, ast.Name) or one.id in known or one.id in _CALCULATING)
        and (not isinstance(one, ast.Attribute) or not (one.attr.startswith("_") or one.attr in _REFLECTING))
        for one in parts
    )
