"""The procedural source: any count, always the same, with references, license and origin."""

from __future__ import annotations

from gristmill.recipe.model import WordProblems
from gristmill.sources.problems import WordProblemSource
from gristmill.sources.word_problems import word_problem


def test_the_problems_are_prompts_with_their_answers() -> None:
    spec = WordProblems(count=50, steps=(2, 3), seed=4)
    rows = list(WordProblemSource(spec).rows())
    assert len(rows) == 50
    for index, row in enumerate(rows):
        problem = word_problem(4, index, (2, 3))
        assert row.reject is None
        assert row.prompt is not None
        assert row.prompt.messages[0].content == problem.text
        assert row.prompt.reference == str(problem.answer)
        assert row.prompt.meta == {"steps": problem.steps}
        assert (row.prompt.origin, row.prompt.license, row.prompt.source_id) == ("template", "CC0-1.0", f"word_problems#{index}")


def test_more_problems_begin_with_the_same_ones() -> None:
    few, many = (list(WordProblemSource(WordProblems(count=count)).rows()) for count in (5, 20))
    assert many[:5] == few


def test_the_fingerprint_says_what_the_problems_are() -> None:
    base = WordProblemSource(WordProblems(count=5)).fingerprint()
    assert WordProblemSource(WordProblems(count=5)).fingerprint() == base
    others = [WordProblems(count=6), WordProblems(count=5, seed=1), WordProblems(count=5, steps=(1, 2))]
    assert base not in {WordProblemSource(spec).fingerprint() for spec in others}
