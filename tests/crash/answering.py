"""A local server that speaks chat completions, answers by a hash of what it is asked, and keeps what arrived."""

from __future__ import annotations

import asyncio
import hashlib
import json
import threading
from typing import Self

from aiohttp import web


class AnsweringServer:
    """Runs in a thread of its own on a free loopback port."""

    def __init__(self, latency_s: float) -> None:
        self.latency_s = latency_s
        self.arrived: list[int] = []
        """Seeds of the requests in the order of arrival; a seed names one request of a run."""
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self.port = 0
        self._thread = threading.Thread(target=self._serve, daemon=True)

    @property
    def url(self) -> str:
        """Return the base URL."""
        return f"http://127.0.0.1:{self.port}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(20)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(20)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_until_complete(self._run())
        self._loop.close()

    async def _run(self) -> None:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._answer)
        runner = web.AppRunner(app)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.port = runner.addresses[0][1]
        self._ready.set()
        await self._stop.wait()
        await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        body = json.loads(await request.read())
        self.arrived.append(body["seed"])
        await asyncio.sleep(self.latency_s)
        digest = hashlib.sha256(f"{body['messages'][-1]['content']}|{body['seed']}".encode()).digest()
        return web.json_response(
            {
                "id": f"call-{body['seed']}",
                "model": body["model"],
                "choices": [{"message": {"role": "assistant", "content": "AB"[digest[0] % 2]}, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 9, "completion_tokens": 1},
            }
        )
