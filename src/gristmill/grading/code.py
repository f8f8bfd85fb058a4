"""Run a model's code and compare what it returns: a function with tests, or a program with inputs and outputs.

The code never sees what is expected. Tests of the form `assert f(literals) == literal` are read here: the sandbox gets the
arguments and gives back a value, and the comparison is made on this side of the wall. Tests that are a program (HumanEval's
`check`, loops, tolerances) run in walls of their own, as a referee whose calls are relayed. Passing is passing every test;
partial credit is a score and never a pass. What passes is run again in another order with other hashes: code that then fails
is `flaky`, and no verdict.
"""

from __future__ import annotations

import ast
import builtins
import math
import re
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import orjson
from pydantic import Field

from gristmill.grading.registry import Needs, grader
from gristmill.messages import Frozen
from gristmill.plain import as_list, as_object, as_text
from gristmill.records import Verdict
from gristmill.values import decode, encode

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic import JsonValue

    from gristmill.ports import Session
    from gristmill.records import Prompt, Sample

MAX_CODE = 1024**2
RELATIVE, ABSOLUTE = 1e-6, 1e-9
"""How far a float may be from an expected float."""
_FENCE = re.compile(r"^[ \t]*(```+|~~~+)[ \t]*([\w+#.-]*)[^\n]*\n(.*?)^[ \t]*\1[ \t]*$", re.DOTALL | re.MULTILINE)
_PYTHON = ("python", "py", "python3", "")


class CodeOptions(Frozen):
    """How long code may run, and where it is found."""

    call_s: float = Field(default=5.0, gt=0, le=600)
    """Seconds for loading, and for each test."""
    total_s: float = Field(default=10.0, gt=0, le=3600)
    """Seconds for one sample."""
    memory_mb: int = Field(default=1024, ge=64)
    """For all processes of one sample."""
    rerun: bool = True
    """Whether what passes is run again in another order."""
    take: Literal["last", "first", "whole"] = "last"
    """Which fenced block is the code, where there is one; `whole` takes the text as it is."""


class Test(NamedTuple):
    """One call and what it must return; `truth` wants truth or falsehood instead of a value."""

    name: str
    arguments: list[Any]
    keywords: dict[str, Any]
    expected: Any
    truth: bool = False


class Task(NamedTuple):
    """What a reference asks for."""

    mode: Literal["function", "referee", "stdio"]
    entry_point: str = ""
    tests: tuple[Test, ...] = ()
    program: str = ""
    """A referee's tests."""
    cases: tuple[tuple[str, str], ...] = ()
    """Inputs and outputs of a program."""


def proof_of(reference: str, _options: CodeOptions) -> str | None:
    """Return the solution that a reference brings along, if it does."""
    try:
        content = as_object(orjson.loads(reference)) or {}
    except orjson.JSONDecodeError:
        return ""
    return next((text for key in ("solution", "canonical_solution", "code") if (text := as_text(content.get(key)))), None)


@grader("code", version=1, options=CodeOptions, needs=Needs(sandbox=True), proof=proof_of)
async def grade_code(prompt: Prompt, sample: Sample, options: CodeOptions, session: Session) -> Verdict:
    """Run code in the sandbox against the reference's tests.

    The reference is a JSON object: `{mode: function, entry_point, tests: [assert …]}`, or with `test_code` in the place of
    `tests`, or `{mode: stdio, cases: [{stdin, stdout}]}`. Reasons and `verdict`: `pass`, `fail`, `error`, `timeout`, `memory`,
    `output-limit`, `crash`, `protocol`; and without a verdict `flaky`, `broken_tests`, `reference_not_a_task`, `no_text`,
    `no_reference`.
    """
    if sample.answer is None or not prompt.reference:
        return Verdict(passed=None, reason="no_reference" if sample.answer is not None else "no_text")
    context = prompt.messages[-1].content if prompt.messages else ""
    task = read_task(prompt.reference, context)
    if task is None:
        return Verdict(passed=None, reason="reference_not_a_task")
    code = whole_code(sample.answer, task.entry_point, context, options.take)
    if len(code) > MAX_CODE:
        return Verdict(passed=False, reason="error", evidence={"verdict": "error", "detail": "over a mebibyte of code"})
    result = await session.run_code(_job(task, code, options))
    outcome = judged(task, result)
    verdict = outcome.verdict
    if verdict == "pass" and options.rerun and task.mode != "referee":
        again = judged(_reversed(task), await session.run_code(_job(_reversed(task), code, options)))
        verdict = "pass" if again.verdict == "pass" else "flaky"
    evidence: dict[str, JsonValue] = {
        "verdict": verdict,
        "tier": result["tier"],
        "method": task.mode,
        "extracted": code[:200],
        "tests": [*outcome.tests],
        "detail": outcome.detail[:300],
        "wall_s": result["wall_s"],
        "peak_mb": round(result["peak_bytes"] / 2**20, 1),
    }
    score = sum(outcome.tests) / len(outcome.tests) if outcome.tests else None
    undecided = verdict in ("broken_tests", "flaky")
    return Verdict(passed=None if undecided else verdict == "pass", reason=verdict, score=score, evidence=evidence)


class Judged(NamedTuple):
    """The outcome of all tests together."""

    verdict: str
    tests: tuple[bool, ...] = ()
    detail: str = ""


def judged(task: Task, result: dict[str, Any]) -> Judged:
    """Compare a sandbox's results with what the task expects."""
    if task.mode == "referee":
        return _refereed(result)
    stdio = task.mode == "stdio"
    wanted: list[Any] = [*task.cases] if stdio else [*task.tests]
    tests: list[bool] = []
    worst, detail = "", ""
    for one, want in zip(result["results"], wanted, strict=False):
        if "failed" in one:
            tests.append(False)
            worst, detail = (worst or one["failed"]), (detail or one["detail"])
            continue
        right = _stdio_right(one, want[1]) if stdio else _value_right(one["value"], want)
        if not right and not worst:
            worst, detail = _why_wrong(one, task.mode), f"test {len(tests)}"
        tests.append(right)
    if len(tests) == len(wanted) and all(tests) and tests:
        return Judged("pass", tuple(tests))
    return Judged(worst or "fail", (*tests, *[False] * (len(wanted) - len(tests))), detail)


def _why_wrong(one: dict[str, Any], mode: str) -> str:
    if mode != "stdio":
        return "fail"
    if not one["whole"]:
        return "output-limit"
    return "fail" if one["code"] == 0 else "error" if one["code"] > 0 else "crash"


def _refereed(result: dict[str, Any]) -> Judged:
    said = result.get("referee")
    if said is None:
        failure = result["results"][0]
        return Judged(failure["failed"], (), failure["detail"])
    if "passed" in said:
        return Judged("pass", (True,)) if said["passed"] else Judged("broken_tests", (), "the tests call nothing")
    if "broken" in said:
        return Judged("broken_tests", (), str(said["broken"]))
    if "detail" in said:
        return Judged(said["failed"], (False,), said["detail"])
    return Judged("fail", (False,), str(said.get("failed", "")))


def _value_right(tagged: Any, test: Test) -> bool:
    value = decode(tagged)
    return bool(value) is test.expected if test.truth else same_value(value, test.expected)


def same_value(value: Any, expected: Any) -> bool:
    """Whether a value is the expected one, as Python's `==` says of plain data; a float may be off by 1e-6 where one is expected.

    Both sides are data that was decoded here, so nothing of the candidate's runs in the comparison.
    """
    if value == expected:
        return True
    if isinstance(expected, float) and type(value) in (int, float):
        both_nan = math.isnan(value) and math.isnan(expected)
        return both_nan or abs(value - expected) <= max(ABSOLUTE, RELATIVE * abs(expected))
    if _is_list(expected, value):
        mine, theirs = _parts(value), _parts(expected)
        return len(mine) == len(theirs) and all(map(same_value, mine, theirs))
    got, want = as_object(value), as_object(expected)
    if got is None or want is None:
        return False
    return got.keys() == want.keys() and all(same_value(got[key], want[key]) for key in want)


def _is_list(expected: Any, value: Any) -> bool:
    """Whether both are lists or both are tuples."""
    return any(isinstance(expected, kind) and isinstance(value, kind) for kind in (list, tuple))


def _parts(value: Any) -> list[Any]:
    return list(value)


def _stdio_right(one: dict[str, Any], expected: str) -> bool:
    """Whether a program ended well and wrote what is expected, line by line, white space at line ends aside."""
    return one["code"] == 0 and one["whole"] and _lines(one["out"]) == _lines(expected)


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.rstrip().splitlines()]


# --- the job


def _job(task: Task, code: str, options: CodeOptions) -> dict[str, Any]:
    limits = {"call_s": options.call_s, "total_s": options.total_s, "memory_bytes": options.memory_mb * 2**20}
    job: dict[str, Any] = {"mode": task.mode, "code": code, "limits": limits}
    if task.mode == "stdio":
        return {**job, "inputs": [stdin for stdin, _ in task.cases]}
    if task.mode == "referee":
        names, check = _stubs(task)
        return {**job, "entry_point": task.entry_point, "tests": task.program, "names": names, "check": check}
    calls = [[test.name, encode(test.arguments), encode(test.keywords)] for test in task.tests]
    return {**job, "entry_point": task.entry_point, "calls": calls}


def _stubs(task: Task) -> tuple[list[str], bool]:
    """Return the functions that a referee's tests call and do not define, and whether they wait to be called as `check`."""
    try:
        tree = ast.parse(task.program)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return [task.entry_point], False
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
    return sorted(stubs), "check" in bound and not top


def _reversed(task: Task) -> Task:
    return task._replace(tests=task.tests[::-1], cases=task.cases[::-1])


# --- reading a task


def read_task(reference: str, context: str = "") -> Task | None:
    """Return what a reference asks for, or None where it is no task.

    Args:
        reference: A JSON object, as `grade_code` describes it.
        context: The question; where it is Python (HumanEval's are), what it defines is there for a referee's tests.
    """
    try:
        content = as_object(orjson.loads(reference))
    except orjson.JSONDecodeError:
        return None
    if content is None:
        return None
    if as_list(content.get("cases")):
        return _stdio_task(as_list(content["cases"]) or [])
    entry_point = (as_text(content.get("entry_point")) or "").strip()
    return _function_task(content, entry_point, context) if entry_point.isidentifier() else None


def _stdio_task(cases: Sequence[Any]) -> Task | None:
    pairs = [(as_text((as_object(case) or {}).get("stdin")), as_text((as_object(case) or {}).get("stdout"))) for case in cases]
    good = tuple((given, wanted) for given, wanted in pairs if given is not None and wanted is not None)
    return Task("stdio", cases=good) if len(good) == len(cases) else None


def _function_task(content: dict[str, Any], entry_point: str, context: str) -> Task | None:
    lines = [text for text in as_list(content.get("tests")) or as_list(content.get("test_list")) or [] if isinstance(text, str)]
    program = as_text(content.get("test_code")) or as_text(content.get("test"))
    if program is None and lines:
        tests = [test for line in lines if (test := read_test(line)) is not None]
        if len(tests) == len(lines):
            return Task("function", entry_point, tuple(tests))
        program = "\n".join([*(str(one) for one in as_list(content.get("test_imports")) or []), *lines])
    return None if program is None else Task("referee", entry_point, program=f"{_definitions(context, entry_point)}{program}")


def _definitions(context: str, entry_point: str) -> str:
    """Return what a question in Python defines besides the function that is asked for."""
    try:
        tree = ast.parse(context)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ""
    kept = [
        node
        for node in tree.body
        if isinstance(node, ast.Import | ast.ImportFrom)
        or (isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name != entry_point)
    ]
    return "".join(f"{ast.unparse(node)}\n" for node in kept)


def read_test(line: str) -> Test | None:
    """Read `assert f(literals) == literal` (also `is`, alone, or after `not`), or return None where it is anything else."""
    try:
        body = ast.parse(line.strip()).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    if len(body) != 1 or not isinstance(body[0], ast.Assert):
        return None
    test = body[0].test
    if isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], ast.Eq | ast.Is):
        call, expected = _call(test.left), _literal(test.comparators[0])
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
    arguments = [_literal(one) for one in node.args]
    keywords = {one.arg: _literal(one.value) for one in node.keywords}
    if None in arguments or None in keywords.values() or None in keywords:
        return None
    return node.func.id, [one[0] for one in arguments if one], {str(name): one[0] for name, one in keywords.items() if one}


def _literal(node: ast.expr) -> tuple[Any] | None:
    try:
        return (ast.literal_eval(node),)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None


# --- finding the code


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
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return re.search(rf"^(?:async )?(?:def|class) {re.escape(name)}\b|^{re.escape(name)}\s*=", code, re.MULTILINE) is not None
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.name == name:
            return True
        if isinstance(node, ast.Assign) and any(isinstance(target, ast.Name) and target.id == name for target in node.targets):
            return True
        if isinstance(node, ast.Import | ast.ImportFrom) and any((alias.asname or alias.name) == name for alias in node.names):
            return True
    return False
