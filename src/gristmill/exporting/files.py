"""Records to files, all formats in one pass.

Each format has a folder with one file per split: `messages/train.jsonl`. The whole export is written beside the earlier one
and takes its place at the end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gristmill.files.writing import RowSink

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from gristmill.exporting.registry import ExportFunction, GradedPrompt
    from gristmill.messages import Frozen
    from gristmill.records import Record
    from gristmill.registry import Plugin

SPLITS = ("train", "validation", "test")


class ExportFiles:
    """The files of one export, open until it is committed."""

    def __init__(self, folder: Path, formats: Sequence[tuple[Plugin[ExportFunction], Frozen]]) -> None:
        self._folder = folder
        self._formats = tuple(formats)
        self._sinks: dict[tuple[str, str], RowSink] = {}
        for plugin, _ in self._formats:
            self._sink(plugin, "train")

    def write(self, record: Record) -> None:
        """Add a record to every format of records."""
        self._add("record", record, record.split)

    def write_prompt(self, graded: GradedPrompt) -> None:
        """Add a graded prompt to every format of prompts."""
        self._add("prompt", graded, graded.split)

    def _add(self, unit: str, item: Any, split: str) -> None:
        for plugin, options in self._formats:
            if plugin.traits["unit"] == unit:
                self._sink(plugin, split).write(plugin.function(item, options))

    def _sink(self, plugin: Plugin[ExportFunction], split: str) -> RowSink:
        key = (plugin.name, split)
        if key not in self._sinks:
            path = self._folder / plugin.name / f"{split}.{plugin.traits['suffix']}"
            self._sinks[key] = RowSink(path, plugin.traits["columns"])
        return self._sinks[key]

    def commit(self) -> dict[str, dict[str, int]]:
        """Finish every file and return the rows of each format by split."""
        rows: dict[str, dict[str, int]] = {}
        for (name, split), sink in sorted(self._sinks.items(), key=lambda item: (item[0][0], SPLITS.index(item[0][1]))):
            sink.commit()
            rows.setdefault(name, {})[split] = sink.rows
        return rows

    def discard(self) -> None:
        """Remove what was written."""
        for sink in self._sinks.values():
            sink.discard()
