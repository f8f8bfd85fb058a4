"""Model text never reaches a terminal raw, and keys appear nowhere."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

import pytest
from tests.cli.commands import RECIPE, gristmill, inside, put
from tests.servers import Answer, Arrived, Reaction, completion, serving

if TYPE_CHECKING:
    from pathlib import Path

KEY = "sk-tiny-0123456789abcdef"
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


def leak(arrived: Arrived) -> Reaction:
    """Answer with the key in every place where a server could put it."""
    if "1 + 1" in arrived.body["messages"][-1]["content"]:
        return Answer(400, {"error": {"message": f"Incorrect API key provided: {KEY}"}})
    body: dict[str, Any] = completion(f"{KEY} #### 1", id=f"id-{KEY}", system_fingerprint=KEY, message={"reasoning": KEY})
    return Answer(200, body, {"x-request-id": KEY})


def everything(folder: Path) -> dict[str, bytes]:
    """Return every file of a run, and of its ledger every value as text."""
    found = {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with sqlite3.connect(folder / "ledger.sqlite") as ledger:
        found["dump"] = "\n".join(ledger.iterdump()).encode("utf-8", "replace")
    ledger.close()
    return found


def test_a_key_that_a_server_echoes_appears_nowhere(tmp_path: Path) -> None:
    with serving(leak) as server:
        teacher = f'{{address: "{server.url}", model: m, key_env: TINY_KEY}}'
        put(tmp_path, [], RECIPE.replace("recorded:c.jsonl", teacher) + "export: [messages, rl, parquet]\n")
        words = ["--allow-key", "TINY_KEY=127.0.0.1"]
        outputs = [
            inside(tmp_path, "check", "tiny.yaml", *words, TINY_KEY=KEY),
            inside(tmp_path, "preview", "tiny.yaml", "-o", "out", *words, TINY_KEY=KEY),
            gristmill(tmp_path, "run", "tiny.yaml", "-o", "out", *words, TINY_KEY=KEY),
            inside(tmp_path, "run", "tiny.yaml", "-o", "out", "--json", *words, TINY_KEY=KEY),
            inside(tmp_path, "status", "out", "--json", TINY_KEY=KEY),
        ]
        sent = [arrived.headers["Authorization"] for arrived in server.requests]
    assert set(sent) == {f"Bearer {KEY}"}
    assert [done.code for done in outputs] == [0] * 5
    for done in outputs:
        assert KEY not in done.out + done.err
    assert "TINY_KEY" in outputs[0].out
    files = everything(tmp_path / "out")
    assert [name for name, data in files.items() if KEY.encode() in data] == []
    assert b"[key] #### 1" in files[str(tmp_path / "out" / "export" / "messages" / "train.jsonl")]


def test_no_key_is_sent_without_the_persons_word(tmp_path: Path) -> None:
    with serving(leak) as server:
        teacher = f'{{address: "{server.url}", model: m, key_env: TINY_KEY}}'
        put(tmp_path, [], RECIPE.replace("recorded:c.jsonl", teacher))
        for command in ("check", "preview", "run"):
            done = inside(tmp_path, command, "tiny.yaml", TINY_KEY=KEY)
            assert done.code == 2
            assert "would send the key in TINY_KEY to 127.0.0.1" in done.err
            assert KEY not in done.out + done.err
        assert server.requests == []
