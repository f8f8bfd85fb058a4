"""Python as a syntax tree, and as a value, wherever it came from: what is no Python is None and never an exception."""

from __future__ import annotations

import ast
from typing import Any

_NOT_PYTHON = (SyntaxError, ValueError, TypeError, RecursionError, MemoryError)


def parsed(text: str) -> ast.Module | None:
    """Return the tree of a text, or None where it is no Python."""
    try:
        return ast.parse(text)
    except _NOT_PYTHON:
        return None


def asserts(program: str) -> bool:
    """Whether tests say anything: they assert something that could be false, raise, or `check` returns what it found."""
    tree = parsed(program) or ast.Module([], [])
    waiting = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith(("check", "test"))]
    returns = any(isinstance(node, ast.Return) and node.value for function in waiting for node in ast.walk(function))
    return returns or any(_says(node) for node in ast.walk(tree))


def _says(node: ast.AST) -> bool:
    match node:
        case ast.Assert(test=ast.Constant() | ast.Tuple(elts=[_, *_])):
            return False
        case ast.Assert() | ast.Raise():
            return True
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)):
            return name.startswith(("assert", "fail", "raises"))
        case _:
            return False


def literal(source: ast.expr | str) -> tuple[Any] | None:
    """Return the value of a literal, alone in a tuple since it may be None itself; None where it is no literal."""
    try:
        return (ast.literal_eval(source),)
    except _NOT_PYTHON:
        return None
