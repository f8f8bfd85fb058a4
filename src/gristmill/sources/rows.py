"""A data file or a folder of them as prompts.

One row is one prompt; the recipe says which field is the question, the reference and what to carry along. A row that cannot
be a prompt is a reject with file and line.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson
from pydantic import ValidationError

from gristmill.errors import SourceError
from gristmill.files.reading import BadRow, data_files, read_rows
from gristmill.ids import content_id
from gristmill.messages import Message, read_message, user
from gristmill.plain import as_list, as_object
from gristmill.ports import SourceRow
from gristmill.records import Prompt
from gristmill.registry import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from gristmill.recipe.model import SourceSpec
    from gristmill.records import Row


class OwnRows(NamedTuple):
    """A source of the user's: a function that yields rows as a data file has them."""

    name: str
    digest: str
    """Changes with the file that the function is in."""
    rows: Callable[[], Iterable[Any]]


MAPPING_ROWS = 100
"""Readable rows without the declared fields after which the mapping is taken to be wrong."""


class RowSource:
    """Prompts from the rows of data files, or of a function of the user's."""

    def __init__(self, spec: SourceSpec, path: Path, own: OwnRows | None = None) -> None:
        self.spec = spec
        self.path = path
        self._own = own

    @property
    def name(self) -> str:
        """Return the file's, folder's or function's name."""
        return self.path.name if self._own is None else self._own.name

    def fingerprint(self) -> str:
        """Return a text that changes with the files' names, sizes or times of change, and with the mapping."""
        parts = [self.spec.model_dump_json()]
        if self._own is not None:
            return hashlib.sha256("\n".join([*parts, self._own.digest]).encode()).hexdigest()[:32]
        for file in data_files(self.path):
            stat = file.stat()
            parts.append(f"{file.relative_to(self.path) if file != self.path else ''}|{stat.st_size}|{stat.st_mtime_ns}")
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:32]

    def rows(self) -> Iterator[SourceRow]:
        """Yield every row as a prompt or a reject.

        Raises:
            SourceError: where none of the first rows has the declared fields: then the mapping is wrong, not the rows.
        """
        mapped, first = False, None
        for number, (place, source_id, row) in enumerate(self._raw()):
            if isinstance(row, BadRow):
                yield SourceRow(place, None, row.reason, row.detail)
                continue
            mapped = mapped or not self._missing(row)
            first = first or (place, row)
            if not mapped and number >= MAPPING_ROWS:
                break
            yield self._prompt(row, source_id, place)
        if not mapped and first is not None:
            raise self._wrong_mapping(*first)

    def _raw(self) -> Iterator[tuple[str, str, Row | BadRow]]:
        if self._own is not None:
            for number, row in enumerate(self._own.rows(), 1):
                place = f"{self._own.name}:{number}"
                plain = as_object(row)
                bad = BadRow("not_an_object", f"it yields {type(row).__name__}")
                yield place, f"{self._own.name}#{number}", bad if plain is None else plain
            return
        for file in data_files(self.path):
            label = str(file.relative_to(self.path.parent))
            for number, row in read_rows(file, self.spec.format):
                yield f"{label}:{number}", f"{label}#{number}", row

    def _missing(self, row: Row) -> list[tuple[str, str]]:
        """Return the declared keys whose fields a row does not have."""
        spec = self.spec
        asked = ("messages", spec.messages) if spec.messages else ("prompt", spec.prompt)
        wanted = [asked, *([("reference", spec.reference)] if spec.reference else [])]
        return [(key, field) for key, field in wanted if field not in row]

    def _wrong_mapping(self, place: str, row: Row) -> SourceError:
        key, field = self._missing(row)[0]
        near = nearest(field, row)
        meant = f"Did you mean `{key}: {near}`? " if near else ""
        return SourceError(
            f"{place}: there is no field `{field}` (`prompts.{key}`)",
            fix=f"{meant}The row has: {', '.join(map(str, row))}.",
        )

    def _prompt(self, row: Row, source_id: str, place: str) -> SourceRow:
        spec = self.spec
        field = spec.messages or spec.prompt
        missing = self._missing(row)
        if missing:
            return SourceRow(place, None, "missing_field", f"no field `{missing[0][1]}`")
        value = row[field]
        texts = None if spec.messages else as_list(value)
        if texts and all(isinstance(text, str) for text in texts):
            value = "\n".join(texts)  # a list of texts is one, line by line
        messages = _messages(value)
        if isinstance(messages, BadRow):
            return SourceRow(place, None, messages.reason, f"{messages.detail}`{field}` holds {row[field]!r:.80}")
        reference = row[spec.reference] if spec.reference else None
        prompt = Prompt(
            id=content_id("prompt", [message.canonical() for message in messages]),
            messages=messages,
            reference=None if reference is None else reference_text(reference),
            domain=spec.domain,
            origin=spec.origin,
            source_id=source_id,
            license=spec.license,
            meta={key: row[key] for key in spec.meta if key in row},
        )
        return SourceRow(place, prompt)


def reference_text(value: Any) -> str:
    """Return a reference as text; whatever is not text, as JSON."""
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def _messages(value: Any) -> tuple[Message, ...] | BadRow:
    """Return a field's value as messages, or the reason why it is none; its detail goes before what the field holds."""
    if isinstance(value, str):
        return (user(value),) if value.strip() else BadRow("empty_prompt", "")
    items = as_list(value)
    if items is None:
        return BadRow("not_text", "")
    messages: list[Message] = []
    for number, item in enumerate(items, 1):
        try:
            messages.append(read_message(item))
        except ValidationError as error:
            return BadRow("bad_messages", f"message {number}: {_problem(error)}; ")
    if not messages:
        return BadRow("bad_messages", "there is no message; ")
    if messages[-1].role not in ("user", "tool"):
        return BadRow(
            "bad_messages", f"the last message is the {messages[-1].role}'s, and a prompt ends with a user's or a tool's; "
        )
    return tuple(messages)


def _problem(error: ValidationError) -> str:
    """Return what is wrong with a message, and where in it."""
    detail = error.errors(include_url=False)[0]
    key = ".".join(map(str, detail["loc"]))
    match detail["type"]:
        case "extra_forbidden":
            return f"there is no key `{key}`, the keys are {', '.join(Message.model_fields)}"
        case "missing":
            return f"`{key}` is missing"
        case _:
            return f"{f'`{key}`: ' if key else ''}{detail['msg'][0].lower()}{detail['msg'][1:]}, got {detail['input']!r:.60}"
