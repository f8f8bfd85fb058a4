"""Model text never reaches a terminal raw."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cli.commands import RECIPE, gristmill, inside, put

if TYPE_CHECKING:
    from pathlib import Path

HOSTILE = (
    "\x1b[2J\x1b]0;owned\x07\x1b]8;;http://evil.example\x1b\\link\x9b31m "
    "\u202e#### 2\u202c \u200b\u2066\ufeff\U000e0041 \r\x08\x00end #### 1"
)
RAW = set(HOSTILE) - {*map(chr, range(0x20, 0x7F))}


@pytest.mark.parametrize("command", ["preview", "run"])
def test_hostile_model_text_is_spelled_out(tmp_path: Path, command: str) -> None:
    put(tmp_path, [HOSTILE], RECIPE + "sampling: {max_attempts: 1}\n" + ("" if command == "preview" else "seed: 1\n"))
    if command == "run":
        (tmp_path / "q.jsonl").write_text('{"question": "What is 0 + 1?", "answer": "77"}\n')
    done = gristmill(tmp_path, command, "tiny.yaml")
    assert done.code == (0 if command == "preview" else 5)
    assert not RAW & set(done.out + done.err)
    assert "end #### 1" in done.out + done.err


def test_hostile_text_of_a_recipe_is_spelled_out(tmp_path: Path) -> None:
    put(tmp_path, ["#### 1"], RECIPE.replace("recorded:c.jsonl", '{address: "http://h/v1", model: "m\\e[2J\\u202e"}'))
    done = inside(tmp_path, "check", "tiny.yaml")
    assert done.code == 0
    assert not {"\x1b", "\u202e"} & set(done.out + done.err)
    put(tmp_path, ["#### 1"], RECIPE + '"se\\e[2J\\u202eed": 1\n')
    done = inside(tmp_path, "check", "tiny.yaml")
    assert done.code == 2
    assert not {"\x1b", "\u202e"} & set(done.out + done.err)
