"""Export formats by name.

A format is a pure function from a record (or, for `unit="prompt"`, from a graded prompt) to one row with declared columns.
Writing files is one piece of code for all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from gristmill.messages import Frozen, Message
from gristmill.registry import Shelf

if TYPE_CHECKING:
    from gristmill.records import Prompt


class GradedPrompt(NamedTuple):
    """A prompt with what its samples say about it."""

    prompt: Prompt
    messages: tuple[Message, ...]
    """As the teacher was asked."""
    split: str
    grader: str
    passed: int
    graded: int
    """Samples that could be graded."""
    license: tuple[str, ...]


Unit = Literal["record", "prompt"]
ExportFunction = Callable[[Any, Any], dict[str, Any]]
EXPORTERS: Shelf[ExportFunction] = Shelf("export format")


def exporter(
    name: str,
    *,
    version: int,
    columns: Mapping[str, str],
    unit: Unit = "record",
    suffix: Literal["jsonl", "parquet"] = "jsonl",
    options: type[Frozen] = Frozen,
) -> Callable[[Any], Any]:
    """Register a format; `columns` maps each column to its DuckDB type, in order."""
    return EXPORTERS.add(name, version=version, options=options, columns=columns, unit=unit, suffix=suffix)
