"""Batch interfaces: many requests handed in at once, answered within a day at a discount.

Two ways are spoken: OpenAI's (a file of lines is uploaded, results are files; platform.openai.com/docs/api-reference/batch) and
Anthropic's (docs.anthropic.com/en/api/creating-message-batches). Bodies and replies are those of the wire formats. A batch is
spooled to disk on its way out and read line by line on its way in, so its size costs no memory.
"""

from __future__ import annotations

import re
import tempfile
from typing import IO, TYPE_CHECKING, Any, Literal, NamedTuple

import orjson

from gristmill.plain import as_count, as_items, as_object, as_text, read_json
from gristmill.ports import TeacherFault
from gristmill.teachers.formats.wire import malformed, said

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Mapping

    import aiohttp

    from gristmill.records import Reply, Request
    from gristmill.teachers.http import HttpTeacher

State = Literal["waiting", "ended", "failed"]
MOST_REQUESTS = 50_000
"""OpenAI's limit on one batch; Anthropic's is twice that."""
MOST_BYTES = 190 * 1024 * 1024
"""OpenAI takes files of 200 MB, Anthropic bodies of 256 MB."""
MARK = "gristmill"
"""The name under which a batch's mark is kept in OpenAI's metadata."""
_BOUNDARY = "gristmill-batch-8f1d2c"
_OVER = frozenset({"completed", "expired", "cancelled"})
_CUSTOM_ID = re.compile(rb'"custom_id"\s*:\s*"(\w+)"')
_PERMANENT = frozenset({400, 404, 413, 422})


class Look(NamedTuple):
    """How far a batch is."""

    state: State
    done: int
    total: int
    words: str
    """The provider's own words where it failed."""
    results: tuple[str, ...]
    """Paths of its results, once it has ended."""


class Result(NamedTuple):
    """What became of one request of a batch."""

    request_id: str
    outcome: Reply | TeacherFault


class Batches:
    """The batch interface of one teacher."""

    def __init__(self, teacher: HttpTeacher) -> None:
        """Take the teacher whose wire and format are used."""
        self._teacher = teacher
        self._anthropic = teacher.api == "messages"

    async def submit(self, requests: Iterable[Request], mark: str) -> str:
        """Hand a batch in and return the provider's id of it.

        Args:
            requests: At most `MOST_REQUESTS`.
            mark: A word of ours, by which the batch is found again where the provider keeps it.

        Raises:
            TeacherFault: where it was not taken.
        """
        if self._anthropic:
            with tempfile.TemporaryFile() as spool:
                _spool_requests(spool, ((r.id, self._teacher.body(r)) for r in requests))
                taken = await self._json("POST", "/messages/batches", spool)
            return _id_of(taken)
        with tempfile.TemporaryFile() as spool:
            path = f"/v1{self._teacher.path}"
            _spool_file(spool, ((r.id, self._teacher.body(r)) for r in requests), path)
            form = {"content-type": f"multipart/form-data; boundary={_BOUNDARY}"}
            uploaded = await self._json("POST", "/files", spool, form)
        order = {
            "input_file_id": _id_of(uploaded),
            "endpoint": path,
            "completion_window": "24h",
            "metadata": {MARK: mark},
        }
        return _id_of(await self._json("POST", "/batches", orjson.dumps(order)))

    async def find(self, mark: str) -> str | None:
        """Return the id of the batch with this mark, or None where the provider has none or keeps no marks.

        Raises:
            TeacherFault: where the provider does not say.
        """
        if self._anthropic:
            return None
        after = ""
        while True:
            page = await self._json("GET", f"/batches?limit=100{after}")
            batches = [as_object(item) or {} for item in as_items(page.get("data"))]
            for batch in batches:
                if (as_object(batch.get("metadata")) or {}).get(MARK) == mark:
                    return _id_of(batch)
            if not page.get("has_more") or not batches:
                return None
            after = f"&after={_id_of(batches[-1])}"

    @property
    def keeps_marks(self) -> bool:
        """Whether a batch that was handed in can be found again without its id."""
        return not self._anthropic

    async def look(self, batch_id: str) -> Look:
        """Return how far a batch is.

        Raises:
            TeacherFault: where the provider does not say.
        """
        if self._anthropic:
            found = await self._json("GET", f"/messages/batches/{batch_id}")
            counts = as_object(found.get("request_counts")) or {}
            waiting = as_count(counts.get("processing")) or 0
            total = sum(as_count(count) or 0 for count in counts.values())
            ended = found.get("processing_status") == "ended"
            results = (f"/messages/batches/{batch_id}/results",) if ended else ()
            return Look("ended" if ended else "waiting", total - waiting, total, "", results)
        found = await self._json("GET", f"/batches/{batch_id}")
        counts = as_object(found.get("request_counts")) or {}
        status = as_text(found.get("status")) or ""
        done = (as_count(counts.get("completed")) or 0) + (as_count(counts.get("failed")) or 0)
        files = [as_text(found.get(name)) for name in ("output_file_id", "error_file_id")]
        if status == "failed":
            return Look("failed", 0, 0, _errors(found), ())
        results = tuple(f"/files/{file}/content" for file in files if file) if status in _OVER else ()
        return Look("ended" if status in _OVER else "waiting", done, as_count(counts.get("total")) or 0, "", results)

    async def results(self, look: Look) -> AsyncGenerator[Result]:
        """Yield what became of each request, in any order; one that is missing was not answered.

        Raises:
            TeacherFault: where the results cannot be read.
        """
        for path in look.results:
            async with self._teacher.wire.opened("GET", path) as response:
                if response.status != 200:
                    raise self._teacher.refusal(response, await self._teacher.wire.whole(response))
                async for line in _lines(response):
                    yield self._result(self._teacher.wire.redact(line))

    def _result(self, line: bytes) -> Result:
        try:
            content = as_object(read_json(line)) or {}
        except orjson.JSONDecodeError as error:  # one line that cannot be read takes no other with it
            found = _CUSTOM_ID.search(line)
            fault = malformed(f"a line of the batch's results is not JSON: {error}", line)
            return Result(found[1].decode() if found else "", fault)
        request_id = as_text(content.get("custom_id")) or ""
        read = self._anthropic_outcome if self._anthropic else self._openai_outcome
        try:
            return Result(request_id, read(content, line))
        except TeacherFault as fault:
            return Result(request_id, fault)

    def _openai_outcome(self, content: Mapping[str, Any], line: bytes) -> Reply | TeacherFault:
        response = as_object(content.get("response")) or {}
        body, status = as_object(response.get("body")), as_count(response.get("status_code"))
        if status == 200 and body is not None and not body.get("error"):
            return self._teacher.read(body, line)
        error = as_object(content.get("error")) or as_object((body or {}).get("error")) or {}
        code = as_text(error.get("code")) or f"http_{status}"
        kind = "permanent" if status in _PERMANENT else "transient"
        return TeacherFault(f"in the batch: {said(error) or code}", kind=kind, code=_word(code), evidence=line)

    def _anthropic_outcome(self, content: Mapping[str, Any], line: bytes) -> Reply | TeacherFault:
        result = as_object(content.get("result")) or {}
        message, kind = as_object(result.get("message")), as_text(result.get("type")) or "none"
        if kind == "succeeded" and message is not None:
            return self._teacher.read(message, line)
        outer = as_object(result.get("error")) or {}
        error = as_object(outer.get("error")) or outer
        permanent = kind == "errored" and error.get("type") == "invalid_request_error"
        words = said(error) if error else kind
        return TeacherFault(
            f"in the batch: {words}", kind="permanent" if permanent else "transient", code=_word(kind), evidence=line
        )

    async def _json(
        self, method: str, path: str, body: bytes | IO[bytes] | None = None, headers: Mapping[str, str] | None = None
    ) -> dict[str, Any]:
        wire = self._teacher.wire
        async with wire.opened(method, path, body, headers) as response:
            data = await wire.whole(response)
            if response.status != 200:
                raise self._teacher.refusal(response, data)
        try:
            content = as_object(read_json(data))
        except orjson.JSONDecodeError:
            content = None
        if content is None:
            raise malformed("the answer about a batch is not an object", data)
        return content


def _id_of(content: Mapping[str, Any]) -> str:
    found = as_text(content.get("id"))
    if not found:
        raise malformed("the answer about a batch has no id", orjson.dumps(content))
    return found


def _errors(found: Mapping[str, Any]) -> str:
    errors = as_object(found.get("errors")) or {}
    return "; ".join(said(item) for item in as_items(errors.get("data"))[:3]) or "the provider gives no reason"


def _word(code: str) -> str:
    """Return a code as a short word for the tables."""
    return "".join(char if char.isalnum() else "_" for char in code)[:60].strip("_") or "error"


def _spool_requests(spool: IO[bytes], lines: Iterable[tuple[str, dict[str, Any]]]) -> None:
    """Write Anthropic's body: one object with all requests."""
    spool.write(b'{"requests":[')
    for number, (request_id, body) in enumerate(lines):
        spool.write((b"," if number else b"") + orjson.dumps({"custom_id": request_id, "params": body}))
    spool.write(b"]}")
    spool.seek(0)


def _spool_file(spool: IO[bytes], lines: Iterable[tuple[str, dict[str, Any]]], path: str) -> None:
    """Write OpenAI's upload: a form with the purpose and a file of lines."""
    spool.write(f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'.encode())
    head = f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="batch.jsonl"\r\n'
    spool.write(f"{head}Content-Type: application/jsonl\r\n\r\n".encode())
    for request_id, body in lines:
        line = {"custom_id": request_id, "method": "POST", "url": path, "body": body}
        spool.write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
    spool.write(f"\r\n--{_BOUNDARY}--\r\n".encode())
    spool.seek(0)


async def _lines(response: aiohttp.ClientResponse) -> AsyncGenerator[bytes]:
    """Yield the lines of a body, whatever their length, holding one at a time."""
    rest = b""
    while part := await response.content.readany():
        *whole, rest = (rest + part).split(b"\n")
        for line in whole:
            if line.strip():
                yield line
    if rest.strip():
        yield rest
