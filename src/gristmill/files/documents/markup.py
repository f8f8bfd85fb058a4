"""Plain text, Markdown and reStructuredText: the text stays as it is, and its headings are found.

Marks are kept because they mean something (code, lists, emphasis) and because offsets then are those of the file. Markdown is
parsed by markdown-it-py, so a `#` in a code block is no heading; a section title of reStructuredText is a line with a line of
punctuation below it, and the kinds of punctuation are levels in the order in which they come (docutils, reStructuredText
specification, "Sections").
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import TYPE_CHECKING

from gristmill.files.documents.document import Document, Heading, level

if TYPE_CHECKING:
    from collections.abc import Iterator

_UNDERLINE = re.compile(r"([=\-`:.'\"~^_*+#<>])\1{2,}[ \t]*")
_MOST_TITLE = 300
MARKDOWN_BYTES = 4 * 1024 * 1024
"""A larger Markdown file is read as text without headings: its parser needs hundreds of bytes for one."""


def read_text(text: str) -> Document:
    """Return plain text as it is."""
    plain, hidden = level(text)
    return Document(plain, hidden_characters=hidden)


def read_markdown(text: str) -> Document:
    """Return Markdown with its headings; the first one of the first level is the title."""
    plain, hidden = level(text)
    headings = tuple(_markdown_headings(plain)) if len(plain) <= MARKDOWN_BYTES else ()
    title = next((heading.title for heading in headings if heading.level == 1), None)
    return Document(plain, title, headings, hidden)


def _markdown_headings(text: str) -> Iterator[Heading]:
    from markdown_it import MarkdownIt

    starts = _line_starts(text)
    # Only blocks are wanted: inline parsing is what costs, and what hostile text slows down.
    tokens = MarkdownIt("commonmark", {"maxNesting": 20}).disable("inline").parse(text)
    for token, following in pairwise(tokens):
        if token.type == "heading_open" and token.map is not None:
            yield Heading(starts[token.map[0]], int(token.tag[1:]), following.content.strip()[:_MOST_TITLE])


def read_rst(text: str) -> Document:
    """Return reStructuredText with its section titles; the first one is the title."""
    plain, hidden = level(text)
    headings = tuple(_rst_headings(plain))
    return Document(plain, headings[0].title if headings else None, headings, hidden)


def _rst_headings(text: str) -> Iterator[Heading]:
    lines, starts = text.split("\n"), _line_starts(text)
    levels: dict[str, int] = {}
    for number in range(1, len(lines)):
        mark, title = _UNDERLINE.fullmatch(lines[number]), lines[number - 1].rstrip()
        if (
            mark is None
            or not title
            or title[0].isspace()
            or len(title) > len(lines[number].rstrip())
            or _UNDERLINE.fullmatch(title)
        ):
            continue
        over = number > 1 and lines[number - 2].rstrip() == lines[number].rstrip()
        before = lines[number - 3] if over and number > 2 else lines[number - 2] if number > 1 else ""
        if before.strip() and not over:
            continue
        style = mark.group(1) * (2 if over else 1)
        yield Heading(starts[number - 2 if over else number - 1], levels.setdefault(style, len(levels) + 1), title[:_MOST_TITLE])


def _line_starts(text: str) -> list[int]:
    starts = [0]
    starts += [match.end() for match in re.finditer("\n", text)]
    return starts
