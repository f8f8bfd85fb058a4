"""The dataset card: facts only, no license that nobody gave, and nothing that a hostile name could break."""

from __future__ import annotations

from typing import Any

import pytest

from gristmill.exporting.card import CardFacts, hub_license, size_category, write_card
from gristmill.recipe.document import parse_document
from gristmill.stats.funnel import Stage

FACTS = CardFacts(
    trained_on={"model": 100},
    name="small",
    exported=3,
    rows={"messages": {"train": 2, "test": 1}, "parquet": {"train": 2}},
    suffixes={"messages": "jsonl", "parquet": "parquet"},
    checksums={"messages/train.jsonl": "1a", "messages/test.jsonl": "2b", "parquet/train.parquet": "3c"},
    prompt_licenses=["MIT"],
    teacher_license="MIT",
    teachers=["teacher: recorded/c.jsonl@1"],
    sources=["q.jsonl"],
    origins={"human": 9},
    task="reasoning@1",
    template="plain",
    graders=["math@1"],
    acceptance="3 of 9",
    cost="$0.00",
    tokens="unknown",
    stages=[Stage("source", 10, 9, {"bad_json": 1})],
    status="complete",
    version="0",
    recipe="abc",
)
HOSTILE = "a|b\n---\n# <script>x</script> ![p](http://t.example/p.png) `code` **b** \\| \u202etxt &lt; \x1b[31m\r\nlicense: mit"


def card(**changes: Any) -> str:
    return write_card(FACTS._replace(**changes))


def head(text: str) -> dict[str, Any]:
    opening, front, _ = text.split("---\n", 2)
    assert opening == ""
    return parse_document(front, "README.md").content


def cells(text: str, title: str) -> list[list[str]]:
    """Return the rows of the table under a title, split as Markdown does: at every `|` that is not escaped."""
    table = [line for line in text.split(title, 1)[1].split("\n## ", 1)[0].splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.replace("\\\\", "").replace("\\|", "").strip("|").split("|")] for line in table]


def test_the_front_matter_is_what_hubs_read() -> None:
    front = head(card())
    assert front["license"] == "mit"
    assert front["pretty_name"] == "small"
    assert "synthetic" in front["tags"]
    assert front["size_categories"] == ["n<1K"]
    assert front["configs"] == [
        {
            "config_name": "messages",
            "default": True,
            "data_files": [{"split": "train", "path": "messages/train.jsonl"}, {"split": "test", "path": "messages/test.jsonl"}],
        },
    ]


def test_the_metadata_changes_with_the_files() -> None:
    """`datasets` takes what it once loaded from any folder called `export` with the same metadata."""
    info = head(card())["dataset_info"]
    assert [(one["config_name"], one["splits"]) for one in info] == [
        ("messages", [{"name": "train", "num_examples": 2}, {"name": "test", "num_examples": 1}])
    ]
    other = head(card(checksums={**FACTS.checksums, "messages/test.jsonl": "2c"}))["dataset_info"]
    assert other[0]["description"] != info[0]["description"]
    same = head(card(checksums={**FACTS.checksums, "parquet/train.parquet": "4d"}))["dataset_info"]
    assert same == info


def test_parquet_beside_json_lines_is_loaded_apart_since_datasets_wants_one_kind_of_file() -> None:
    both = card(rows={"messages": {"train": 2, "test": 1}, "parquet": {"train": 2, "test": 1}})
    files = '{"train": "parquet/train.parquet", "test": "parquet/test.parquet"}'
    assert f'load_dataset("parquet", data_files={files})' in both
    alone = card(rows={"parquet": {"train": 3}}, suffixes={"parquet": "parquet"})
    assert [config["config_name"] for config in head(alone)["configs"]] == ["parquet"]
    assert "load_dataset" not in alone


@pytest.mark.parametrize(
    ("prompts", "teacher"), [(["unknown"], "MIT"), (["MIT"], "unknown"), (["MIT", "unknown"], "MIT"), ([], "unknown")]
)
def test_an_unknown_license_is_never_replaced_by_a_default(prompts: list[str], teacher: str) -> None:
    text = card(prompt_licenses=prompts, teacher_license=teacher, sources=["s"] * len(prompts))
    assert "license" not in head(text)
    assert "**unknown**" in text
    assert ["output of the models", teacher] in cells(text, "## License of the inputs")


@pytest.mark.parametrize(
    ("licenses", "found"),
    [
        (["MIT", "mit"], "other"),
        (["MIT", "MIT"], "mit"),
        (["CC-BY-4.0"], "cc-by-4.0"),
        (["MIT", "Apache-2.0"], "other"),
        (["My own terms"], "other"),
        (["unknown"], None),
        (["unknown", "MIT"], None),
        ([], None),
    ],
)
def test_the_hubs_license(licenses: list[str], found: str | None) -> None:
    assert hub_license(licenses) == found


@pytest.mark.parametrize(
    ("rows", "found"), [(0, "n<1K"), (999, "n<1K"), (1000, "1K<n<10K"), (99_999, "10K<n<100K"), (10_000_000, "n>10M")]
)
def test_size_categories(rows: int, found: str) -> None:
    assert size_category(rows) == found


def test_hostile_names_break_neither_the_tables_nor_the_front_matter() -> None:
    plain, text = card(), card(
        sources=[HOSTILE],
        teachers=[HOSTILE],
        prompt_licenses=[HOSTILE],
        teacher_license=HOSTILE,
        template=HOSTILE,
        stages=[Stage("source", 10, 9, {HOSTILE: 1})],
    )  # fmt: skip
    assert head(text) == {**head(plain), "license": "other"}
    assert len(text.splitlines()) == len(plain.splitlines())
    for title in ("# small", "## License of the inputs", "## What was kept"):
        assert [len(row) for row in cells(text, title)] == [len(row) for row in cells(plain, title)]
    for active in ("<script", "![p]", "\x1b", "\u202e", " `code`", " **b**"):
        assert active not in text


def test_a_hostile_name_stays_one_value() -> None:
    assert head(card(name='x"\nlicense: gpl\ny: "'))["pretty_name"] == 'x"\nlicense: gpl\ny: "'


def test_what_is_partial_says_so() -> None:
    assert "partial" not in card()
    assert "This export is **partial**: the run is `stopped`." in card(status="stopped")


def test_counts_and_reasons_are_shown() -> None:
    text = card()
    assert ["source", "10", "9", "bad_json 1"] in cells(text, "## What was kept")
    assert ["human", "9"] in cells(text, "## Who wrote the prompts")
    assert ["rows", "3"] in cells(text, "# small")
