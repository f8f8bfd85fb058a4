"""Tasks as jobs of the sandbox: code and what to do with it, and nothing of what would be right."""

from __future__ import annotations

import ast
import builtins
from typing import TYPE_CHECKING, Any

from gristmill.grading.programs.parsing import parsed
from gristmill.values import encode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gristmill.grading.programs.tasks import Task


PRELUDE = """\
from typing import *
from collections import *
from functools import *
from itertools import *
from heapq import *
from bisect import *
import collections, functools, itertools, heapq, bisect, math, random, re, string
from math import inf
"""
"""What stands before a class whose method is asked for: LeetCode's Python has most libraries imported
(support.leetcode.com, "What are the environments for the programming languages?")."""


def job_of(task: Task, code: str, limits: Mapping[str, float]) -> dict[str, Any]:
    """Return the job that puts code to a task's tests."""
    code = f"{PRELUDE}{code}" if task.method else code
    job: dict[str, Any] = {"mode": task.mode, "code": code, "limits": dict(limits)}
    if task.mode == "stdio":
        return {**job, "inputs": [stdin for stdin, _ in task.cases]}
    if task.mode == "referee":
        names, run = _stubs(task)
        referee = {"tests": task.program, "names": names, "run": run, "method": task.method}
        return {**job, "entry_point": task.entry_point, **referee}
    calls = [[test.name, encode(test.arguments), encode(test.keywords)] for test in task.tests]
    return {**job, "entry_point": task.entry_point, "calls": calls}


def _stubs(task: Task) -> tuple[list[str], list[str]]:
    """Return the functions that a referee's tests call and do not define, and those of their own that wait to be called."""
    tree = parsed(task.program)
    if tree is None:
        return [task.entry_point], []
    nodes = list(ast.walk(tree))
    bound = {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    bound |= {
        (alias.asname or alias.name).split(".")[0]
        for node in nodes
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    bound |= {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    called = {node.func.id for node in nodes if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)}
    top = {
        node.value.func.id
        for node in tree.body
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call) and isinstance(node.value.func, ast.Name)
    }
    stubs = {task.entry_point, *(name for name in called - bound if not hasattr(builtins, name))}
    return sorted(stubs), [] if top else _waiting(tree)


def _waiting(tree: ast.Module) -> list[str]:
    """Return what somebody has to call: `check`, or else the functions `test…` and the classes of tests."""
    defined = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    classes = [
        node.name
        for node in tree.body
        if isinstance(node, ast.ClassDef) and any(ast.unparse(base).split(".")[-1] == "TestCase" for base in node.bases)
    ]
    return ["check"] if "check" in defined else [*(name for name in defined if name.startswith("test")), *classes]
