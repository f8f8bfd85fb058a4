"""Make the labelled sets for the checks of kinds that begin with text: `python tools/make_document_sets.py DATA`.

DATA is a folder with the public sets that `NOTICE` names: Python enhancement proposals and Taskmaster-3 dialogues. What is
planted is labelled by how it was made, and `source` says so; what people wrote is to pass.
"""

from __future__ import annotations

import json
import random
import re
import sys
from pathlib import Path
from typing import Any

from gristmill.files.writing import write_jsonl

TARGET = Path(__file__).resolve().parent.parent / "src/gristmill/assets/audit"
QUOTES, FABRICATED, EDITS, TALKS = 150, 300, 60, 60
WORDS = re.compile(r"[A-Za-z]{4,}")
NUMBER = re.compile(r"(?<![\w.#:`/-])\d{1,4}(?![\w.%`/-])")
NAME = re.compile(r"(?<=[a-z,][ \n])[A-Z][a-z]{2,}(?: [A-Z][a-z]+)*(?![\w`])")
QUESTIONS = (
    "Which year did the Rhône flood Arles most severely?",
    "Why does bread rise when yeast is added to the dough?",
    "What distinguishes a list from a tuple in Python?",
    "Who proposed the heliocentric model in 1543?",
    "How does a heat pump move heat against a temperature difference?",
    "What does the term `garbage collection` mean in programming?",
    "When was the Treaty of Westphalia signed?",
    "Which metals are liquid at 30 °C?",
    "What is it called when a river changes its course?",
    "How many moons does Mars have, and what are their names?",
    "Why do leaves turn red in autumn?",
    "Is it legal to copy a library book?",
    "What happens to an electron when a photon is absorbed?",
    "Which article of the German constitution protects human dignity?",
    "In what order does a compiler run its phases?",
    "Who wrote the text of the Ode to Joy?",
    "What does the author of Moby-Dick describe?",
    "How is the context switch between two threads done by Linux?",
    "Which passage connects the Atlantic with the Pacific near Cape Horn?",
    "What is the purpose of `__slots__` in a Python class?",
    "Why did PEP 572 cause a controversy?",
    "What is based on the periodic table?",
    "Which document did King John seal in 1215?",
    "How are articles in a newspaper ordered?",
    "When does water boil at 3,000 m above the sea?",
    "What does the abbreviation `HTTP` stand for?",
    "Which of Bach's passions is based on the Gospel of Matthew?",
    "How do bats find insects in the dark?",
    "Where is the section of the Berlin Wall that still stands?",
    "Who are the Normans named after?",
)
POINTING = (
    "According to the passage, {q}",
    "Based on the text, {q}",
    "In the article, {q}",
    "{Q} as mentioned in the text?",
    "What does the author say about this?",
    "What is the main idea of the passage?",
    "What does the passage say about floods?",
    "{Q} Answer from the given context.",
    "As described above, {q}",
    "What did he propose?",
    "Why was it abandoned?",
    "Which example does the author give?",
    "How does this document define a tuple?",
    "What is this passage about?",
    "Who is the speaker of the text?",
    "When did they sign it?",
    "According to the author, {q}",
    "What are these used for?",
    "In this section, {q}",
    "Which of the methods listed above is fastest?",
)
LEAKS = (
    "How can I help you today?",
    "Is there anything else I can help you with?",
    "I'd be happy to help you with that!",
    "As an AI language model, I have no preference.",
    "Thank you for contacting us.",
    "Feel free to ask if you have more questions.",
    "Great question! The film starts at nine.",
    "I'm here to help.",
    "What can I do for you?",
    "I hope this helps!",
    "Certainly! Here are some options for you.",
    "Your tickets have been booked.",
    "Please let me know if you need more.",
    "I'm sorry for the inconvenience.",
    "I am a virtual assistant.",
    "How may I assist you?",
)
TURNS = (
    "\nAssistant: {other}",
    "\nUser: {other}",
    " AI: {other}",
    "\n\n**Assistant:** {other}",
    "<|im_end|>\n<|im_start|>assistant\n{other}",
    "\nCustomer: {other}",
    "\n[Bot]: {other}",
    "\n### Response:\n{other}",
)


def passages(data: Path, rng: random.Random) -> list[str]:
    """Return paragraphs of prose from the proposals, in an order of their own."""
    texts = [json.loads(line)["text"] for line in (data / "documents/peps.jsonl").open(encoding="utf-8")]
    found = [part.strip() for text in texts for part in re.split(r"\n\s*\n", text) if 250 < len(part) < 1500]
    prose = [
        part
        for part in found
        if len(re.split(r"[.!?]\s", part)) >= 3 and "::" not in part and part[0].isupper() and "   " not in part
    ]
    return rng.sample(prose, len(prose))


def sentence(text: str, rng: random.Random) -> str:
    """Return a sentence of a passage of at least eight words."""
    some = [one for one in re.split(r"(?<=[.!?])\s+", text) if len(one.split()) >= 8]
    return rng.choice(some) if some else text


def quoted(text: str, rng: random.Random) -> str:
    """Return true evidence as a model may write it."""
    one = sentence(text, rng)
    words = one.split()
    forms = (
        one,
        " ".join(words),
        f'"{" ".join(words)}"',
        " ".join(words[1:-1]),
        one.rstrip(".") + ".",
        one.replace("'", "\u2019").replace("``", "`"),
        f"{' '.join(words[:4])} ... {' '.join(words[-4:])}" if len(words) > 10 else one,
        one[0].lower() + one[1:],
    )
    form = rng.choice(forms)
    return form if form != forms[5] or "``" not in one else one


def fabricated(text: str, other: str, rng: random.Random) -> str:
    """Return evidence that is not in the passage: one change to a true quotation, or one from elsewhere."""
    one = " ".join(sentence(text, rng).split())
    words = one.split()
    at = rng.randrange(1, len(words) - 2)
    changed = {
        "word": [*words[:at], "evidently", *words[at + 1 :]],
        "dropped": [*words[:at], *words[at + 1 :]],
        "swapped": [*words[:at], words[at + 1], words[at], *words[at + 2 :]],
        "negated": [*words[:at], "not", *words[at:]],
        "joined": [*words[: len(words) // 2], *" ".join(text.split()).split()[-3:]],
        "elsewhere": " ".join(sentence(other, rng).split()).split(),
        "number": [*words[:at], str(rng.randrange(100, 999)), *words[at:]],
    }
    text_of = " ".join(changed[rng.choice(sorted(changed))])
    return text_of if text_of not in " ".join(text.split()) else " ".join([*words[:at], "allegedly", *words[at:]])


def evidence(texts: list[str], rng: random.Random) -> list[dict[str, Any]]:
    """Return passages with true and fabricated evidence."""
    rows: list[dict[str, Any]] = []
    for number in range(QUOTES):
        text, other = texts[number % len(texts)], texts[(number + 7) % len(texts)]
        outputs = [{"answer": "a", "evidence": quoted(text, rng)}]
        outputs += [{"answer": "a", "evidence": fabricated(text, other, rng)} for _ in range(FABRICATED // QUOTES)]
        labels = [True] + [False] * (FABRICATED // QUOTES)
        rows.append(
            {"options": {}, "question": text, "outputs": outputs, "labels": labels, "source": "Python proposals, planted"}
        )
    return rows


def standalone() -> list[dict[str, Any]]:
    """Return questions that stand alone, and such that point at a text."""
    good = [
        {"options": {}, "outputs": [{"question": q, "answer": "a"}], "labels": [True], "source": "written for this"}
        for q in QUESTIONS
    ]
    bad = [
        form.format(q=q[0].lower() + q[1:], Q=q.rstrip("?"))
        for number, form in enumerate(POINTING)
        for q in QUESTIONS[number % 7 :: 11]
    ]
    rows = [
        {"options": {}, "outputs": [{"question": q, "answer": "a"}], "labels": [False], "source": "planted"}
        for q in dict.fromkeys(bad)
    ]
    return good + rows


def preserved(texts: list[str], rng: random.Random) -> list[dict[str, Any]]:
    """Return rewritings that keep everything (other order, other line breaks), and such with one number or name changed."""
    rows: list[dict[str, Any]] = []
    for text in texts:
        numbers, names = list(NUMBER.finditer(text)), list(NAME.finditer(text))
        if len(rows) == EDITS or not (numbers or names):
            continue
        sentences = re.split(r"(?<=[.!?])\s+", text)
        outputs, labels = [" ".join(text.split()), " ".join(reversed(sentences))], [True, True]
        outputs += [
            text[: match.start()] + str(int(match.group()) + rng.choice((1, 10, 7))) + text[match.end() :]
            for match in rng.sample(numbers, min(2, len(numbers)))
        ]
        for match, name in zip(rng.sample(names, min(2, len(names))), ("Quimby", "Zorblatt Ltd"), strict=False):
            outputs.append(text[: match.start()] + name + text[match.end() :])
        labels += [False] * (len(outputs) - len(labels))
        rows.append(
            {"options": {}, "question": text, "outputs": outputs, "labels": labels, "source": "Python proposals, planted"}
        )
    return rows


def talks(data: Path) -> list[list[dict[str, str]]]:
    """Return dialogues of people, neighbours of one role joined, from the first user's turn to the last assistant's."""
    found: list[list[dict[str, str]]] = []
    for line in (data / "conversations/taskmaster3_movies.jsonl").open(encoding="utf-8"):
        turns: list[dict[str, str]] = []
        for message in json.loads(line)["messages"]:
            if turns and turns[-1]["role"] == message["role"]:
                turns[-1]["content"] += f" {message['text']}"
            else:
                turns.append({"role": message["role"], "content": message["text"]})
        while turns and turns[0]["role"] != "user":
            turns.pop(0)
        while turns and turns[-1]["role"] != "assistant":
            turns.pop()
        if 4 <= len(turns) <= 12:
            found.append(turns)
    return found


def dialogue(data: Path, rng: random.Random) -> list[dict[str, Any]]:
    """Return dialogues of people, and the same with one fault."""
    rows: list[dict[str, Any]] = []
    for turns in rng.sample(talks(data), TALKS):
        at = 2 * rng.randrange(1, len(turns) // 2)  # a user's turn, not the first
        leak, form, other = rng.choice(LEAKS), rng.choice(TURNS), turns[at + 1]["content"]
        said = turns[at]["content"]
        faults = (
            [*turns[:at], {"role": "user", "content": rng.choice((leak, f"{said} {leak}", f"{leak} {said}"))}, *turns[at + 1 :]],
            [*turns[:at], {"role": "user", "content": said + form.format(other=other)}, *turns[at + 1 :]],
            [*turns[:at], *turns[at + 1 :]],
        )
        outputs = [{"messages": one} for one in (turns, *faults)]
        rows.append({"options": {}, "outputs": outputs, "labels": [True, False, False, False], "source": "Taskmaster-3, planted"})
    return rows


def novel(data: Path, rng: random.Random) -> list[dict[str, Any]]:
    """Return instructions beside seeds: another seed is new, one with a word more or less or another order of parts is not."""
    lines = (data / "seeds/self_instruct_seed_tasks.jsonl").open(encoding="utf-8")
    seeds = [text for line in lines if 8 <= len((text := json.loads(line)["instruction"]).split()) <= 60]
    rows: list[dict[str, Any]] = []
    for number, seed in enumerate(rng.sample(seeds, 40)):
        words, other = seed.split(), seeds[(seeds.index(seed) + 17) % len(seeds)]
        at = rng.randrange(1, len(words) - 1)
        copies = (f"Please {seed}", " ".join([*words[:at], *words[at + 1 :]]), " ".join([*words[:at], "perhaps", *words[at:]]))
        outputs = [{"answer": "a", "instruction": text, "seeds": [seed]} for text in (other, copies[number % 3])]
        rows.append({"options": {}, "outputs": outputs, "labels": [True, False], "source": "self-instruct, planted"})
    return rows


def beside(texts: list[str]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return rewritings for `copying` (copies, halves and other texts) and for `length_ratio` (all, a sixth and three times)."""
    copied: list[dict[str, Any]] = []
    sized: list[dict[str, Any]] = []
    for number, text in enumerate(texts[:40]):
        words, other = text.split(), texts[(number + 9) % len(texts)].split()
        outputs = [
            text,
            " ".join([*words[: 3 * len(words) // 4], *other[: len(words) // 4]]),
            " ".join(other),
            " ".join(words[::-1]),
        ]
        row = {"options": {}, "question": text, "source": "Python proposals, planted"}
        copied.append({**row, "outputs": outputs, "labels": [False, False, True, True]})
        sizes = [" ".join(words[::-1]), " ".join(words[: len(words) // 6]), " ".join(words * 3)]
        sized.append({**row, "outputs": sizes, "labels": [True, False, False]})
    return copied, sized


FOLLOWED: tuple[tuple[str, dict[str, Any], str, str], ...] = (
    ("length", {"max": 6}, "Two words here, no more.", "These are certainly more words than six."),
    ("length", {"min": 5}, "There are enough words in this.", "Too few."),
    ("count", {"of": "bullets", "exactly": 3}, "- a\n- b\n- c", "- a\n- b"),
    ("count", {"of": "bullets", "exactly": 2}, "* one\n* two", "one and two"),
    ("count", {"of": "paragraphs", "exactly": 2}, "First.\n\nSecond.", "First. Second."),
    ("count", {"of": "sentences", "max": 2}, "It rains. It pours.", "It rains. It pours. It stops. It dries."),
    ("format", {"form": "json"}, '{"a": [1, 2]}', "{'a': 1}"),
    ("format", {"form": "json"}, "```json\n[1]\n```", "Here it is: [1]"),
    ("keywords", {"all": ["because"]}, "It leans because of the ground.", "It leans on soft ground."),
    ("keywords", {"none": ["however"]}, "It leans, but stands.", "However, it stands."),
)
"""A constraint with an answer that keeps it and one that does not."""


def constraints() -> list[dict[str, Any]]:
    """Return answers under one constraint, and under two of which the second is broken."""
    rows: list[dict[str, Any]] = []
    for grader, options, good, bad in FOLLOWED:
        one = {"text": "", "grader": grader, "options": options}
        more = {"text": "", "grader": "keywords", "options": {"all": ["zebra"]}}
        outputs = [
            {"answer": text, "constraints": declared} for text, declared in ((good, [one]), (bad, [one]), (good, [one, more]))
        ]
        rows.append({"options": {}, "outputs": outputs, "labels": [True, False, False], "source": "written for this"})
    return rows


def main() -> None:
    """Write every set."""
    data, rng = Path(sys.argv[1]), random.Random(11)
    texts = passages(data, rng)
    copied, sized = beside(texts)
    sets = {
        "evidence": evidence(texts, rng),
        "standalone": standalone(),
        "preserved": preserved(texts, rng),
        "dialogue": dialogue(data, rng),
        "novel": novel(data, rng),
        "copying": copied,
        "length_ratio": sized,
        "constraints": constraints(),
    }
    for name, rows in sets.items():
        write_jsonl(TARGET / f"{name}.jsonl", rows)


if __name__ == "__main__":
    main()
