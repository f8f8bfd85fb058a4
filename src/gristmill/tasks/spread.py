"""One row of a source as one of several prompts: what is asked of it is in the prompt's id and in its `meta`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gristmill.ids import content_id

if TYPE_CHECKING:
    from pydantic import JsonValue

    from gristmill.ports import SourceRow
    from gristmill.records import Prompt


def variant(row: SourceRow, prompt: Prompt, kind: str, *asked: JsonValue, **meta: JsonValue) -> SourceRow:
    """Return a row whose prompt is asked for something.

    Args:
        row: The row of the source.
        prompt: Its prompt.
        kind: The kind of data.
        asked: What distinguishes the prompt from the others of its row, and from the row itself.
        meta: What the task is to know, beside what the row carries.
    """
    identity = content_id("prompt", [[message.canonical() for message in prompt.messages], kind, *asked])
    return row._replace(prompt=prompt.model_copy(update={"id": identity, "meta": {**prompt.meta, **meta}}))
