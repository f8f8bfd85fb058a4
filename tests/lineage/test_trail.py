"""The paper trail of a record: ids, depth, licenses, and never a default."""

from __future__ import annotations

from typing import Any

import pytest

from gristmill.lineage.trail import Standing, licenses, make_record, prompt_depth
from gristmill.messages import Message, user
from gristmill.records import GradeLine, Origin, Prompt, Record, Sample

ANSWER = Message(role="assistant", content="2")


def a_prompt(**fields: Any) -> Prompt:
    return Prompt(id="p", messages=(user("1+1?"),), **fields)


def a_record(prompt: Prompt, run: str = "r", **fields: Any) -> Record:
    sample = Sample(id="s", prompt_id="p", index=3, messages=(*prompt.messages, ANSWER), answer="2", status="complete", **fields)
    return make_record(
        prompt,
        sample,
        standing=Standing([GradeLine("math@1", True, None, "equal"), GradeLine("length@2", True, None, "within")], 0.5, "train"),
        generators=["b/m", "a/m@1", "b/m"],
        license_set=licenses(prompt, [None]),
        run=run,
    )


@pytest.mark.parametrize(("origin", "depth"), [("human", 0), ("template", 0), ("model", 1), ("mixed", 1), ("unknown", 1)])
def test_only_what_people_or_a_rule_wrote_has_depth_0(origin: Origin, depth: int) -> None:
    assert prompt_depth(a_prompt(origin=origin)) == depth
    assert a_record(a_prompt(origin=origin)).depth == depth + 1


@pytest.mark.parametrize(
    ("prompt", "teacher", "found"),
    [
        (None, None, ("unknown",)),
        ("MIT", None, ("MIT", "unknown")),
        (None, "MIT", ("MIT", "unknown")),
        ("", "", ("unknown",)),
        ("MIT", "MIT", ("MIT",)),
        ("MIT", "Apache-2.0", ("Apache-2.0", "MIT")),
    ],
)
def test_a_license_that_was_not_given_is_unknown(prompt: str | None, teacher: str | None, found: tuple[str, ...]) -> None:
    assert licenses(a_prompt(license=prompt), [teacher]) == found


def test_a_record_carries_its_whole_trail() -> None:
    prompt = a_prompt(origin="human", reference="2", source_id="q.jsonl#1", parents=("doc",), license="MIT", meta={"k": 1})
    record = a_record(prompt, request_ids=("r1", "r2"))
    lineage = record.lineage
    assert (lineage.prompt_id, lineage.sample_id, lineage.sample_index, lineage.source_id) == ("p", "s", 3, "q.jsonl#1")
    assert lineage.request_ids == ("r1", "r2")
    assert lineage.grades == ("math@1=equal", "length@2=within")
    assert lineage.parents == ("p", "doc")
    assert lineage.generator == "a/m@1+b/m"
    assert (record.grader, record.pass_rate, record.split, record.origin) == ("math@1+length@2", 0.5, "train", "model")
    assert (record.reference, record.meta, record.license) == ("2", {"k": 1}, ("MIT", "unknown"))


def test_the_id_is_the_text_and_nothing_else() -> None:
    first = a_record(a_prompt())
    assert a_record(a_prompt(origin="human", reference="2"), run="other").id == first.id
    longer = Prompt(id="p", messages=(Message(role="system", content="s"), user("1+1?")))
    assert a_record(longer).id != first.id
    assert len(first.id) == 32
