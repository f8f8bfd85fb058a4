"""Server-sent events: bytes as they come, cut into the data of each event.

The format is the HTML standard's (html.spec.whatwg.org, "Server-sent events"): lines `data: …`, an empty line ends an event,
lines that begin with a colon say nothing. Names of events are left out: every provider repeats them in the data.
"""

from __future__ import annotations

from collections import deque

DONE = b"[DONE]"
"""The data of the event with which OpenAI's streams end."""


class EventCutter:
    """Cuts a stream of bytes into the data of its events."""

    def __init__(self) -> None:
        self._line: list[bytes] = []
        self._begun = False
        self._data: list[bytes] = []

    def feed(self, part: bytes) -> list[bytes]:
        """Return the data of the events that are whole with this part."""
        if b"\n" not in part:
            self._line.append(part)
            return []
        *lines, rest = b"".join([*self._line, part]).split(b"\n")
        self._line = [rest]
        return [data for line in lines if (data := self._take(line)) is not None]

    def end(self) -> list[bytes]:
        """Return the data of a last event that nothing ended; some servers leave the last empty line out."""
        return [*self.feed(b"\n"), *self.feed(b"\n")]

    def _take(self, line: bytes) -> bytes | None:
        """Take a line; return the data of the event that it ends."""
        line = line.removesuffix(b"\r")
        if not self._begun:
            line, self._begun = line.removeprefix(b"\xef\xbb\xbf"), True  # the standard allows one byte order mark
        if line:
            if line.startswith(b"data:"):
                self._data.append(line[5:].removeprefix(b" "))
            return None
        data, self._data = b"\n".join(self._data), []
        return data or None


class Seen:
    """What came in a stream, for evidence: all of a short one, the first and last events of a long one."""

    MOST_BYTES = 256 * 1024
    """Of the first events; as many again of the last."""

    def __init__(self) -> None:
        self.count = 0
        self._first: list[bytes] = []
        self._last: deque[bytes] = deque()
        self._sizes = [0, 0]

    def add(self, data: bytes) -> None:
        """Note an event's data."""
        self.count += 1
        line = b"data: " + data + b"\n\n"
        if not self._last and self._sizes[0] + len(line) <= self.MOST_BYTES:
            self._first.append(line)
            self._sizes[0] += len(line)
            return
        self._last.append(line)
        self._sizes[1] += len(line)
        while self._sizes[1] > self.MOST_BYTES and len(self._last) > 1:
            self._sizes[1] -= len(self._last.popleft())

    def evidence(self) -> bytes:
        """Return the events as they came; a comment says how many are left out."""
        out = self.count - len(self._first) - len(self._last)
        gap = [b": %d events are left out here\n\n" % out] if out else []
        return b"".join([*self._first, *gap, *self._last])
