"""A folder of documents, one at a time: what is read, what is left out, and why.

What a person did not mean to hand to a model is left out and counted: dotfiles, links that lead out of the folder, files that
hold keys. Every other file is a document or a named reject; no file is skipped in silence, but for those that `include` does
not name.
"""

from __future__ import annotations

import fnmatch
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from gristmill.errors import SourceError
from gristmill.files.documents.document import Document, Unreadable
from gristmill.files.documents.html import read_html
from gristmill.files.documents.markup import read_markdown, read_rst, read_text
from gristmill.files.documents.pdf import read_pdf

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

MOST_BYTES = 16 * 1024 * 1024
"""A larger text file is no document but data."""
MOST_PDF_BYTES = 256 * 1024 * 1024
READERS: dict[str, Callable[[str], Document]] = {
    ".txt": read_text,
    ".text": read_text,
    ".md": read_markdown,
    ".markdown": read_markdown,
    ".rst": read_rst,
    ".html": read_html,
    ".htm": read_html,
    ".xhtml": read_html,
}
_SECRETS = re.compile(
    r"-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----|\bAKIA[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{36}\b|\bglpat-[A-Za-z0-9_-]{20}\b"
    r"|\bsk-(?:proj-|ant-)?[A-Za-z0-9_-]{32,}\b|\bxox[abpr]-[A-Za-z0-9-]{20,}|\bAIza[0-9A-Za-z_-]{35}\b|\bhf_[A-Za-z0-9]{30,}\b"
)
_SECRET_NAMES = (
    *("id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*", "*.pem", "*.key", "*.p12", "*.pfx", "*.kdbx"),
    *("credentials*", "secrets.*"),
)


class Found(NamedTuple):
    """A file of the folder: a document, or why it is none."""

    name: str
    """Its path from the folder's own name on, with `/`."""
    document: Document | None
    reason: str = ""
    detail: str = ""


def document_files(root: Path, include: Sequence[str]) -> Iterator[tuple[str, Path, str]]:
    """Yield name, path and reject reason (or nothing) of every file that `include` names, in the order of names.

    Raises:
        SourceError: where there is no such file or folder.
    """
    if not root.exists():
        raise SourceError(f"there is no file or folder {root}", fix="Check the path; it is relative to the recipe.")
    if root.is_file():
        yield root.name, root, ""
        return
    inside = root.resolve()
    for folder, folders, files in os.walk(root):
        here = Path(folder)
        for name in sorted(folders):
            if name.startswith(".") or (here / name).is_symlink():
                folders.remove(name)
                yield _name(root, here / name), here / name, "dotfile" if name.startswith(".") else _link(here / name, inside)
        folders.sort()
        for name in sorted(files):
            path = here / name
            if include and not any(_matches(path.relative_to(root), pattern) for pattern in include):
                continue
            yield _name(root, path), path, _left_out(path, inside)


def _name(root: Path, path: Path) -> str:
    return f"{root.name}/{path.relative_to(root).as_posix()}"


def _matches(path: Path, pattern: str) -> bool:
    return fnmatch.fnmatch(path.name, pattern) or fnmatch.fnmatch(path.as_posix(), pattern)


def _link(path: Path, inside: Path) -> str:
    return "link" if path.resolve().is_relative_to(inside) else "link_outside"


def _left_out(path: Path, inside: Path) -> str:
    if path.name.startswith("."):
        return "dotfile"
    if path.is_symlink() and not path.resolve().is_relative_to(inside):
        return "link_outside"
    if not path.is_file():
        return "not_a_file"
    return "likely_secret" if any(fnmatch.fnmatch(path.name.lower(), name) for name in _SECRET_NAMES) else ""


def documents(root: Path, include: Sequence[str] = ()) -> Iterator[Found]:
    """Yield every file of a folder as a document or a reject; one document is held at a time.

    Raises:
        SourceError: where there is no such file or folder.
        InputError: where a PDF needs what is not installed.
    """
    for name, path, reason in document_files(root, include):
        if reason:
            yield Found(name, None, reason)
            continue
        try:
            document = read_document(path)
        except Unreadable as wrong:
            yield Found(name, None, wrong.reason, wrong.detail)
        except OSError as error:
            yield Found(name, None, "unreadable", error.strerror or str(error))
        else:
            yield Found(name, document)


def read_document(path: Path) -> Document:
    """Read one document by the end of its name.

    Raises:
        Unreadable: with the reason.
        InputError: where a PDF needs what is not installed.
    """
    suffix, size = path.suffix.lower(), path.stat().st_size
    if suffix == ".pdf":
        _check_size(size, MOST_PDF_BYTES)
        return _with_text(read_pdf(path))
    reader = READERS.get(suffix)
    if reader is None:
        raise Unreadable("unknown_format", f"`{suffix or path.name}`: {', '.join(sorted([*READERS, '.pdf']))} are read")
    _check_size(size, MOST_BYTES)
    text = _decoded(path.read_bytes())
    if (secret := _SECRETS.search(text)) is not None:
        raise Unreadable("likely_secret", f"it holds what looks like a key, at character {secret.start():,}")
    return _with_text(reader(text))


def _check_size(size: int, most: int) -> None:
    if size > most:
        raise Unreadable("too_large", f"{size:,} bytes, of {most:,} allowed")


def _with_text(document: Document) -> Document:
    if not document.text.strip():
        raise Unreadable("no_text", "it has no text")
    return document


def _decoded(data: bytes) -> str:
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise Unreadable("bad_encoding", f"it is not {encoding.removesuffix('-sig')} at byte {error.start:,}") from None
    if "\x00" in text:
        raise Unreadable("bad_encoding", "it holds zero bytes: it is no text")
    return text
