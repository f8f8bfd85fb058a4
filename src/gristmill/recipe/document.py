"""YAML text to plain Python, remembering where everything stood.

A recipe is hostile input. The text is composed into nodes by a YAML 1.2 library and walked here: no tag builds an object,
aliases are counted as what they expand to, keys may not repeat, and size and depth are bounded. In exchange every value has
a line and a column for error messages. YAML 1.2's core schema holds: `no` is text, `3e-4` is a number.
"""

from __future__ import annotations

import io
import math
import re
from typing import Any, NamedTuple

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from gristmill.errors import RecipeError

MAX_CHARS = 200_000
MAX_VALUES = 20_000
MAX_DEPTH = 40

Path = tuple[str | int, ...]

_INT = re.compile(r"[-+]?[0-9]+\Z")
_OCTAL = re.compile(r"0o[0-7]+\Z")
_HEX = re.compile(r"0x[0-9a-fA-F]+\Z")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
_SCALAR_TAGS = {"!", *(f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "null"))}
"""Tags that change nothing …"""
_GUESSED_TAGS = {f"tag:yaml.org,2002:{kind}" for kind in ("timestamp", "merge", "value")}
"""… and those that the library gives to plain text such as `2026-01-02`, which is text in the core schema."""
_COLLECTION_TAGS = {"tag:yaml.org,2002:seq", "tag:yaml.org,2002:map"}
_NULL = {"", "~", "null", "Null", "NULL"}
_TRUE = {"true", "True", "TRUE"}
_FALSE = {"false", "False", "FALSE"}


# the YAML library is not typed; its nodes and marks are read as Any in this module alone
_YAML: Any = YAML(typ="safe", pure=True)


class Mark(NamedTuple):
    """A place in the text, counted from 1."""

    line: int
    column: int


class Document(NamedTuple):
    """A parsed YAML text and the place of each of its values."""

    name: str
    content: Any
    marks: dict[Path, Mark]

    def where(self, path: Path) -> str:
        """Return `name:line:column` of the value at `path`, or of its nearest enclosing value that is in the text."""
        mark = self.mark(path)
        return f"{self.name}:{mark.line}:{mark.column}" if mark else self.name

    def mark(self, path: Path) -> Mark | None:
        """Return the place of the value at `path`, or of its nearest enclosing value that is in the text."""
        path = self.as_written(path)
        while path and path not in self.marks:
            path = path[:-1]
        return self.marks.get(path)

    def as_written(self, path: Path) -> Path:
        """Return `path` without the list index that a short form leaves out: `prompts.0.path` is written `prompts.path`."""
        written: Path = ()
        for part in path:
            if not (isinstance(part, int) and written in self.marks and (*written, part) not in self.marks):
                written = (*written, part)
        return written


def parse_document(text: str, name: str) -> Document:
    """Parse YAML 1.2 `text`; `name` is the file's name for error messages.

    Raises:
        RecipeError: with the place, for anything that is not one plain, bounded YAML document.
    """
    if len(text) > MAX_CHARS:
        raise RecipeError(
            f"the recipe has {len(text):,} characters; at most {MAX_CHARS:,} are read",
            fix="Put data into a data file and name it under `prompts.path`.",
            where=name,
        )
    try:
        node = _YAML.compose(text)
    except RecursionError:
        raise RecipeError(f"nested more than {MAX_DEPTH} deep", fix="Flatten it.", where=name) from None
    except MarkedYAMLError as error:
        raise _syntax_error(error, text, name) from None
    except (YAMLError, ValueError) as error:
        raise RecipeError(f"not YAML: {str(error).splitlines()[0]}", fix="See recipes/ for examples.", where=name) from None
    if node is None:
        raise RecipeError("the recipe is empty", fix="Write one with `gristmill init`.", where=name)
    walk = _Walk(name)
    content = walk.value(node, ())
    return Document(name, content, walk.marks)


def dump_document(content: dict[str, Any]) -> str:
    """Return plain content as YAML, keys in their order."""
    stream = io.StringIO()
    yaml: Any = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False
    yaml.dump(content, stream)
    return stream.getvalue()


def _syntax_error(error: Any, text: str, name: str) -> RecipeError:
    found: Any = error.problem_mark or error.context_mark
    mark = Mark(int(found.line) + 1, int(found.column) + 1) if found else Mark(1, 1)
    where = f"{name}:{mark.line}:{mark.column}"
    lines = text.splitlines()
    line = lines[mark.line - 1] if mark.line <= len(lines) else ""
    if "\t" in line[: mark.column]:
        return RecipeError("a tab is used for indentation", fix="Write spaces instead of the tab.", where=where)
    problem = str(error.problem or "not YAML").strip()
    if "anchor" in problem or "alias" in problem:
        return RecipeError(problem, fix="Define the anchor before it is used.", where=where)
    return RecipeError(
        f"not YAML: {problem}",
        fix=f"Look at this line: {line.strip()[:80]!r}. Text with `: ` or `#` in it goes in quotes.",
        where=where,
    )


class _Walk:
    """Turns nodes into plain values; counts them, so that an alias bomb ends early."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.marks: dict[Path, Mark] = {}
        self.count = 0

    def value(self, node: Any, path: Path) -> Any:
        mark = Mark(node.start_mark.line + 1, node.start_mark.column + 1)
        self.count += 1
        if self.count > MAX_VALUES:
            raise self.error(
                mark, f"more than {MAX_VALUES:,} values once aliases are expanded", "Write out less, or use no aliases."
            )
        if len(path) > MAX_DEPTH:
            raise self.error(mark, f"nested more than {MAX_DEPTH} deep", "Flatten it.")
        self.marks[path] = mark
        kind = node.id
        if kind == "scalar":
            return self.scalar(node, mark)
        self.tag(node, mark, _COLLECTION_TAGS)
        if kind == "sequence":
            return [self.value(item, (*path, index)) for index, item in enumerate(node.value)]
        return self.mapping(node.value, path)

    def mapping(self, pairs: list[tuple[Any, Any]], path: Path) -> dict[str, Any]:
        content: dict[str, Any] = {}
        for key_node, value_node in pairs:
            mark = Mark(key_node.start_mark.line + 1, key_node.start_mark.column + 1)
            if key_node.id != "scalar":
                raise self.error(mark, "a key must be plain text", "Write `name: value`.")
            key = str(key_node.value)
            if key in content:
                first = self.marks[(*path, key)]
                raise self.error(mark, f"`{key}` is written twice (first in line {first.line})", "Keep one of them.")
            content[key] = self.value(value_node, (*path, key))
            self.marks[(*path, key)] = mark
        return content

    def scalar(self, node: Any, mark: Mark) -> str | int | float | bool | None:
        self.tag(node, mark, _SCALAR_TAGS | _GUESSED_TAGS)
        text = str(node.value)
        if node.style in ('"', "'", "|", ">"):
            return text
        value = _plain(text)
        if isinstance(value, int) and abs(value) >= 2**63:
            raise self.error(mark, f"the number {text[:30]}… is too large", "Write one below 2^63.")
        return value

    def tag(self, node: Any, mark: Mark, allowed: set[str]) -> None:
        tag = str(node.ctag) if node.ctag is not None else ""
        if tag and tag not in allowed:
            raise self.error(mark, f"the tag `{tag}` is not allowed", "Write a plain value.")

    def error(self, mark: Mark, message: str, fix: str) -> RecipeError:
        return RecipeError(message, fix=fix, where=f"{self.name}:{mark.line}:{mark.column}")


def _plain(text: str) -> str | int | float | bool | None:
    """Resolve an unquoted scalar by the YAML 1.2 core schema (yaml.org/spec/1.2.2, 10.3.2); infinities stay text."""
    if text in _NULL:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    if len(text) > 400:
        return text
    for pattern, base in ((_INT, 10), (_OCTAL, 8), (_HEX, 16)):
        if pattern.match(text):
            return int(text, base)
    number = float(text) if _FLOAT.match(text) else None
    return number if number is not None and math.isfinite(number) else text
