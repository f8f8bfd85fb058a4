"""What a sandbox's results say about a program: a verdict for each test and one for all.

Passing is passing every test. What keeps a program from being tested further decides; a wrong value is `fail`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from gristmill.grading.programs.comparing import same_value
from gristmill.grading.programs.parsing import asserts
from gristmill.values import decode

if TYPE_CHECKING:
    from gristmill.grading.programs.tasks import Task, Test


class Judged(NamedTuple):
    """The outcome of all tests together."""

    verdict: str
    tests: tuple[bool, ...] = ()
    detail: str = ""


def judged(task: Task, result: dict[str, Any]) -> Judged:
    """Compare a sandbox's results with what the task expects."""
    if task.mode == "referee":
        return _refereed(result, task.program)
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


def _refereed(result: dict[str, Any], tests: str) -> Judged:
    said = result.get("referee")
    if said is None:
        failure = result["results"][0]
        return Judged(failure["failed"], (), failure["detail"])
    if "passed" in said:
        lacks = "" if asserts(tests) else "the tests assert nothing"
        lacks = lacks if said["passed"] else "the tests call nothing"
        return Judged("broken_tests", (), lacks) if lacks else Judged("pass", (True,))
    if "broken" in said:
        return Judged("broken_tests", (), str(said["broken"]))
    if "detail" in said:
        return Judged(said["failed"], (False,), said["detail"])
    return Judged("fail", (False,), str(said.get("failed", "")))


def _value_right(tagged: Any, test: Test) -> bool:
    value = decode(tagged)
    return bool(value) is test.expected if test.truth else same_value(value, test.expected)


def _stdio_right(one: dict[str, Any], expected: str) -> bool:
    """Whether a program ended well and wrote what is expected, line by line, white space at line ends aside."""
    return one["code"] == 0 and one["whole"] and _lines(one["out"]) == _lines(expected)


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.rstrip().splitlines()]
