"""A server that speaks OpenAI's chat completions around a model in this process, for every client that knows the format.

It listens on the loopback interface alone, and a web page from elsewhere cannot use it: a browser names its host and its origin,
and both must be this machine. The runtime takes parts that name files and fields that reach into its slots, so a body is checked
against a closed model first: what is not in it is refused by name instead of passed on. The trade-off: one answer a request.
"""

from __future__ import annotations

import asyncio
import errno
import os
import signal
import socket
from contextlib import aclosing, closing, suppress
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple
from urllib.parse import urlsplit

import orjson
from aiohttp import web
from pydantic import AfterValidator, Field, JsonValue, ValidationError

from gristmill.errors import InputError
from gristmill.messages import Frozen
from gristmill.plain import as_list, as_object
from gristmill.ports import TeacherFault
from gristmill.teachers.addresses import BUILTIN, model_file
from gristmill.teachers.gguf import GgufModel

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

HOST = "127.0.0.1"
LOOPBACK = frozenset({HOST, "localhost", "::1"})
MOST_BYTES = 1024 * 1024
"""Of one body; the largest context takes a fiftieth of it."""
LAST_ANSWERS_S = 600.0
"""How long answers in flight may take once the server is told to end."""
INTERRUPTED = 130
BUILTIN_TOOLS = (
    "arbitrary JSON Schema tools and response formats do not fit this model's {context}-token context; "
    'it knows the fixed calculator tools when the prompt ends with "Use the calculator tools, then answer."'
)

Whole = Annotated[int, Field(ge=1, le=2**31 - 1)]
Penalty = Annotated[float, Field(ge=-2, le=2)]


def _text(value: Any) -> Any:
    """Refuse message contents that are no text; a part may name a file of this machine."""
    parts = as_list(value)
    if value is None or isinstance(value, str):
        return value
    if parts and all(_is_text(as_object(part) or {}) for part in parts):
        return parts
    raise ValueError("write a text, or a list of `{type: text, text: …}`; images, sound and files are not served")


def _is_text(part: dict[str, Any]) -> bool:
    return set(part) == {"type", "text"} and part["type"] == "text" and isinstance(part["text"], str)


class ChatMessage(Frozen, strict=True, extra="ignore"):
    """One message as a client sends it; what a client copies from an answer besides is left out."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Annotated[Any, AfterValidator(_text)] = None
    name: str | None = None
    tool_calls: list[dict[str, JsonValue]] | None = None
    tool_call_id: str | None = None


class StreamOptions(Frozen, strict=True, extra="ignore"):
    """How a stream ends."""

    include_usage: bool | None = None


class ChatBody(Frozen, strict=True):
    """Every field that is accepted; null is the same as not there."""

    model: str
    messages: Annotated[list[ChatMessage], Field(min_length=1)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    seed: Annotated[int, Field(ge=0, le=2**32 - 2)] | None = None
    """The runtime's seeds have 32 bits, and the last one asks it for chance."""
    n: Literal[1] | None = None
    """The runtime counts the tokens of one answer only."""
    temperature: Annotated[float, Field(ge=0)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = None
    max_tokens: Whole | None = None
    max_completion_tokens: Whole | None = None
    stop: str | list[str] | None = None
    frequency_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None
    logit_bias: dict[str, float] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    response_format: dict[str, JsonValue] | None = None
    tools: list[dict[str, JsonValue]] | None = None
    tool_choice: str | dict[str, JsonValue] | None = None
    parallel_tool_calls: bool | None = None
    user: JsonValue = None
    metadata: JsonValue = None
    store: JsonValue = None
    service_tier: JsonValue = None


FOR_THE_HOST = frozenset({"user", "metadata", "store", "service_tier"})
"""Accepted because clients send them, and of no use to a model."""


class Served(NamedTuple):
    """What a server says of itself when it is ready."""

    url: str
    """The base URL, as a recipe has it."""
    model: str
    """The name that requests give."""
    context: int
    """Tokens of a prompt and its answer together."""
    slots: int
    """Requests that are answered side by side."""
    note: str
    """What the model cannot do; empty where nothing is known."""


class Refusal(Exception):
    """A request that is not answered, with its status and a short code."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


def serve(address: str, base: Path, *, port: int, slots: int, threads: int, ready: Callable[[Served], None]) -> None:
    """Serve a model until SIGINT or SIGTERM; answers in flight are finished then, and a second signal ends them.

    Args:
        address: `builtin`, `builtin-student` or a GGUF file.
        base: The folder that a file is relative to.
        port: On the loopback interface; 0 takes a free one.
        slots: Requests to answer side by side.
        threads: Threads that calculate.
        ready: Called once, when requests are taken.

    Raises:
        InputError: where there is no such model, it cannot be loaded, or the port cannot be had.
    """
    path = model_file(address, base)
    if path is None:
        raise InputError(f"`{address}` is no model that can be served", fix=f"Write {', '.join(BUILTIN)} or FILE.gguf.")
    with closing(_bound(port)) as listener:
        model = GgufModel(path, slots=slots, threads=threads)
        chat = ChatServer(model, address if address in BUILTIN else path.stem, calculators=address in BUILTIN)
        asyncio.run(_until_told(chat, listener, ready))


def _bound(port: int) -> socket.socket:
    """Take the port before a model is loaded, which may last."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen()  # two may bind one port as long as none of them listens
    except OSError as error:
        listener.close()
        taken = error.errno == errno.EADDRINUSE
        raise InputError(
            f"port {port} is taken" if taken else f"cannot listen on port {port}: {error.strerror}",
            fix="Take another one, such as `--port 8081`, or `--port 0` for one that is free.",
        ) from None
    return listener


async def _until_told(chat: ChatServer, listener: socket.socket, ready: Callable[[Served], None]) -> None:
    loop, told = asyncio.get_running_loop(), asyncio.Event()

    def on_signal() -> None:
        if told.is_set():
            os._exit(INTERRUPTED)  # threads that calculate cannot be ended in another way
        told.set()

    with suppress(NotImplementedError):  # Windows, where Ctrl-C raises instead
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, on_signal)
    runner = web.AppRunner(chat.app(), access_log=None, auto_decompress=False, shutdown_timeout=LAST_ANSWERS_S)
    try:
        await runner.setup()
        await web.SockSite(runner, listener).start()
        ready(chat.served(listener.getsockname()[1]))
        await told.wait()
        await runner.cleanup()
    finally:
        await chat.model.close()


class ChatServer:
    """The routes, around one model."""

    def __init__(self, model: GgufModel, name: str, *, calculators: bool) -> None:
        """Take a model.

        Args:
            model: Answers.
            name: What requests call it.
            calculators: Whether it is one that ships: those know fixed tools and no others.
        """
        self.model = model
        self.name = name
        self._note = BUILTIN_TOOLS.format(context=model.context) if calculators else ""
        self._routes: dict[tuple[str, str], Callable[[web.Request], Awaitable[web.StreamResponse]]] = {
            ("POST", "/v1/chat/completions"): self._chat,
            ("GET", "/v1/models"): self._models,
            ("GET", "/health"): self._health,
        }

    def served(self, port: int) -> Served:
        """Return what is to be known of the server at a port."""
        return Served(f"http://{HOST}:{port}/v1", self.name, self.model.context, self.model.slots, self._note)

    def app(self) -> web.Application:
        """Return the server's application."""
        app = web.Application(middlewares=[self._guard], client_max_size=MOST_BYTES)
        for (method, path), handler in self._routes.items():
            app.router.add_route(method, path, handler)
        return app

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Refuse callers from elsewhere, and give every refusal the one form."""
        try:
            _check_caller(request)
            return await handler(request)
        except Refusal as refusal:
            return _error(refusal.status, refusal.code, str(refusal))
        except TeacherFault as fault:
            return _error(*_reading(fault))
        except ConnectionError:
            return _error(400, "gone", "the client went away")
        except web.HTTPRequestEntityTooLarge:
            return _error(413, "body_too_large", f"the body is larger than {MOST_BYTES:,} bytes")
        except web.HTTPException as error:
            code = {404: "unknown_route", 405: "method_not_allowed"}.get(error.status, "refused")
            there = ", ".join(" ".join(route) for route in self._routes)
            return _error(error.status, code, f"there is no {request.method} {request.path} here; there are: {there}")

    async def _health(self, _: web.Request) -> web.Response:
        return _json({"status": "ok"})

    async def _models(self, _: web.Request) -> web.Response:
        model = {"id": self.name, "object": "model", "created": 0, "owned_by": "gristmill", "max_model_len": self.model.context}
        return _json({"object": "list", "data": [model]})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        body = self._body(await request.read())
        if body.get("stream"):
            return await self._stream(request, body)
        return _json(self._signed(await self.model.complete(body)))

    async def _stream(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        """Pass chunks on as events; a request that is refused at once is not begun as a stream."""
        response = web.StreamResponse(headers={"content-type": "text/event-stream", "cache-control": "no-cache"})
        async with aclosing(self.model.stream(body)) as chunks:
            try:
                async for chunk in chunks:
                    if not response.prepared:
                        await response.prepare(request)
                    await response.write(_event(orjson.dumps(self._signed(chunk))))
                await response.write(_event(b"[DONE]"))
            except TeacherFault as fault:
                if not response.prepared:
                    raise
                await response.write(_event(_error_bytes(*_reading(fault))))
            except ConnectionError:
                return response  # the client went away, and the model stops
        await response.write_eof()
        return response

    def _signed(self, content: dict[str, Any]) -> dict[str, Any]:
        """Return what the runtime says under the model's name and revision, instead of its file's path and the build's."""
        kept = {key: value for key, value in content.items() if key != "timings"}
        return {**kept, "model": self.name, "system_fingerprint": self.model.revision}

    def _body(self, data: bytes) -> dict[str, Any]:
        """Return the body for the runtime.

        Raises:
            Refusal: 400, where it cannot be used; 404, where it asks for another model.
        """
        try:
            content = as_object(orjson.loads(data))
        except orjson.JSONDecodeError as error:
            raise Refusal(400, "invalid_json", f"the body is not JSON: {error}") from None
        if content is None:
            raise Refusal(400, "invalid_body", "the body is not a JSON object")
        shape = as_object(content.get("response_format"))
        if self._note and (content.get("tools") or content.get("functions") or (shape and shape.get("type") != "text")):
            raise Refusal(400, "tools_not_supported", self._note)
        try:
            body = ChatBody.model_validate(content)
        except ValidationError as error:
            raise Refusal(400, "invalid_body", _mistake(error)) from None
        if body.model != self.name:
            raise Refusal(404, "model_not_found", f"there is no model `{body.model}` here; served is `{self.name}`")
        return body.model_dump(exclude_none=True, exclude=set(FOR_THE_HOST))


def _check_caller(request: web.Request) -> None:
    """Make sure that a request was meant for this machine and was not sent by a page from elsewhere.

    Raises:
        Refusal: 403, where it was not.
    """
    host, origin = request.headers.get("host", ""), request.headers.get("origin")
    if _hostname(f"//{host}") not in LOOPBACK:
        raise Refusal(403, "forbidden_host", f"the host {host!r} is not served; call http://{HOST}")
    if origin is not None and _hostname(origin) not in LOOPBACK:
        raise Refusal(403, "forbidden_origin", f"pages from {origin!r} are not served")


def _hostname(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _mistake(error: ValidationError) -> str:
    """Return the first mistake in a body: where it is, and what is right."""
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(map(str, first["loc"][: 3 if first["loc"][0] == "messages" else 1]))
    if first["type"] == "extra_forbidden":
        return f"`{place}` is not accepted here; accepted are: {', '.join(ChatBody.model_fields)}"
    return f"`{place}`: {first['msg'].removeprefix('Value error, ')}"


def _reading(fault: TeacherFault) -> tuple[int, str, str]:
    """Return status, code and words of the model's own refusal."""
    if fault.code == "context_length":
        return 400, "context_length_exceeded", str(fault)
    return (500, fault.code, str(fault)) if fault.code == "no_reply" else (400, "invalid_request", str(fault))


def _error_bytes(status: int, code: str, message: str) -> bytes:
    kind = "permission_error" if status == 403 else "server_error" if status >= 500 else "invalid_request_error"
    return orjson.dumps({"error": {"message": message, "type": kind, "code": code}})


def _error(status: int, code: str, message: str) -> web.Response:
    return web.Response(status=status, body=_error_bytes(status, code, message), content_type="application/json")


def _json(content: Any) -> web.Response:
    return web.Response(body=orjson.dumps(content), content_type="application/json")


def _event(data: bytes) -> bytes:
    return b"data: " + data + b"\n\n"
