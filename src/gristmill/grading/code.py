"""Run a model's code and compare what it returns: a function with tests, a program with inputs, arguments for an output.

The code never sees what is expected. Tests of the form `assert f(literals) == literal` are read on this side of the wall: the
sandbox gets the arguments and gives back a value, and the comparison is made here. Tests that are a program (HumanEval's
`check`, loops, tolerances) run in walls of their own, as a referee whose calls are relayed. Passing is passing every test;
partial credit is a score and never a pass. What passes is run again in another order with other hashes: code that then fails
is `flaky`, and no verdict. What was too slow and had to wait for a core is run once more, alone and with twice the time.
"""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pydantic import Field

from gristmill.grading.programs.finding import arguments_in, calculates, whole_code
from gristmill.grading.programs.jobs import job_of
from gristmill.grading.programs.judging import Judged, judged
from gristmill.grading.programs.mutants import idle, mutants
from gristmill.grading.programs.tasks import Task, Test, read_task, solution_of
from gristmill.grading.registry import Needs, grader
from gristmill.messages import Frozen
from gristmill.plain import as_list, as_object
from gristmill.records import Verdict
from gristmill.values import decode

if TYPE_CHECKING:
    from pydantic import JsonValue

    from gristmill.ports import Session
    from gristmill.records import Prompt, Sample

MAX_CODE = 1024**2
CALL_S = 5.0
"""For each test where neither the recipe nor a solution says how long one takes."""
SLOWER = 4.0
SHORTEST_S = 1.0
"""Where a reference brings a solution, a test may take so many times what the solution takes, and at least so long."""
WEAK_BELOW = 0.6
"""Tests that fail a smaller share of mutants are weak."""


class CodeOptions(Frozen):
    """How long code may run, and where it is found."""

    call_s: float | None = Field(default=None, gt=0, le=600)
    """Seconds for loading, and for each test. None: four times what the reference's own solution takes and at least 1, where it
    brings one; else 5."""
    total_s: float = Field(default=10.0, gt=0, le=3600)
    """Seconds for one sample."""
    memory_mb: int = Field(default=1024, ge=64)
    """For all processes of one sample."""
    rerun: bool = True
    """Whether what passes is run again in another order, and what had no core and was too slow again alone."""
    take: Literal["last", "first", "whole"] = "last"
    """Which fenced block is the code, where there is one; `whole` takes the text as it is."""
    min_kill_rate: float | None = Field(default=None, ge=0, le=1)
    """Share of the solution's mutants that tests must fail for a pass to count: 0.6 asks for tests that prove something. What
    passes weaker ones is `weak_tests`, and no verdict. None does not look; `gristmill check` does."""


def proof_of(reference: str, _options: CodeOptions) -> str | None:
    """Return the solution that a reference brings along, if it does."""
    return solution_of(reference)


async def examine(prompt: Prompt, options: CodeOptions, session: Session) -> str | None:
    """Return what is weak about a reference's tests, or None: mutants of its solution that pass, and programs that do nothing."""
    task = read_task(prompt.reference or "", _asked(prompt))
    if task is None or not task.solution:
        return None
    found = await strength(task, await _limits(task, options, session), session)
    return None if found.kill_rate >= WEAK_BELOW else found.words


@grader("code", version=3, options=CodeOptions, needs=Needs(sandbox=True), proof=proof_of, examine=examine)
async def grade_code(prompt: Prompt, sample: Sample, options: CodeOptions, session: Session) -> Verdict:
    """Run code in the sandbox against the reference's tests.

    The reference is a JSON object: `{mode: function, entry_point, tests: [assert …]}`, or with `test_code` in the place of
    `tests`, the entry point a function or a method (`Solution().twoSum`); `{mode: stdio, cases: [{stdin, stdout}]}`; or
    `{mode: input, code, entry_point, output}`, for which the answer is a call of the function that returns the output.
    Reasons and `verdict`: `pass`, `fail`, `error`, `timeout`, `memory`,
    `output-limit`, `crash`, `protocol`; and without a verdict `flaky`, `weak_tests`, `broken_tests`, `reference_not_a_task`,
    `no_text`, `no_reference`.
    """
    if sample.answer is None or not prompt.reference:
        return Verdict(passed=None, reason="no_reference" if sample.answer is not None else "no_text")
    context = _asked(prompt)
    task = read_task(prompt.reference, context)
    if task is None:
        return Verdict(passed=None, reason="reference_not_a_task")
    limits = await _limits(task, options, session)
    if task.mode == "input":
        if len(sample.answer) > MAX_CODE:
            return _TOO_LONG
        return await _predicted(task, sample.answer, limits, session)
    code = whole_code(sample.answer, task.entry_point, context, options.take)
    if len(code) > MAX_CODE:
        return _TOO_LONG
    return await _tested(prompt, task, code, limits, options, session)


_TOO_LONG = Verdict(passed=False, reason="error", evidence={"verdict": "error", "detail": "over a mebibyte of code"})


async def _tested(prompt: Prompt, task: Task, code: str, limits: Limits, options: CodeOptions, session: Session) -> Verdict:
    given, alone = limits, False

    async def run(one: Task, hash_seed: int = 0) -> tuple[Judged, dict[str, Any]]:
        result = await session.run_code({**job_of(one, code, given), "alone": alone, "hash_seed": hash_seed})
        return judged(one, result), result

    outcome, result = await run(task)
    if options.rerun and outcome.verdict == "timeout" and result["starved"]:
        given, alone = _doubled(limits), True
        outcome, result = await run(task)
    verdict = outcome.verdict
    if verdict == "pass" and options.rerun:
        again, _ = await run(task.reversed(), hash_seed=1)
        verdict = "pass" if again.verdict == "pass" else "flaky"
    evidence = _evidence(task.mode, outcome._replace(verdict=verdict), result, code)
    evidence |= {"tests": [*outcome.tests], "tests_shown": sum(line in _asked(prompt) for line in task.lines)}
    if verdict == "pass" and options.min_kill_rate is not None and task.solution:
        kill_rate = (await strength(task, limits, session)).kill_rate
        evidence["kill_rate"] = round(kill_rate, 3)
        verdict = verdict if kill_rate >= options.min_kill_rate else "weak_tests"
    score = sum(outcome.tests) / len(outcome.tests) if outcome.tests else None
    undecided = verdict in ("broken_tests", "flaky", "weak_tests")
    return Verdict(passed=None if undecided else verdict == "pass", reason=verdict, score=score, evidence=evidence)


def _evidence(mode: str, outcome: Judged, result: dict[str, Any], code: str) -> dict[str, JsonValue]:
    return {
        "verdict": outcome.verdict,
        "tier": result["tier"],
        "method": mode,
        "extracted": code[:200],
        "detail": outcome.detail[:300],
        "wall_s": result["wall_s"],
        "peak_mb": round(result["peak_bytes"] / 2**20, 1),
    }


def _asked(prompt: Prompt) -> str:
    return prompt.messages[-1].content if prompt.messages else ""


# --- limits

Limits = dict[str, float]


async def _limits(task: Task, options: CodeOptions, session: Session) -> Limits:
    """Return what code may use: where nobody says, what a test may take depends on what the reference's solution takes."""
    limits = {"call_s": options.call_s or CALL_S, "total_s": options.total_s, "memory_bytes": options.memory_mb * 2**20}
    if options.call_s is None and task.solution:
        result = await session.run_code({**job_of(task, task.solution, limits), "remember": True})
        if judged(task, result).verdict == "pass":
            limits["call_s"] = max(SHORTEST_S, SLOWER * result["slowest_s"])
            limits["total_s"] = max(options.total_s, SLOWER * result["wall_s"])
    return limits


def _doubled(limits: Limits) -> Limits:
    return {**limits, "call_s": 2 * limits["call_s"], "total_s": 2 * limits["total_s"]}


# --- arguments for an output


async def _predicted(task: Task, answer: str, limits: Limits, session: Session) -> Verdict:
    """Run the reference's own function on the arguments that the answer proposes, and compare what it returns.

    Arguments that are no literals are worked out first, in walls where the function is not, so that only data goes to it; only a
    lambda that cannot but calculate goes along as it is.
    """
    call = arguments_in(answer, task.entry_point)
    if call is None:
        return Verdict(passed=False, reason="fail", evidence={"verdict": "fail", "method": "input", "detail": "no call"})
    given = [*call.args, *(one.value for one in call.keywords)]
    if any(isinstance(one, ast.Lambda) for one in given) and all(calculates(one) for one in given):
        code = f"{task.program}\ndef proposed():\n    return {ast.unparse(call)}\n"
        test = task.tests[0]._replace(name="proposed", arguments=[])
        outcome, result = await _returned(task, test, code, limits, session)
    else:
        result = await session.run_code(job_of(Task("function", "values", (_VALUES,)), _values_of(call), limits))
        one = result["results"][0]
        outcome, pair = Judged(one.get("failed", "error"), (), one.get("detail", "no arguments")), _pair(one)
        if pair is not None:
            test = task.tests[0]._replace(arguments=pair[0], keywords=pair[1])
            outcome, result = await _returned(task, test, task.program, limits, session)
    evidence = _evidence("input", outcome, result, ast.unparse(call))
    return Verdict(passed=outcome.verdict == "pass", reason=outcome.verdict, evidence=evidence)


_VALUES = Test("values", [], {}, None)


def _values_of(call: ast.Call) -> str:
    """Return a program that returns the arguments of a call, those without and those with names."""
    placed = ", ".join(ast.unparse(one) for one in call.args)
    named = ", ".join(f"{f'{one.arg!r}: ' if one.arg else '**'}{ast.unparse(one.value)}" for one in call.keywords)
    return f"def values():\n    return [[{placed}], {{{named}}}]\n"


async def _returned(task: Task, test: Test, code: str, limits: Limits, session: Session) -> tuple[Judged, dict[str, Any]]:
    proposed = task._replace(mode="function", tests=(test,))
    result = await session.run_code(job_of(proposed, code, limits))
    return judged(proposed, result), result


def _pair(one: dict[str, Any]) -> tuple[list[Any], dict[str, Any]] | None:
    """Return arguments without and with names that came out of the sandbox, where that is what they are."""
    if "value" not in one:
        return None
    both = as_list(decode(one["value"])) or []
    placed, named = (as_list(both[0]), as_object(both[1])) if len(both) == 2 else (None, None)
    return None if placed is None or named is None else (placed, named)


# --- the strength of tests


class Strength(NamedTuple):
    """How much tests notice."""

    mutants: int
    killed: int
    """Mutants of the solution that the tests fail."""
    idle_passes: int
    """Programs that do nothing and pass all the same."""

    @property
    def kill_rate(self) -> float:
        """Return the share of mutants that the tests fail; 0 where an idle program passes."""
        return 0.0 if self.idle_passes else self.killed / self.mutants if self.mutants else 1.0

    @property
    def words(self) -> str:
        """Return the same as a few words."""
        passes = f", {self.idle_passes} programs that do nothing pass" if self.idle_passes else ""
        return f"{self.killed} of {self.mutants} mutants fail{passes}"


async def strength(task: Task, limits: Limits, session: Session) -> Strength:
    """Put mutants of a task's solution, and programs that do nothing, to its tests."""

    async def passes(code: str) -> bool:
        return judged(task, await session.run_code({**job_of(task, code, limits), "remember": True})).verdict == "pass"

    changed = mutants(task.solution)
    passed = [await passes(code) for code in changed]
    idle_passes = [await passes(code) for code in idle(task.entry_point)]
    return Strength(len(changed), len(passed) - sum(passed), sum(idle_passes))
