"""Which pages of a database file are damaged, and whose they are.

The database engine stops at the first damaged page and does not say which it was. This walk follows every table's tree from
its root (file format: sqlite.org/fileformat2.html, §1.6) and names pages whose header or pointers cannot be true. Damage inside
a row's content is not seen here; texts carry their own hash for that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_LEAVES, _INNER = {0x0A, 0x0D}, {0x02, 0x05}


class DamagedPage(NamedTuple):
    """A page that cannot be what it should be."""

    number: int
    table: str


def damaged_pages(path: Path, roots: Mapping[str, int]) -> list[DamagedPage]:
    """Return the damaged pages of a database file.

    Args:
        path: The file; nothing may be writing to it.
        roots: Table or index name to the number of its first page.
    """
    with path.open("rb") as stream:
        head = stream.read(100)
        size = int.from_bytes(head[16:18], "big")
        size = 65536 if size == 1 else size
        if head[:15] != b"SQLite format 3" or size < 512:
            return [DamagedPage(1, "the file's header")]
        last = path.stat().st_size // size

        def read(number: int) -> bytes:
            stream.seek((number - 1) * size)
            return stream.read(size)

        found: list[DamagedPage] = []
        for table, root in roots.items():
            seen: set[int] = set()
            todo = [root]
            while todo:
                number = todo.pop()
                children = None if number in seen or not 0 < number <= last else _children(read(number), number)
                seen.add(number)
                if children is None:
                    found.append(DamagedPage(number, table))
                else:
                    todo.extend(children)
        return found


def _children(page: bytes, number: int) -> list[int] | None:
    """Return the pages below a page, or None where the page cannot be true."""
    start = 100 if number == 1 else 0
    kind = page[start]
    if kind not in _LEAVES | _INNER:
        return None
    header = 12 if kind in _INNER else 8
    count = int.from_bytes(page[start + 3 : start + 5], "big")
    if start + header + 2 * count > len(page):
        return None
    places = [int.from_bytes(page[i : i + 2], "big") for i in range(start + header, start + header + 2 * count, 2)]
    if any(not start + header + 2 * count <= place < len(page) - 3 for place in places):
        return None
    return list(_pointers(page, start, places)) if kind in _INNER else []


def _pointers(page: bytes, start: int, places: list[int]) -> Iterator[int]:
    for place in places:
        yield int.from_bytes(page[place : place + 4], "big")
    yield int.from_bytes(page[start + 8 : start + 12], "big")
