"""`qa`: pairs laid evenly over documents, types by their shares, replies that are read or asked for again, and the checks of a
pair."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.runs import query, run
from tests.tasks.kinds import grades, kind_recipe, made, samples

from gristmill.errors import InputError, RecipeError
from gristmill.messages import user
from gristmill.ports import SourceRow
from gristmill.records import Prompt
from gristmill.tasks.qa import QaOptions, spread

if TYPE_CHECKING:
    from pathlib import Path

PASSAGE = (
    "The Rhône rises at the Furka pass at 2,429 metres. It flows through Lake Geneva and reaches the sea near Arles. "
    "In 1856 it flooded Lyon, because the snow had melted within a week."
)
PAIR = (
    "Question: Why did the Rhône flood Lyon in 1856?\nAnswer: The snow had melted within a week.\n"
    "Evidence: the snow had melted within a week"
)


def row(document: str, chunk: int, text: str) -> SourceRow:
    prompt = Prompt(id=f"{document}{chunk}", messages=(user(text),), source_id=f"{document}#{chunk}", meta={"document": document})
    return SourceRow(f"{document}:{chunk}", prompt)


@given(
    lengths=st.lists(st.integers(1, 500), min_size=1, max_size=12),
    per_document=st.integers(1, 40),
)
def test_pairs_are_laid_over_a_document_by_length(lengths: list[int], per_document: int) -> None:
    """Every passage gets its share of the pairs, to within one."""
    rows = [row("a", number, "x" * length) for number, length in enumerate(lengths)]
    asked = Counter(one.prompt.source_id for one in spread(iter(rows), QaOptions(per_document=per_document), 0) if one.prompt)
    assert sum(asked.values()) == per_document
    for number, length in enumerate(lengths):
        assert abs(asked[f"a#{number}"] - per_document * length / sum(lengths)) <= 1


def test_types_and_difficulties_follow_their_shares_at_every_moment() -> None:
    rows = [row(f"d{number}", 0, f"text {number}") for number in range(60)]
    options = QaOptions(per_document=3, types={"fact": 0.5, "why": 0.3, "compare": 0.2}, difficulty={"easy": 1, "hard": 1})
    asked = [one.prompt.meta for one in spread(iter(rows), options, 5) if one.prompt]
    for some in (10, 50, 180):
        types = Counter(meta["type"] for meta in asked[:some])
        assert all(abs(types[name] - share * some) <= 1 for name, share in options.types.items())
        assert abs(Counter(meta["difficulty"] for meta in asked[:some])["easy"] - some / 2) <= 1
    assert len({one.prompt.id for one in spread(iter(rows), options, 5) if one.prompt}) == 180


def test_rejects_of_a_source_pass_through_and_the_seed_changes_the_deal() -> None:
    rows = [row("a", 0, "text"), SourceRow("a:2", None, "bad_json"), row("b", 0, "text")]
    assert [one.reject for one in spread(iter(rows), QaOptions(), 0)].count("bad_json") == 1
    many = [row(f"d{number}", 0, "text") for number in range(20)]
    deals = [[one.prompt.meta["type"] for one in spread(iter(many), QaOptions(), seed) if one.prompt] for seed in (1, 1, 2)]
    assert deals[0] == deals[1] != deals[2]


GRADES = ["evidence", "standalone", {"length": {"max": 60}}]


def test_a_pair_is_made_graded_and_exported(tmp_path: Path) -> None:
    """The row is question and answer; evidence and type stay beside it."""
    rows = [{"text": PASSAGE, "title": "Rivers"}]
    (sample,) = made(tmp_path, rows, "qa", {"ask": [PAIR]}, grade=GRADES, export=["parquet"])
    assert [message.role for message in sample.messages] == ["user", "assistant"]
    assert sample.messages[0].content == "Why did the Rhône flood Lyon in 1856?"
    assert sample.answer == "The snow had melted within a week."
    ((meta,),) = query(f"SELECT meta FROM '{tmp_path}/run/export/parquet/train.parquet'")
    assert json.loads(meta)["evidence"] == "the snow had melted within a week"
    assert json.loads(meta)["type"] in ("fact", "why", "compare")
    assert grades(tmp_path)["evidence"] == [(True, "in_source")]


def test_the_passage_may_stand_before_the_question(tmp_path: Path) -> None:
    (sample,) = made(tmp_path, [{"text": PASSAGE}], {"qa": {"context": "passage"}}, {"ask": [PAIR]})
    assert sample.messages[0].content.startswith("The Rhône rises")
    assert sample.messages[0].content.endswith("in 1856?")


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("Question: Who?\nAnswer: Me.\nEvidence: The Rhône rises at the Alps", ("evidence", "not_in_source")),
        ("Question: Who?\nAnswer: Me.\nEvidence: at the", ("evidence", "too_short")),
        (f"Question: Who?\nAnswer: Me.\nEvidence: {PASSAGE}", ("evidence", "whole_text")),
        (PAIR.replace("Why did", "According to the passage, why did"), ("standalone", "points_at_text")),
        (PAIR.replace("Why did the Rhône", "Why did it"), ("standalone", "points_at_nothing")),
        ("Question: ???\nAnswer: Me.\nEvidence: “the snow had melted within a week”", ("standalone", "no_words")),
    ],
)
def test_what_is_wrong_with_a_pair_has_a_name(tmp_path: Path, reply: str, reason: tuple[str, str]) -> None:
    made(tmp_path, [{"text": PASSAGE}], "qa", {"ask": [reply]}, grade=GRADES)
    assert grades(tmp_path)[reason[0]] == [(False, reason[1])]


def test_what_cannot_be_read_is_asked_for_once_more_and_counted(tmp_path: Path) -> None:
    """The second try is a further occurrence of the step, in the same conversation."""
    (sample,) = made(tmp_path, [{"text": PASSAGE}], "qa", {"ask": ["I would rather not."]})
    assert (sample.status, sample.reason) == ("malformed", "no_pair")
    assert sample.meta["repairs"] == 1
    assert "Question" in str(sample.meta["problem"])
    assert len(sample.request_ids) == 2


@pytest.mark.parametrize(
    "reply",
    [
        '```json\n{"question": "Q?", "answer": "A", "evidence": "E"}\n```',
        'Sure: {"Question": "Q?", "Answer": "A", "Evidence": "E"}',
        "**Question:** Q?\n**Answer:** A\n**Evidence:** E",
        "1. Question: Q?\n2. Answer: A\n3. Evidence: E\n\nI hope this helps!",
        "Question 1: Q?\nAnswer 1: A\nEvidence 1: E\nQuestion 2: R?\nAnswer 2: B\nEvidence 2: F",
    ],
)
def test_pairs_are_read_in_the_forms_that_models_use(tmp_path: Path, reply: str) -> None:
    (sample,) = made(tmp_path, [{"text": PASSAGE}], "qa", {"ask": [reply]})
    assert (sample.meta["question"], sample.answer, sample.meta["evidence"]) == ("Q?", "A", "E")


def test_the_closed_book_probe_drops_what_is_known_and_what_cannot_be_answered(tmp_path: Path) -> None:
    steps = {"ask": [PAIR], "grade:closed_book": ["UNKNOWN"]}
    grade = [{"closed_book": {"with_passage": False}, "by": "teacher"}]
    made(tmp_path, [{"text": PASSAGE}], "qa", steps, grade=grade)
    assert grades(tmp_path)["closed_book"] == [(True, "needs_passage")]
    steps["grade:closed_book"] = ["Because the snow had melted within a week"]
    for with_passage, kept, reason in ((False, "drop", "known"), (True, "keep", "known_kept")):
        folder = tmp_path / reason
        folder.mkdir()
        grade = [{"closed_book": {"with_passage": with_passage, "known": kept}, "by": "teacher"}]
        made(folder, [{"text": PASSAGE}], "qa", steps, grade=grade)
        assert grades(folder)["closed_book"] == [(reason == "known_kept", reason)]
    folder = tmp_path / "unanswerable"
    folder.mkdir()
    made(
        folder,
        [{"text": PASSAGE}],
        "qa",
        {**steps, "grade:closed_book": ["UNKNOWN"]},
        grade=[{"closed_book": {}, "by": "teacher"}],
    )
    assert grades(folder)["closed_book"] == [(False, "unanswerable")]


def test_near_duplicate_questions_of_a_document_are_dropped(tmp_path: Path) -> None:
    """Of three in almost the same words the first in plan order is kept; another document may ask almost the same."""
    replies = [PAIR, PAIR.replace("Why did", "So why did"), PAIR.replace("in 1856", "in 1856 then")]
    rows = [{"text": PASSAGE}, {"text": f"{PASSAGE} It is long."}]
    select = {"dedup": {"near": 0.6, "within": "document"}}
    path = kind_recipe(tmp_path, rows, {"qa": {"per_document": 3}}, {"ask": replies}, select=select)
    found = run(path, tmp_path / "run")
    assert found["exported"] == 2
    select = next(stage for stage in found["funnel"] if stage["stage"] == "select")
    assert select["dropped"] == {"near_duplicate": 2, "duplicate": 2}


def test_an_own_template_takes_the_place_of_the_shipped_one(tmp_path: Path) -> None:
    """It is part of what samples depend on; a name that the task does not have is a clear error."""
    (tmp_path / "mine.jinja").write_text("{{ passage }} {% raw %}{{ not a value }}{% endraw %} Q/A/E")
    path = kind_recipe(tmp_path, [{"text": PASSAGE}], "qa", {"ask": [PAIR]}, prompt={"templates": {"qa/ask": "mine.jinja"}})
    run(path, tmp_path / "run")
    assert samples(tmp_path / "run")[0].answer == "The snow had melted within a week."
    again = kind_recipe(tmp_path, [{"text": PASSAGE}], "qa", {"ask": [PAIR]})
    assert run(again, tmp_path / "run", yes=True)["calls"]["made"] == 1
    wrong = kind_recipe(tmp_path, [{"text": PASSAGE}], "qa", {}, prompt={"templates": {"qa/aks": "mine.jinja"}})
    with pytest.raises(InputError, match="no template `qa/aks`"):
        run(wrong, tmp_path / "run2")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"types": {"fact": 0}}, "shares must not all be 0"),
        ({"difficulty": {"medum": 1}}, "no difficulty `medum`"),
        ({"per_document": 0}, "greater than or equal to 1"),
    ],
)
def test_mistakes_are_told_with_their_place(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    path = kind_recipe(tmp_path, [{"text": PASSAGE}], {"qa": options}, {})
    with pytest.raises(RecipeError, match=message):
        run(path, tmp_path / "run")
