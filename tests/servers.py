"""Real local servers for tests: OpenAI-compatible chat completions that answer, or fail, as a test says.

A server runs in a thread of its own on a free port of the loopback interface, keeps every request that arrived, and answers with
what its `answer` function returns. `Raw` answers are bytes on the wire, for what no well-behaved server would send.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import ssl
import threading
from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from aiohttp import web


class Arrived(NamedTuple):
    """A request as it arrived."""

    path: str
    headers: Mapping[str, str]
    body: dict[str, Any]
    """The JSON in it; empty where it is none."""
    raw: bytes
    query: str = ""
    method: str = "POST"


class Answer(NamedTuple):
    """A status, a body (an object becomes JSON) and headers."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = {}


class Raw(NamedTuple):
    """Bytes that are written to the connection as they are, before it is closed."""

    data: bytes = b""
    reset: bool = False
    """Whether the connection is reset instead of ended."""


class Never(NamedTuple):
    """No answer at all."""


class Stream(NamedTuple):
    """A body that comes piece by piece, until it ends or nobody reads it any more."""

    pieces: Iterable[bytes]
    headers: Mapping[str, str] = {"content-type": "text/event-stream"}


Reaction = Answer | Raw | Never | Stream
Script = Callable[[Arrived], Reaction]


def completion(content: Any = "4", **fields: Any) -> dict[str, Any]:
    """Return a chat completion as OpenAI's API describes it; `fields` replace parts of the message or of the whole."""
    message = {"role": "assistant", "content": content, **fields.pop("message", {})}
    choice = {"index": 0, "finish_reason": fields.pop("finish_reason", "stop"), "message": message}
    whole = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": "served-model",
        "choices": [choice],
        "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
    }
    return {key: value for key, value in {**whole, **fields}.items() if value is not ...}


def echo(arrived: Arrived) -> Reaction:
    """Answer with a text that depends on the request's body alone."""
    return Answer(200, completion(f"answer {hashlib.sha256(arrived.raw).hexdigest()[:12]}"))


@dataclass
class Server:
    """A server that runs; `requests` is everything that arrived."""

    answer: Script
    requests: list[Arrived] = field(default_factory=list[Arrived])
    port: int = 0
    tls: ssl.SSLContext | None = None
    left: threading.Event = field(default_factory=threading.Event)
    """Set once a client went away in the middle of a stream."""

    @property
    def origin(self) -> str:
        """Return scheme, host and port."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """Return the base URL as a recipe has it."""
        return f"{self.origin}/v1"

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Keep a request and answer it."""
        raw = await request.content.read()
        content: dict[str, Any] = json.loads(raw) if raw and not request.content_type.startswith("multipart/") else {}
        arrived = Arrived(request.path, dict(request.headers), content, raw, request.query_string, request.method)
        self.requests.append(arrived)
        reaction = self.answer(arrived)
        if isinstance(reaction, Never):
            await asyncio.Event().wait()
        if isinstance(reaction, Raw):
            transport = request.transport
            assert transport is not None
            transport.write(reaction.data)
            if reaction.reset:
                transport.abort()
            transport.close()
            return web.Response()
        if isinstance(reaction, Stream):
            return await self._streamed(request, reaction)
        assert isinstance(reaction, Answer)
        body = reaction.body if isinstance(reaction.body, bytes) else json.dumps(reaction.body).encode()
        return web.Response(status=reaction.status, body=body, headers={"content-type": "application/json", **reaction.headers})

    async def _streamed(self, request: web.BaseRequest, stream: Stream) -> web.StreamResponse:
        response = web.StreamResponse(headers=stream.headers)
        await response.prepare(request)
        try:
            for piece in stream.pieces:
                await response.write(piece)
                await asyncio.sleep(0)
            await response.write_eof()
        except ConnectionError:
            self.left.set()
        return response


@contextlib.contextmanager
def serving(answer: Script = echo, tls: ssl.SSLContext | None = None, port: int = 0) -> Generator[Server]:
    """Run a server in a thread until the block ends, on a free port unless one is given."""
    server = Server(answer, tls=tls)
    ready = threading.Event()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def serve() -> None:
        runner = web.ServerRunner(web.Server(server.handle), shutdown_timeout=0.05)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", port, ssl_context=tls, reuse_address=True)
        await site.start()
        server.port = runner.addresses[0][1]
        ready.set()
        await stop.wait()
        await runner.cleanup()

    def work() -> None:
        with contextlib.closing(loop):
            loop.run_until_complete(serve())

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
