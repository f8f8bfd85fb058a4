"""One way over the wire for every format: connections, proxies, certificates, bounds, and keys that stay secret.

No redirect is followed, so a key reaches the host that the person named and no other. What goes wrong on the way is a fault with
a kind; what comes back has no key in it. Proxies and certificates are the environment's: `HTTPS_PROXY` and its kin, and
`SSL_CERT_FILE` or `REQUESTS_CA_BUNDLE` for an authority of one's own.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import orjson

from gristmill.errors import InputError
from gristmill.plain import as_list, as_object, read_json
from gristmill.ports import TeacherFault
from gristmill.teachers.events import EventCutter
from gristmill.teachers.formats.wire import malformed

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Mapping

MAX_BODY_BYTES = 64 * 1024 * 1024
CA_VARIABLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
"""Variables that name a file or folder of authorities to trust instead of the system's; the first that is set."""

BROKEN = (aiohttp.ClientError, ConnectionError, asyncio.IncompleteReadError)
"""How a connection ends before its reply does."""


class Exchange:
    """A request that is sent on entering; what goes wrong on the way, or while its body is read, is a fault."""

    __slots__ = ("_request", "_response", "_transport", "_url")

    def __init__(self, transport: Transport, url: str, request: Awaitable[aiohttp.ClientResponse]) -> None:
        self._transport = transport
        self._url = url
        self._request = request

    async def __aenter__(self) -> aiohttp.ClientResponse:
        try:
            self._response = await self._request
        except BaseException as error:
            fault = self._transport.fault(error, self._url)
            if fault is None:
                raise
            raise fault from None
        return self._response

    async def __aexit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        try:
            if error is None:
                self._response.release()
                await self._response.wait_for_close()
            else:
                self._response.close()
        except (*BROKEN, TimeoutError) as late:
            error = late
        fault = None if error is None else self._transport.fault(error, self._url)
        if fault is not None:
            raise fault from None


class Transport:
    """Sends to one server."""

    def __init__(self, base_url: str, *, headers: Mapping[str, str], key: str | None, timeout_s: float, in_flight: int) -> None:
        """Describe the server; nothing is sent yet.

        Args:
            base_url: Up to and including the version, perhaps with a query.
            headers: Of every request, with the key.
            key: What must not appear in anything that is kept.
            timeout_s: For one exchange, from sending to the last byte.
            in_flight: Connections to keep.

        Raises:
            InputError: where the environment names authorities that cannot be read.
        """
        self._base = base_url
        self._headers = dict(headers)
        self._key = key
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._in_flight = in_flight
        self._urls: dict[str, str] = {}
        """The addresses of the paths that were asked for, by path: a few for every server."""
        self._proxy = _proxy_for(base_url)
        self._trust = _trust() if base_url.startswith("https:") else True
        self._client: aiohttp.ClientSession | None = None

    def url(self, path: str) -> str:
        """Return the address of a path below the base, which keeps its query."""
        try:
            parts = urlsplit(self._base)
        except ValueError:
            return self._base
        path, _, query = path.partition("?")
        both = "&".join(part for part in (parts.query, query) if part)
        return urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/") + path, both, ""))

    def opened(
        self, method: str, path: str, body: bytes | IO[bytes] | None = None, headers: Mapping[str, str] | None = None
    ) -> Exchange:
        """Return what sends on entering and gives the response, whose body is not read yet; leaving early ends the connection.

        A body may be an open file; `headers` go before the usual ones. Entering and leaving raise `TeacherFault`, where no whole
        response comes back.
        """
        url = self._urls.get(path)
        if url is None:
            url = self._urls[path] = self.url(path)
        request = self._session().request(method, url, data=body, headers=headers, allow_redirects=False, proxy=self._proxy)
        return Exchange(self, url, request)

    def fault(self, error: BaseException, url: str) -> TeacherFault | None:
        """Return what an error on the way is, or None where it is something else."""
        if isinstance(error, TimeoutError):
            words = f"no answer within {self._timeout.total:g} s, the teacher's `timeout_s`"
            return TeacherFault(words, kind="transient", code="timeout", possibly_billed=True)
        if isinstance(error, aiohttp.ClientConnectorCertificateError | aiohttp.ClientConnectorSSLError):
            words = f"no safe connection: {error}; an authority of your own is named by the variable {CA_VARIABLES[0]}"
            return TeacherFault(self.clean(words), kind="fatal", code="tls")
        if isinstance(error, aiohttp.ClientConnectorError):
            return TeacherFault(self.clean(f"cannot connect: {error}"), kind="transient", code="connect")
        if isinstance(error, aiohttp.InvalidURL):
            return TeacherFault(self.clean(f"{url} is no URL"), kind="fatal", code="bad_url")
        if isinstance(error, BROKEN):
            words = self.clean(f"the connection broke: {error!r}")
            return TeacherFault(words, kind="transient", code="reset", possibly_billed=True)
        return None

    async def whole(self, response: aiohttp.ClientResponse) -> bytes:
        """Read a body whole, but no more than `MAX_BODY_BYTES` once it is unpacked, and return it without the key."""
        parts: list[bytes] = []
        size = 0
        while part := await response.content.readany():
            parts.append(part)
            size += len(part)
            if size > MAX_BODY_BYTES:
                raise self._too_long(b"".join(parts))
        return self.redact(b"".join(parts))

    async def events(self, response: aiohttp.ClientResponse) -> AsyncGenerator[bytes]:
        """Yield the data of each server-sent event without the key, within the same bound."""
        cutter, start, size = EventCutter(), b"", 0
        while part := await response.content.readany():
            start = start or part
            size += len(part)
            if size > MAX_BODY_BYTES:
                raise self._too_long(start)
            for data in cutter.feed(part):
                yield self.redact(data)
        for data in cutter.end():
            yield self.redact(data)

    def _too_long(self, data: bytes) -> TeacherFault:
        start = self.redact(data[: 1000 + len(self._key or "")])[:1000]
        return malformed(f"the reply is longer than {MAX_BODY_BYTES:,} bytes", start)

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.close()

    def _session(self) -> aiohttp.ClientSession:
        if self._client is None:
            self._client = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._in_flight, ssl=self._trust),
                headers=self._headers,
                timeout=self._timeout,
                auto_decompress=True,
                cookie_jar=aiohttp.DummyCookieJar(),  # what a server wants remembered is not sent back to it
                trust_env=False,  # it would send what ~/.netrc holds to a host that a recipe names
            )
        return self._client

    def redact(self, data: bytes) -> bytes:
        """Return a body without the key, also where JSON spells it with escapes."""
        if not self._key:
            return data
        data = data.replace(self._key.encode(), b"[key]")
        if b"\\" in data:
            try:
                content = read_json(data)
                clean = self.without_key(content)
            except orjson.JSONDecodeError:
                return data
            except RecursionError:
                raise malformed("the reply is nested too deeply to be searched for the key", b"") from None
            return data if clean == content else orjson.dumps(clean)
        return data

    def clean(self, text: str) -> str:
        """Return a text without the key."""
        return text.replace(self._key, "[key]") if self._key else text

    def without_key(self, content: Any) -> Any:
        """Return plain content without the key in any of its texts."""
        if isinstance(content, str):
            return self.clean(content)
        items, fields = as_list(content), as_object(content)
        if items is not None:
            return [self.without_key(item) for item in items]
        if fields is not None:
            return {self.clean(name): self.without_key(value) for name, value in fields.items()}
        return content


def _proxy_for(url: str) -> str | None:
    """Return the proxy that the environment names for `url`."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    return None if not parts.hostname or proxy_bypass(parts.hostname) else getproxies().get(parts.scheme)


def _trust() -> ssl.SSLContext:
    """Return whom to trust: the authorities that the environment names, or the system's."""
    variable = next((name for name in CA_VARIABLES if os.environ.get(name)), None)
    if variable is None:
        return ssl.create_default_context()
    path = Path(os.environ[variable])
    try:
        return ssl.create_default_context(capath=str(path)) if path.is_dir() else ssl.create_default_context(cafile=str(path))
    except OSError as error:
        raise InputError(
            f"the certificates in {path} cannot be read: {error}", fix=f"The variable {variable} names them; mend or unset it."
        ) from None
