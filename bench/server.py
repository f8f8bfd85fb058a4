"""A chat completions server that costs next to nothing: `python -m bench.server` prints its port and answers until it is ended.

It reads just enough HTTP to find where a request ends, and answers every one with the same completion, A or B by the length of
the request; so a bench measures the client and not the server.
"""

from __future__ import annotations

import asyncio
import json
import sys

REPLIES = [
    json.dumps(
        {
            "id": "chatcmpl-bench",
            "object": "chat.completion",
            "model": "bench",
            "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": letter}}],
            "usage": {"prompt_tokens": 60, "completion_tokens": 1, "total_tokens": 61},
        }
    ).encode()
    for letter in "AB"
]
ANSWERS = [
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body) for body in REPLIES
]


class Answering(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the connection."""
        assert isinstance(transport, asyncio.WriteTransport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer every whole request."""
        self._data += data
        while True:
            head, found, rest = self._data.partition(b"\r\n\r\n")
            if not found:
                return
            length = 0
            for line in head.split(b"\r\n"):
                if line[:15].lower() == b"content-length:":
                    length = int(line[15:])
            if len(rest) < length:
                return
            self._data = rest[length:]
            self._transport.write(ANSWERS[length % 2])


async def serve() -> None:
    """Listen on a free port of the loopback interface."""
    server = await asyncio.get_running_loop().create_server(Answering, "127.0.0.1", 0, backlog=2048)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(serve())
