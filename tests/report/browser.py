"""A real browser, driven over its own protocol: the Debian package `chromium`, headless, with a profile of its own.

The protocol is described at chromedevtools.github.io/devtools-protocol. One page at a time; everything that the page
tried to load and every message on its console is kept.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--hide-scrollbars", "--remote-debugging-port=0",
)  # fmt: skip


def chromium() -> str:
    """Return the browser's path; without one the test is skipped, but not in CI, which installs it."""
    found = shutil.which("chromium")
    if found is None:
        if os.environ.get("CI"):
            pytest.fail("chromium is not installed: .ci/run should have")
        pytest.skip("needs the Debian package chromium")
    return found


class Browser:
    """One page of a running browser."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, session: str = "") -> None:
        self._socket = socket
        self._session = session
        self._number = 0
        self.requests: list[str] = []
        self.messages: list[str] = []

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send one command and return its result."""
        return await self._exchange(method, parameters)

    async def _exchange(self, method: str, parameters: dict[str, Any], until: str = "") -> dict[str, Any]:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        await self._socket.send_json(message)
        result: dict[str, Any] | None = None
        happened = not until
        while result is None or not happened:
            event: dict[str, Any] = json.loads((await self._socket.receive(timeout=60)).data)
            if event.get("id") == self._number:
                assert "error" not in event, event
                result = event["result"]
            self._note(event)
            happened = happened or event.get("method") == until
        return result

    def _note(self, event: dict[str, Any]) -> None:
        if event.get("method") == "Network.requestWillBeSent":
            self.requests.append(event["params"]["request"]["url"])
        elif event.get("method") == "Log.entryAdded":
            self.messages.append(event["params"]["entry"]["text"])
        elif event.get("method") == "Runtime.consoleAPICalled":
            self.messages.append(str(event["params"]["args"]))

    async def open(self, path: Path, width: int, *, scheme: str = "light", media: str = "") -> None:
        """Show a file in a window of this width."""
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        await self.call("Emulation.setEmulatedMedia", media=media, features=features)
        await self.call("Emulation.setDeviceMetricsOverride", width=width, height=900, deviceScaleFactor=1, mobile=False)
        await self._exchange("Page.navigate", {"url": path.as_uri()}, until="Page.loadEventFired")

    async def value(self, expression: str) -> Any:
        """Return what an expression in the page is."""
        found = await self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"]["value"]

    async def picture(self, path: Path) -> None:
        """Write the whole page as PNG."""
        found = await self.call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(found["data"]))


@contextlib.asynccontextmanager
async def browsing() -> AsyncGenerator[Browser]:
    """Start a browser and end it."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [chromium(), *FLAGS, f"--user-data-dir={profile}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        try:
            address = await asyncio.to_thread(_address, process)
            async with aiohttp.ClientSession() as client, client.ws_connect(address, max_msg_size=0) as socket:
                root = Browser(socket)
                target = await root.call("Target.createTarget", url="about:blank")
                found = await root.call("Target.attachToTarget", targetId=target["targetId"], flatten=True)
                browser = Browser(socket, found["sessionId"])
                for domain in ("Page", "Network", "Log", "Runtime"):
                    await browser.call(f"{domain}.enable")
                yield browser
        finally:
            process.kill()
            process.communicate()


def _address(process: subprocess.Popen[bytes]) -> str:
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith(b"DevTools listening on "):
            return line.split()[-1].decode()
    raise AssertionError("the browser ended before it listened")
