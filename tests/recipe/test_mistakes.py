"""Every mistake in a recipe is one message: file, line, column, what was found, what to write."""

from __future__ import annotations

from pathlib import Path

import pytest

from gristmill import api
from gristmill.errors import InputError

BASE = """\
name: x
prompts: {path: q.jsonl, prompt: question, reference: answer}
teacher: recorded:c.jsonl
grade: [math]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "q.jsonl").write_text('{"question": "1+1?", "answer": "2"}\n')
    (tmp_path / "c.jsonl").write_text('{"prompt": "1+1?", "completions": ["#### 2"]}\n')
    return tmp_path


def refused(folder: Path, text: str) -> InputError:
    file = folder / "r.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        api.plan(api.load(file))
    error = caught.value
    assert error.exit_code == 2
    assert "Traceback" not in str(error)
    return error


def test_the_base_is_a_good_recipe(folder: Path) -> None:
    (folder / "r.yaml").write_text(BASE)
    plan = api.plan(api.load(folder / "r.yaml"))
    assert plan.base == folder
    assert plan.endpoints["teacher"].kind == "recorded"


ADDED = [
    ("teachr: x", "5:1", "there is no key `teachr`", "Did you mean `teacher`?"),
    ("sampling: {temprature: 1}", "5:12", "`sampling.temprature`", "Did you mean `temperature`?"),
    ("sampling: {<<: {want: 2}}", "5:12", "there is no key `sampling.<<`", "Known keys here: "),
    ("sampling: {want: 2, temperature: 0}", "5:1", "temperature 0 gives the same sample every time", ""),
    ("sampling: {want: null, n: 3, temperature: 0}", "5:1", "temperature 0 gives the same sample every time", ""),
    ("sampling: {want: null}", "5:1", "`want: null` needs `n`", ""),
    ("sampling: {n: 2}", "5:1", "write `want: null` beside it", ""),
    ("sampling: {want: 3, max_attempts: 2}", "5:1", "`max_attempts` is 2, fewer than the 3", ""),
    ("sampling: {temperature: .nan}", "5:12", "got '.nan'", "gristmill schema"),
    ("sampling: {temperature: .inf}", "5:12", "got '.inf'", "gristmill schema"),
    ("seed: 1e999", "5:1", "got '1e999'", "gristmill schema"),
    ("seed: 1.5", "5:1", "fractional part, got 1.5", "gristmill schema"),
    ("export: [mesages]", "5:10", "there is no export format `mesages`", "Did you mean `messages`?"),
    ("export: [messages, messages]", "5:20", "the export format `messages` is written twice", "Keep one of them"),
    ("export:\n  - messages\n  - messages: {thinking: drop}", "7:5", "`messages` is written twice", "Keep one of them"),
    ("task: reasonning", "5:1", "there is no task `reasonning`", "Did you mean `reasoning`?"),
    ("task: {reasoning: {steps: 1}}", "5:20", "there is no key `task.reasoning.steps`", "Known keys here: thinking."),
    ("export:\n  - messages: {thinking: inlin}", "6:16", "'inline' or 'drop', got 'inlin'", ""),
    ("prompt: {template: boxd@1}", "5:1", "there is no template `boxd@1`", "Did you mean `boxed@1`?"),
    ("prompt: {template: mine.jinja}", "5:1", "there is no template file", "relative to the recipe"),
    ("prompt: {answer_format: boxd}", "5:1", "there is no answer format `boxd`", "did you mean `boxed`?"),
    ("split: {test: 0.5, validation: 0.5}", "5:1", "must leave something to train on", ""),
    ("roles: {judge: checker}", "1:1", "role `judge` wants the teacher `checker`", ""),
    ("teachers: {teacher: x}", "1:1", "the teacher is written twice", ""),
    ("target: {rows: 0}", "5:10", "greater than or equal to 1, got 0", ""),
    ("name: y", "5:1", "`name` is written twice (first in line 1)", "Keep one of them."),
]


@pytest.mark.parametrize(("line", "place", "said", "fix"), ADDED)
def test_a_line_that_is_wrong(folder: Path, line: str, place: str, said: str, fix: str) -> None:
    error = refused(folder, f"{BASE}{line}\n")
    assert str(error).startswith(f"{folder / 'r.yaml'}:{place}: ")
    assert said in str(error)
    assert fix in error.fix
    assert "\n" not in str(error)


CHANGED = [
    ("c.jsonl", "cc.jsonl", "3:1", "there is no file", "Did you mean c.jsonl?"),
    ("q.jsonl", "qq.jsonl", "2:1", "there is no file", "Did you mean q.jsonl?"),
    ("recorded:c.jsonl", "recordd:c.jsonl", "3:1", "`recordd:c.jsonl` is not known", "Did you mean `recorded:`?"),
    ("recorded:c.jsonl", "gibberish", "3:1", "`gibberish` is not known", "recorded:FILE, openai:MODEL"),
    ("recorded:c.jsonl", "'recorded:'", "3:1", "names no file", "recorded:completions.jsonl"),
    ("recorded:c.jsonl", "'openai:'", "3:1", "names no model", "openai:MODEL"),
    ("recorded:c.jsonl", "http://h/v1", "3:1", "does not say which model", "model: NAME"),
    ("recorded:c.jsonl", "vllm:gpu1", "3:1", "begin with http:// or https://", "vllm:http://HOST:PORT/v1"),
    ("recorded:c.jsonl", "http://h:99999/v1", "3:1", "Port out of range", "Write "),
    ("recorded:c.jsonl", "'http:///v1'", "3:1", "it names no host", "Write "),
    ("recorded:c.jsonl", "http://u:secret@h/v1", "3:1", "a key does not belong into an address", "Write "),
    ("[math]", "[mth]", "4:9", "there is no grader `mth`", "Did you mean `math`?"),
    ("[math]", "[{math: {answer_fromat: boxed}}]", "4:17", "`grade.0.math.answer_fromat`", "Did you mean `answer_format`?"),
    ("[math]", "\n  - math: {answer_format: boxd}", "5:12", "there is no answer format `boxd`", ""),
    ("[math]", "\n  - math\n  - length: {min: 5, max: 2}", "6:5", "`min` 5 is more than `max` 2", ""),
    ("[math]", "\n  - regex: {pattern: '('}", "5:13", "is not a regular expression", ""),
    ("[math]", "[{math: 3}]", "4:9", "the options of `math` must be `key: value` pairs, got 3", ""),
    ("[math]", "[{math: {}, exact: {}}]", "4:9", "write one grader with its options", ""),
    ("[math]", "[{math: , when: unverifiable}]", "4:1", "`math` comes first", ""),
    ("[math]", "[{any: math}]", "4:9", "`any` takes a list of graders", ""),
    (
        "[math]",
        "[{any: [math, {exact: {cases: true}}]}]",
        "4:31",
        "no key `grade.0.any.1.exact.cases`",
        "Did you mean `case`?",
    ),
    ("[math]", "[{math: , by: nobody}]", "1:1", "the grader `math` asks `nobody`", ""),
    ("[math]", "[{math: , by: teacher}]", "4:9", "`math` asks no model", "Leave `by` and `calibration` away"),
    ("[math]", "[]", "4:1", "at least 1 item", "gristmill schema"),
    ("grade: [math]\n", "", "1:1", "`grade` is missing", "Add `grade: …`"),
    ("teacher: recorded:c.jsonl\n", "", "1:1", "write `teacher: ADDRESS`", ""),
    ("name: x", "name: ../x", "1:1", "string should match pattern", "gristmill schema"),
    ("name: x", "name: -x", "1:1", "string should match pattern", "gristmill schema"),
    ("{path: q.jsonl,", "{path: q.jsonl, word_problems: {count: 3},", "2:1", "one of `path`, `documents`", ""),
    ("path: q.jsonl", "word_problems: {steps: [0, 9]}", "2:35", "greater than or equal to 1, got 0", ""),
    ("path: q.jsonl", "word_problems: {steps: [4, 1]}", "2:11", "the fewest steps come first", ""),
]


@pytest.mark.parametrize(("old", "new", "place", "said", "fix"), CHANGED)
def test_a_value_that_is_wrong(folder: Path, old: str, new: str, place: str, said: str, fix: str) -> None:
    assert old in BASE
    error = refused(folder, BASE.replace(old, new, 1))
    assert str(error).startswith(f"{folder / 'r.yaml'}:{place}: ")
    assert said in str(error)
    assert fix in error.fix
    assert "\n" not in str(error)


def test_several_mistakes_are_reported_first_by_place(folder: Path) -> None:
    assert "`zzz`" in str(refused(folder, f"{BASE}zzz: 1\nseed: x\nyyy: 2\n"))
    assert "`grde`" in str(refused(folder, BASE.replace("grade:", "grde:"))), "what is missing may be misspelt"


@pytest.mark.parametrize(
    ("answer_format", "template"),
    [("auto", "boxed@1"), ("boxed", "boxed@1"), ("hash", "hash@1"), ("line:A:", "plain"), ("tag:answer", "plain")],
)
def test_a_format_alone_brings_the_template_that_asks_for_it(folder: Path, answer_format: str, template: str) -> None:
    """A question that asks for a box is never graded for another mark."""
    file = folder / "r.yaml"
    file.write_text(f"{BASE}prompt: {{answer_format: '{answer_format}'}}\n", encoding="utf-8")
    assert api.plan(api.load(file)).template.name == template


@pytest.mark.parametrize(
    ("text", "said", "fix"),
    [
        ("", "the recipe is empty", "gristmill init"),
        ("- a\n", "`key: value` lines", "gristmill init"),
        ("hi\n", "`key: value`", ""),
    ],
)
def test_a_text_that_is_no_recipe(folder: Path, text: str, said: str, fix: str) -> None:
    error = refused(folder, text)
    assert said in str(error)
    assert fix in error.fix


def test_a_file_that_is_no_text(folder: Path) -> None:
    with pytest.raises(InputError, match="there is no recipe") as caught:
        api.load(folder / "nothing.yaml")
    assert "gristmill init" in caught.value.fix
    with pytest.raises(InputError, match="is a folder"):
        api.load(folder)
    (folder / "latin.yaml").write_bytes(b"name: caf\xe9\n")
    with pytest.raises(InputError, match="cannot read") as caught:
        api.load(folder / "latin.yaml")
    assert "UTF-8" in caught.value.fix


def test_a_template_of_the_users_own_is_found_beside_the_recipe(folder: Path) -> None:
    (folder / "mine.jinja").write_text("Q: {{ prompt }}")
    (folder / "r.yaml").write_text(f"{BASE}prompt: {{template: mine.jinja}}\n")
    assert api.plan(api.load(folder / "r.yaml")).template.fill("{{ 7 * 7 }}") == "Q: {{ 7 * 7 }}"


def test_a_hostile_template_gets_nothing(folder: Path) -> None:
    (folder / "mine.jinja").write_text("{{ prompt.__class__.__mro__[1].__subclasses__() }}")
    (folder / "r.yaml").write_text(f"{BASE}prompt: {{template: mine.jinja}}\n")
    plan = api.plan(api.load(folder / "r.yaml"))
    with pytest.raises(InputError, match="cannot be filled"):
        plan.template.fill("x")
