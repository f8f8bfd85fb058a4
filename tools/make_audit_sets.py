"""Make the labelled sets that ship for `gristmill audit`: `python tools/make_audit_sets.py DATA`.

DATA is a folder with the public sets that `NOTICE` names: GSM8K with recorded model solutions, self-instruct's seed tasks,
HumanEval with recorded code of CodeGen, and BFCL with planted calls.
What is planted is labelled by how it was made, and `source` says so.
"""

from __future__ import annotations

import gzip
import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from gristmill.files.writing import write_jsonl

TARGET = Path(__file__).resolve().parent.parent / "src/gristmill/assets/audit"
PROBLEMS = 100
CODE_TASKS = 24
CODE_EACH = 4
CALL_TASKS = 60
HUMAN = 80
REFUSALS = (
    "I'm sorry, but I can't {task}.",
    "I’m sorry, I cannot {task}. Is there something else I can do?",
    "As an AI language model, I am not able to {task}.",
    "Unfortunately, I won't be able to {task}.",
    "I must decline. {Task} would be harmful.",
    "I apologize, but I am unable to {task}.",
    "I cannot assist with that. {Task} is against my guidelines.",
    "Sorry, I can't help you {task}.",
    "It would not be appropriate for me to {task}.",
    "I do not have the ability to {task}.",
    "My purpose is to be helpful, and for that reason I will not {task}.",
    "That is something I have to refuse: I do not {task}.",
)
TASKS = (
    "write that essay", "open the link", "give medical advice", "tell you their address", "browse the web", "rate this person",
    "predict the price", "pretend to be a doctor",
)  # fmt: skip
CHAT = (
    "Here is the rewritten text:\n\n{text}",
    "Sure! Here's a simpler version:\n\n{text}",
    "Certainly. {text}",
    "{text}\n\nI hope this helps!",
    "{text}\n\nLet me know if you would like me to change anything.",
    "I have rewritten the passage for you:\n\n{text}",
    "**Revised version:**\n\n{text}",
    "{text}\n\nWould you like me to make it shorter?",
    "Okay, here you go:\n{text}",
    "{text}\n\n(Note: I kept all numbers as they were.)",
    "As requested, the passage in plain words: {text}",
    "{text}\n\nFeel free to ask for another version.",
)
ANSWERS: tuple[tuple[str, str, bool], ...] = (
    *(("(6,1)", "(6, 1)", True), ("(6,1)", "(1, 6)", False), (r"\frac{\sqrt{3}}{3}", r"\frac{1}{\sqrt{3}}", True)),
    *((r"\frac{\sqrt{3}}{3}", r"\frac{1}{\sqrt{2}}", False), ("x^2-2x+2", "2-2x+x^2", True), ("x^2-2x+2", "x^2+2x+2", False)),
    *(("[0,1)", "[0, 1)", True), ("[0,1)", "(0, 1)", False), ("(0,1)", "0<x<1", True), (r"\{1,2,3\}", r"\{3,2,1\}", True)),
    *((r"\{1,2,3\}", r"\{1,2\}", False), ("25\\%", "25%", True), ("25%", "0.25", False), ("1/3", "0.333", False)),
    *(
        ("10{,}000", "10000", True),
        ("10,000", "1,0000", False),
        ("3.50", "3.5", True),
        ("3.5", "7/2", True),
        ("101", "100", False),
    ),
    *(("$18", "18 dollars", True), ("$18", "18 euros", False), ("2:30 pm", "14:30", True), ("2:30", "3:30", False)),
    *(
        ("2024-01-02", "January 2, 2024", True),
        ("2024-01-02", "2024-02-01", False),
        ("B", "(B) a larger one", True),
        ("B", "C", False),
    ),
    *(("Paris", "paris.", True), ("cat", "act", False), ("7\\pi", "7π", True), ("7\\pi", "22", False), ("4a-2", "-2+4a", True)),
    *((r"\sin^2 t", r"1-\cos^2 t", True), (r"\sin^2 t", r"1+\cos^2 t", False), ("2*X**3 + C", "2X^3 + C", True)),
    *(
        ("2*X**3 + C", "3X^2 + C", False),
        (r"2\pm\sqrt{3}", r"2+\sqrt{3}, 2-\sqrt{3}", True),
        ("16", "4^2", True),
        ("16", "4^3", False),
    ),
    *(
        ("2 × 2 × 5", "2^2 × 5", True),
        ("2 × 2 × 5", "4 × 5", False),
        (r"(-\infty,1)\cup(1,\infty)", r"(-\infty,1) \cup (1,\infty)", True),
    ),
    *(
        (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{pmatrix}1\\2\end{pmatrix}", True),
        ("72", "72 eggs", True),
        ("72", "about 72", False),
    ),
)
LITERALS: tuple[tuple[str, str, bool], ...] = (
    *(("[1, 2]", "[1,2]", True), ("[1, 2]", "(1, 2)", False), ("'a'", "a", True), ("'a'", '"a"', True), ("'89'", "89", True)),
    *(
        ("89", "'89'", False),
        ("True", "1", False),
        ("{1: None}", "{1:None}", True),
        ("{1: 'a', 2: 'b'}", "{2: 'b', 1: 'a'}", True),
    ),
    *(("{1, 2}", "{2, 1}", True), ("1", "1.0", False), ("''", "", True), ("''", '""', True), ("'a\\nb'", "'a\\nb'", True)),
    *(("'ab '", "'ab'", False), ("[]", "[ ]", True), ("(1,)", "(1)", False), ("'x'", "'x", False), ("None", "null", False)),
)


def rows_of(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the rows of a JSONL file."""
    data = path.read_bytes()
    for line in (gzip.decompress(data) if path.suffix == ".gz" else data).split(b"\n"):
        if line:
            yield json.loads(line)


def math(data: Path) -> list[dict[str, Any]]:
    """Return GSM8K problems with recorded solutions and OpenAI's labels."""
    rows = list(rows_of(data / "recorded-teacher/gsm8k_openai_gpt3_4x.jsonl"))[:PROBLEMS]
    source = "GSM8K example model solutions, OpenAI, MIT; labels `is_correct`"
    return [
        {
            "options": {"answer_format": "line:A:"},
            "question": row["prompt"],
            "reference": row["gold"],
            "outputs": row["completions"],
            "labels": row["labels"],
            "source": source,
        }
        for row in rows
    ]


def planted(pairs: tuple[tuple[str, str, bool], ...]) -> list[dict[str, Any]]:
    """Return pairs of reference and answer with a label each, by reference."""
    found: dict[str, dict[str, Any]] = {}
    for reference, answer, label in pairs:
        row = found.setdefault(
            reference,
            {
                "options": {"answer_format": "json:answer"},
                "reference": reference,
                "outputs": [],
                "labels": [],
                "source": "planted",
            },
        )
        row["outputs"].append(json.dumps({"answer": answer}))
        row["labels"].append(label)
    return list(found.values())


def people(data: Path, rng: random.Random) -> list[tuple[str, str]]:
    """Return texts that people wrote, with where they are from."""
    gsm = [row["answer"] for row in rows_of(data / "gsm8k/train.jsonl")]
    seeds = [i["output"] for row in rows_of(data / "seeds/self_instruct_seed_tasks.jsonl") for i in row["instances"]]
    texts = [(text, "GSM8K solutions, OpenAI, MIT") for text in rng.sample(gsm, HUMAN)]
    return texts + [(text, "self-instruct seed tasks, Apache-2.0") for text in seeds if len(text) > 20][:HUMAN]


def code(data: Path) -> list[dict[str, Any]]:
    """Return HumanEval tasks with recorded programs, of each task as many right as wrong ones, as far as there are."""
    tasks = {row["task_id"]: row for row in rows_of(data / "humaneval/humaneval.jsonl")}
    found: list[dict[str, Any]] = []
    for row in rows_of(data / "recorded-code/humaneval_codegen16b_25x.jsonl.gz"):
        both = [(text, label) for text, label in zip(row["completions"], row["labels"], strict=True) if text.strip()]
        half = CODE_EACH // 2
        chosen = [pair for pair in both if pair[1]][:half] + [pair for pair in both if not pair[1]][:half]
        if len(chosen) < CODE_EACH or len(found) == CODE_TASKS:
            continue
        task = tasks[row["task_id"]]
        found.append(
            {
                "options": {},
                "question": task["prompt"],
                "reference": {key: task[key] for key in ("entry_point", "test", "canonical_solution")},
                "outputs": [text for text, _ in chosen],
                "labels": [label for _, label in chosen],
                "source": "HumanEval, OpenAI, MIT; programs of CodeGen 16B from microsoft/CodeT, MIT; labels by its tests",
            }
        )
    return found


def calls(data: Path) -> list[dict[str, Any]]:
    """Return BFCL tasks with planted calls, right and wrong ones."""
    answers = {
        row["id"]: row["possible_answer"]
        for name in ("simple_python", "multiple", "parallel", "irrelevance")
        for row in rows_of(data / f"tool-use/bfcl_{name}.jsonl")
    }
    found: dict[str, dict[str, Any]] = {}
    for row in rows_of(data / "tool-use/bfcl_planted_calls.jsonl.gz"):
        if row["bfcl_id"] not in found and len(found) == CALL_TASKS:
            continue
        kept = found.setdefault(
            row["bfcl_id"],
            {
                "options": {},
                "question": str(row["question"]),
                "reference": {"function": row["function"], "possible_answer": answers[row["bfcl_id"]]},
                "outputs": [],
                "labels": [],
                "source": "BFCL, Apache-2.0; calls planted",
            },
        )
        kept["outputs"].append(json.dumps(row["call"]))
        kept["labels"].append(row["label"])
    return list(found.values())


def text_set(human: list[tuple[str, str]], bad: list[str], options: dict[str, Any]) -> list[dict[str, Any]]:
    """Return human texts, which are to pass, and planted ones, which are not."""
    good = [{"options": options, "outputs": [text], "labels": [True], "source": source} for text, source in human]
    return good + [{"options": options, "outputs": [text], "labels": [False], "source": "planted"} for text in bad]


def main() -> None:
    """Write every set."""
    data, rng = Path(sys.argv[1]), random.Random(5)
    human = people(data, rng)
    refusals = [form.format(task=task, Task=task.capitalize()) for form in REFUSALS for task in rng.sample(TASKS, 5)]
    chat = [form.format(text=text) for form in CHAT for text, _ in rng.sample(human, 6)]
    loops = [f"{text} {' '.join([text.split('.')[-2] + '.'] * 6)}" for text, _ in human if text.count(".") > 2][:60]
    sets = {
        "math": math(data),
        "math-kinds": planted(ANSWERS),
        "literal": planted(LITERALS),
        "code": code(data),
        "tool_call": calls(data),
        "refusal": text_set(human, refusals, {}),
        "meta_talk": text_set(human, chat, {}),
        "repetition": text_set(human, loops, {}),
    }
    TARGET.mkdir(exist_ok=True)
    for name, rows in sets.items():
        write_jsonl(TARGET / f"{name}.jsonl", rows)


if __name__ == "__main__":
    main()
