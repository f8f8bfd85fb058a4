import re
from itertools import pairwise

import pytest

from gristmill.sources.word_problems import Operation, word_problem, word_problems

ALL = list(word_problems(seed=0, count=3000))


def test_the_first_problem_never_changes():
    problem = word_problem(seed=0, index=0)
    assert problem.text == (
        "Dora starts the day with 18 pencils. Noah sends her 16 more pencils. Find the number of pencils Dora has now."
    )
    assert problem.equations == ("18+16=34",)


def test_a_problem_depends_on_seed_index_and_steps_alone():
    assert [word_problem(0, index) for index in reversed(range(50))] == ALL[49::-1]
    assert list(word_problems(1, 50)) != ALL[:50]
    assert list(word_problems(0, 50, (1, 3))) != ALL[:50]


@pytest.mark.parametrize("steps", [(1, 1), (1, 4), (2, 3), (4, 4)])
def test_the_range_of_steps_is_obeyed_and_used(steps: tuple[int, int]):
    found = {problem.steps for problem in word_problems(5, 200, steps)}
    assert found == set(range(steps[0], steps[1] + 1))


@pytest.mark.parametrize("steps", [(0, 2), (3, 2), (1, 5)])
def test_an_impossible_range_of_steps_is_refused(steps: tuple[int, int]):
    with pytest.raises(ValueError, match="ascending numbers from 1 to 4"):
        word_problem(0, 0, steps)


def test_the_answer_follows_from_the_equations():
    for problem in ALL:
        for equation in problem.equations:
            left, right = equation.split("=")
            assert eval(left) == int(right)  # exact: a division with a rest would be a fraction
        assert all(second.a == first.result for first, second in pairwise(problem.operations))
        assert problem.answer == int(problem.equations[-1].split("=")[1])


def test_every_number_is_from_2_to_999():
    for problem in ALL:
        assert all(2 <= n <= 999 for o in problem.operations for n in (o.a, o.b, o.result))


def test_the_story_holds_every_operand_and_nothing_else_in_digits():
    halves_and_doubles = {"half": 2, "doubles": 2, "as many again": 2}
    for problem in ALL:
        told = [int(digits) for digits in re.findall(r"\d+", problem.text)]
        told += [n for phrase, n in halves_and_doubles.items() for _ in range(problem.text.count(phrase))]
        first = problem.operations[0]
        assert sorted(told) == sorted([first.a, *(o.b for o in problem.operations)])


def test_the_story_is_short_plain_and_ends_with_the_question():
    for problem in ALL:
        assert problem.text.isascii()
        assert len(problem.text.split()) <= 80
        assert not re.search(r"[{}]|  | 1 ", problem.text)
        assert re.search(r"(How many [^.?]*\?|Find the number of [^.?]*\.)$", problem.text)


def test_the_two_people_differ_so_that_pronouns_are_clear():
    he, she = re.compile(r"\b([Hh]e|[Hh]im|[Hh]is)\b"), re.compile(r"\b([Ss]he|[Hh]er)\b")
    assert not [problem.text for problem in ALL if he.search(problem.text) and she.search(problem.text)]


@pytest.mark.parametrize("steps", [(1, 4), (1, 1)])
def test_problems_practically_never_repeat(steps: tuple[int, int]):
    texts = [problem.text for problem in word_problems(7, 10_000, steps)]
    assert 1 - len(set(texts)) / len(texts) < 0.005


def test_an_operation_reads_as_an_equation():
    assert str(Operation("/", 25, 5, 5)) == "25/5=5"
