"""HTML to text: what a reader sees, with headings and paragraphs, by selectolax.

The standard library's parser is quadratic on hostile pages (a hundred kilobytes of `<a ` take it minutes); Lexbor, which
selectolax wraps, is linear but for deep nesting, so elements may only nest so deep: that is counted before. What is not seen
(scripts, styles, templates, elements that are hidden) gives no text; links give their words. Nothing is fetched or run.
"""

from __future__ import annotations

import re
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from gristmill.errors import InputError
from gristmill.files.documents.document import Document, Heading, Unreadable, level

if TYPE_CHECKING:
    from collections.abc import Iterator

SKIPPED = frozenset(
    {"script", "style", "noscript", "template", "svg", "math", "iframe", "object", "head", "nav", "select", "textarea"}
)
BLOCKS = frozenset(
    {"p", "div", "section", "article", "main", "header", "footer", "aside", "ul", "ol", "dl", "table", "blockquote", "pre"}
    | {"figure", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "form", "details", "address"}
)
LINES = frozenset({"br", "li", "tr", "dt", "dd", "option", "figcaption", "caption", "summary"})
HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
MOST_DEPTH = 10_000
"""Elements within each other; ten thousand cost some 0.1 s, and the cost is quadratic."""
_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9-]*)")
_NOT_NESTING = frozenset(
    {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
    | {"p", "li", "dt", "dd", "tr", "td", "th", "thead", "tbody", "tfoot", "option", "optgroup", "html", "head", "body"}
)
"""Elements that have no end, or end where the next one of their kind begins."""
_HIDING = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)


class _Writer:
    """Joins pieces of text with at most one empty line between them, and knows how long it is."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.size = 0
        self._breaks = 2
        self._wanted = 0

    def want(self, breaks: int) -> None:
        """Ask for line ends before what comes next."""
        self._wanted = max(self._wanted, breaks)

    def write(self, text: str) -> None:
        """Write text, after the line ends that were asked for."""
        missing = self._wanted - self._breaks if self.size else 0
        if missing > 0 or (self._wanted and self._breaks):
            text = text.lstrip(" ")
        if not text or (not text.strip() and (self._wanted or self._breaks)):
            return
        if not self.size:
            text = text.lstrip()
        piece = "\n" * max(0, missing) + text
        self.parts.append(piece)
        self.size += len(piece)
        self._breaks = len(piece) - len(piece.rstrip("\n"))
        self._wanted = 0

    @property
    def next_at(self) -> int:
        """Return where what is written next will begin."""
        return self.size + (max(0, self._wanted - self._breaks) if self.size else 0)


def read_html(text: str) -> Document:
    """Return what a reader of the page sees.

    Raises:
        Unreadable: `too_deep`.
        InputError: where selectolax is not installed.
    """
    if find_spec("selectolax") is None:
        raise InputError(
            "HTML files need selectolax", fix='Run `pip install "gristmill[documents]"`, or leave HTML out by `include`.'
        )
    from selectolax.lexbor import LexborHTMLParser

    plain, hidden = level(text)
    if _depth(plain) > MOST_DEPTH:
        raise Unreadable("too_deep", f"more than {MOST_DEPTH:,} elements within each other")
    page: Any = LexborHTMLParser(plain)
    writer, headings, pre = _Writer(), list[tuple[int, int]](), 0
    ends: dict[int, int] = {}
    for node, entering in _walk(page.root):
        tag: str = node.tag
        if tag == "-text":
            said: str = node.text_content or ""
            writer.write(said if pre else re.sub(r"\s+", " ", said))
            continue
        if tag in BLOCKS:
            writer.want(2)
        elif tag in LINES:
            writer.want(1)
        elif tag in ("td", "th") and entering:
            writer.write(" ")
        pre += (1 if entering else -1) * (tag == "pre")
        if tag in HEADINGS and entering:
            headings.append((writer.next_at, int(tag[1])))
        elif tag in HEADINGS and headings:
            ends[headings[-1][0]] = writer.size
    written = "".join(writer.parts)
    found = tuple(
        Heading(at, depth, " ".join(written[at : ends.get(at, at)].split())[:300])
        for at, depth in headings
        if written[at : ends.get(at, at)].strip()
    )
    node = page.css_first("title")
    title = " ".join(node.text().split()) if node is not None else ""
    return Document(written, title or next((heading.title for heading in found), None), found, hidden)


def _depth(text: str) -> int:
    """Return how deep elements can nest at most, by counting tags."""
    depth = most = 0
    for match in _TAG.finditer(text):
        if match.group(2).lower() not in _NOT_NESTING:
            depth = max(0, depth - 1) if match.group(1) else depth + 1
            most = max(most, depth)
    return most


def _walk(root: Any) -> Iterator[tuple[Any, bool]]:
    """Yield every node that is seen, when it is entered and when it is left; without recursion, since pages nest deeply."""
    node, entering = root, True
    while node is not None:
        seen = not entering or _is_seen(node)
        if seen:
            yield node, entering
        if entering and seen and node.tag != "-text" and node.child is not None:
            node = node.child
            continue
        if entering and seen and node.tag != "-text":
            yield node, False
        if node.mem_id == root.mem_id:
            return
        following = node.next
        entering = following is not None
        node = following if entering else node.parent


def _is_seen(node: Any) -> bool:
    tag = node.tag
    if tag == "-text":
        return True
    if tag in SKIPPED or tag[0] in "-!_":
        return False
    given: dict[str, str | None] = node.attributes
    return "hidden" not in given and given.get("aria-hidden") != "true" and _HIDING.search(given.get("style") or "") is None
