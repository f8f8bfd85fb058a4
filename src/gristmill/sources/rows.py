"""A data file or a folder of them as prompts.

One row is one prompt; the recipe says which field is the question, the reference and what to carry along. A row that cannot
be a prompt is a reject with file and line.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from gristmill.errors import SourceError
from gristmill.files.reading import BadRow, data_files, read_rows
from gristmill.ids import content_id
from gristmill.messages import Message, user
from gristmill.ports import SourceRow
from gristmill.records import Prompt
from gristmill.registry import nearest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gristmill.recipe.model import SourceSpec
    from gristmill.records import Row


class RowSource:
    """Prompts from the rows of data files."""

    def __init__(self, spec: SourceSpec, path: Path) -> None:
        self.spec = spec
        self.path = path

    @property
    def name(self) -> str:
        """Return the file's or folder's name."""
        return self.path.name

    def fingerprint(self) -> str:
        """Return a text that changes with the files' names, sizes or times of change, and with the mapping."""
        parts = [self.spec.model_dump_json()]
        for file in data_files(self.path):
            stat = file.stat()
            parts.append(f"{file.relative_to(self.path) if file != self.path else ''}|{stat.st_size}|{stat.st_mtime_ns}")
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]

    def rows(self) -> Iterator[SourceRow]:
        """Yield every row as a prompt or a reject.

        Raises:
            SourceError: where the first readable row lacks the declared fields: then the mapping is wrong, not the row.
        """
        checked = False
        for file in data_files(self.path):
            label = str(file.relative_to(self.path.parent))
            for number, row in read_rows(file, self.spec.format):
                place = f"{label}:{number}"
                if isinstance(row, BadRow):
                    yield SourceRow(place, None, row.reason, row.detail)
                    continue
                if not checked:
                    self._check_mapping(row, place)
                    checked = True
                yield self._prompt(row, f"{label}#{number}", place)

    def _check_mapping(self, row: Row, place: str) -> None:
        spec = self.spec
        declared = {"prompt": None if spec.messages else spec.prompt, "messages": spec.messages, "reference": spec.reference}
        wanted = [*((k, v) for k, v in declared.items() if v), *(("meta", field) for field in spec.meta)]
        for key, field in wanted:
            if field not in row:
                near = nearest(field, row)
                meant = f"Did you mean `{key}: {near}`? " if near else ""
                raise SourceError(
                    f"{place}: there is no field `{field}` (`prompts.{key}`)",
                    fix=f"{meant}The row has: {', '.join(map(str, row))}.",
                )

    def _prompt(self, row: Row, source_id: str, place: str) -> SourceRow:
        spec = self.spec
        field = spec.messages or spec.prompt
        if field not in row or (spec.reference and spec.reference not in row):
            missing = field if field not in row else spec.reference
            return SourceRow(place, None, "missing_field", f"no field `{missing}`")
        messages = _messages(row[field])
        if isinstance(messages, str):
            return SourceRow(place, None, messages, f"`{field}` holds {row[field]!r:.80}")
        reference = row[spec.reference] if spec.reference else None
        prompt = Prompt(
            id=content_id("prompt", [message.canonical() for message in messages]),
            messages=messages,
            reference=None if reference is None else as_text(reference),
            domain=spec.domain,
            origin=spec.origin,
            source_id=source_id,
            license=spec.license,
            meta={key: row[key] for key in spec.meta if key in row},
        )
        return SourceRow(place, prompt)


def as_text(value: Any) -> str:
    """Return a reference as text; whatever is not text, as JSON."""
    import orjson  # noqa: PLC0415 - a text needs none

    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _messages(value: Any) -> tuple[Message, ...] | str:
    """Return a field's value as messages, or the reason why it is none."""
    if isinstance(value, str):
        return (user(value),) if value.strip() else "empty_prompt"
    if not isinstance(value, list):
        return "not_text"
    try:
        messages = tuple(Message.model_validate(item) for item in value)
    except ValidationError:
        return "bad_messages"
    if not messages or messages[-1].role not in ("user", "tool"):
        return "bad_messages"
    return messages
