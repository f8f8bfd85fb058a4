"""Take the picture of a report that the README shows: `python -m tools.report_picture runs/demo/report.html docs/report.png`."""

from __future__ import annotations

import asyncio
import base64
import sys
from pathlib import Path

from tests.report.browser import browsing

WIDTH, HEIGHT = 1100, 1150


async def take(page: Path) -> bytes:
    """Show the page in a window and return its upper part as PNG."""
    async with browsing() as browser:
        await browser.open(page, WIDTH)
        clip = {"x": 0, "y": 0, "width": WIDTH, "height": HEIGHT, "scale": 1}
        found = await browser.call("Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip)
        return base64.b64decode(found["data"])


if __name__ == "__main__":
    Path(sys.argv[2]).write_bytes(asyncio.run(take(Path(sys.argv[1]).resolve())))
