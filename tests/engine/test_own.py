"""Kinds, graders and sources of one's own: loaded where they are trusted, stale when they change, and the page's example
works."""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from gristmill import api
from gristmill.engine import guarding
from gristmill.engine.own import load_file
from gristmill.errors import InputError, SourceError
from gristmill.recipe.document import dump_document
from tests import runs
from tests.cli.commands import inside
from tests.runs import run
from tests.tasks.kinds import replies, samples

PAGE = Path(__file__).parents[2] / "docs/own-kinds.md"
EXAMPLE = """\
from gristmill.own import Frozen, Message, Verdict, grader, made, task, user


class Options(Frozen):
    word: str = "hello"


@task("shout", version=1, options=Options)
async def shout(prompt, session, options):
    reply = await session.complete([user(f"{options.word} {prompt.messages[-1].content}")], step="shout")
    messages = (*prompt.messages, Message(role="assistant", content=reply.message.content.upper()))
    return made(prompt, session, messages=messages, replies=[reply])


@grader("loud", version=1)
def loud(prompt, sample, options):
    return Verdict(passed=sample.answer.isupper(), reason="loud")


def rows():
    yield {"text": "one"}
    yield {"text": "two"}
    yield "three"
"""


def recipe(folder: Path, code: str = EXAMPLE, **changes: Any) -> Path:
    """Write a recipe with everything of one's own."""
    (folder / "mine.py").write_text(code)
    content: dict[str, Any] = {
        "name": "test",
        "prompts": {"source": "mine.py:rows", "prompt": "text"},
        "task": {"mine.py:shout": {"word": "hey"}},
        "teacher": {"address": "scripted:", "script": {"answers": ["ab", "cd"]}},
        "sampling": {"want": None, "n": 1},
        "grade": ["mine.py:loud"],
        **changes,
    }
    path = folder / "recipe.yaml"
    path.write_text(dump_document(content))
    return path


def trusted(path: Path, output: Path) -> dict[str, Any]:
    """Run a recipe that is trusted."""
    plan = api.plan(api.load(path), trust=True)
    return api.run(plan, api.run_folder("test", output), api.Opening(yes=True)).content


def test_it_runs_where_it_is_trusted_and_is_an_error_where_not(tmp_path: Path) -> None:
    path = recipe(tmp_path)
    found = trusted(path, tmp_path / "run")
    assert found["exported"] == 2
    assert next(stage for stage in found["funnel"] if stage["stage"] == "source")["dropped"] == {"not_an_object": 1}
    assert {sample.answer for sample in samples(tmp_path / "run")} <= {"AB", "CD"}
    with pytest.raises(InputError, match="running a program of whoever wrote the recipe"):
        api.plan(api.load(path))


def test_the_commands_ask_for_trust_and_check_runs_nothing(tmp_path: Path) -> None:
    recipe(tmp_path, f"open({str(tmp_path / 'ran')!r}, 'w').close()\n{EXAMPLE}")
    checked = inside(tmp_path, "check", "recipe.yaml", "--json")
    assert checked.code == 0
    assert checked.object["not_looked_at"] == ["mine.py:shout", "mine.py:loud", "mine.py:rows"]
    refused = inside(tmp_path, "run", "recipe.yaml", "--json")
    assert refused.code == 2
    assert "--trust" in refused.object["fix"]
    assert not (tmp_path / "ran").exists()
    for command in (["preview", "recipe.yaml"], ["run", "recipe.yaml"]):
        assert inside(tmp_path, *command, "--trust").code == 0
    assert (tmp_path / "ran").exists()
    (tmp_path / "out.jsonl").write_text('{"output": "LOUD", "good": true}\n{"output": "quiet", "good": true}\n')
    done = inside(tmp_path, "grade", "out.jsonl", "--grader", "mine.py:loud", "--trust", "--json")
    assert done.code == 0, done.err
    graded = [json.loads(line)["grades"][0]["passed"] for line in (tmp_path / "out.jsonl.graded.jsonl").read_text().splitlines()]
    assert graded == [True, False]
    assert inside(tmp_path, "grade", "out.jsonl", "--grader", "mine.py:loud").code == 2
    words = ["audit", "out.jsonl", "--grader", "mine.py:loud", "--label", "good"]
    assert inside(tmp_path, *words).code == 2
    assert inside(tmp_path, *words, "--trust", "--json").object["audits"][0]["recall"]["value"] == 0.5


def test_samples_and_grades_go_stale_when_the_file_changes(tmp_path: Path) -> None:
    """The same calls are on record, so nothing is bought again."""
    path = recipe(tmp_path)
    first = trusted(path, tmp_path / "run")
    assert trusted(path, tmp_path / "run")["calls"]["made"] == 0
    recipe(tmp_path, EXAMPLE.replace(".upper()", ".title()"))
    changed = trusted(path, tmp_path / "run")
    assert first["calls"]["made"] == 2
    assert changed["calls"]["made"] == 0
    assert changed["exported"] == 0


@pytest.mark.parametrize(
    ("code", "changes", "message"),
    [
        ("def broken(:\n", {}, r"mine.py:1: SyntaxError"),
        ("import math\n\nmath.nothing\n", {}, r"mine.py:3: AttributeError"),
        ("import sys\nsys.exit(3)\n", {}, r"mine.py:2: SystemExit: 3"),
        (EXAMPLE, {"task": "../mine.py:shout"}, "outside of the recipe's folder"),
        (EXAMPLE, {"prompts": {"source": "../mine.py:rows", "prompt": "text"}}, "outside of the recipe's folder"),
        (EXAMPLE.replace('@task("shout"', '@task("reasoning"'), {}, "registered twice"),
        (EXAMPLE, {"task": "mine.py:whisper"}, "has no task `whisper`"),
        (EXAMPLE, {"grade": ["mine.py:shout"]}, "has no grader `shout`"),
        (EXAMPLE, {"task": "other.py:shout"}, "cannot be read"),
        (EXAMPLE, {"task": {"mine.py:shout": {"wrod": "x"}}}, "wrod"),
        (EXAMPLE, {"prompts": {"source": "mine.py", "prompt": "text"}}, "names no function"),
    ],
)
def test_mistakes_are_one_message_with_their_place(tmp_path: Path, code: str, changes: dict[str, Any], message: str) -> None:
    path = recipe(tmp_path, code, **changes)
    with pytest.raises(InputError, match=message):
        api.plan(api.load(path), trust=True)


def test_a_file_elsewhere_is_named_in_full(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "mine.py").write_text(EXAMPLE)
    path = recipe(tmp_path / "here", task={f"{tmp_path}/mine.py:shout": {"word": "hey"}})
    assert trusted(path, tmp_path / "run")["exported"] == 2


def test_papers_say_which_file_ran(tmp_path: Path) -> None:
    """Also of a source, which has no other identity there."""
    found = trusted(recipe(tmp_path), tmp_path / "run")
    digest = hashlib.sha256((tmp_path / "mine.py").read_bytes()).hexdigest()
    assert found["own"] == {"mine.py:shout": digest, "mine.py:loud": digest, "mine.py:rows": digest}
    assert json.loads((tmp_path / "run/manifest.json").read_text())["own"] == found["own"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('    yield "three"\n', '    raise KeyError("gone")\n', r"mine.py:23: KeyError: 'gone'"),
        ("def rows():", "def rows(folder):", r"mine.py: TypeError: rows\(\) missing"),
        ("def rows():\n", "def rows():\n    return None\n\n\ndef other():\n", r"TypeError: .* not iterable"),
    ],
)
def test_a_source_that_breaks_says_where(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in EXAMPLE
    with pytest.raises(SourceError, match=message):
        trusted(recipe(tmp_path, EXAMPLE.replace(old, new)), tmp_path / "run")


def test_what_returns_nothing_is_a_row_with_its_reason(tmp_path: Path) -> None:
    """A forgotten `return` in a task or a grader ends no run."""
    made = trusted(recipe(tmp_path, EXAMPLE.replace("    return made(", "    made(")), tmp_path / "task")
    assert {stage["stage"]: stage["dropped"] for stage in made["funnel"]}["sample"] == {"error: task: TypeError": 2}
    graded = trusted(recipe(tmp_path, EXAMPLE.replace("    return Verdict(", "    Verdict(")), tmp_path / "grader")
    assert {stage["stage"]: stage["dropped"] for stage in graded["funnel"]}["grade"] == {"grader_error": 2}


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("raise SystemExit(3)", "RuntimeError('it called sys.exit(3)') at mine.py:17"),
        ("1 / 0", "ZeroDivisionError('division by zero') at mine.py:17"),
        ("while True: pass", "TimeoutError('it did not come back within 0.2 s') at mine.py:1"),
    ],
)
def test_a_grader_that_breaks_exits_or_hangs_is_a_row_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, words: str
) -> None:
    monkeypatch.setattr(guarding, "LIMIT_S", 0.2)
    code = EXAMPLE.replace("    return Verdict(passed=sample", f"    {line}\n    return Verdict(passed=sample")
    made = trusted(recipe(tmp_path, code), tmp_path / "run")
    assert {stage["stage"]: stage["dropped"] for stage in made["funnel"]}["grade"] == {"grader_error": 2}
    assert made["first_fault"].startswith("mine.py:loud")
    assert words in made["first_fault"]
    assert words in made["error"]


def test_equal_rows_of_different_prompts_are_one_row(tmp_path: Path) -> None:
    """What a task makes need not hold its prompt: then the second is a duplicate, and in no other split."""
    code = EXAMPLE.replace("(*prompt.messages, Message", "(user('same'), Message")
    script = {"address": "scripted:", "script": {"answers": ["ab"]}}
    path = recipe(tmp_path, code, teacher=script, split={"test": 0.5}, export=["messages"])
    made = trusted(path, tmp_path / "run")
    assert {stage["stage"]: stage["dropped"] for stage in made["funnel"]}["select"] == {"duplicate": 1}
    assert sum(made["export_rows"]["messages"].values()) == 1


def test_a_task_that_exits_is_a_row_with_its_reason(tmp_path: Path) -> None:
    code = EXAMPLE.replace("    reply = await", "    raise SystemExit\n    reply = await")
    made = trusted(recipe(tmp_path, code), tmp_path / "run")
    assert {stage["stage"]: stage["dropped"] for stage in made["funnel"]}["sample"] == {"error: task: RuntimeError": 2}
    assert made["first_fault"] == "RuntimeError('it called sys.exit(None)') at mine.py:10"


def test_what_ones_own_code_prints_is_not_the_result(tmp_path: Path) -> None:
    code = EXAMPLE.replace("    return Verdict(passed=sample", "    print('mine')\n    return Verdict(passed=sample")
    recipe(tmp_path, f"print('loaded')\n{code}")
    done = inside(tmp_path, "run", "recipe.yaml", "--trust", "--yes", "--json")
    assert done.object["status"] == "complete"
    assert {"mine", "loaded"} <= set(done.err.split())


def test_ctrl_c_ends_a_run_that_somebodys_code_holds_up(tmp_path: Path) -> None:
    """An async function that never awaits: no alarm ends it, and the event loop hears nothing."""
    code = EXAMPLE.replace("    reply = await", "    print('holding', flush=True)\n    while True: pass\n    reply = await")
    process = runs.command("run", str(recipe(tmp_path, code)), "--trust", "--yes", "-o", str(tmp_path / "run"))
    assert process.stderr is not None
    while "holding" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    with suppress(ProcessLookupError):
        while process.poll() is None:  # two signals at one moment are one
            process.send_signal(signal.SIGINT)
            os.sched_yield()
    assert runs.finish(process)[0] == 130


def test_a_sources_rows_are_taken_one_by_one(tmp_path: Path) -> None:
    """Memory is flat: no row waits for the rows after it."""
    code = EXAMPLE + "\n\ntaken = []\n\n\ndef many():\n    for number in range(5):\n        taken.append(number)\n"
    code += '        yield {"text": str(number)}\n'
    plan = api.plan(api.load(recipe(tmp_path, code, prompts={"source": "mine.py:many", "prompt": "text"})), trust=True)
    taken = load_file(tmp_path / "mine.py").functions["taken"]
    rows = plan.sources[0].rows()
    assert next(rows).prompt is not None
    assert taken == [0]
    assert sum(1 for _ in rows) == 4


@pytest.mark.source_tree
def test_the_pages_example_runs(tmp_path: Path) -> None:
    """A task of 25 lines or fewer with a grader and a source; its replay makes no call."""
    page = PAGE.read_text(encoding="utf-8")
    code = re.search(r"```py\n(.*?)```", page, re.DOTALL)
    text = re.search(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert code is not None
    assert text is not None
    assert len(code.group(1).split("@grader")[0].strip().splitlines()) <= 25
    (tmp_path / "riddles.py").write_text(code.group(1))
    script = {"replies": replies({"riddle": ["Riddle: I shine and shrink.", "Riddle: A candle, I say."]})}
    teacher = f"teacher: {json.dumps({'address': 'scripted:', 'script': script})}"
    (tmp_path / "riddles.yaml").write_text(text.group(1).replace("teacher: openai:gpt-5-mini", teacher))
    found = trusted(tmp_path / "riddles.yaml", tmp_path / "run")
    assert found["prompts"] == 3
    assert found["exported"] >= 2
    again = tmp_path / "again"
    plan = api.plan(api.load(tmp_path / "riddles.yaml"), trust=True)
    reuse = api.Opening(yes=True, reuse=api.earlier(tmp_path / "run"))
    assert api.run(plan, api.run_folder("riddles", again), reuse).content["calls"]["made"] == 0


def test_a_plan_that_was_not_looked_at_does_not_run(tmp_path: Path) -> None:
    path = recipe(tmp_path, prompts={"path": "rows.jsonl", "prompt": "text"})
    (tmp_path / "rows.jsonl").write_text('{"text": "one"}\n')
    plan = api.plan(api.load(path), trust=None)
    with pytest.raises(InputError, match="not loaded"):
        api.run(plan, api.run_folder("test", tmp_path / "run"), api.Opening(yes=True))
    assert run
