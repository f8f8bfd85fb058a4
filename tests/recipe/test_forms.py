"""Short and long forms mean the same, and the resolved form says everything."""

from __future__ import annotations

from typing import Any

import pytest

from gristmill.errors import RecipeError
from gristmill.recipe.document import dump_document
from gristmill.recipe.grades import GraderChoice
from gristmill.recipe.load import load_recipe
from gristmill.recipe.model import Choice, Recipe, SamplingSpec, TeacherSpec

SHORT = """\
name: short
prompts: {path: q.jsonl, prompt: question, reference: answer}
teacher: recorded:c.jsonl
grade: math
"""
LONG = """\
name: short
prompts:
  - path: q.jsonl
    prompt: question
    reference: answer
task: {reasoning: {}}
teachers: {}
teacher: {address: "recorded:c.jsonl"}
grade:
  - name: math
    options: {}
export: [{messages: }]
sampling: {want: 1}
"""
FULL = """\
name: full.1_2-3
prompts:
  - {path: "data/*.jsonl", messages: chat, reference: gold, meta: [level], domain: maths, origin: human, license: MIT,
     format: jsonl}
  - {word_problems: {count: 3, steps: [2, 3], seed: 9}}
task: reasoning
teacher: {address: "http://gpu1:8000/v1", model: m, revision: r, key_env: KEY, timeout_s: 9.5, attempts: 2,
          limits: {in_flight: 3}, extra_body: {a: {b: [1, null, true]}}, extra_headers: {x: y}, license: MIT}
teachers: {checker: openai:gpt-x}
roles: {judge: checker}
prompt: {system: "Say: no", template: boxed@1, answer_format: "line:A:"}
sampling: {want: null, n: 4, temperature: 0.6, top_p: 0.95, top_k: 5, max_tokens: 3, stop: ["\\n"]}
grade: [math, {length: {max: 5}}, {regex: {pattern: "^on$"}}]
target: {rows: 12}
select: {per_prompt: 2, dedup: {exact: false}}
split: {validation: 0.25, test: 3e-4}
export: [messages, {prompt_completion: {thinking: drop}}]
seed: 3
window: 8
"""


def recipe(text: str) -> Recipe:
    return load_recipe(text, "r.yaml").recipe


def test_the_short_form_is_the_long_form() -> None:
    assert recipe(SHORT) == recipe(LONG)


@pytest.mark.parametrize("text", [SHORT, LONG, FULL])
def test_the_resolved_form_means_the_same_as_a_model_and_as_text(text: str) -> None:
    first = recipe(text)
    plain = first.model_dump(mode="json")
    assert Recipe.model_validate(plain) == first
    assert recipe(dump_document(plain)) == first


def test_the_resolved_form_is_a_fixed_point() -> None:
    text = dump_document(recipe(FULL).model_dump(mode="json"))
    assert dump_document(recipe(text).model_dump(mode="json")) == text


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("math", Choice(name="math")),
        ({"math": None}, Choice(name="math")),
        ({"math": {"answer_format": "boxed"}}, Choice(name="math", options={"answer_format": "boxed"})),
        ({"name": "math"}, Choice(name="math")),
        ({"name": "math", "options": {"a": 1}}, Choice(name="math", options={"a": 1})),
    ],
)
def test_a_choice_is_a_name_or_a_name_with_options(given: Any, meant: Choice) -> None:
    assert load_recipe(SHORT, "r.yaml", {"export": given}).recipe.export == (meant,)
    assert recipe(SHORT + dump_document({"export": given})).export == (meant,)


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("math", GraderChoice(name="math")),
        ({"math": {"answer_format": "boxed"}}, GraderChoice(name="math", options={"answer_format": "boxed"})),
        ({"regex": "^A"}, GraderChoice(name="regex", short="^A")),
        ({"any": ["math", "exact"]}, GraderChoice(name="any", of=(GraderChoice(name="math"), GraderChoice(name="exact")))),
    ],
)
def test_a_grader_is_a_name_with_options_or_a_rule_with_graders(given: Any, meant: GraderChoice) -> None:
    assert load_recipe(SHORT, "r.yaml", {"grade": given}).recipe.grade == (meant,)
    assert recipe(SHORT.replace("grade: math\n", dump_document({"grade": given}))).grade == (meant,)


def test_changes_replace_top_level_keys() -> None:
    changed = load_recipe(SHORT, "r.yaml", {"target": {"rows": 7}, "seed": 2}).recipe
    assert changed.target is not None
    assert (changed.target.rows, changed.seed) == (7, 2)
    with pytest.raises(RecipeError, match="greater than or equal to 1"):
        load_recipe(SHORT, "r.yaml", {"target": {"rows": 0}})


def test_roles_name_teachers() -> None:
    full = recipe(FULL)
    assert set(full.all_teachers()) == {"teacher", "checker"}
    assert (full.teacher_for("judge"), full.teacher_for("checker"), full.teacher_for("user")) == ("checker", "checker", "teacher")


def test_the_main_teacher_may_stand_under_teachers() -> None:
    moved = recipe(SHORT.replace("teacher: recorded:c.jsonl", "teachers: {teacher: 'recorded:c.jsonl'}"))
    assert moved.all_teachers() == {"teacher": TeacherSpec(address="recorded:c.jsonl")}


def test_a_recipe_cannot_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        recipe(SHORT).sampling.want = 3


def test_parameters_that_were_not_written_are_not_sent() -> None:
    plain = recipe(SHORT).sampling
    assert plain == SamplingSpec()
    assert plain.model_dump(include={"temperature", "top_p", "top_k", "max_tokens"}, exclude_none=True) == {}
