"""Documents as prompts: each passage is one, and knows its document, its headings and its place.

The files of a folder, or rows of a data file that hold whole documents. `group` passages of one document may stand in one
prompt, and passages of several documents (`across`), which is how questions are made that no single text answers; which ones go
together follows from a hash, over a window of passages, so memory stays flat.
"""

from __future__ import annotations

import hashlib
import random
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from gristmill.errors import SourceError
from gristmill.files.documents.chunking import chunks
from gristmill.files.documents.document import Document
from gristmill.files.documents.markup import read_markdown, read_rst, read_text
from gristmill.files.documents.reading import document_files, documents
from gristmill.files.reading import BadRow, data_files, read_rows
from gristmill.ids import content_id, seed_for
from gristmill.messages import user
from gristmill.plain import as_text
from gristmill.ports import SourceRow
from gristmill.records import Prompt
from gristmill.registry import nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from pydantic import JsonValue

    from gristmill.files.documents.chunking import Chunk
    from gristmill.recipe.model import SourceSpec

WINDOW = 256
"""Passages among which the companions of one from other documents are drawn."""
BETWEEN = "\n\n---\n\n"
"""What stands between passages of different documents."""
_MARKUPS = {"text": read_text, "markdown": read_markdown, "rst": read_rst}


class Passage(NamedTuple):
    """A passage with what it is from."""

    document: str
    title: str | None
    text: str
    number: int
    of: int
    chunk: Chunk
    characters: int
    hidden: int


class DocumentSource:
    """Prompts from the passages of documents."""

    def __init__(self, spec: SourceSpec, path: Path) -> None:
        self.spec = spec
        self.path = path

    @property
    def name(self) -> str:
        """Return the file's or folder's name."""
        return self.path.name

    def fingerprint(self) -> str:
        """Return a text that changes with the files' names, sizes or times of change, and with how they are cut."""
        parts = [self.spec.model_dump_json()]
        files = data_files(self.path) if self.spec.text else [path for _, path, _ in document_files(self.path, self.spec.include)]
        for file in files:
            stat = file.lstat()
            parts.append(f"{file.relative_to(self.path.parent)}|{stat.st_size}|{stat.st_mtime_ns}")
        return hashlib.sha256("\n".join(parts).encode("utf-8", "surrogateescape")).hexdigest()[:32]

    def rows(self) -> Iterator[SourceRow]:
        """Yield every passage as a prompt, and every document that cannot be read as a reject.

        Raises:
            SourceError: where no document could be read, or rows have no such field.
        """
        rejects: list[SourceRow] = []
        read = self._of_rows(rejects) if self.spec.text else self._of_files(rejects)
        together = self._across(self._grouped(read)) if self.spec.chunk.across > 1 else ((one,) for one in self._grouped(read))
        found = False
        for passages in together:
            yield from rejects
            rejects.clear()
            found = True
            yield self._row(passages)
        yield from rejects
        if not found and not rejects:
            raise SourceError(f"there is no document in {self.path}", fix="Check `include`, or the path.")

    def _of_files(self, rejects: list[SourceRow]) -> Iterator[tuple[str, Document]]:
        for found in documents(self.path, self.spec.include):
            if found.document is None:
                rejects.append(SourceRow(found.name, None, found.reason, found.detail))
            else:
                yield found.name, found.document

    def _of_rows(self, rejects: list[SourceRow]) -> Iterator[tuple[str, Document]]:
        field, title = self.spec.text or "", self.spec.title
        for file in data_files(self.path):
            for number, row in read_rows(file, self.spec.format):
                place = f"{file.relative_to(self.path.parent)}:{number}"
                if isinstance(row, BadRow):
                    rejects.append(SourceRow(place, None, row.reason, row.detail))
                    continue
                if field not in row and not rejects:
                    near = nearest(field, row)
                    meant = f"Did you mean `text: {near}`? " if near else ""
                    raise SourceError(
                        f"{place}: there is no field `{field}`", fix=f"{meant}The row has: {', '.join(map(str, row))}."
                    )
                text = as_text(row.get(field))
                if text is None or not text.strip():
                    rejects.append(SourceRow(place, None, "no_text", f"`{field}` holds no text"))
                    continue
                document = _MARKUPS[self.spec.markup](text)
                named = as_text(row.get(title)) if title else None
                yield place, document._replace(title=named or document.title)

    def _grouped(self, read: Iterable[tuple[str, Document]]) -> Iterator[Passage]:
        """Yield the passages of documents; `group` neighbours as one."""
        chunk = self.spec.chunk
        for name, document in read:
            cut = list(chunks(document, chunk.tokens, chunk.overlapping))
            groups = [cut[at : at + chunk.group] for at in range(0, len(cut), chunk.group)]
            for number, group in enumerate(groups):
                whole = group[0]._replace(end=group[-1].end)
                text = document.text[whole.start : whole.end]
                yield Passage(
                    name, document.title, text, number, len(groups), whole, len(document.text), document.hidden_characters
                )

    def _across(self, passages: Iterator[Passage]) -> Iterator[tuple[Passage, ...]]:
        """Yield each passage with others of other documents, drawn from a window that moves on."""
        window: deque[Passage] = deque(islice(passages, WINDOW), maxlen=WINDOW)
        waiting = list(window)
        while waiting:
            for one in waiting:
                others = [other for other in window if other.document != one.document]
                rng = random.Random(seed_for("across", one.document, one.number))
                drawn = rng.sample(others, min(self.spec.chunk.across - 1, len(others)))
                if len({other.document for other in drawn}) == self.spec.chunk.across - 1:
                    yield (one, *drawn)
            waiting = list(islice(passages, WINDOW // 2))
            window.extend(waiting)

    def _row(self, passages: tuple[Passage, ...]) -> SourceRow:
        first, spec = passages[0], self.spec
        messages = (user(BETWEEN.join(passage.text for passage in passages)),)
        meta: dict[str, JsonValue] = {
            "document": first.document,
            "title": first.title,
            "heading": first.chunk.heading or None,
            "chunk": first.number,
            "chunks": first.of,
            "start": first.chunk.start,
            "end": first.chunk.end,
            "characters": first.characters,
        }
        if first.hidden:
            meta["hidden_characters"] = first.hidden
        if len(passages) > 1:
            meta["parts"] = [
                {"document": one.document, "chunk": one.number, "start": one.chunk.start, "end": one.chunk.end}
                for one in passages
            ]
        source_id = "+".join(f"{one.document}#{one.number}" for one in passages)
        prompt = Prompt(
            id=content_id("prompt", [message.canonical() for message in messages]),
            messages=messages,
            domain=spec.domain,
            origin=spec.origin,
            source_id=source_id,
            license=spec.license,
            meta=meta,
        )
        return SourceRow(source_id, prompt)
