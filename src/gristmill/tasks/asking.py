"""Ask until a reply can be read: read it, say what is wrong with it, ask once more, and count.

A model is told what could not be read and answers again in the same conversation, which is cheaper than a new sample and far more
often right. What a reply is read as is a function that raises `ValueError` with the reason, so that JSON, a pydantic model and
labelled lines are all the same to the task; a truncated or refused reply is not asked for again, since its end says enough.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError

from gristmill.messages import user
from gristmill.plain import as_object, references_in

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pydantic import JsonValue

    from gristmill.messages import Message
    from gristmill.ports import Session
    from gristmill.records import Reply

ValueT = TypeVar("ValueT")
ModelT = TypeVar("ModelT", bound=BaseModel)
MOST_SHOWN = 300
"""Characters of a problem that are sent back."""


class Asked(NamedTuple, Generic[ValueT]):
    """What came of asking."""

    value: ValueT | None
    """What was read, or None where no reply could be."""
    replies: tuple[Reply, ...]
    """All that were paid for, the last one last."""
    problem: str | None = None
    """Why the last reply could not be read."""

    @property
    def repairs(self) -> int:
        """Return how often it was asked again."""
        return len(self.replies) - 1


async def ask(
    session: Session,
    messages: Sequence[Message],
    read: Callable[[str], ValueT],
    *,
    step: str,
    role: str = "teacher",
    tries: int = 2,
    response_format: dict[str, JsonValue] | None = None,
) -> Asked[ValueT]:
    """Ask a model and read its reply; where that fails, show it the problem and ask again.

    Args:
        session: The sample's session.
        messages: What is asked.
        read: Returns what a reply says.
        step: The step; repairs are further occurrences of it.
        role: Who is asked.
        tries: How often it is asked at most.
        response_format: Sent along, for servers that hold a model to a schema.
    """
    said = tuple(messages)
    replies: list[Reply] = []
    problem: str | None = None
    for _ in range(max(1, tries)):
        reply = await session.complete(said, step=step, role=role, response_format=response_format)
        replies.append(reply)
        if reply.finish in ("length", "content_filter"):
            return Asked(None, tuple(replies), reply.finish)
        try:
            return Asked(read(reply.message.content), tuple(replies))
        except ValueError as wrong:
            problem = str(wrong)[:MOST_SHOWN]
        said = (
            *said,
            reply.message,
            user(f"That could not be read: {problem}\nAnswer once more, in the form that was asked for."),
        )
    return Asked(None, tuple(replies), problem)


def model_in(model: type[ModelT]) -> Callable[[str], ModelT]:
    """Return a reader of replies that hold one JSON object of a pydantic model."""

    def read(text: str) -> ModelT:
        try:
            return model.model_validate(object_in(text))
        except ValidationError as wrong:
            raise ValueError("; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in wrong.errors())) from None

    return read


def schema_in(schema: Mapping[str, Any]) -> Callable[[str], dict[str, Any]]:
    """Return a reader of replies that hold one JSON object that a JSON Schema (2020-12) accepts; no reference leaves the schema.

    Raises:
        ValueError: where the schema is none.
    """
    from jsonschema import Draft202012Validator, SchemaError

    try:
        Draft202012Validator.check_schema(schema)
    except SchemaError as wrong:
        raise ValueError(f"this is no JSON Schema: {wrong.message}") from None
    if far := next((ref for ref in references_in(schema) if not ref.startswith("#")), None):
        raise ValueError(f"`$ref: {far}` points out of the schema, and nothing is fetched: put it under `$defs`")
    checks: Any = Draft202012Validator(schema)

    def read(text: str) -> dict[str, Any]:
        found = object_in(text)
        wrong = next(iter(checks.iter_errors(found)), None)
        if wrong is not None:
            raise ValueError(f"{'.'.join(map(str, wrong.absolute_path)) or 'the object'}: {wrong.message}")
        return found

    return read


def object_in(text: str) -> dict[str, Any]:
    """Return the first whole JSON object in a text, which may stand in a fence or between words.

    Raises:
        ValueError: where there is none.
    """
    decoder = json.JSONDecoder()
    at = text.find("{")
    for _ in range(20):
        if at < 0:
            break
        try:
            found = as_object(decoder.raw_decode(text, at)[0])
        except (json.JSONDecodeError, RecursionError):
            found = None
        if found is not None:
            return found
        at = text.find("{", at + 1)
    raise ValueError("there is no JSON object in it")


def labelled(text: str, labels: Sequence[str]) -> dict[str, str]:
    """Return what stands behind each label (`Question: …`), in lines or as keys of a JSON object.

    A label counts at the beginning of a line, in any case, also numbered or in bold. What stands behind the last label ends at an
    empty line, since models like to go on.

    Raises:
        ValueError: where a label is missing or nothing stands behind it.
    """
    try:
        given = {key.casefold(): value for key, value in object_in(text).items()}
        found = {label: str(given[label]).strip() for label in labels if isinstance(given.get(label), str | int | float)}
    except ValueError:
        found = {}
    if len(found) < len(labels):
        found = _lines(text, labels)
    missing = [label for label in labels if not found.get(label)]
    if missing:
        raise ValueError(f"there is no line `{missing[0].capitalize()}: …` in it")
    return found


def _lines(text: str, labels: Sequence[str]) -> dict[str, str]:
    mark = re.compile(
        rf"^[ \t>#*_\-]*(?:\d{{1,2}}[.)][ \t]*)?[*_]*({'|'.join(labels)})[ \t]*\d{{0,2}}[*_]*[ \t]*:[*_]*",
        re.IGNORECASE | re.MULTILINE,
    )
    places = list(mark.finditer(text))
    found: dict[str, str] = {}
    for number, place in enumerate(places):
        label = place.group(1).casefold()
        if label in found:
            break  # a second one of its kind begins: the first counts
        end = places[number + 1].start() if number + 1 < len(places) else len(text)
        said = text[place.end() : end].strip()
        found[label] = said.split("\n\n")[0].strip() if len(found) == len(labels) - 1 else said
    return found
