"""Mutants: a right program with one thing wrong, to see whether tests notice (DeMillo, Lipton and Sayward 1978).

Tests that let most mutants pass prove little about what passes them. Mutation is on the syntax tree, one place at a time, and
the same places every time. Some mutants do the same as the original, which no test can notice, so a rate of one is not to be
expected. Beside them stand programs that do nothing: what passes those is no test.
"""

from __future__ import annotations

import ast
from functools import lru_cache
from typing import TYPE_CHECKING

from gristmill.grading.programs.parsing import parsed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

MOST = 10
_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
_OPERATORS: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
}  # fmt: skip


@lru_cache(maxsize=1_000)
def mutants(code: str, most: int = MOST) -> tuple[str, ...]:
    """Return up to so many mutants of a program, of as many kinds as it allows; none where it does not parse.

    Remembered, since every sample of a prompt is asked about the same solution.
    """
    tree = parsed(code)
    if tree is None:
        return ()
    kinds: dict[str, list[str]] = {}
    original = ast.unparse(tree)
    for node in list(ast.walk(tree)):
        for kind, changed in list(_changes(node)):
            text = _with(tree, node, changed)
            if text != original:
                kinds.setdefault(kind, []).append(text)
    found: list[str] = []
    while len(found) < most and any(kinds.values()):
        for texts in kinds.values():
            if texts and len(found) < most and (text := texts.pop(len(texts) // 2)) not in found:
                found.append(text)
    return tuple(found)


def idle(entry_point: str) -> list[str]:
    """Return programs that do nothing: functions with a constant or their first argument, or programs that hardly print."""
    if not entry_point:
        return ["pass\n", "print()\n", "print(0)\n", "print(input())\n"]
    values = ("None", "0", "[]", "''", "True", "a[0] if a else None")
    return [f"def {entry_point}(*a, **k):\n    return {value}\n" for value in values]


def _with(tree: ast.Module, node: ast.AST, changed: ast.AST) -> str:
    """Return the program with another node in a node's place; the tree is as it was afterwards."""
    kind, fields = node.__class__, dict(node.__dict__)
    _become(node, changed.__class__, changed.__dict__)
    text = ast.unparse(tree)
    _become(node, kind, fields)
    return text


def _become(node: ast.AST, kind: type[ast.AST], fields: Mapping[str, object]) -> None:
    node.__class__ = kind
    node.__dict__.clear()
    node.__dict__.update(fields)


def _changes(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """Yield what may stand in a node's place, with the kind of change."""
    if isinstance(node, ast.Compare) and type(node.ops[0]) in _COMPARISONS:
        yield "comparison", ast.Compare(node.left, [_COMPARISONS[type(node.ops[0])](), *node.ops[1:]], node.comparators)
    elif isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        yield "operator", ast.BinOp(node.left, _OPERATORS[type(node.op)](), node.right)
    elif isinstance(node, ast.BoolOp):
        yield "boolean", ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
    elif isinstance(node, ast.Constant) and type(node.value) is int:
        yield "constant", ast.Constant(node.value + 1)
    elif isinstance(node, ast.If):
        yield "branch", ast.If(ast.UnaryOp(ast.Not(), node.test), node.body, node.orelse)
        yield "no branch", ast.If(node.test, [ast.Pass()], node.orelse)
    elif isinstance(node, ast.Return) and node.value is not None:
        yield "return", ast.Return(ast.Constant(None))
    elif isinstance(node, ast.AugAssign):
        yield "statement", ast.Pass()
    elif isinstance(node, ast.Call) and len(node.args) > 1 and not any(isinstance(one, ast.Starred) for one in node.args):
        yield "arguments", ast.Call(node.func, [node.args[1], node.args[0], *node.args[2:]], node.keywords)
