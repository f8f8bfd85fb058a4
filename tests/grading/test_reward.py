"""Reward models: whatever an endpoint answers, one number, on record and paid once."""

from __future__ import annotations

import json
import threading
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.teachers.formats.scores import find_score
from tests.runs import query, recipe, run

FORMS = (
    '{"score": 0.9}',
    '{"reward": 0.9, "model": "rm"}',
    '{"data": [{"index": 0, "data": [0.9]}], "usage": {"prompt_tokens": 12}}',
    '{"data": [{"label": "good", "probs": [0.5, 0.9]}]}',
    '[{"label": "good", "score": 0.9}]',
)


@contextmanager
def scoring(form: str) -> Generator[tuple[str, list[dict[str, Any]]]]:
    """Run a server that scores A with 0.9 and everything else with 0.1."""
    asked: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            good = asked[-1]["messages"][-1]["content"] == "A"
            body = (form if good else form.replace("0.9", "0.1")).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/pooling", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("form", FORMS)
def test_any_endpoint_that_returns_a_number(tmp_path: Path, form: str) -> None:
    with scoring(form) as (url, asked):
        path = recipe(
            tmp_path,
            prompts=12,
            teachers={"rm": {"address": url, "model": "rm", "api": "score"}},
            sampling={"want": None, "n": 1, "temperature": 0.7},
            grade=[{"reward": {"pass_at": 0.5, "scale": [0, 1]}, "by": "rm"}],
        )
        found = run(path, tmp_path / "run")
        again = run(path, tmp_path / "run")
    answers = [row[0] for row in query(f"SELECT evidence FROM '{tmp_path}/run/tables/grades.parquet'")]
    assert {json.loads(text)["reward"] for text in answers} == {0.9, 0.1}
    assert found["accepted"] == sum(json.loads(text)["reward"] == 0.9 for text in answers)
    assert (len(asked), again["calls"]["made"]) == (12, 0)
    assert [message["role"] for message in asked[0]["messages"]] == ["user", "assistant"]
    assert found["graders"] == ["reward@1 by rm (uncalibrated)"]


def test_an_answer_without_a_number_is_a_failure_with_evidence(tmp_path: Path) -> None:
    with scoring('{"detail": "no"}') as (url, _):
        path = recipe(
            tmp_path,
            prompts=2,
            teachers={"rm": {"address": url, "model": "rm", "api": "score", "attempts": 1}},
            sampling={"want": None, "n": 1},
            grade=[{"reward": 0.5, "by": "rm"}],
        )
        assert run(path, tmp_path / "run")["funnel"][3]["dropped"] == {"transient:malformed": 2}


@given(st.recursive(st.none() | st.text() | st.booleans(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_what_has_no_number_has_no_score(value: Any) -> None:
    assert find_score(value) is None
