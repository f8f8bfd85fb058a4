r"""Find the answer in a completion by the format that was declared, and by no other.

A grader that hunts for "some number near the end" turns luck into training data, so a recipe names the format and a
text without it has no answer; guessing (`last_number`) happens only when it is asked for by name. The trade-off: a
right answer in the wrong form counts as none, which costs acceptance and keeps precision.

Completions are hostile input. Every reader here goes over the text a fixed number of times, so time is linear in its
length: no reader starts again inside what it has already read, and no pattern can backtrack over what it has consumed.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Annotated, NamedTuple

from pydantic import AfterValidator

from gristmill.errors import InputError
from gristmill.registry import nearest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

FORMS = (
    "`auto`, `boxed`, `hash` (#### 72), `line:PREFIX` (line:A:), `json:FIELD` (json:answer), `tag:NAME` (tag:answer), "
    "`literal`, `last_number`"
)
_PLAIN = ("auto", "boxed", "hash", "literal", "last_number")
_WITH_ARGUMENT = ("line", "json", "tag")
_AUTO = ("boxed", "hash", "tag:answer", "line:Answer:", "line:A:")
"""What `auto` tries, most explicit first. Never a guess."""


class Extraction(NamedTuple):
    """The answer that a text declares, and how it was found."""

    answer: str | None
    """None where the declared format is not there, or is there and empty."""
    method: str
    """The format that found it; for `auto` the one that was present."""
    multi_answer: bool
    """Whether the text declares several different answers: a sign of hedging or of a second, invented problem."""


def check_format(text: str) -> None:
    """Refuse an answer format that does not exist.

    Raises:
        InputError: with a fix that names the forms.
    """
    name, colon, argument = text.partition(":")
    if text in _PLAIN or (name in _WITH_ARGUMENT and argument.strip()):
        return
    if name in _WITH_ARGUMENT:
        example = {"line": "line:A:", "json": "json:answer", "tag": "tag:answer"}[name]
        raise InputError(
            f"the answer format `{text}` needs a name after the colon",
            fix=f"Write it like `{example}`. There are: {FORMS}.",
        )
    near = nearest(name, _PLAIN + _WITH_ARGUMENT)
    meant = f"did you mean `{near}{colon if near in _WITH_ARGUMENT else ''}`? " if near else ""
    raise InputError(f"there is no answer format `{text}`", fix=f"{meant}There are: {FORMS}.")


def _checked(text: str) -> str:
    try:
        check_format(text)
    except InputError as wrong:
        raise ValueError(f"{wrong}. {wrong.fix}") from None
    return text


AnswerFormat = Annotated[str, AfterValidator(_checked)]
"""An answer format as the field of an options model: checked when the options are built."""


def extract(text: str, answer_format: str, *, verbatim: bool = False) -> Extraction:
    """Return the answer that `text` declares in `answer_format`; a `<think>` block is not looked at.

    With `verbatim` a JSON string keeps the white space at its ends, and an empty one is an answer: as a program's output is.

    Raises:
        InputError: where there is no such format.
    """
    check_format(answer_format)
    text = without_thinking(text)
    if answer_format != "auto":
        return _extract_one(text, answer_format, verbatim=verbatim)
    found = (_extract_one(text, form) for form in _AUTO)
    return next((one for one in found if one.answer is not None), Extraction(None, "auto", multi_answer=False))


def present(answer: str, answer_format: str) -> str:
    """Return an answer as a text that declares it in a format: what `extract` finds again."""
    name, _, argument = answer_format.partition(":")
    if name == "json":
        return json.dumps({argument: answer}, ensure_ascii=False)
    forms = {"hash": "#### {}", "line": f"{argument} {{}}", "tag": f"<{argument}>{{}}</{argument}>", "boxed": "\\boxed{{{}}}"}
    return forms.get("boxed" if name == "auto" else name, "{}").format(answer)


def without_thinking(text: str) -> str:
    """Return what follows visible reasoning.

    Many chat templates open the block before the model's first token, so a close without an open ends one too; an open
    without a close is reasoning that was cut off, and nothing after it is an answer.
    """
    opening, closing = "<think>", "</think>"
    first_open, first_close = text.find(opening), text.find(closing)
    at = 0
    if first_close >= 0 and not 0 <= first_open < first_close:
        at = first_close + len(closing)
    kept: list[str] = []
    while (opened := text.find(opening, at)) >= 0:
        kept.append(text[at:opened])
        closed = text.find(closing, opened)
        if closed < 0:
            return "".join(kept)
        at = closed + len(closing)
    return "".join([*kept, text[at:]])


def _extract_one(text: str, answer_format: str, *, verbatim: bool = False) -> Extraction:
    name, _, argument = answer_format.partition(":")
    if name == "json":
        raw = _json_values(text, argument)
        values = [value for one in raw if (value := _cooked(one, verbatim=verbatim)) or (verbatim and one[:1] in _STRING)]
        answers, method = values[:1], answer_format
        if not values:
            # The object does not parse, most often because of quotes inside its prose; its field may still be plain.
            values = _loose_json_values(text, argument)
            answers, method = values[:1], f"{answer_format}~"
    else:
        method = answer_format
        values = _READERS[name](text, argument)
        answers = values[-1:]
    return Extraction(answers[0] if answers else None, method if answers else answer_format, _differ(values))


def _differ(values: Sequence[str]) -> bool:
    return len({"".join(value.split()) for value in values}) > 1


# --- the readers: each returns every answer of its format, in the text's order, none of them empty


def _read_hash(text: str, _argument: str) -> list[str]:
    pieces = re.split(r"####+", text)[1:]
    return _filled(piece.split("\n", 1)[0] for piece in pieces)


_BRACES = re.compile(r"\\(?:boxed|fbox)\s*\{|\\[{}]|[{}]")


def _read_boxed(text: str, _argument: str) -> list[str]:
    start = min((at for at in (text.find(r"\boxed"), text.find(r"\fbox")) if at >= 0), default=len(text))
    open_boxes: list[int] = []  # where a box's content begins; -1 for any other brace
    spans: list[tuple[int, int]] = []
    for match in _BRACES.finditer(text, start):
        mark = match.group()
        if mark == "{":
            open_boxes.append(-1)
        elif len(mark) > 2:
            open_boxes.append(match.end())
        elif mark == "}" and open_boxes:
            begin = open_boxes.pop()
            # Of nested boxes only the innermost counts; so spans never overlap and cutting them out is linear.
            if begin >= 0 and (not spans or spans[-1][0] < begin):
                spans.append((begin, match.start()))
    return _filled(text[begin:end] for begin, end in spans)


def _read_line(text: str, prefix: str) -> list[str]:
    found: list[str] = []
    for raw in text.split("\n"):
        if len(raw) < len(prefix):
            continue
        line = raw.strip()
        bold = line.startswith("**")
        if bold:
            # `**A:** 5`, `**A: 5**` and `**A**: 5` are all the line `A: 5` in bold.
            line = line.replace("**", "", 2).strip()
        if line.startswith(prefix):
            value = line.removeprefix(prefix).strip()
            if len(value) > 4 and value.startswith("**") and value.endswith("**"):
                value = value[2:-2]
            found.append(value)
    return _filled(found)


def _read_tag(text: str, name: str) -> list[str]:
    opening, closing = f"<{name}>", f"</{name}>"
    found: list[str] = []
    at = 0
    while (closed := text.find(closing, at)) >= 0:
        opened = text.rfind(opening, at, closed)
        if opened >= 0:
            found.append(text[opened + len(opening) : closed])
        at = closed + len(closing)
    return _filled(found)


def _read_literal(text: str, _argument: str) -> list[str]:
    return _filled([text])


_NUMBER_IN_PROSE = re.compile(r"(?<![\w.])-?[$€£]?(?:[0-9]{1,3}(?:,[0-9]{3})+(?!,?[0-9])|[0-9]+)(?:\.[0-9]+)?(?:/[0-9]+)?")


def _read_last_number(text: str, _argument: str) -> list[str]:
    return [match.group() for match in _NUMBER_IN_PROSE.finditer(text)]


_READERS: dict[str, Callable[[str, str], list[str]]] = {
    "hash": _read_hash,
    "boxed": _read_boxed,
    "line": _read_line,
    "tag": _read_tag,
    "literal": _read_literal,
    "last_number": _read_last_number,
}


def _filled(values: Iterable[str]) -> list[str]:
    return [stripped for value in values if (stripped := value.strip())]


# --- JSON as models write it

MAX_DEPTH = 200
"""Objects and arrays inside one another; deeper ones are read as if they began there."""
_START = re.compile(r"\{(?=\s*[\"'`])")
_SPACE = re.compile(r"\s*")
_KEY = re.compile(r"""(?:"((?:[^"\\\n]|\\.)*)"|'((?:[^'\\\n]|\\.)*)'|`((?:[^`\\\n]|\\.)*)`)\s*:\s*""")
_BARE = re.compile(r"[+-]?(?:[0-9./]|[eE][+-]?(?=[0-9])|,(?=[0-9]{3}(?![0-9])))+|true|false|null|True|False|None|NaN|-?Infinity")
# A quote ends a value only where JSON can go on after it: that reads all valid JSON and forgives quotes inside prose.
# What may stand in a string and what ends it begin differently, so one that does not end is known after one way back. Possessive
# quantifiers would say the same, but early releases of Python 3.11 get them wrong inside groups.
_STRING = {
    quote: re.compile(rf"{quote}((?:[^{quote}\\]|\\.|{quote}(?!\s*[,}}\]]))*){quote}(?=\s*[,}}\]])", re.DOTALL)
    for quote in "\"'`"
}


class _Level:
    """An object or array that is still open while it is read."""

    __slots__ = ("begin", "closer", "full", "nested", "own", "wanted")

    def __init__(self, closer: str, begin: int) -> None:
        self.closer = closer
        self.begin = begin
        self.full = False  # an item was read: a comma or the closer comes next
        self.wanted = False  # the item being read is the field that is looked for
        self.own: list[tuple[int, int]] = []
        self.nested: list[tuple[int, int]] = []


def _json_values(text: str, field: str) -> list[str]:
    """Return the field's value as it is written in each complete object, outermost first.

    The reader never goes back: where an object breaks, the search goes on at the token that broke it. All objects that
    were open there break with it, so of what is complete only that inside a broken object's strings is missed.
    """
    found: list[str] = []
    unclosed: set[str] = set()
    at, last = 0, text.rfind(field)
    while at < last and (start := _START.search(text, at, last)) is not None:
        spans, at = _read_object(text, start.start(), field, unclosed)
        found.extend(text[begin:end] for begin, end in spans)
    return found


def _read_object(text: str, begin: int, field: str, unclosed: set[str]) -> tuple[list[tuple[int, int]], int]:
    """Read one object; return where the field's values are and where to go on."""
    stack = [_Level("}", begin)]
    complete: list[tuple[int, int]] = []  # of the first complete object inside one that breaks
    at = begin + 1
    while True:
        level = stack[-1]
        mark = text[at : at + 1]
        if mark.isspace():
            at = _skip(text, at)
        elif mark and mark == level.closer:
            at += 1
            stack.pop()
            level.nested = level.own or level.nested
            if not stack:
                return level.nested, at
            complete = complete or level.nested
            _finish_item(stack[-1], level.begin, at)
            stack[-1].nested = stack[-1].nested or level.nested
        elif level.full and mark == ",":
            level.full = False
            at += 1
        else:
            after = -1 if level.full else _read_item(text, at, field, stack, unclosed)
            if after < 0:
                return complete, at
            at = after


def _read_item(text: str, at: int, field: str, stack: list[_Level], unclosed: set[str]) -> int:
    """Read a key and the value after it, or the opening of one; return where to go on, -1 where it breaks."""
    level = stack[-1]
    if level.closer == "}":
        key = _KEY.match(text, at)
        if key is None:
            return -1
        level.wanted = key.group(key.lastindex or 0) == field
        at = key.end()
    mark = text[at : at + 1]
    if mark in ("{", "["):
        if len(stack) >= MAX_DEPTH:
            return -1
        stack.append(_Level("}" if mark == "{" else "]", at))
        return at + 1
    if mark in unclosed:
        return -1
    value = _STRING.get(mark, _BARE).match(text, at)
    if value is None:
        # Where a string does not end, no later one with this quote does; knowing that keeps the whole search linear.
        unclosed.add(mark)
        return -1
    _finish_item(level, at, value.end())
    return value.end()


def _finish_item(level: _Level, begin: int, end: int) -> None:
    level.full = True
    if level.wanted:
        level.own.append((begin, end))
        level.wanted = False


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at


def _loose_json_values(text: str, field: str) -> list[str]:
    """Return the field's values by key alone; an object that was never closed counts as cut off."""
    pattern = re.compile(rf'"{re.escape(field)}"\s*:\s*(?:("(?:[^"\\\n]|\\.)*")|([^"\s,}}][^"}}\n]*))')
    last_close = text.rfind("}")
    raw = (match.group(1) or match.group(2) for match in pattern.finditer(text) if match.end() <= last_close)
    return [value for one in raw if (value := _cooked(one.rstrip().rstrip(",")))]


def _cooked(raw: str, *, verbatim: bool = False) -> str:
    """Return a value's text: a string without its quotes and escapes, anything else as it stands; empty for null."""
    if raw[:1] in _STRING:
        return _unescaped(raw[1:-1]) if verbatim else _unescaped(raw[1:-1]).strip()
    value = raw.strip()
    return "" if value in ("null", "None") else value


# `\frac`, `\text`, `\beta`, `\right`, `\neq` are LaTeX that was not escaped, though JSON reads `\f`, `\t` and so on.
_LATEX = re.compile(
    r"\\(?:[bf](?=[a-zA-Z])"  # nobody means a backspace or a form feed
    r"|r(?=(?:ight|ho|angle|floor|ceil|m)(?![a-zA-Z]))"
    r"|t(?=(?:ext|extbf|extrm|extit|imes|heta|an|anh|au|o|op|riangle|frac|ilde)(?![a-zA-Z]))"
    r"|n(?=(?:abla|eq|e|eg|mid|ot|otin|u|i)(?![a-zA-Z])))"
)
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_PLAIN_ESCAPES = {
    "n": "\n",
    "t": "\t",
    "r": "\r",
    "b": "\b",
    "f": "\f",
    '"': '"',
    "'": "'",
    "`": "`",
    "\\": "\\",
    "/": "/",
}


def _unescaped(raw: str) -> str:
    if "\\" not in raw:
        return raw
    if not _LATEX.search(raw):
        try:
            return _without_surrogates(json.loads(f'"{raw}"', strict=False))
        except ValueError:
            pass
    return _without_surrogates(_ESCAPE.sub(_one_escape, raw))


def _one_escape(match: re.Match[str]) -> str:
    if match.group(1):
        return chr(int(match.group(1), 16))
    if _LATEX.match(match.string, match.start()):
        return match.group()
    return _PLAIN_ESCAPES.get(match.group(2), match.group())


def _without_surrogates(text: str) -> str:
    """Join escaped surrogate pairs and replace lone ones, which no file or table could hold."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
