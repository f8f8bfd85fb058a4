"""What a reference asks for: a function with tests, a program with inputs and outputs, or arguments that lead to an output.

Tests of the form `assert f(literals) == literal` are data and are read here, by `ast`, so that nothing of them goes to the code
that they test. Whatever else stands in tests is a program, and a referee runs it.
"""

from __future__ import annotations

import ast
import builtins
import re
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import orjson

from gristmill.grading.programs.finding import whole_code
from gristmill.grading.programs.parsing import literal, parsed
from gristmill.plain import as_list, as_object, as_text

if TYPE_CHECKING:
    from collections.abc import Sequence


class Test(NamedTuple):
    """One call and what it must return; `truth` wants truth or falsehood instead of a value."""

    name: str
    arguments: list[Any]
    keywords: dict[str, Any]
    expected: Any
    truth: bool = False


class Task(NamedTuple):
    """What a reference asks for."""

    mode: Literal["function", "referee", "stdio", "input"]
    entry_point: str = ""
    tests: tuple[Test, ...] = ()
    program: str = ""
    """A referee's tests, or the function that arguments are wanted for."""
    cases: tuple[tuple[str, str], ...] = ()
    """Inputs and outputs of a program."""
    lines: tuple[str, ...] = ()
    """The tests as they are written, where they are lines."""
    solution: str = ""
    """A program that is right, where the reference brings one."""
    method: str = ""
    """The method that is asked for, where the entry point is a class."""

    def reversed(self) -> Task:
        """Return the task with its tests in the other order."""
        return self._replace(tests=self.tests[::-1], cases=self.cases[::-1])


_METHOD = re.compile(r"([A-Za-z_]\w*)\(\)\.([A-Za-z_]\w*)")
"""An entry point that is a method, as in LeetCode's `Solution().twoSum`."""
_MODES = (None, "function", "input")


def read_task(reference: str, context: str = "") -> Task | None:
    """Return what a reference asks for, or None where it is no task.

    Args:
        reference: A JSON object, as `grade_code` describes it.
        context: The question; where it is Python (HumanEval's are), what it defines is there for a referee's tests.
    """
    content = _content(reference)
    if content is None:
        return None
    entry_point = (as_text(content.get("entry_point")) or "").strip()
    if method := _METHOD.fullmatch(entry_point):
        entry_point = method[1]
    if as_list(content.get("cases")):
        task = _stdio_task(as_list(content["cases"]) or [])
    elif not entry_point.isidentifier() or content.get("mode") not in _MODES:
        return None
    elif content.get("mode") == "input":
        return _input_task(content, entry_point)
    else:
        task = _function_task(content, entry_point, context)
    if task is None:
        return None
    task = task._replace(method=method[2]) if method else task
    solution = _solution(content)
    return task._replace(solution=whole_code(solution, task.entry_point, context, "whole") if solution else "")


def solution_of(reference: str) -> str | None:
    """Return what a reference says is right: a program, or a call that returns the output; empty where it is no object."""
    content = _content(reference)
    if content is None:
        return ""
    if content.get("mode") == "input":
        given = as_text(content.get("input"))
        return None if given is None else f"{content.get('entry_point')}({given})"
    return _solution(content)


def _content(reference: str) -> dict[str, Any] | None:
    try:
        return as_object(orjson.loads(reference))
    except orjson.JSONDecodeError:
        return None


def _solution(content: dict[str, Any]) -> str | None:
    return next((text for key in ("solution", "canonical_solution", "code") if (text := as_text(content.get(key)))), None)


def _input_task(content: dict[str, Any], entry_point: str) -> Task | None:
    code, output = as_text(content.get("code")), as_text(content.get("output"))
    expected = None if output is None else literal(output)
    if code is None or expected is None:
        return None
    return Task("input", entry_point, (Test(entry_point, [], {}, expected[0]),), code)


def _stdio_task(cases: Sequence[Any]) -> Task | None:
    pairs = [(as_text((as_object(case) or {}).get("stdin")), as_text((as_object(case) or {}).get("stdout"))) for case in cases]
    good = tuple((given, wanted) for given, wanted in pairs if given is not None and wanted is not None)
    return Task("stdio", cases=good) if len(good) == len(cases) else None


def _function_task(content: dict[str, Any], entry_point: str, context: str) -> Task | None:
    lines = [text for text in as_list(content.get("tests")) or as_list(content.get("test_list")) or [] if isinstance(text, str)]
    program = as_text(content.get("test_code")) or as_text(content.get("test"))
    if program is None and lines:
        tests = [test for line in lines if (test := read_test(_asserted(line))) is not None]
        if len(tests) == len(lines):
            return Task("function", entry_point, tuple(tests), lines=tuple(line.strip() for line in lines))
        imports = [str(one) for one in as_list(content.get("test_imports")) or []]
        program = "\n".join([*imports, *(_asserted(line) for line in lines)])
    return None if program is None else Task("referee", entry_point, program=f"{_definitions(context, entry_point)}{program}")


def _definitions(context: str, entry_point: str) -> str:
    """Return what a question in Python defines besides the function that is asked for."""
    tree = parsed(context)
    if tree is None:
        return ""
    kept = [
        node
        for node in tree.body
        if isinstance(node, ast.Import | ast.ImportFrom)
        or (isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name != entry_point)
    ]
    return "".join(f"{ast.unparse(node)}\n" for node in kept)


def _asserted(line: str) -> str:
    """Return a line of tests, or the assertion of it where it only compares: `f(1) == 2` by itself asserts nothing."""
    match parsed(line.strip()):
        case ast.Module(body=[ast.Expr(value=ast.Compare() | ast.BoolOp() | ast.UnaryOp(op=ast.Not()) as found)]):
            return f"assert {ast.unparse(found)}"
        case _:
            return line


def read_test(line: str) -> Test | None:
    """Read `assert f(literals) == literal` (also `is`, alone, or after `not`), or return None where it is anything else."""
    tree = parsed(line.strip())
    if tree is None or len(tree.body) != 1 or not isinstance(tree.body[0], ast.Assert):
        return None
    test = tree.body[0].test
    if isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], ast.Eq | ast.Is):
        call, expected = _call(test.left), literal(test.comparators[0])
        return None if call is None or expected is None else Test(*call, expected[0])
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        call = _call(test.operand)
        return None if call is None else Test(*call, expected=False, truth=True)
    call = _call(test)
    return None if call is None else Test(*call, expected=True, truth=True)


def _call(node: ast.expr) -> tuple[str, list[Any], dict[str, Any]] | None:
    """Return the name and the literal arguments of a call of one of the code's functions, or None."""
    if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)) or hasattr(builtins, node.func.id):
        return None
    arguments = [literal(one) for one in node.args]
    keywords = {one.arg: literal(one.value) for one in node.keywords}
    if None in arguments or None in keywords.values() or None in keywords:
        return None
    return node.func.id, [one[0] for one in arguments if one], {str(name): one[0] for name, one in keywords.items() if one}
