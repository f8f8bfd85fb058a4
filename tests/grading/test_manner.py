"""How an answer speaks: language, refusals, chat around a text, copies."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.grading.manner import copied_share
from gristmill.messages import Message, user
from gristmill.records import Prompt, Sample
from tests.grading.asking import graded_by, verdict_of


@pytest.mark.parametrize(
    ("answer", "passed", "reason"),
    [
        ("The quick brown fox jumps over the lazy dog, as it does every morning.", True, "language"),
        ("Der schnelle braune Fuchs springt jeden Morgen über den faulen Hund.", False, "other_language"),
        ("这是一个关于水和火的故事。", False, "other_language"),
        ("42", None, "too_little_text"),
        ("```python\nfor i in range(3): print(i)\n```", None, "too_little_text"),
        ("Le total est donc `price * 3`, ce qui fait quinze euros.", False, "other_language"),
    ],
)
def test_language(answer: str, reason: str, *, passed: bool | None) -> None:
    verdict = graded_by("language", answer, language="en")
    assert (verdict.passed, verdict.reason) == (passed, reason)


REFUSALS = (
    "I'm sorry, but I can't help with that request.",
    "I’m sorry, but I cannot assist with creating such content.",
    "As an AI language model, I do not have personal opinions.",
    "Unfortunately, I am unable to provide medical advice.",
    "I cannot fulfil this request.",
    "I apologize, but it would not be appropriate for me to do that.",
    "We can't comply with this.",
    "I won't write that.",
    "This goes against my guidelines.",
    "I don't have access to real-time data.",
)
ANSWERS = (
    "Sorry seems to be the hardest word, a song by Elton John, was released in 1976.",
    "I can't help but love this town.",
    "The court could not assist the plaintiff, so the case was dropped.",
    "He said he would not help them, and she left.",
    "The answer is 12.",
    f"{'It was a dark night. ' * 15}“I'm sorry, I can't help you,” she said.",
)


@pytest.mark.parametrize("text", REFUSALS)
def test_refusals_are_refused(text: str) -> None:
    assert graded_by("refusal", text).reason == "refusal"


@pytest.mark.parametrize("text", ANSWERS)
def test_answers_are_no_refusals(text: str) -> None:
    assert graded_by("refusal", text).passed is True


CHATTY = (
    ("Here is the rewritten text:\n\nThe sea was calm.", "opens_with_chat"),
    ("Sure! The sea was calm.", "opens_with_chat"),
    ("**Rewritten version:**\nThe sea was calm.", "opens_with_chat"),
    ("Certainly, here's a simplified version.\n\nThe sea was calm.", "opens_with_chat"),
    ("I have rewritten the passage in simpler words. The sea was calm.", "opens_with_chat"),
    ("The sea was calm.\n\nI hope this helps!", "closes_with_chat"),
    ("The sea was calm. Let me know if you'd like another version.", "closes_with_chat"),
    ("The sea was calm.\n\nNote: I kept the names as they were.", "closes_with_chat"),
)
ALONE = (
    "The sea was calm, and here is the shore that we saw.",
    "Here is where the river meets the sea.",
    "Great Britain is an island.",
    "Surely the sea was calm.",
    "Okay was once a slang word of Boston.",
    "The article lists the answers: a, b and c.",
)


@pytest.mark.parametrize(("text", "reason"), CHATTY)
def test_chat_around_a_text(text: str, reason: str) -> None:
    assert graded_by("meta_talk", text).reason == reason


@pytest.mark.parametrize("text", ALONE)
def test_texts_alone(text: str) -> None:
    assert graded_by("meta_talk", text).passed is True


def copied(answer: str, **options: float) -> tuple[bool | None, str]:
    source = "the ship left the harbour at dawn and sailed north for three days without seeing land or another sail"
    prompt = Prompt(id="p", messages=(user(f"Rewrite: {source}"),))
    messages = (*prompt.messages, Message(role="assistant", content=answer))
    sample = Sample(id="s", prompt_id="p", index=0, messages=messages, answer=answer, status="complete")
    verdict = verdict_of("copying", prompt, sample, **options)
    return verdict.passed, verdict.reason


def test_copies() -> None:
    own = "At first light the vessel put to sea; it went north, and for three days nobody on board saw a coast."
    taken = "The ship left the harbour at dawn and sailed north for three days without seeing land or another sail."
    assert copied(own) == (True, "own_words")
    assert copied(taken) == (False, "copied")
    assert copied(own, min_share=0.1) == (False, "nothing_kept")
    assert copied("Too short.") == (None, "too_little_text")


@given(st.lists(st.sampled_from("ab"), min_size=3, max_size=30))
def test_a_text_copies_itself_wholly_and_strangers_not_at_all(words: list[str]) -> None:
    assert copied_share(words, words, 3) == 1
    assert copied_share(words, ["c"] * 30, 3) == 0
