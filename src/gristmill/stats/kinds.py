"""What a kind of data wants to know of itself: shares of what was declared, coverage of documents, lengths of talks.

One pass, counters and intervals: memory grows with the documents and the values that are declared, not with the texts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gristmill.plain import as_object

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

MOST_VALUES = 40
"""Values of one key that are listed; the rest are together."""
MOST_DOCUMENTS = 200
"""Documents that are listed."""
REST, NONE = "(others)", "(none)"


class _Document:
    """One document: its length, and what was kept of it."""

    def __init__(self) -> None:
        self.characters = 0
        self.passages: set[tuple[int, int]] = set()
        self.used: list[tuple[int, int]] = []
        self.quoted: list[tuple[int, int]] = []
        self.kept = 0


class KindTally:
    """Counts one run's samples as their kind wants them counted."""

    def __init__(self, keys: Sequence[str]) -> None:
        """Take the keys of `meta` whose values are counted; a key that holds an object is counted by each of its own."""
        self._keys = keys
        self._counts: dict[str, dict[str, list[int]]] = {}
        self._documents: dict[str, _Document] = {}
        self._turns: dict[int, int] = {}
        self._repairs = 0

    def add(self, meta: Mapping[str, Any], *, accepted: bool, kept: bool) -> None:
        """Count a sample by its prompt's and its own `meta`."""
        for key, value in self._values(meta):
            made = self._counts.setdefault(key, {}).setdefault(value, [0, 0, 0])
            for place, counts in enumerate((True, accepted, kept)):
                made[place] += counts
        self._repairs += bool(meta.get("repairs"))
        turns = meta.get("user_turns")
        if kept and isinstance(turns, int):
            self._turns[turns] = self._turns.get(turns, 0) + 1

    def passage(self, document: str, passage: tuple[int, int], characters: int, quoted: Iterable[tuple[int, int]] | None) -> None:
        """Note a passage that was asked about; `quoted` where a row of it was kept, the spans of its evidence in the document."""
        known = self._documents.setdefault(document, _Document())
        known.characters = max(known.characters, characters, passage[1])
        known.passages.add(passage)
        if quoted is not None:
            known.kept += 1
            known.used.append(passage)
            known.quoted += quoted

    def _values(self, meta: Mapping[str, Any]) -> Iterable[tuple[str, str]]:
        for key in self._keys:
            value = meta.get(key)
            inner = as_object(value)
            if inner is not None:
                for name, one in inner.items():
                    yield f"{key}.{name}", str(one)[:100]
            elif key in meta:
                yield key, NONE if value is None else str(value)[:100]

    def figures(self) -> dict[str, Any]:
        """Return everything as plain data; what does not apply is left out."""
        found: dict[str, Any] = {}
        if self._counts:
            found["counted"] = [
                {"key": key, "values": [{"value": v, "made": m, "accepted": a, "kept": k} for v, (m, a, k) in _first(values)]}
                for key, values in sorted(self._counts.items())
            ]
        if self._documents:
            found["documents"] = self._covered()
        if self._turns:
            total = sum(self._turns.values())
            found["turns"] = {
                "conversations": total,
                "mean": round(sum(turns * count for turns, count in self._turns.items()) / total, 3),
                "counts": [{"turns": turns, "kept": count} for turns, count in sorted(self._turns.items())],
            }
        if self._repairs:
            found["repaired"] = self._repairs
        return found

    def _covered(self) -> dict[str, Any]:
        rows = [
            {
                "document": name,
                "kept": one.kept,
                "passages": len(one.passages),
                "characters": one.characters,
                "covered": round(_length(one.used) / one.characters, 4) if one.characters else 0.0,
                "quoted": round(_length(one.quoted) / one.characters, 4) if one.characters else 0.0,
            }
            for name, one in sorted(self._documents.items())
        ]
        characters = sum(one.characters for one in self._documents.values()) or 1
        return {
            "documents": len(rows),
            "used": sum(1 for row in rows if row["kept"]),
            "covered": round(sum(_length(one.used) for one in self._documents.values()) / characters, 4),
            "quoted": round(sum(_length(one.quoted) for one in self._documents.values()) / characters, 4),
            "table": rows[:MOST_DOCUMENTS],
        }


def _first(values: Mapping[str, list[int]]) -> list[tuple[str, tuple[int, int, int]]]:
    ordered = sorted(values.items(), key=lambda item: (-item[1][0], item[0]))
    rows = [(value, (counts[0], counts[1], counts[2])) for value, counts in ordered[:MOST_VALUES]]
    rest = [counts for _, counts in ordered[MOST_VALUES:]]
    if rest:
        rows.append((REST, (sum(c[0] for c in rest), sum(c[1] for c in rest), sum(c[2] for c in rest))))
    return rows


def _length(spans: Iterable[tuple[int, int]]) -> int:
    """Return how many characters a union of spans has."""
    total, end = 0, 0
    for start, stop in sorted(spans):
        total += max(0, stop - max(start, end))
        end = max(end, stop)
    return total
