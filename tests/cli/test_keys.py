"""Keys go where the person says, and stand in nothing that a run leaves or says, whatever the wire format and the server."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from tests.cli.commands import RECIPE, Done, gristmill, inside, put
from tests.servers import Answer, Arrived, Reaction, Script, serving
from tests.teachers.bodies import EVENT_STREAM, PATHS, STREAMED, WHOLE, Said

if TYPE_CHECKING:
    from pathlib import Path

KEY = "sk-tiny-0123456789abcdef"
WORDS = ("--allow-key", "TINY_KEY=127.0.0.1")
HEADERS = {"x-request-id": KEY, "x-ratelimit-reset-tokens": KEY, "set-cookie": f"key={KEY}"}
SAID = Said(f"{KEY} #### 1", KEY, f"model-{KEY}")
WIRES = [(api, stream) for api in PATHS for stream in (False, True)]


def recipe(url: str, api: str, *, stream: bool) -> str:
    """Return a recipe whose teacher is a server and needs a key."""
    fields = {"address": url, "model": "m", "key_env": "TINY_KEY", "api": api, "stream": stream, "thinking": "answer_only"}
    teacher = RECIPE.replace("recorded:c.jsonl", json.dumps(fields))
    return f"{teacher}sampling: {{max_tokens: 64, want: 1, max_attempts: 1}}\nexport: [messages, rl, parquet]\n"


def leaking(api: str) -> Script:
    """Return the answers of a server that puts the key wherever it can: replies, refusals, broken replies, headers, redirects."""
    asked: Counter[str] = Counter()

    def answer(arrived: Arrived) -> Reaction:
        body = arrived.body
        question = next(
            q for q in ("0 + 1", "1 + 1", "2 + 1", "2 + 3") if q in json.dumps(body.get("messages") or body.get("input"))
        )
        asked[question] += 1
        if question == "1 + 1":
            return Answer(400, {"error": {"message": f"The caller of {KEY} sent a bad value"}}, {**HEADERS, "location": KEY})
        if question == "0 + 1" and asked[question] == 1:
            return Answer(500, f"<html>no backend for {KEY}</html>".encode(), HEADERS)
        whole = json.dumps({**WHOLE[api](SAID), "id": f"id-{KEY}"}).encode()
        data = STREAMED[api](SAID) if body.get("stream") else whole
        broken = data[: len(data) // 2] if question == "2 + 1" and asked[question] == 1 else data
        return Answer(200, broken, {**HEADERS, **(EVENT_STREAM if body.get("stream") else {})})

    return answer


def everything(folder: Path) -> dict[str, bytes]:
    """Return every file of a run, and of its ledger every value as text."""
    found = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with closing(sqlite3.connect(folder / "ledger.sqlite")) as ledger:
        found["dump"] = "\n".join(ledger.iterdump()).encode("utf-8", "replace")
    return found


@pytest.mark.parametrize(("api", "stream"), WIRES)
def test_a_key_that_a_server_echoes_appears_nowhere(tmp_path: Path, api: str, stream: bool) -> None:
    with serving(leaking(api)) as server:
        put(tmp_path, [], recipe(server.url, api, stream=stream))
        outputs: dict[str, Done] = {
            "check": inside(tmp_path, "check", "tiny.yaml", "--call", *WORDS, TINY_KEY=KEY),
            "preview": inside(tmp_path, "preview", "tiny.yaml", "-n", "1", "-o", "out", *WORDS, TINY_KEY=KEY),
        }
        with closing(sqlite3.connect(tmp_path / "out" / "ledger.sqlite")) as reader:
            reader.execute("SELECT count(*) FROM requests").fetchall()  # while somebody reads, the write-ahead log stays
            outputs["run"] = gristmill(tmp_path, "run", "tiny.yaml", "-o", "out", *WORDS, TINY_KEY=KEY)
            outputs["again"] = inside(tmp_path, "run", "tiny.yaml", "-o", "out", "--json", *WORDS, TINY_KEY=KEY)
            outputs["status"] = inside(tmp_path, "status", "out", "--json", TINY_KEY=KEY)
            outputs["report"] = inside(tmp_path, "report", "out", TINY_KEY=KEY)
            files = everything(tmp_path / "out")
        sent = [arrived.headers for arrived in server.requests]
    header = ("x-api-key", KEY) if api == "messages" else ("authorization", f"Bearer {KEY}")
    assert {{n.lower(): v for n, v in headers.items()}[header[0]] for headers in sent} == {header[1]}
    assert {name: done.code for name, done in outputs.items()} == dict.fromkeys(outputs, 0), outputs["run"]
    assert [name for name, done in outputs.items() if KEY in done.out + done.err] == []
    assert "TINY_KEY" in outputs["check"].out
    assert [name for name, data in files.items() if KEY.encode() in data] == []
    assert b"[key] #### 1" in files["export/messages/train.jsonl"]
    assert b"The caller of [key] sent a bad value" in files["dump"]
    assert b"no backend for [key]" in files["ledger.sqlite-wal"] + files["ledger.sqlite"]
    assert {"report.html", "report.json", "status.json", "manifest.json", "summary.json", "ledger.sqlite-wal"} <= set(files)


@pytest.mark.parametrize("api", PATHS)
def test_no_key_is_sent_without_the_persons_word(tmp_path: Path, api: str) -> None:
    with serving(leaking(api)) as server:
        put(tmp_path, [], recipe(server.url, api, stream=False))
        for words in (["check"], ["check", "--call"], ["preview"], ["run"]):
            done = inside(tmp_path, words[0], "tiny.yaml", *words[1:], TINY_KEY=KEY)
            assert done.code == 2
            assert "would send the key in TINY_KEY to 127.0.0.1" in done.err
            assert KEY not in done.out + done.err
        assert server.requests == []


def test_a_key_in_a_recipe_is_refused(tmp_path: Path) -> None:
    fields: list[dict[str, Any]] = [{"key": KEY}, {"api_key": KEY}, {"address": f"http://{KEY}@h/v1"}]
    for field in fields:
        put(tmp_path, [], RECIPE.replace("recorded:c.jsonl", json.dumps({"address": "http://h/v1", "model": "m", **field})))
        assert inside(tmp_path, "check", "tiny.yaml").code == 2
