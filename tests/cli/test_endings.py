"""How commands end: exit codes, and what is said when it did not go as asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cli.commands import RECIPE, gristmill, inside, put

if TYPE_CHECKING:
    from pathlib import Path


def test_nothing_accepted_shows_the_top_reasons_and_three_raw_samples(tmp_path: Path) -> None:
    put(tmp_path, ["#### 99", "I don't know", "#### 98"], RECIPE + "sampling: {want: null, n: 3}\n")
    done = gristmill(tmp_path, "run", "tiny.yaml")
    assert done.code == 5
    assert "nothing was accepted" in done.err
    assert "different (6), no_answer (3)" in done.err
    for number in (1, 2, 3):
        assert f"sample {number} (complete): " in done.err
    assert "next: gristmill preview tiny.yaml" in done.out
    assert "answer_format" in done.err
    content = inside(tmp_path, "run", "tiny.yaml", "--json")
    assert content.code == 5
    assert (content.object["status"], content.object["accepted"]) == ("exhausted", 0)
    assert "nothing was accepted" in content.object["error"]


def test_a_source_in_which_no_row_is_a_prompt_shows_the_first_rows(tmp_path: Path) -> None:
    put(tmp_path, ["x"])
    (tmp_path / "q.jsonl").write_text('{"question": \n[1]\n{"question": "", "answer": "1"}\n')
    done = inside(tmp_path, "run", "tiny.yaml")
    assert done.code == 2
    for line in ("q.jsonl:1: bad_json", "q.jsonl:2: not_an_object", "q.jsonl:3: empty_prompt"):
        assert line in done.err


def test_a_target_that_is_not_reached(tmp_path: Path) -> None:
    put(tmp_path, ["#### 1", "#### 2", "#### 3"])
    done = inside(tmp_path, "run", "tiny.yaml", "--rows", "7", "--json")
    assert done.code == 7
    assert (done.object["status"], done.object["exported"]) == ("exhausted", 3)
    assert "the target of 7 rows is not reached: 3 rows" in done.object["error"]
    assert "target of 7 rows" in inside(tmp_path, "run", "tiny.yaml", "--rows", "7").err


def test_a_target_that_is_reached_is_exact(tmp_path: Path) -> None:
    put(tmp_path, ["#### 1", "#### 2", "#### 3"])
    done = inside(tmp_path, "run", "tiny.yaml", "--rows", "2", "--json")
    assert (done.code, done.object["exported"]) == (0, 2)


MISTAKES = [
    (["rnu", "tiny.yaml"], "Did you mean 'run'?"),
    (["run"], "Missing argument 'recipe'"),
    (["run", "nothing.yaml"], "there is no recipe nothing.yaml"),
    (["run", "."], "is a folder"),
    (["run", "tiny.yaml", "--limit", "x"], "'--limit': Input should be a valid integer"),
    (["run", "tiny.yaml", "--limit", "0"], "greater than or equal to 1"),
    (["run", "tiny.yaml", "--until", "grad"], "`--until grad` is no stage"),
    (["run", "tiny.yaml", "--reuse", "nowhere"], "there is no run in nowhere"),
    (["run", "tiny.yaml", "--no-such-flag"], "No such option"),
    (["check", "tiny.yaml", "--allow-key", "KEY"], "is not NAME=HOST"),
    (["status", "nowhere"], "there is no run in nowhere"),
    (["status", "tiny.yaml"], "there is no run in tiny.yaml"),
    (["init", "../x"], "cannot name a recipe"),
    (["preview", "tiny.yaml", "-n", "0"], "greater than or equal to 1"),
    (["run", "tiny.yaml", "-o", "tiny.yaml"], "tiny.yaml"),
    (["grade", "q.jsonl", "--output", "answer", "--to", "tiny.yaml/out.jsonl"], "tiny.yaml: "),
    (["grade", "q.jsonl", "--output", "answer", "--reference", "anser"], "no row of q.jsonl has a reference under `anser`"),
]


@pytest.mark.parametrize(("words", "said"), MISTAKES, ids=[" ".join(words) for words, _ in MISTAKES])
def test_a_users_mistake_is_one_message_and_its_fix(tmp_path: Path, words: list[str], said: str) -> None:
    put(tmp_path, ["#### 1"])
    done = inside(tmp_path, *words, "--json")
    assert done.code == 2
    content = done.object
    assert set(content) == {"error", "fix", "kind", "exit_code"}
    assert said.lower() in content["error"].lower()
    assert content["fix"]
    assert done.err.startswith(f"error: {content['error']}")


def test_a_mistake_ends_the_process_with_2_and_no_traceback(tmp_path: Path) -> None:
    done = gristmill(tmp_path, "rnu", "tiny.yaml", "--json")
    assert done.code == 2
    assert done.object["fix"] == "See `gristmill --help`."


BOMB = "a: &a [1, 1, 1, 1, 1, 1, 1, 1]\n" + "".join(
    f"{new}: &{new} [{f'*{old},' * 9}]\n" for old, new in zip("abcdef", "bcdefg", strict=True)
)
RECIPES = [
    ("", "tiny.yaml: the recipe is empty"),
    (RECIPE + "\tseed: 1\n", "tiny.yaml:6:1: a tab"),
    (RECIPE + "name: x\n", "tiny.yaml:6:1: `name` is written twice"),
    (RECIPE.replace("q.jsonl", "nothing.jsonl"), "tiny.yaml:2:1: there is no file"),
    (RECIPE.replace("prompt: question", "prompt: qestion"), "there is no field `qestion`"),
    (RECIPE.replace("recorded:c.jsonl", "recordd:c"), "tiny.yaml:3:1: the teacher address `recordd:c` is not known"),
    (RECIPE.replace("recorded:c.jsonl", "openai:m"), "the key is missing: the variable OPENAI_API_KEY is not set"),
    (BOMB, "values once aliases are expanded"),
    (RECIPE.replace("path: q.jsonl", "word_problems: {steps: [4, 1]}"), "the fewest steps come first"),
]


@pytest.mark.parametrize(("recipe", "said"), RECIPES)
def test_a_recipes_mistake_is_one_line_and_its_fix(tmp_path: Path, recipe: str, said: str) -> None:
    put(tmp_path, ["#### 1"], recipe)
    done = inside(tmp_path, "run", "tiny.yaml")
    assert done.code == 2
    assert done.out == ""
    first, *fix = done.err.splitlines()
    assert first.startswith("error: ")
    assert said in first
    assert len(fix) <= 1
