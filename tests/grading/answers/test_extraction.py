"""What each declared format finds, what it refuses, and that hostile text cannot hang a reader.

The hostile sizes are such that a quadratic reader would run for minutes; no time is asserted.
"""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.errors import InputError
from gristmill.grading.answers.extraction import check_format, extract, without_thinking

FORMATS = ("auto", "boxed", "hash", "line:A:", "json:answer", "tag:answer", "literal", "last_number")


@pytest.mark.parametrize(
    ("text", "answer_format", "answer"),
    [
        ("2+3\n#### 5", "hash", "5"),
        ("#### 4\nno, wait\n####5 \nbye", "hash", "5"),
        ("#### 72 ####", "hash", "72"),
        ("####\n5", "hash", None),
        ("the answer is 5", "hash", None),
        (r"so \boxed{5}", "boxed", "5"),
        (r"\boxed{4} then \boxed{\frac{1}{2}}.", "boxed", r"\frac{1}{2}"),
        (r"\fbox{7}", "boxed", "7"),
        (r"a set {1, 2 and \boxed{\{5\}}", "boxed", r"\{5\}"),
        (r"\boxed{3} and then \boxed{4", "boxed", "3"),
        (r"\boxed{\boxed{5}}", "boxed", "5"),
        (r"\boxed{ }", "boxed", None),
        ("A: 4\nA: 5\nB: 6", "line:A:", "5"),
        ("  **A:** 5", "line:A:", "5"),
        ("**A: 5**", "line:A:", "5"),
        ("**A**: 5", "line:A:", "5"),
        ("A: **5**", "line:A:", "5"),
        ("A: **5", "line:A:", "**5"),
        ("The A: 5", "line:A:", None),
        ("Résultat : 5", "line:Résultat :", "5"),
        ("<answer>4</answer><answer>\n5</answer>", "tag:answer", "5"),
        ("<answer><answer>5</answer>", "tag:answer", "5"),
        ("<answer>5", "tag:answer", None),
        ("  yes, 5\n", "literal", "yes, 5"),
        (" ", "literal", None),
        ("first 1,000 then 2.5, so -3/4.", "last_number", "-3/4"),
        ("none", "last_number", None),
    ],
)
def test_a_format_finds_its_answer_and_no_other(text: str, answer_format: str, answer: str | None) -> None:
    assert extract(text, answer_format).answer == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ('{"answer": "5"}', "5"),
        ('{"answer": 5}', "5"),
        ('{"answer": 1,250, "unit": "m"}', "1,250"),
        ('{"answer": -1.5e3}', "-1.5e3"),
        ('Sure! Here:\n```json\n{"reasoning": "a\nb", "answer": "5",}\n```', "5"),
        ('{"reasoning": "He said "no" to it", "answer": "5"}', "5"),
        ("{'reasoning': 'it\\'s', 'answer': '5'}", "5"),
        ('{"reasoning": `let x = {1}`, "answer": "5"}', "5"),
        (r'{"answer": "\frac{1}{2}"}', r"\frac{1}{2}"),
        (r'{"answer": "\\frac{1}{2} \times \neq"}', r"\frac{1}{2} \times \neq"),
        (r'{"answer": "\text{5}\u00e9\n2"}', "\\text{5}é\n2"),
        (r'{"answer": "first\nother\tuse"}', "first\nother\tuse"),
        (r'{"answer": "\ud83d\ude00"}', "😀"),
        (r'{"answer": "\ud83d"}', "\N{REPLACEMENT CHARACTER}"),
        ('{"steps": [{"answer": 1}, {"answer": 2}], "answer": 3}', "3"),
        ('{"result": {"answer": 3}}', "3"),
        ('{"answer": {"value": 3}}', '{"value": 3}'),
        ('{"answer": [1, 2]}', "[1, 2]"),
        ('{"reasoning": "the {\\"answer\\": \\"9\\"} form", "answer": "5"}', "5"),
        ('{"x": "cut {"answer": 1}', "1"),
        ('{"outer": {"answer": 7}, oops', "7"),
        ('the set {"a", "b"} and {"answer": 5}', "5"),
        ('{"answer": (4 + 5) / 3\n}', "(4 + 5) / 3"),
        ('{"answer": ""} {"answer": "8"}', "8"),
        ('{"answer": null}', None),
        ('{"answer": "5', None),
        ('{"answer": 5', None),
        ('{"other": 5}', None),
        ("answer: 5", None),
    ],
)
def test_json_as_models_write_it(text: str, answer: str | None) -> None:
    assert extract(text, "json:answer").answer == answer


def test_the_first_complete_object_answers_and_a_second_one_is_flagged() -> None:
    once = extract('{"answer": "5"} and again {"answer": " 5 "}', "json:answer")
    twice = extract('{"answer": "5"} Next problem: {"answer": "6"}', "json:answer")
    assert (once.answer, once.multi_answer) == ("5", False)
    assert (twice.answer, twice.multi_answer) == ("5", True)


def test_an_object_that_does_not_parse_is_read_by_its_key_and_says_so() -> None:
    found = extract('{"reasoning": "x", y, "answer": "5"}', "json:answer")
    assert (found.answer, found.method) == ("5", "json:answer~")


@given(
    st.dictionaries(st.text(), st.text() | st.none() | st.lists(st.integers() | st.text(), max_size=3), max_size=3),
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc"], exclude_characters="\\")).filter(str.strip),
)
def test_every_valid_json_object_is_read(other: dict[str, object], answer: str) -> None:
    text = json.dumps({**other, "the answer": answer})
    assert extract(text, "json:the answer").answer == answer.strip()


@pytest.mark.parametrize(
    ("text", "answer", "method"),
    [
        (r"#### 4 \boxed{5}", "5", "boxed"),
        ("<answer>6</answer>\n#### 4", "4", "hash"),
        ("A: 7\n<answer>6</answer>", "6", "tag:answer"),
        ("A: 7\nAnswer: 8", "8", "line:Answer:"),
        ("A: 7", "7", "line:A:"),
        ("it is 9", None, "auto"),
    ],
)
def test_auto_takes_the_most_explicit_form_and_never_guesses(text: str, answer: str | None, method: str) -> None:
    assert extract(text, "auto")[:2] == (answer, method)


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("<think>a</think>b", "b"),
        ("a</think>b", "b"),
        ("x<think>a</think>y<think>b</think>z", "xyz"),
        ("x<think>a", "x"),
        ("plain", "plain"),
    ],
)
def test_reasoning_is_not_an_answer(text: str, rest: str) -> None:
    assert without_thinking(text) == rest


@pytest.mark.parametrize("answer_format", FORMATS)
def test_known_formats_are_accepted(answer_format: str) -> None:
    check_format(answer_format)


@pytest.mark.parametrize(
    ("answer_format", "fix"),
    [
        ("boxd", "did you mean `boxed`"),
        ("json", "json:answer"),
        ("line: ", "line:A:"),
        ("tags:x", "`tag:`"),
        ("", "hash"),
    ],
)
def test_an_unknown_format_names_the_forms(answer_format: str, fix: str) -> None:
    with pytest.raises(InputError) as wrong:
        check_format(answer_format)
    assert fix in wrong.value.fix
    assert "last_number" in wrong.value.fix


MANY = 200_000
HOSTILE = {
    "braces": "{" * MANY * 5,
    "openers": '{"' * MANY,
    "nested keys": '{"answer":' * MANY,
    "nested and closed": '{"answer":' * MANY + "1" + "}" * MANY,
    "unclosed strings": '{"answer":"' * MANY,
    "mixed quotes": '{"answer":\'' * MANY,
    "spaced quotes": '{"answer":"' + '" ' * MANY,
    "spaced braces": ("{" + " " * 9) * MANY,
    "brackets": '{"answer":' + "[" * MANY + '"answer"',
    "small objects": '{"answer":1}' * (MANY // 4),
    "bare keys": '"answer":' * MANY,
    "backslashes": '{"answer":"' + "\\" * MANY * 5,
    "boxes": r"\boxed{" * MANY,
    "closed boxes": r"\boxed{" * MANY + "}" * MANY,
    "tags": "<answer>" * MANY,
    "closing tags": "</answer>" * MANY,
    "newlines": "\n" * MANY * 5,
    "hashes": "####\n" * MANY,
    "a long line": "A:" * MANY,
    "bold": "**" * MANY,
    "reasoning": "<think>" * MANY,
    "spaces": " " * MANY * 5,
    "digits": "1,000" * MANY,
    "commas": "1," * MANY,
}


@pytest.mark.parametrize("answer_format", FORMATS)
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_is_read_in_linear_time(name: str, answer_format: str) -> None:
    extract(HOSTILE[name], answer_format)


@given(st.text(st.sampled_from("{}[]\"'`\\:,answer 1\n<>/#*$")), st.sampled_from(FORMATS))
def test_any_text_gives_an_answer_that_can_be_stored_or_none(text: str, answer_format: str) -> None:
    answer = extract(text, answer_format).answer
    assert answer is None or (answer.strip() and answer.encode())
