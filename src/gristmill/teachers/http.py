"""`http`: any server that speaks OpenAI's chat completions.

One adapter for one wire format, and no vendor's library: a reply is either well-formed and becomes a `Reply`, or it is a fault
with the bytes as evidence and a kind that says whether trying again makes sense. No redirect is followed, so a key reaches
the host that the person named and no other. The format is described at platform.openai.com/docs/api-reference/chat.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import orjson

from gristmill.plain import as_list, as_object
from gristmill.ports import TeacherFault
from gristmill.teachers.completions import malformed, read_completion, said, wire_body

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gristmill.ports import FaultKind
    from gristmill.records import Reply, Request, TeacherIdentity

TRANSIENT = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529})
FATAL = frozenset({401, 403, 404, 405})
MAX_BODY_BYTES = 64 * 1024 * 1024


class HttpTeacher:
    """Calls an OpenAI-compatible server."""

    def __init__(
        self,
        base_url: str,
        identity: TeacherIdentity,
        *,
        key: str | None = None,
        timeout_s: float = 600.0,
        in_flight: int = 64,
        extra_body: Mapping[str, Any] | None = None,
        extra_headers: Mapping[str, str] | None = None,
    ) -> None:
        """Describe the server; nothing is sent yet.

        Args:
            base_url: Up to and including the version: `http://127.0.0.1:8000/v1`.
            identity: Provider, model and revision as declared.
            key: Sent as a bearer token; redacted from everything that is kept.
            timeout_s: For one exchange, from sending to the last byte.
            in_flight: Connections to keep.
            extra_body: Fields to add to every body.
            extra_headers: Headers to add.
        """
        self._url = base_url.rstrip("/") + "/chat/completions"
        self._identity = identity
        self._key = key
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._in_flight = in_flight
        self._extra_body = dict(extra_body or {})
        self._headers = {"content-type": "application/json", **(extra_headers or {})}
        if key:
            self._headers["authorization"] = f"Bearer {key}"
        self._proxy = _proxy_for(base_url)
        self._client: aiohttp.ClientSession | None = None

    @property
    def identity(self) -> TeacherIdentity:
        """Return the declared identity."""
        return self._identity

    @property
    def bills(self) -> bool:
        """Return True: a request that was sent may have been paid for."""
        return True

    async def complete(self, request: Request) -> Reply:
        """Send one request and read its reply.

        Raises:
            TeacherFault: for everything that is not one well-formed reply.
        """
        body = orjson.dumps({**wire_body(request, self._identity.model), **self._extra_body})
        try:
            async with self._session().post(self._url, data=body, allow_redirects=False, proxy=self._proxy) as response:
                return self._read(response.status, response.headers, await self._whole(response))
        except TimeoutError:
            raise TeacherFault(
                f"no answer within {self._timeout.total:g} s", kind="transient", code="timeout", possibly_billed=True
            ) from None
        except aiohttp.ClientConnectorError as error:
            raise TeacherFault(self._clean(f"cannot connect: {error}"), kind="transient", code="connect") from None
        except aiohttp.InvalidURL:
            raise TeacherFault(f"{self._url} is no URL", kind="fatal", code="bad_url") from None
        except (aiohttp.ClientError, ConnectionError, asyncio.IncompleteReadError) as error:
            raise TeacherFault(
                self._clean(f"the connection broke: {error!r}"), kind="transient", code="reset", possibly_billed=True
            ) from None

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.close()

    def _session(self) -> aiohttp.ClientSession:
        if self._client is None:
            self._client = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._in_flight),
                headers=self._headers,
                timeout=self._timeout,
                auto_decompress=True,
                trust_env=False,  # it would send what ~/.netrc holds to a host that a recipe names
            )
        return self._client

    def _read(self, status: int, headers: Mapping[str, str], data: bytes) -> Reply:
        clean = self._redact(data)
        if status != 200:
            raise _refusal(status, self._clean(headers.get("location", "nowhere")), headers.get("retry-after"), clean)
        try:
            content = orjson.loads(clean)
        except orjson.JSONDecodeError as error:
            kind = headers.get("content-type", "no content type")
            raise malformed(self._clean(f"the reply is not JSON ({kind}): {error}"), clean) from None
        reply = as_object(content)
        if reply is None:
            raise malformed("the reply is not an object", clean)
        if reply.get("error"):
            raise malformed(f"an error with status 200: {said(reply)}", clean)
        return read_completion(reply, clean)

    async def _whole(self, response: aiohttp.ClientResponse) -> bytes:
        """Read a body whole, but no more than `MAX_BODY_BYTES` once it is unpacked."""
        parts: list[bytes] = []
        size = 0
        async for part in response.content.iter_any():
            parts.append(part)
            size += len(part)
            if size > MAX_BODY_BYTES:
                start = self._redact(b"".join(parts)[: 1000 + len(self._key or "")])[:1000]
                raise malformed(f"the reply is longer than {MAX_BODY_BYTES:,} bytes", start)
        return b"".join(parts)

    def _redact(self, data: bytes) -> bytes:
        """Return a body without the key, also where JSON spells it with escapes."""
        if not self._key:
            return data
        data = data.replace(self._key.encode(), b"[key]")
        if b"\\" in data:
            try:
                content = orjson.loads(data)
            except orjson.JSONDecodeError:
                return data
            clean = _without(content, self._key)
            return data if clean == content else orjson.dumps(clean)
        return data

    def _clean(self, text: str) -> str:
        return text.replace(self._key, "[key]") if self._key else text


def _without(content: Any, key: str) -> Any:
    """Return plain content with `key` replaced in every text."""
    if isinstance(content, str):
        return content.replace(key, "[key]")
    items, fields = as_list(content), as_object(content)
    if items is not None:
        return [_without(item, key) for item in items]
    if fields is not None:
        return {name.replace(key, "[key]"): _without(value, key) for name, value in fields.items()}
    return content


def _proxy_for(url: str) -> str | None:
    """Return the proxy that the environment names for `url`."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return None if not parts.hostname or proxy_bypass(parts.hostname) else getproxies().get(parts.scheme)


def _refusal(status: int, location: str, retry_after: str | None, data: bytes) -> TeacherFault:
    kind: FaultKind = "transient" if status in TRANSIENT else "fatal" if status in FATAL else "permanent"
    try:
        words = said(orjson.loads(data))
    except orjson.JSONDecodeError:
        words = data[:300].decode(errors="replace").strip()
    if 300 <= status < 400:
        kind, words = "fatal", f"redirect to {location!r}, which is not followed"
    return TeacherFault(
        f"HTTP {status}: {words}" if words else f"HTTP {status}",
        kind=kind,
        code=f"http_{status}",
        evidence=data,
        retry_after_s=_retry_after(retry_after),
    )


def _retry_after(value: str | None) -> float | None:
    """Return a Retry-After header's seconds; the date form is left to the backoff."""
    try:
        seconds = float(value or "")
    except ValueError:
        return None
    return max(0.0, seconds) if math.isfinite(seconds) else None
