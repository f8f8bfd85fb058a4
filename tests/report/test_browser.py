"""The demo's report in a real browser: three widths, light, dark and print; what a person sees is there and can be read."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import Any

from tests.report.browser import Browser, browsing

WIDTHS = {360: "dark", 800: "light", 1400: "light"}
FIGURES = 6

_TEXTS = """
(() => {
  const wrong = [];
  for (const svg of document.querySelectorAll('svg')) {
    const frame = svg.getBoundingClientRect(), boxes = [];
    for (const text of svg.querySelectorAll('text')) {
      const box = text.getBoundingClientRect();
      if (box.left < frame.left - 1 || box.right > frame.right + 1 || box.bottom > frame.bottom + 1)
        wrong.push(['outside', text.textContent]);
      for (const [other, said] of boxes)
        if (box.left < other.right && other.left < box.right && box.top + 2 < other.bottom && other.top + 2 < box.bottom)
          wrong.push(['overlap', text.textContent, said]);
      boxes.push([box, text.textContent]);
    }
  }
  return wrong;
})()
"""
"""Texts of figures that are cut off or lie on one another."""

_CONTRASTS = """
(() => {
  const channel = v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  const rgb = text => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const ratio = (a, b) => (Math.max(light(a), light(b)) + 0.05) / (Math.min(light(a), light(b)) + 0.05);
  const ground = node => {
    for (; node; node = node.parentElement) {
      const found = rgb(getComputedStyle(node).backgroundColor);
      if (found.length < 4 || found[3] > 0) return found;
    }
    return [255, 255, 255];
  };
  const found = {text: 99, bars: 99};
  const plain = 'h1,h2,h3,p,td,th,caption,dt,dd,pre,span,b,li,svg text:not(.on-bar):not(.on-hatch)';
  for (const node of document.querySelectorAll(plain)) {
    if (!node.textContent.trim()) continue;
    const style = getComputedStyle(node);
    found.text = Math.min(found.text, ratio(rgb(node instanceof SVGElement ? style.fill : style.color), ground(node)));
  }
  for (const node of document.querySelectorAll('svg rect.c1, svg rect.c2, svg .hatch-line'))
    found.bars = Math.min(found.bars, ratio(rgb(getComputedStyle(node).fill), ground(node)));
  for (const node of document.querySelectorAll('svg .on-bar')) {
    const bar = rgb(getComputedStyle(node.previousElementSibling).fill);
    found.text = Math.min(found.text, ratio(rgb(getComputedStyle(node).fill), bar));
  }
  return found;
})()
"""
"""The lowest contrast of any text, and of any bar, with what is behind it (WCAG 2.2, 1.4.3 and 1.4.11)."""


async def names(browser: Browser) -> list[str]:
    """Return the accessible names of the figures."""
    tree = await browser.call("Accessibility.getFullAXTree")
    images = [node for node in tree["nodes"] if node.get("role", {}).get("value") in ("image", "img")]
    return [str(node.get("name", {}).get("value", "")) for node in images]


async def look(page: Path, folder: Path) -> dict[str, Any]:
    """Look at a page in every way and return what was seen."""
    seen: dict[str, Any] = {}
    async with browsing() as browser:
        await browser.call("Accessibility.enable")
        for width, scheme in WIDTHS.items():
            await browser.open(page, width, scheme=scheme)
            await browser.picture(folder / f"{width}.png")
            seen[str(width)] = {
                "width": await browser.value("document.documentElement.scrollWidth"),
                "texts": await browser.value(_TEXTS),
                "contrast": await browser.value(_CONTRASTS),
                "names": await names(browser),
                "described": await browser.value(
                    "[...document.querySelectorAll('svg desc')].every(d => d.textContent.length > 10)"
                ),
                "tables": await browser.value(
                    "[...document.querySelectorAll('figure')].every(f => f.parentElement.querySelector('table'))"
                ),
            }
        await browser.open(page, 800, scheme="dark", media="print")
        seen["print"] = {
            "contrast": await browser.value(_CONTRASTS),
            "ground": await browser.value("getComputedStyle(document.body).backgroundColor"),
        }
        printed = await browser.call("Page.printToPDF", printBackground=False)
        seen["pdf"] = base64.b64decode(printed["data"])
        seen["requests"], seen["messages"] = set(browser.requests), browser.messages
    return seen


def test_the_report_can_be_read_at_three_widths_in_the_dark_and_on_paper(demo: Path, tmp_path: Path) -> None:
    page = demo / "runs/demo/report.html"
    seen = asyncio.run(look(page, tmp_path))
    for width in WIDTHS:
        here = seen[str(width)]
        assert here["width"] == width, "the page must not scroll sideways"
        assert here["texts"] == []
        assert here["contrast"]["text"] >= 4.5, width
        assert here["contrast"]["bars"] >= 3, width
        assert len(set(here["names"])) == len(here["names"]) == FIGURES
        assert all(len(name) > 10 for name in here["names"])
        assert here["described"]
        assert here["tables"]
        assert (tmp_path / f"{width}.png").read_bytes().startswith(b"\x89PNG")
    assert seen["print"]["ground"] == "rgb(255, 255, 255)"
    assert seen["print"]["contrast"]["text"] >= 4.5
    assert seen["print"]["contrast"]["bars"] >= 3
    assert seen["pdf"].startswith(b"%PDF")
    assert seen["requests"] == {page.as_uri()}
    assert seen["messages"] == []
