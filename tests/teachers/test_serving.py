"""`gristmill serve` as a process: the `http` teacher against it, raw requests of every wrong kind, and how it ends."""

from __future__ import annotations

import asyncio
import http.client
import json
import signal
import socket
import subprocess
from collections.abc import Generator, Mapping
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tests.cli.commands import SCRIPT, gristmill
from tests.runs import run
from tests.teachers.asking import a_request, ask, fault_of
from tests.teachers.test_gguf import TEACHER

from gristmill.ports import Teacher
from gristmill.recipe.document import dump_document
from gristmill.recipe.model import TeacherSpec
from gristmill.records import Reply, Request, Sampling
from gristmill.sources.word_problems import word_problem
from gristmill.teachers.addresses import Environment, open_teacher
from gristmill.teachers.serving import MOST_BYTES

QUESTION = f"{word_problem(7, 1).text}\nSolve step by step. End with #### and the number."
ENDLESS = {"logit_bias": {"5": 100}, "max_tokens": 450}
"""A text of one token over and over: as long an answer as the context allows."""


class Server(NamedTuple):
    """A server that runs, and what it said of itself."""

    process: subprocess.Popen[str]
    said: dict[str, Any]

    @property
    def port(self) -> int:
        """Return where it listens."""
        return int(str(self.said["url"]).split(":")[2].removesuffix("/v1"))

    def spec(self) -> TeacherSpec:
        """Return the teacher that a recipe would name."""
        return TeacherSpec(address=self.said["url"], model=self.said["model"])

    def send(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> tuple[int, bytes]:
        """Send one request and return status and body."""
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            connection.request(method, path, data, dict(headers or {}))
            response = connection.getresponse()
            return response.status, response.read()

    def chat(self, **fields: Any) -> tuple[int, bytes]:
        """Send a chat completion; `fields` replace parts of a good body, `...` takes one away."""
        body = {"model": self.said["model"], "messages": [{"role": "user", "content": QUESTION}], **fields}
        return self.send("POST", "/v1/chat/completions", {key: value for key, value in body.items() if value is not ...})


@contextmanager
def served(*words: str) -> Generator[Server]:
    """Run `gristmill serve` until the block ends."""
    process = subprocess.Popen(
        [str(SCRIPT), "serve", *words, "--port", "0", "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with process:
        try:
            assert process.stdout
            line = process.stdout.readline()
            assert line, process.communicate()[1]
            yield Server(process, json.loads(line))
        finally:
            process.kill()


@pytest.fixture(scope="module")
def server() -> Generator[Server]:
    with served("builtin") as running:
        yield running


def text(reply: bytes) -> str:
    """Return the text of a completion."""
    return json.loads(reply)["choices"][0]["message"]["content"]


def opened(spec: TeacherSpec, folder: Path) -> Teacher:
    return open_teacher(spec, folder, Environment({}))


def requests(count: int) -> list[Request]:
    sampling = Sampling(temperature=0.8, max_tokens=100)
    return [
        a_request(f"{word_problem(7, index).text}\nSolve step by step. End with #### and the number.", index, sampling=sampling)
        for index in range(count)
    ]


def side_by_side(teacher: Teacher, asked: list[Request]) -> list[Reply]:
    async def work() -> list[Reply]:
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(teacher.complete(request)) for request in asked]
            return [task.result() for task in tasks]
        finally:
            await teacher.close()

    return asyncio.run(work())


def test_twenty_at_once_over_http_equal_the_model_in_process(server: Server, tmp_path: Path) -> None:
    """The same seeds give the same texts, with the tokens counted."""
    remote = side_by_side(opened(server.spec(), tmp_path), requests(20))
    local = ask(opened(TeacherSpec(address="builtin"), tmp_path), *requests(20))
    assert [(r.message.content, r.finish, r.usage.output_tokens) for r in remote] == [
        (r.message.content, r.finish, r.usage.output_tokens) for r in local
    ]
    assert len({reply.message.content for reply in remote}) > 10
    assert all(reply.usage.input_tokens and reply.usage.cached_tokens == 0 for reply in remote)
    assert {(reply.model, reply.meta["system_fingerprint"]) for reply in remote} == {("builtin", "1866ea98729ea692")}


def test_a_stream_is_the_same_text_in_pieces(server: Server) -> None:
    """Server-sent events that end with [DONE], with usage where it is asked for."""
    fields = {"seed": 5, "temperature": 0.8}
    status, whole = server.chat(**fields)
    assert status == 200
    status, events = server.chat(**fields, stream=True, stream_options={"include_usage": True})
    assert status == 200
    lines = events.decode().split("\n\n")
    assert lines[-2:] == ["data: [DONE]", ""]
    chunks = [json.loads(line.removeprefix("data: ")) for line in lines[:-2]]
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    assert "".join(delta.get("content") or "" for delta in deltas) == text(whole)
    assert len(deltas) > 5
    assert chunks[-1]["usage"]["completion_tokens"] == json.loads(whole)["usage"]["completion_tokens"]
    assert {(chunk["model"], chunk["object"]) for chunk in chunks} == {("builtin", "chat.completion.chunk")}


def test_models_health_and_nothing_about_files(server: Server) -> None:
    status, listed = server.send("GET", "/v1/models")
    assert status == 200
    models = json.loads(listed)
    assert models["object"] == "list"
    assert [(model["id"], model["object"], model["owned_by"]) for model in models["data"]] == [("builtin", "model", "gristmill")]
    assert server.send("GET", "/health") == (200, b'{"status":"ok"}')
    assert b".gguf" not in listed + server.chat(max_tokens=5)[1]
    assert (server.said["context"], server.said["slots"]) == (512, 16)
    assert "fixed calculator tools" in server.said["note"]


def test_the_calculator_tools_that_it_knows(server: Server) -> None:
    question = f"{word_problem(7, 1).text}\nUse the calculator tools, then answer."
    status, reply = server.chat(messages=[{"role": "user", "content": question}], temperature=0)
    assert status == 200
    assert "answer(" in text(reply)


def user(content: Any) -> list[dict[str, Any]]:
    return [{"role": "user", "content": content}]


PICTURE = [{"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}]
TOOL: dict[str, Any] = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}
WRONG: list[tuple[dict[str, Any], int, str, str]] = [
    ({"messages": ...}, 400, "invalid_body", "`messages`: Field required"),
    ({"messages": "hi"}, 400, "invalid_body", "`messages`"),
    ({"messages": []}, 400, "invalid_body", "`messages`"),
    ({"messages": [{"role": "king", "content": "x"}]}, 400, "invalid_body", "`messages.0.role`"),
    ({"messages": [{"role": "user"}]}, 400, "invalid_request", "content"),
    ({"messages": user(5)}, 400, "invalid_body", "`messages.0.content`: write a text"),
    ({"messages": user(PICTURE)}, 400, "invalid_body", "files are not served"),
    ({"model": "gpt-5"}, 404, "model_not_found", "served is `builtin`"),
    ({"model": ...}, 400, "invalid_body", "`model`: Field required"),
    ({"temperature": "hot"}, 400, "invalid_body", "`temperature`"),
    ({"n": 2}, 400, "invalid_body", "`n`"),
    ({"seed": -1}, 400, "invalid_body", "`seed`"),
    ({"stop": [1]}, 400, "invalid_body", "`stop`"),
    ({"id_slot": 1}, 400, "invalid_body", "`id_slot` is not accepted here; accepted are: model, messages"),
    ({"grammar": "root ::= 'x'"}, 400, "invalid_body", "`grammar` is not accepted here"),
    (
        {"tools": [TOOL]},
        400,
        "tools_not_supported",
        "512-token context; it knows the fixed calculator tools when the prompt ends",
    ),
    ({"functions": [{"name": "f"}]}, 400, "tools_not_supported", "Use the calculator tools, then answer."),
    ({"response_format": {"type": "json_object"}}, 400, "tools_not_supported", "do not fit"),
    ({"messages": user("word " * 2000)}, 400, "context_length_exceeded", "the context is 512 tokens"),
    ({"messages": user("word " * 2000), "stream": True}, 400, "context_length_exceeded", "the context is 512 tokens"),
    ({"metadata": "x" * MOST_BYTES}, 413, "body_too_large", "1,048,576 bytes"),
]


@pytest.mark.parametrize(("fields", "status", "code", "said"), WRONG, ids=[f"{next(iter(f))}-{c}" for f, _, c, _ in WRONG])
def test_a_body_that_cannot_be_answered(server: Server, fields: dict[str, Any], status: int, code: str, said: str) -> None:
    found, body = server.chat(**fields)
    error = json.loads(body)["error"]
    assert (found, error["code"], set(error)) == (status, code, {"message", "type", "code"})
    assert error["type"] == "invalid_request_error"
    assert said in error["message"]
    assert server.chat(max_tokens=1)[0] == 200


@pytest.mark.parametrize(
    "fields", [{"response_format": {"type": "text"}}, {"tools": []}, {"user": "u", "store": False}, {"stop": None}]
)
def test_what_clients_send_without_meaning_it(server: Server, fields: dict[str, Any]) -> None:
    assert server.chat(**fields, max_tokens=1)[0] == 200


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "said"),
    [
        ("POST", "/v1/chat/completions", b'{"model":', 400, "not JSON"),
        ("POST", "/v1/chat/completions", b"\x1f\x8b\x00", 400, "not JSON"),
        ("POST", "/v1/chat/completions", b"[1]", 400, "not a JSON object"),
        ("GET", "/v1/chat/completions", None, 405, "POST /v1/chat/completions"),
        ("GET", "/", None, 404, "POST /v1/chat/completions, GET /v1/models, GET /health"),
        ("POST", "/slots/0?action=save", b"{}", 404, "there is no POST /slots/0"),
        ("POST", "/v1/completions", b"{}", 404, "GET /v1/models"),
    ],
)
def test_other_requests(server: Server, method: str, path: str, body: bytes | None, status: int, said: str) -> None:
    found, reply = server.send(method, path, body, {"content-encoding": "gzip"} if body else {})
    error = json.loads(reply)["error"]
    assert (found, error["type"]) == (status, "invalid_request_error")
    assert said in error["message"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "evil.example"}, 403),
        ({"host": "127.0.0.1.evil.example:8080"}, 403),
        ({"host": "[::1"}, 403),
        ({"host": ""}, 403),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"host": "localhost:1"}, 200),
        ({"host": "[::1]:8080"}, 200),
        ({"origin": "http://localhost:3000"}, 200),
    ],
)
def test_callers_from_elsewhere(server: Server, headers: dict[str, str], status: int) -> None:
    """A page that was rebound to this machine, or that is from elsewhere, gets nothing from any route."""
    for path in ("/health", "/v1/models", "/nothing"):
        found, body = server.send("GET", path, headers=headers)
        assert found == (404 if path == "/nothing" and status == 200 else status)
        assert (b"permission_error" in body) is (status == 403)


def test_the_runtimes_own_port_is_closed(server: Server) -> None:
    """llama.cpp listens by itself, with endpoints of its own and for every origin; none of them does anything without its key."""
    others = [port for port in listening(server.process.pid) if port != server.port]
    assert others, "the runtime listens no more: the key can go"
    for port in others:
        with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
            for path in ("/slots", "/props", "/v1/chat/completions", "/v1/models", "/completion"):
                connection.request("POST", path, b"{}", {"content-type": "application/json"})
                response = connection.getresponse()
                response.read()
                assert response.status == 401, path


def listening(pid: int) -> list[int]:
    """Return the TCP ports on which a process listens."""
    links: list[str] = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # it may close one meanwhile
            links.append(str(entry.readlink()))
    inodes = {link[8:-1] for link in links if link.startswith("socket:[")}
    rows = [line.split() for line in Path(f"/proc/{pid}/net/tcp").read_text(encoding="ascii").splitlines()[1:]]
    return [int(row[1].split(":")[1], 16) for row in rows if row[3] == "0A" and row[9] in inodes]


def test_an_overlong_prompt_is_a_permanent_fault_of_the_http_teacher(server: Server, tmp_path: Path) -> None:
    fault = fault_of(opened(server.spec(), tmp_path), a_request("word " * 2000))
    assert (fault.kind, fault.code) == ("permanent", "http_400")
    assert "512 tokens" in str(fault)


def test_an_unknown_model_is_a_fatal_fault_of_the_http_teacher(server: Server, tmp_path: Path) -> None:
    spec = TeacherSpec(address=server.said["url"], model="other")
    assert fault_of(opened(spec, tmp_path), a_request("2+2?")).kind == "fatal"


def test_a_recipe_with_the_server_as_its_teacher(server: Server, tmp_path: Path) -> None:
    """The recipe line that the server prints makes rows, and they are right by an independent count."""
    content = {
        "name": "served",
        "prompts": {"word_problems": {"count": 20, "steps": [1, 2]}},
        "teacher": {"address": server.said["url"], "model": server.said["model"], "license": "Apache-2.0"},
        "prompt": {"template": "chain@1"},
        "sampling": {"want": 1, "max_attempts": 8, "temperature": 0.8, "max_tokens": 100},
        "grade": ["math"],
    }
    (tmp_path / "served.yaml").write_text(dump_document(content))
    found = run(tmp_path / "served.yaml", tmp_path / "run")
    assert (found["status"], found["exit_code"]) == ("complete", 0)
    assert found["exported"] >= 10
    assert found["tokens"]["output"] > 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_when_the_answers_in_flight_are_given(number: signal.Signals) -> None:
    """A stream that has begun and answers that wait for a slot are finished; the exit code is 0 and nothing is complained of."""
    with served("builtin-student", "--slots", "2") as server, ExitStack() as stack:
        stream, *whole = (stack.enter_context(begun(server, stream=number == 0)) for number in range(5))
        events = stream.getresponse()
        start = events.read(10)
        assert server.send("GET", "/health")[0] == 200  # what was sent before has arrived
        server.process.send_signal(number)
        assert (start + events.read()).endswith(b"data: [DONE]\n\n")
        for connection in whole:
            reply = connection.getresponse()
            assert reply.status == 200
            assert json.loads(reply.read())["usage"]["completion_tokens"] == 450
        out, err = server.process.communicate(timeout=60)
        assert (server.process.returncode, out, err) == (0, "", "")


@contextmanager
def begun(server: Server, *, stream: bool) -> Generator[http.client.HTTPConnection]:
    """Send a request for a long answer and do not wait for it."""
    body = {"model": server.said["model"], "messages": user("x"), "stream": stream, **ENDLESS}
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)) as connection:
        connection.request("POST", "/v1/chat/completions", json.dumps(body).encode())
        yield connection


def test_clients_that_go_away_are_no_trouble() -> None:
    """With one slot, the next request is answered although those before were not read, or not even sent, to their end."""
    with served("builtin", "--slots", "1") as server:
        for _ in range(3):
            with begun(server, stream=True) as connection:
                connection.getresponse().read(10)
        with socket.create_connection(("127.0.0.1", server.port)) as half:
            half.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5000\r\n\r\n{}")
            assert server.send("GET", "/health")[0] == 200
        assert server.chat(max_tokens=5)[0] == 200
        server.process.terminate()
        out, err = server.process.communicate(timeout=60)
        assert (server.process.returncode, out, err) == (0, "", "")


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    """It is called by its stem, and tools are left to it."""
    (tmp_path / "mine.gguf").write_bytes(TEACHER.read_bytes())
    with served(str(tmp_path / "mine.gguf")) as server:
        assert (server.said["model"], server.said["note"]) == ("mine", "")
        assert server.chat(tools=[TOOL], max_tokens=3)[0] == 200
        status, reply = server.chat(response_format={"type": "json_object"}, max_tokens=5)
        assert status == 200
        assert text(reply).lstrip()[:1] in ("", "{")
        schema = {"type": "json_schema", "json_schema": {"schema": {"type": "strange"}}}
        status, reply = server.chat(response_format=schema)
        assert (status, json.loads(reply)["error"]["code"]) == (400, "invalid_request")


def test_what_cannot_be_served_is_one_line(server: Server, tmp_path: Path) -> None:
    port = str(server.port)
    (tmp_path / "text.gguf").write_text("hello")
    (tmp_path / "cut.gguf").write_bytes(TEACHER.read_bytes()[:60_000])
    for words, said in (
        (["builtin", "--port", port], f"port {port} is taken\n  Take another one"),
        (["text.gguf"], "is not a GGUF file"),
        (["cut.gguf"], "cut off or damaged"),
        (["none.gguf"], "there is no model file"),
        (["openai:gpt-5"], "no model that can be served\n  Write builtin, builtin-student or FILE.gguf."),
        (["builtin", "--port", "70000"], "less than or equal to 65535"),
        (["builtin", "--slots", "0"], "greater than or equal to 1"),
    ):
        done = gristmill(tmp_path, "serve", *words)
        assert (done.code, done.out) == (2, "")
        assert said in done.err


def test_the_text_for_people_has_the_line_for_a_recipe() -> None:
    process = subprocess.Popen(
        [str(SCRIPT), "serve", "builtin", "--port", "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with process:
        try:
            assert process.stdout
            lines = [process.stdout.readline() for _ in range(6)]
            assert "serving builtin at http://127.0.0.1:" in lines[0]
            assert "512 tokens" in lines[1]
            assert "16 requests" in lines[2]
            assert "arbitrary JSON Schema tools" in lines[3]
            url = lines[0].split()[3]
            assert f'teacher: {{address: "{url}", model: builtin}}' in lines[5]
            process.send_signal(signal.SIGINT)
            assert process.communicate(timeout=60)[1] == ""
            assert process.returncode == 0
        finally:
            process.kill()
