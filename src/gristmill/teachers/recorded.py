"""`recorded`: completions from a file, replayed as a teacher.

Rows have `prompt` and `completions` (a list of texts, optionally `models`, one name per completion). A request is matched by
the text of its last user message, and sample i gets completion i, so a published set of outputs runs through the whole
pipeline at no cost. The rows are spooled to a temporary file with one index entry each, so memory does not hold the texts.
"""

from __future__ import annotations

import hashlib
import tempfile
from typing import TYPE_CHECKING, Any

import orjson

from gristmill.errors import SourceError
from gristmill.files.reading import BadRow, data_files, read_rows
from gristmill.messages import Message
from gristmill.plain import as_list, as_text
from gristmill.ports import TeacherFault
from gristmill.records import Reply, TeacherIdentity, Usage

if TYPE_CHECKING:
    from pathlib import Path

    from gristmill.records import Request


class RecordedTeacher:
    """Answers from a file."""

    def __init__(self, path: Path) -> None:
        """Index the completions in `path`, a data file or a folder of them.

        Raises:
            SourceError: where the rows are not `prompt` and `completions`.
        """
        self._places: dict[bytes, tuple[int, int]] = {}
        self._spool = tempfile.TemporaryFile(prefix="gristmill-recorded-")  # noqa: SIM115 - closed by close()
        revision = hashlib.sha256()
        try:
            self._index(path, revision)
        except BaseException:
            self._spool.close()
            raise
        self._identity = TeacherIdentity(provider="recorded", model=path.name, revision=revision.hexdigest()[:16])

    def _index(self, path: Path, revision: Any) -> None:
        for file in data_files(path):
            for number, row in read_rows(file):
                if isinstance(row, BadRow):
                    raise SourceError(f"{file}:{number}: {row.reason}: {row.detail}", fix="Mend or remove the row.")
                self._add(row, f"{file}:{number}", revision)
        if not self._places:
            raise SourceError(f"{path} holds no completions", fix='Rows are `{"prompt": "…", "completions": ["…"]}`.')

    def _add(self, row: dict[str, Any], place: str, revision: Any) -> None:
        prompt, completions = as_text(row.get("prompt")), as_list(row.get("completions"))
        if prompt is None or completions is None:
            raise SourceError(
                f"{place}: a recorded teacher's row needs `prompt` (a text) and `completions` (a list of texts)",
                fix=f"The row has: {', '.join(row)}.",
            )
        models = as_list(row.get("models")) or [None] * len(completions)
        if len(models) != len(completions) or not all(isinstance(text, str) for text in completions):
            raise SourceError(f"{place}: `completions` and `models` must be texts, one model per completion", fix="Mend the row.")
        line = orjson.dumps([completions, models])
        revision.update(line)
        revision.update(prompt.encode())
        offset = self._spool.tell()
        self._spool.write(line)
        self._places.setdefault(_key(prompt), (offset, len(line)))

    @property
    def identity(self) -> TeacherIdentity:
        """Return the file's name and the hash of its content."""
        return self._identity

    @property
    def bills(self) -> bool:
        """Return False: a recorded answer costs nothing."""
        return False

    async def complete(self, request: Request) -> Reply:
        """Return completion number `sample_index` of the prompt.

        Raises:
            TeacherFault: `exhausted`, where the file has none.
        """
        prompt = next((m.content for m in reversed(request.messages) if m.role == "user"), "")
        place = self._places.get(_key(prompt))
        if place is None:
            raise TeacherFault(
                "no completion of this prompt is recorded; a recorded teacher wants the prompt as it is: "
                "`prompt: {template: plain}`",
                kind="exhausted",
                code="no_recorded_prompt",
            )
        self._spool.seek(place[0])
        completions, models = orjson.loads(self._spool.read(place[1]))
        if request.sample_index >= len(completions):
            raise TeacherFault(
                f"only {len(completions)} completions of this prompt are recorded",
                kind="exhausted",
                code="no_more_recorded",
            )
        text = completions[request.sample_index]
        return Reply(
            message=Message(role="assistant", content=text),
            finish="stop",
            usage=Usage(),
            cost_usd=0.0,
            model=models[request.sample_index] or self._identity.model,
        )

    async def close(self) -> None:
        """Remove the temporary file."""
        self._spool.close()


def _key(prompt: str) -> bytes:
    return hashlib.sha256(prompt.encode()).digest()[:16]
