"""Where the program is in an answer: a fenced block, or the text; a body alone belongs under the question's own head."""

from __future__ import annotations

import ast
import builtins
import re
import textwrap
from typing import NamedTuple, TypeGuard

from gristmill.grading.programs.parsing import literal, parsed

_FENCE = re.compile(r"^[ \t]*(```+|~~~+)[ \t]*([\w+#.-]*)[^\n]*\n(.*?)(?:^[ \t]*\1[ \t]*$|\Z)", re.DOTALL | re.MULTILINE)
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
LAST_BLOCKS = 50
"""Blocks that are looked at, for the same reason."""
_PYTHON = ("python", "py", "python3", "")


def whole_code(answer: str, entry_point: str, context: str, take: str) -> str:
    """Return the program in an answer: a fenced block, or the text; a body alone is put under the question's own head."""
    code = answer
    if take != "whole" and parsed(answer) is None:  # a program may have fences in its own texts
        code = _in_blocks(_blocks(answer), entry_point, -1 if take == "last" else 0) or answer
    if (
        entry_point
        and not _defines(code, entry_point)
        and _defines(f"{context}\n{code}", entry_point)
        and f"def {entry_point}" in context
    ):
        return f"{context}{code}" if context.endswith("\n") else f"{context}\n{code}"
    return code


class Block(NamedTuple):
    """A fenced block."""

    language: str
    code: str


def _blocks(answer: str) -> list[Block]:
    """Return the fenced blocks of an answer that have something in them; one that is not closed goes to the end."""
    found = [Block(match[2].lower(), textwrap.dedent(match[3])) for match in _FENCE.finditer(answer)]
    return [block for block in found if block.code.strip()]


def _in_blocks(blocks: list[Block], entry_point: str, place: int) -> str | None:
    """Return the program in fenced blocks: the one that has the function, with what it needs of the others.

    Examples of use and of output stand in blocks as well. Without a function to look for, a block that says it is Python
    goes before one that says nothing, and what is only a value is none.
    """
    python = [block.code for block in blocks if block.language in _PYTHON]
    if entry_point:
        defining = [code for code in python[-LAST_BLOCKS:] if _defines(code, entry_point)]
        if defining:
            code = ([code for code in defining if not _is_head(code, entry_point)] or defining)[place]
            return "\n".join([*_needed(code, [one for one in python[-LAST_BLOCKS:] if one not in defining]), code])
    named = [block.code for block in blocks if block.language in _PYTHON and block.language and not entry_point]
    programs = named or [code for code in python if not _is_value(code)] or python
    return programs[place] if programs else None


def _is_head(code: str, name: str) -> bool:
    """Whether code has no more of a function than its head and words about it."""
    tree = parsed(code) or ast.Module([], [])
    bodies = [node.body for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name]
    return bool(bodies) and all(
        isinstance(one, ast.Pass) or (isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant)) for one in bodies[-1]
    )


def _is_value(code: str) -> bool:
    """Whether code is nothing but literals, as printed output often is."""
    tree = parsed(code)
    return tree is not None and all(isinstance(node, ast.Expr) and literal(node.value) is not None for node in tree.body)


def _needed(code: str, others: list[str]) -> list[str]:
    """Return the other blocks that bind a name which code uses and nobody else binds, in their order."""
    bound = {one: _bound_at_top(one) for one in others}
    needed: set[str] = set()
    while True:
        missing = _missing("\n".join([*needed, code]))
        more = {one for one in others if bound[one] & missing} - needed
        if not more:
            return [one for one in others if one in needed]
        needed |= more


def _missing(code: str) -> set[str]:
    """Return the names that code uses without binding them anywhere."""
    nodes = list(ast.walk(parsed(code) or ast.Module([], [])))
    used = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    own = {node.id for node in nodes if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load)}
    own |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    own |= {name for node in nodes for name in _binds(node)}
    return {name for name in used - own if not hasattr(builtins, name)}


def _bound_at_top(code: str) -> set[str]:
    tree = parsed(code) or ast.Module([], [])
    return {name for node in tree.body for name in _binds(node)}


def _binds(node: ast.AST) -> list[str]:
    """Return the names that a statement binds."""
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return [name]
        case ast.Assign(targets=targets):
            return [target.id for target in targets if isinstance(target, ast.Name)]
        case ast.AnnAssign(target=ast.Name(id=name)):
            return [name]
        case ast.Import(names=names) | ast.ImportFrom(names=names):
            return [(alias.asname or alias.name).split(".")[0] for alias in names]
        case _:
            return []


def _defines(code: str, name: str) -> bool:
    """Whether code parses and binds a name at its top."""
    tree = parsed(code)
    if tree is None:
        return re.search(rf"^(?:async )?(?:def|class) {re.escape(name)}\b|^{re.escape(name)}\s*=", code, re.MULTILINE) is not None
    return any(name in _binds(node) for node in tree.body)


def arguments_in(answer: str, entry_point: str) -> ast.Call | None:
    """Return the call of a function that an answer proposes: `f(…)`, alone or in an assertion, or the arguments by themselves.

    The last fenced block is looked at first, then the whole text, then its last lines from the end on.
    """
    blocks = [block.code for block in _blocks(answer)]
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
