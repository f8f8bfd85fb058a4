"""The dataset card: what the data is, in words and in the metadata that hubs read.

Facts only, from the run: models, counts, acceptance, cost, licenses of the inputs. A license that was not given is `unknown` and
said to be; no license is ever put in its place. The metadata follows huggingface.co/docs/hub/datasets-cards.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, NamedTuple

import jinja2

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from gristmill.stats.funnel import Stage

_HUB_LICENSES = {
    "mit": "mit", "apache-2.0": "apache-2.0", "cc0-1.0": "cc0-1.0", "cc-by-4.0": "cc-by-4.0", "cc-by-sa-4.0": "cc-by-sa-4.0",
    "cc-by-nc-4.0": "cc-by-nc-4.0", "odc-by": "odc-by", "bsd-3-clause": "bsd-3-clause",
}  # fmt: skip
_SIZES = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
)
_INVISIBLE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]+")
_MARKDOWN = re.compile(r"[\\`*\[\]|]")


class CardFacts(NamedTuple):
    """What a card says."""

    name: str
    exported: int
    """Rows over all splits."""
    rows: Mapping[str, Mapping[str, int]]
    """Rows of each format by split."""
    suffixes: Mapping[str, str]
    checksums: Mapping[str, str]
    """SHA-256 of every file by its path."""
    prompt_licenses: Sequence[str]
    teacher_license: str
    teachers: Sequence[str]
    """Role and identity of each model."""
    sources: Sequence[str]
    origins: Mapping[str, int]
    """Planned prompts by who wrote them."""
    trained_on: Mapping[str, int]
    """Characters of the answers in the rows, by who wrote them."""
    task: str
    template: str
    graders: Sequence[str]
    acceptance: str
    cost: str
    tokens: str
    stages: Sequence[Stage]
    status: str
    version: str
    recipe: str


def hub_license(licenses: Sequence[str]) -> str | None:
    """Return the hub's id for a set of licenses: `other` for several or one that the hub does not list, None if unknown."""
    known = {name for name in licenses if name != "unknown"}
    if "unknown" in licenses or not known:
        return None
    return _HUB_LICENSES.get(next(iter(known)).lower(), "other") if len(known) == 1 else "other"


def size_category(rows: int) -> str:
    """Return the hub's size category."""
    return next((name for limit, name in _SIZES if rows < limit), "n>10M")


def write_card(facts: CardFacts) -> str:
    """Return the card's text."""
    environment = jinja2.Environment(  # noqa: S701 - Markdown, not HTML; values are escaped below
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True
    )
    environment.filters["cell"] = _cell
    environment.filters["reasons"] = _reasons
    licenses = [*facts.prompt_licenses, facts.teacher_license]
    loaded, apart = _configs(facts)
    return environment.from_string(_CARD).render(
        facts=facts,
        loaded=loaded,
        apart={name: json.dumps({s: f"{name}/{s}.{facts.suffixes[name]}" for s in facts.rows[name]}) for name in apart},
        digests={name: _digest(facts, name) for name in loaded},
        size=size_category(facts.exported),
        license=hub_license(licenses),
        others=any(origin != "model" for origin in facts.trained_on),
    )


def _configs(facts: CardFacts) -> tuple[dict[str, Mapping[str, int]], list[str]]:
    """Return the formats that are configurations, and those that are loaded apart: `datasets` wants one kind of file for all."""
    kind = "jsonl" if "jsonl" in facts.suffixes.values() else "parquet"
    loaded = {name: splits for name, splits in facts.rows.items() if facts.suffixes[name] == kind}
    return loaded, [name for name in facts.rows if name not in loaded]


def _digest(facts: CardFacts, name: str) -> str:
    """Return a hash of a format's files: `datasets` keeps what it loaded by the folder's name and this metadata, not by files."""
    sums = [f"{path} {digest}" for path, digest in sorted(facts.checksums.items()) if path.startswith(f"{name}/")]
    return hashlib.sha256("\n".join(sums).encode()).hexdigest()


def _cell(value: object) -> str:
    """Return text that cannot break a Markdown table, open a tag, a link or an image, or turn the reading direction."""
    text = _MARKDOWN.sub(r"\\\g<0>", _INVISIBLE.sub(" ", str(value)))
    return text.replace("&", "&amp;").replace("<", "&lt;")


def _reasons(dropped: Mapping[str, int]) -> str:
    """Return reasons with their counts."""
    return ", ".join(f"{_cell(reason)} {count}" for reason, count in dropped.items())


_CARD = """---
{% if license %}
license: {{ license }}
{% endif %}
pretty_name: {{ facts.name | tojson }}
tags:
- synthetic
- gristmill
annotations_creators:
- machine-generated
language_creators:
- machine-generated
size_categories:
- {{ size }}
configs:
{% for name, splits in loaded.items() %}
- config_name: {{ name }}
{% if loop.first %}
  default: true
{% endif %}
  data_files:
{% for split in splits %}
  - split: {{ split }}
    path: {{ name }}/{{ split }}.{{ facts.suffixes[name] }}
{% endfor %}
{% endfor %}
dataset_info:
{% for name, splits in loaded.items() %}
- config_name: {{ name }}
  description: {{ ("sha256 of the files " + digests[name]) | tojson }}
  splits:
{% for split, rows in splits.items() %}
  - name: {{ split }}
    num_examples: {{ rows }}
{% endfor %}
{% endfor %}
---

# {{ facts.name | cell }}

{% if others %}
The prompts come from the sources below; who wrote the answers is said there too.
{% else %}
Synthetic data: the prompts come from the sources below, the answers were written by a model and kept if they passed the graders.
{% endif %}
{% if facts.status != "complete" %}

This export is **partial**: the run is `{{ facts.status }}`.
{% endif %}

| | |
|---|---|
| rows | {{ facts.exported }} |
| task | {{ facts.task | cell }} |
| prompt template | {{ facts.template | cell }} |
| models | {{ facts.teachers | join("; ") | cell }} |
| graders | {{ facts.graders | join(", ") | cell }} |
| acceptance | {{ facts.acceptance | cell }} |
| tokens | {{ facts.tokens | cell }} |
| cost | {{ facts.cost | cell }} |
| made with | gristmill {{ facts.version }}, recipe {{ facts.recipe }} |

{% for files in apart.values() %}
The same as Parquet: `datasets.load_dataset("parquet", data_files={{ files }})`.

{% endfor %}
## License of the inputs

| input | license, as its owner gives it |
|---|---|
{% for name in facts.sources %}
| {{ name | cell }} | {{ facts.prompt_licenses[loop.index0] | cell }} |
{% endfor %}
| output of the models | {{ facts.teacher_license | cell }} |
{% if not license %}

The license of at least one input is **unknown**, so this card names none for the whole.
{% endif %}

## Who wrote the prompts

| origin | prompts |
|---|---|
{% for origin, count in facts.origins.items() %}
| {{ origin }} | {{ count }} |
{% endfor %}

{% if others %}
Characters of answers by who wrote them: {{ facts.trained_on | reasons }}. {% else %}
All answers were written by a model (origin `model`). {% endif %}
Which model, from which prompt, graded how: columns `generator`,
`prompt_id`, `sample_id` of every row join it to the run's tables.

## What was kept, and why the rest was not

| stage | in | kept | dropped |
|---|---|---|---|
{% for stage in facts.stages %}
| {{ stage.stage }} | {{ stage.entered }} | {{ stage.kept }} | {{ stage.dropped | reasons }} |
{% endfor %}
"""
