"""`math` against labels that others recorded for the same completions.

The data are too large for the repository; where the folder `shared/data` is absent the test says so. A label is
evidence, not truth: every disagreement is listed with its place, so that a person can judge who is right.
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from gristmill.grading.math import MathOptions, grade_math
from gristmill.records import Prompt, Sample

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.shared_data


class Agreement(NamedTuple):
    precision: float
    recall: float
    differences: list[str]


def recorded(name: str) -> Iterator[dict[str, Any]]:
    folders = [above / "shared" / "data" for above in Path(__file__).resolve().parents]
    folder = next((one for one in folders if one.is_dir()), None)
    if folder is None:
        pytest.skip("the folder shared/data is not there: nothing recorded to compare with")
    path = folder / "recorded-teacher" / name
    raw = path.read_bytes()
    for line in (gzip.decompress(raw) if name.endswith(".gz") else raw).splitlines():
        yield json.loads(line)


def agreement(name: str, answer_format: str) -> Agreement:
    options = MathOptions(answer_format=answer_format)
    right, passed, both, differences = 0, 0, 0, list[str]()
    for row in recorded(name):
        prompt = Prompt(id=row["id"], messages=(), reference=row["gold"])
        uncertain = row.get("uncertain", [False] * len(row["labels"]))
        for index, (text, label) in enumerate(zip(row["completions"], row["labels"], strict=True)):
            sample = Sample(id="s", prompt_id=row["id"], index=index, messages=(), answer=text, status="complete")
            verdict = grade_math(prompt, sample, options)
            ours = verdict.passed is True
            right, passed, both = right + label, passed + ours, both + (ours and label)
            if ours != label:
                doubt = " (label uncertain)" if uncertain[index] else ""
                differences.append(
                    f"{row['id']}#{index}: recorded {label}{doubt}, ours {verdict.passed} {verdict.reason}, "
                    f"reference {row['gold']!r}, extracted {verdict.evidence.get('extracted')!r}"
                )
    return Agreement(both / passed, both / right, differences)


def test_gsm8k_labels_agree_completely() -> None:
    found = agreement("gsm8k_openai_gpt3_4x.jsonl", "line:A:")
    assert (found.precision, found.recall) == (1.0, 1.0), "\n".join(found.differences)


def test_zeroeval_labels_agree_but_for_chains_and_times() -> None:
    """Most differences are chains such as `8 - 4 = 4`: the recorded label wants the bare number, the value is right."""
    found = agreement("zeroeval_gsm_9models.jsonl.gz", "json:answer")
    listed = f"P {found.precision:.4f} R {found.recall:.4f}\n" + "\n".join(found.differences)
    print(listed)
    assert found.precision >= 0.987, listed
    assert found.recall >= 0.998, listed
