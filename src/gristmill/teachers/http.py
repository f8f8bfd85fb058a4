"""`http`: any server that speaks one of the wire formats, over one transport.

A reply is either well-formed and becomes a `Reply`, or it is a fault with the bytes as evidence and a kind that says whether
trying again makes sense. A long answer is streamed, so that one that only repeats itself is ended early: what came is a reply
that was cut off (`meta.stopped: loop`), and the rest is not paid for. A server that answers as another model than before ends
the run.
"""

from __future__ import annotations

import re
import time
from contextlib import aclosing
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from gristmill.plain import as_count, as_list, as_object, read_json
from gristmill.ports import CONTENT_FILTER, TeacherFault
from gristmill.teachers.events import DONE, EventCutter, Seen
from gristmill.teachers.formats.registry import FORMATS
from gristmill.teachers.formats.wire import malformed, said
from gristmill.teachers.loops import LoopDetector
from gristmill.teachers.pace import pace_of
from gristmill.teachers.together import Together, accounted, received
from gristmill.teachers.transport import BROKEN, Transport

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping, Sequence

    import aiohttp

    from gristmill.ports import FaultKind
    from gristmill.records import Pace, Reply, Request, TeacherIdentity

TRANSIENT = frozenset({408, 409, 425, *range(500, 600)})
FATAL = frozenset({401, 402, 403, 404, 405})
GATEWAY_GAVE_UP = frozenset({504, 524})
"""A gateway stopped waiting: the server behind it may have answered, and billed."""
HOPELESS = frozenset(
    {
        "billing_hard_limit_reached", "billing_not_active", "billing_error", "insufficient_quota", "insufficient_balance",
        "invalid_api_key", "model_not_found",
    }
)  # fmt: skip
"""Codes and types of errors that meet every request alike, whatever the status: no credit, a wrong key, an unknown model."""
HOPELESS_WORDS = re.compile(
    r"credit balance is too low|(?:not enough|insufficient|out of) (?:credit|fund|balance)"
    r"|api key (?:not valid|is invalid)|(?:invalid|incorrect) api key",
    re.IGNORECASE,
)
"""The same in words, where a provider has no code for it: Anthropic refuses a call without credit as `invalid_request_error`, and
Gemini a wrong key as `INVALID_ARGUMENT`."""
FLAGGED = re.compile(r"moderation|flagged|content (?:policy|filter|management)|safety (?:policy|system)", re.IGNORECASE)
"""Words of a 403 (OpenRouter: openrouter.ai/docs/api-reference/errors) or 400 (Azure's filter) that is about one prompt."""
STREAM_FROM = 2048
"""Tokens that an answer may have at least for its chat completion to be streamed unless the recipe says otherwise."""
LAST_EVENTS = frozenset({"message_stop", "response.completed", "response.incomplete", "response.failed"})
"""Types of the events after which nothing comes, though the connection may stay open."""
ROUTED = frozenset({"openrouter"})
"""Providers that choose who answers, so that another name is no surprise."""


class Server(NamedTuple):
    """Where a server is and how it is spoken to."""

    base_url: str
    """Up to and including the version: `http://127.0.0.1:8000/v1`."""
    api: str = "chat"
    """The wire format: `chat`, `responses`, `messages` or `score`."""
    key: str | None = None
    """Sent in a header; redacted from everything that is kept."""
    key_header: tuple[str, str] | None = None
    """That header and what stands before the key, where it is not the format's own."""
    timeout_s: float = 600.0
    """For one exchange, from sending to the last byte."""
    in_flight: int = 64
    """Connections to keep."""
    headers: Mapping[str, str] = MappingProxyType({})
    """To add to every request."""


class HttpTeacher:
    """Calls a server."""

    def __init__(
        self,
        server: Server,
        identity: TeacherIdentity,
        *,
        stream: bool | None = None,
        patience_s: float = 0.0,
        extra_body: Mapping[str, Any] | None = None,
        choices: int = 1,
    ) -> None:
        """Describe the teacher; nothing is sent yet.

        Args:
            server: Where it is and how it is spoken to.
            identity: Provider, model and revision as declared.
            stream: Whether answers are streamed; None streams long chat completions.
            patience_s: How long a server that is not there is waited for.
            extra_body: Fields to add to every body.
            choices: Answers that one request may ask for; the format must have several in a reply.

        Raises:
            InputError: where the environment names certificates that cannot be read.
        """
        self.api = server.api
        """The wire format: `chat`, `responses`, `messages` or `score`."""
        self._format = FORMATS[server.api]
        self._identity = identity
        self._stream = stream
        self._extra_body = dict(extra_body or {})
        self.patience_s = patience_s
        """Faults in a row do not mean that the server is gone before they span this many seconds."""
        self.limits: Mapping[str, str] = {}
        """The headers about limits in the last response."""
        headers = {"content-type": "application/json", **self._format.headers, **server.headers}
        if server.key:
            name, before = server.key_header or self._format.key_header
            headers[name] = f"{before}{server.key}"
        self.wire = Transport(
            server.base_url, headers=headers, key=server.key, timeout_s=server.timeout_s, in_flight=server.in_flight
        )
        self._served: str | None = None
        self._together = Together(self._exchange, choices) if choices > 1 else None

    @property
    def identity(self) -> TeacherIdentity:
        """Return the declared identity."""
        return self._identity

    def identify(self, identity: TeacherIdentity) -> None:
        """Take the identity that the server itself gave, before the first request."""
        self._identity = identity

    @property
    def bills(self) -> bool:
        """Return True: a request that was sent may have been paid for."""
        return True

    async def complete(self, request: Request) -> Reply:
        """Send one request, perhaps with others that want the same, and read its reply.

        Raises:
            TeacherFault: for everything that is not one well-formed reply.
        """
        if self._together is not None:
            return await self._together.complete(request)
        return received((await self._exchange((request,)))[0])

    async def _exchange(self, requests: Sequence[Request]) -> list[Reply | TeacherFault]:
        """Send requests that want the same as one, and return the replies that came, one at least, or the fault of one."""
        request, count = requests[0], len(requests)
        more = {"n": count} if count > 1 else self._format.streaming if self._streams(request) else {}
        body = self.body(request, more)
        async with self.wire.opened("POST", self._format.path, orjson.dumps(body)) as response:
            self.limits = {name: self.wire.clean(value) for name, value in _limits(response.headers).items()}
            if not 200 <= response.status < 300:
                raise self.refusal(response, await self.wire.whole(response))
            if response.content_type == "text/event-stream":
                replies: list[Reply | TeacherFault] = [await self._follow(self.wire.events(response))]
            else:
                whole = await self.wire.whole(response)
                unnamed = whole.startswith((b"data:", b"event:"))  # gateways pass a stream on as plain text
                replies = [await self._follow(_events_of(whole))] if unnamed else self._read(response, whole, count)
        self._check_model(replies)
        return accounted(replies, request, pace_of(response.headers, time.time()))

    @property
    def path(self) -> str:
        """Return where requests go, after the base URL."""
        return self._format.path

    def body(self, request: Request, more: Mapping[str, Any] = MappingProxyType({})) -> dict[str, Any]:
        """Return the body of a request; what the recipe adds goes before everything else."""
        return {**self._format.body(request, self._identity.model), **more, **self._extra_body}

    def read(self, content: Mapping[str, Any], evidence: bytes) -> Reply:
        """Return the reply in a body that came another way, such as in a batch.

        Raises:
            TeacherFault: where there is none.
        """
        return self._format.read(content, evidence)

    async def close(self) -> None:
        """Close the connections."""
        await self.wire.close()

    def _streams(self, request: Request) -> bool:
        most = request.sampling.max_tokens
        return self._stream if self._stream is not None else self.api == "chat" and (most is None or most >= STREAM_FROM)

    def _read(self, response: aiohttp.ClientResponse, clean: bytes, count: int) -> list[Reply | TeacherFault]:
        try:
            content = read_json(clean)
        except orjson.JSONDecodeError as error:
            kind = response.headers.get("content-type", "no content type")
            raise malformed(self.wire.clean(f"the reply is not JSON ({kind}): {error}"), clean) from None
        reply = {"data": content} if self.api == "score" and as_list(content) else as_object(content)
        if reply is None:
            raise malformed("the reply is not an object", clean)
        if reply.get("error"):
            raise self._error_within(response, reply, clean)
        several = self._format.several
        return several(reply, clean)[:count] if count > 1 and several else [self._format.read(reply, clean)]

    def _error_within(self, response: aiohttp.ClientResponse, reply: Mapping[str, Any], clean: bytes) -> TeacherFault:
        """Return the fault of an error that came with a good status: routers put the provider's own status into its code."""
        status = as_count((as_object(reply["error"]) or {}).get("code")) or 0
        if 400 <= status < 600 and _kind(status, reply) != "transient":
            return _refusal(status, "nowhere", pace_of(response.headers, time.time()), clean)
        return malformed(f"an error with status {response.status}: {said(reply)}", clean)

    async def _follow(self, stream: AsyncGenerator[bytes]) -> Reply:
        """Read a stream to its end, or until its text is a loop."""
        fold, loop, seen = self._format.fold(), LoopDetector(), Seen()
        ended = looped = False
        wrong = broke = ""
        async with aclosing(stream) as events:
            try:
                async for data in events:
                    seen.add(data)
                    event = None if data.strip() == DONE else _event(data)
                    if isinstance(event, dict):
                        looped, ended = loop.take(fold.take(event)), event.get("type") in LAST_EVENTS
                    else:
                        ended, wrong = event is None or fold.finished, event or ""  # after its end nothing spoils a reply
                    if ended or wrong or looped:
                        break
            except (*BROKEN, TimeoutError) as error:
                if not seen.count:
                    raise
                broke = f" ({type(error).__name__})"
        folded = fold.body()
        content = self.wire.without_key(folded)
        evidence = seen.evidence() if content == folded else orjson.dumps(content)  # the key may come in two pieces
        if ended:
            wrong = ""
        elif not (wrong or looped or fold.finished):
            wrong = f"the stream ended after {seen.count:,} events, before the reply did{broke}"
        if wrong:
            raise malformed(self.wire.clean(wrong), evidence)
        reply = self._format.read(content, evidence)
        return reply.model_copy(update={"finish": "length", "meta": {**reply.meta, "stopped": "loop"}}) if looped else reply

    def _check_model(self, replies: Sequence[Reply | TeacherFault]) -> None:
        """Remember which model answers, and do not go on where it is another one.

        Raises:
            TeacherFault: `fatal`, where the model changed.
        """
        reply = next((reply for reply in replies if not isinstance(reply, TeacherFault)), None)
        if reply is None or reply.model is None or self._identity.provider in ROUTED:
            return
        if self._served is None:
            self._served = reply.model
        if reply.model != self._served:
            raise TeacherFault(
                f"the server answered as `{self._served}` and now answers as `{reply.model}`",
                kind="fatal",
                code="model_changed",
                evidence=reply.model_dump_json().encode(),
                possibly_billed=True,
            )

    def refusal(self, response: aiohttp.ClientResponse, clean: bytes) -> TeacherFault:
        """Return the fault of a response that is none to use, with its body, from which the key was taken, as evidence."""
        return _refusal(
            response.status,
            self.wire.clean(response.headers.get("location", "nowhere")),
            pace_of(response.headers, time.time()),
            clean,
        )


async def _events_of(body: bytes) -> AsyncGenerator[bytes]:
    """Yield the data of the events in a body that came whole."""
    cutter = EventCutter()
    for data in [*cutter.feed(body), *cutter.end()]:
        yield data


def _event(data: bytes) -> dict[str, Any] | str:
    """Return an event's object, or what is wrong with it."""
    try:
        event = as_object(read_json(data))
    except orjson.JSONDecodeError as error:
        return f"an event of the stream is not JSON: {error}"
    if event is None:
        return "an event of the stream is not an object"
    if event.get("error") or "error" in (event.get("type"), event.get("object")):
        return f"an error in the stream: {said(event)}"
    return event


def _limits(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that tell of limits."""
    return {
        name.lower(): value for name, value in headers.items() if "ratelimit" in name.lower() or name.lower() == "retry-after"
    }


def _refusal(status: int, location: str, pace: Pace | None, data: bytes) -> TeacherFault:
    try:
        content = read_json(data)
        content = next((one for one in as_list(content) or () if as_object(one)), content)  # Gemini's errors stand in a list
        words = said(content)
    except orjson.JSONDecodeError:
        content, words = None, data[:300].decode(errors="replace").strip()
    if 300 <= status < 400:
        words = f"redirect to {location!r}, which is not followed"
    return TeacherFault(
        f"HTTP {status}: {words}" if words else f"HTTP {status}",
        kind=_kind(status, content),
        code=CONTENT_FILTER if status in (400, 403) and FLAGGED.search(words) else f"http_{status}",
        evidence=data,
        possibly_billed=status in GATEWAY_GAVE_UP,
        pace=pace,
    )


def _kind(status: int, content: Any) -> FaultKind:
    """Return what a refusal means for the request and the run, by its status and the code or type in its body."""
    body = as_object(content) or {}
    error = as_object(body.get("error")) or body
    words = said(body)
    if status == 403 and FLAGGED.search(words):
        return "permanent"
    known = HOPELESS & {str(error.get("code")), str(error.get("type"))} or (
        status in (400, 403) and HOPELESS_WORDS.search(words)  # a 429 speaks of plans and billing for a minute's limit too
    )
    if 300 <= status < 400 or status in FATAL or known:
        return "fatal"
    if status == 429:
        return "limited"
    return "transient" if status in TRANSIENT else "permanent"
