"""Numbers that a rewriting changed, in every form that they have; and those that it only wrote in another way."""

from __future__ import annotations

from fractions import Fraction

import pytest

from gristmill.grading.amounts import amounts
from gristmill.grading.preserved import PreservedOptions, grade_preserved
from gristmill.messages import user
from gristmill.records import Prompt, Sample


def passes(source: str, rewritten: str, **options: float) -> bool:
    prompt = Prompt(id="p", messages=(user(source),))
    sample = Sample(id="s", prompt_id="p", index=0, messages=prompt.messages, answer=rewritten, status="complete")
    return grade_preserved(prompt, sample, PreservedOptions.model_validate(options)).passed is True


@pytest.mark.parametrize(
    ("source", "rewritten"),
    [
        ("He had five apples.", "He had six apples."),
        ("About twenty-five men.", "About twenty-six men."),
        ("It was -5 degrees.", "It was 5 degrees."),
        ("It was 5 degrees.", "It was −5 degrees."),
        ("It cost $5.", "It cost €5."),
        ("It cost 5 million.", "It cost 5 billion."),
        ("It cost 5 million.", "It cost 5."),
        ("It cost $5M.", "It cost $5k."),
        ("At 5 pm they met.", "At 5 am they met."),
        ("Add ½ cup.", "Add ¼ cup."),
        ("The sum is 1½.", "The sum is 1¼."),
        ("Add 1/2 cup.", "Add 1/3 cup."),
        ("A growth of 5%.", "A growth of 5 points."),
        ("It took 5 days, and a week of rest.", "It took 5 weeks, and days of rest."),
        ("It was 10 km away.", "It was 10 miles away."),
        ("It was 20 °C.", "It was 20 °F."),
    ],
)
def test_a_changed_number_is_found(source: str, rewritten: str) -> None:
    assert not passes(source, rewritten)


@pytest.mark.parametrize(
    ("source", "rewritten"),
    [
        ("It cost 10 million dollars.", "It cost $10,000,000."),
        ("It cost $1.5M, 20k euros and 3 Million yen.", "It cost $1.5 million, 20,000 euros and 3 million yen."),
        ("He had five apples.", "He had 5 apples."),
        ("He had 5 apples.", "He had five apples."),
        ("It was -5 degrees.", "It was minus five degrees."),
        ("A growth of 5%.", "A growth of 5 percent."),
        ("It cost $5.", "It cost five dollars."),
        ("The two men met at 5 pm.", "The men met at 5 p.m."),
        ("A and B met.", "The two of them, A and B, met."),
        ("Add ½ cup.", "Add 1/2 cup."),
        ("Add ½ cup.", "Add half a cup."),
        ("He is 18 years old.", "The 18-year-old man."),
        ("On 2024-05-06 in section 1.2.3, 3-5 people.", "In section 1.2.3 on 2024-05-06, 3-5 people."),
        ("- 3 eggs\n- 4 pears", "Take 3 eggs and 4 pears."),
    ],
)
def test_a_number_in_another_form_is_the_same(source: str, rewritten: str) -> None:
    assert passes(source, rewritten)


def test_where_numbers_may_be_missing_words_for_others_are_no_exchange() -> None:
    assert passes("Five men and six women came in 1999.", "Three points matter in 1999.", missing=1)
    assert not passes("Five men came in 1999.", "Men came in 1998.", missing=1)


def test_numbers_in_digits_are_values() -> None:
    found = amounts("1. -5, 1,024 and 3.50; 2 million, 1.2.3, 3/4, 24/7, ½, 2¾ and 1²")
    assert found == {
        *(Fraction(value) for value in ("-5", "1024", "3.5", "2000000", "3/4", "24", "7", "1/2", "11/4", "1")),
        "1.2.3",
    }
