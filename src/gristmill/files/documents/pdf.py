"""PDF to text, in a process of its own that has little memory and little time.

A PDF is a program's worth of formats; a page may unpack to gigabytes, and no parser in this process can be stopped. So pypdf
runs in a child with limits on memory and processor time, is killed at a deadline, and hands back text alone: scripts and forms
are never looked at. Each page begins with a heading `Page N`, so that a passage knows its page.
"""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

from gristmill.errors import InputError
from gristmill.files.documents.document import Document, Heading, Unreadable, level
from gristmill.plain import as_list, as_object

if TYPE_CHECKING:
    from pathlib import Path

TIMEOUT_S = 60.0
MEMORY_BYTES = 512 * 1024 * 1024
MOST_TEXT = 32 * 1024 * 1024
_CHILD = """
import json, logging, sys
try:
    import resource
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
except ImportError:
    pass
logging.disable(logging.CRITICAL)
import warnings
warnings.simplefilter("ignore")
from pypdf import PdfReader
try:
    reader = PdfReader(sys.argv[1])
    if reader.is_encrypted and not reader.decrypt(""):
        print(json.dumps({"failed": "encrypted", "detail": "it wants a password"}))
        sys.exit()
    pages, size = [], 0
    for page in reader.pages:
        pages.append((page.extract_text() or "").encode("utf-8", "ignore").decode())
        size += len(pages[-1])
        if size > MOST:
            print(json.dumps({"failed": "too_large", "detail": "more than %d characters of text" % MOST}))
            sys.exit()
    title = reader.metadata.title if reader.metadata else None
    print(json.dumps({"pages": pages, "title": title if isinstance(title, str) else None}))
except MemoryError:
    print(json.dumps({"failed": "too_large", "detail": "it unpacks to more memory than is allowed"}))
except RecursionError:
    print(json.dumps({"failed": "too_deep", "detail": "its objects nest too deeply"}))
except Exception as error:  # a damaged file becomes a row with its reason
    print(json.dumps({"failed": "damaged", "detail": ("%s: %s" % (type(error).__name__, error))[:300]}))
"""


def read_pdf(path: Path) -> Document:
    """Return the text of a PDF's pages.

    Raises:
        Unreadable: `encrypted`, `damaged`, `too_large`, `too_deep`, `timeout`, `no_text` (pages that are pictures).
        InputError: where pypdf is not installed.
    """
    if find_spec("pypdf") is None:
        raise InputError("PDF files need pypdf", fix='Run `pip install "gristmill[documents]"`, or leave PDFs out by `include`.')
    values = f"MEMORY = {MEMORY_BYTES}\nSECONDS = {int(TIMEOUT_S)}\nMOST = {MOST_TEXT}\n"
    command = [sys.executable, "-s", "-c", values + _CHILD, str(path)]
    try:
        done = subprocess.run(  # noqa: S603 - our own program; the path is an argument of it
            command, capture_output=True, timeout=TIMEOUT_S, check=False, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        raise Unreadable("timeout", f"it took more than {TIMEOUT_S:.0f} s") from None
    try:
        found = as_object(json.loads(done.stdout)) or {}
    except ValueError:
        reason = "timeout" if done.returncode == -24 else "damaged"
        raise Unreadable(reason, f"its reader ended with {done.returncode}") from None
    if "failed" in found:
        raise Unreadable(str(found["failed"]), str(found["detail"]))
    pages = [level(str(page)) for page in as_list(found.get("pages")) or []]
    headings, text = list[Heading](), ""
    parts: list[str] = []
    at = 0
    for number, (page, _) in enumerate(pages, 1):
        if page.strip():
            headings.append(Heading(at, 1, f"Page {number}"))
            parts.append(f"{page.strip()}\n\n")
            at += len(parts[-1])
    text = "".join(parts)
    if not text:
        raise Unreadable("no_text", f"none of its {len(pages)} pages has text; they may be pictures")
    title = found.get("title")
    return Document(text, title if isinstance(title, str) and title.strip() else None, tuple(headings), sum(n for _, n in pages))
