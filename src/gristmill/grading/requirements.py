"""What an instruction can demand of an answer and a program can check: its form, its words, its counts.

These are the verifiable instructions of instruction following (Zhou et al. 2023, IFEval, arXiv 2311.07911, table 1): each is
one small rule with one meaning. They check what was asked for and nothing else; whether the answer is any good is for other
graders.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pydantic import Field, JsonValue, field_validator, model_validator

from gristmill.grading.registry import Needs, computation, grader
from gristmill.messages import Frozen
from gristmill.plain import as_list, references_in
from gristmill.records import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from gristmill.ports import Session
    from gristmill.records import Prompt, Sample

_FENCE = re.compile(r"\s*```[^\n]*\n(.*?)\n?```\s*", re.DOTALL)
_BULLET = re.compile(r"\s{0,6}[-*+•]\s+\S")
_NUMBERED = re.compile(r"\s{0,6}\d{1,3}[.)]\s+\S")
_HEADING = re.compile(r" {0,3}#{1,6}\s+\S")
_MARKS = re.compile(r"(?m)^ {0,3}#{1,6}\s|^ {0,6}[-*+]\s|\*\*[^*\n]+\*\*|```|^\|.*\|\s*$|\[[^\]\n]+\]\([^)\n]+\)")
_SENTENCE_END = re.compile(r"(?<=[.!?。！？])[\"'”’)\]]*(?:\s+|$)|(?<=[。！？])")
_ABBREVIATION = re.compile(r"\b(?:e\.g|i\.e|etc|vs|mr|mrs|ms|dr|prof|st|no|fig|approx|[a-z])\.$", re.IGNORECASE)

Form = Literal["json", "bullets", "numbered", "plain", "code_block", "title", "quoted", "lowercase", "uppercase"]


class FormatOptions(Frozen):
    """Which form an answer must have."""

    form: Form
    """`json`: one JSON value, alone or in one fence. `bullets` and `numbered`: nothing but such lines. `plain`: no Markdown.
    `code_block`: one fenced block and nothing around it. `title`: a first line in << >>. `quoted`: in double quotation marks.
    `lowercase`, `uppercase`: no letter of the other case."""


@grader("format", version=1, options=FormatOptions, short="form")
def grade_format(_prompt: Prompt, sample: Sample, options: FormatOptions) -> Verdict:
    """Want the answer to have a form: JSON, a list, plain text, one code block, a title, quotation marks, one case."""
    if sample.answer is None:
        return Verdict(passed=None, reason="no_text")
    text = sample.answer.strip()
    passed = bool(text) and _has_form(text, options.form)
    return Verdict(passed=passed, reason=options.form if passed else f"not_{options.form}")


def _has_form(text: str, form: Form) -> bool:
    lines = [line for line in text.splitlines() if line.strip()]
    forms: dict[Form, Callable[[], bool]] = {
        "json": lambda: read_json(text) is not None,
        "bullets": lambda: all(_BULLET.match(line) for line in lines),
        "numbered": lambda: all(_NUMBERED.match(line) for line in lines),
        "plain": lambda: _MARKS.search(text) is None,
        "code_block": lambda: text.count("```") == 2 and _FENCE.fullmatch(text) is not None,
        "title": lambda: re.fullmatch(r"<<[^<>\n]+>>", lines[0].strip()) is not None,
        "quoted": lambda: len(text) > 2 and text[0] in '"“' and text[-1] in '"”',
        "lowercase": lambda: text == text.lower(),
        "uppercase": lambda: text == text.upper(),
    }
    return forms[form]()


class Parsed(NamedTuple):
    """A JSON value that a text is."""

    value: Any


def read_json(text: str) -> Parsed | None:
    """Return the JSON value that the whole text is, alone or in one code fence; NaN and infinity are none."""
    fenced = _FENCE.fullmatch(text)

    def refused(constant: str) -> Any:
        raise ValueError(constant)

    try:
        return Parsed(json.loads(fenced.group(1) if fenced else text, parse_constant=refused))
    except (ValueError, RecursionError):
        return None


class JsonSchemaOptions(Frozen):
    """The JSON Schema that an answer must satisfy."""

    json_schema: dict[str, JsonValue] = Field(alias="schema")
    """Draft 2020-12, or the draft that its `$schema` names; `$ref` within the schema alone."""

    @field_validator("json_schema")
    @classmethod
    def _is_schema(cls, schema: dict[str, JsonValue]) -> dict[str, JsonValue]:
        from jsonschema import SchemaError
        from jsonschema.validators import validator_for

        try:
            validator_for(schema).check_schema(schema)
        except SchemaError as wrong:
            raise ValueError(f"that is no JSON Schema: {wrong.message}") from None
        if far := next((ref for ref in references_in(schema) if not ref.startswith("#")), None):
            raise ValueError(f"`$ref: {far}` points out of the schema, and nothing is fetched: put it under `$defs`")
        return schema


@grader("json_schema", version=1, options=JsonSchemaOptions, short="schema", needs=Needs(("schema_errors",)))
async def grade_json_schema(_prompt: Prompt, sample: Sample, options: JsonSchemaOptions, session: Session) -> Verdict:
    """Want the answer to be one JSON value that satisfies a schema."""
    if sample.answer is None:
        return Verdict(passed=None, reason="no_text")
    found = as_list(await session.compute("schema_errors", text=sample.answer, schema=options.json_schema))
    if found is None:
        return Verdict(passed=False, reason="not_json")
    return Verdict(
        passed=not found, reason="against_schema" if found else "json_schema", evidence={"errors": found} if found else {}
    )


@computation("schema_errors")
def schema_errors(text: str, schema: dict[str, JsonValue]) -> list[JsonValue] | None:
    """Return the first few ways in which a text breaks a schema, or None where it is no JSON; a `pattern` may take for ever."""
    from jsonschema.validators import validator_for

    parsed = read_json(text)
    if parsed is None:
        return None
    errors = validator_for(schema)(schema).iter_errors(parsed.value)
    return [f"{error.json_path}: {error.message}"[:200] for error, _ in zip(errors, range(5), strict=False)]


class KeywordOptions(Frozen):
    """Which words an answer must have, or must not; whole words, whatever their case."""

    all_of: tuple[str, ...] = Field(default=(), alias="all")
    """Every one of these."""
    any_of: tuple[str, ...] = Field(default=(), alias="any")
    """At least one of these."""
    none_of: tuple[str, ...] = Field(default=(), alias="none")
    """None of these."""
    times: dict[str, tuple[int, int | None]] = Field(default_factory=dict)
    """How often a word must come, at least and at most: `{apple: [2, 4]}`; `null` is no limit."""
    case: bool = False
    """Whether upper and lower case differ."""

    @model_validator(mode="after")
    def _wants_something(self) -> Self:
        if not (self.all_of or self.any_of or self.none_of or self.times):
            raise ValueError("`keywords` needs words: `keywords: {all: [apple], none: [pear]}`")
        return self


@grader("keywords", version=1, options=KeywordOptions)
def grade_keywords(_prompt: Prompt, sample: Sample, options: KeywordOptions) -> Verdict:
    """Want words to be there, not to be there, or to come so many times."""
    if sample.answer is None:
        return Verdict(passed=None, reason="no_text")
    text = sample.answer

    def times(word: str) -> int:
        return len(re.findall(rf"(?<!\w){re.escape(word)}(?!\w)", text, 0 if options.case else re.IGNORECASE))

    missing = [word for word in options.all_of if not times(word)]
    if missing:
        return Verdict(passed=False, reason="missing_word", evidence={"words": [*missing]})
    if options.any_of and not any(times(word) for word in options.any_of):
        return Verdict(passed=False, reason="missing_word", evidence={"words": [*options.any_of]})
    if unwanted := [word for word in options.none_of if times(word)]:
        return Verdict(passed=False, reason="forbidden_word", evidence={"words": [*unwanted]})
    for word, (least, most) in options.times.items():
        if not least <= (found := times(word)) <= (found if most is None else most):
            return Verdict(passed=False, reason="word_count", evidence={"word": word, "times": found})
    return Verdict(passed=True, reason="words")


class CountOptions(Frozen):
    """How many of something an answer must have."""

    of: Literal["characters", "words", "sentences", "paragraphs", "lines", "bullets", "numbered", "headings", "code_blocks"]
    """What is counted. Paragraphs stand between empty lines; sentences end in `.`, `!` or `?` before white space."""
    exactly: int | None = Field(default=None, ge=0)
    min: int | None = Field(default=None, ge=0)
    max: int | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _bounded(self) -> Self:
        if self.exactly is None and self.min is None and self.max is None:
            raise ValueError("`count` needs `exactly`, `min` or `max`: `count: {of: sentences, max: 3}`")
        return self


@grader("count", version=1, options=CountOptions)
def grade_count(_prompt: Prompt, sample: Sample, options: CountOptions) -> Verdict:
    """Count words, sentences, paragraphs, bullets, headings or code blocks of the answer."""
    if sample.answer is None:
        return Verdict(passed=None, reason="no_text")
    found = count_of(sample.answer.strip(), options.of)
    low = options.exactly if options.exactly is not None else options.min
    high = options.exactly if options.exactly is not None else options.max
    reason = "too_few" if low is not None and found < low else "too_many" if high is not None and found > high else "count"
    return Verdict(passed=reason == "count", reason=reason, evidence={"count": found, "of": options.of})


def count_of(text: str, unit: str) -> int:
    """Return how many characters, words, sentences, … a text has."""
    lines = text.splitlines()
    match unit:
        case "characters":
            return len(text)
        case "words":
            return len(text.split())
        case "sentences":
            return len(sentences(text))
        case "paragraphs":
            return len([part for part in re.split(r"\n\s*\n", text) if part.strip()])
        case "code_blocks":
            return sum(line.lstrip().startswith("```") for line in lines) // 2
        case _:
            pattern = {"bullets": _BULLET, "numbered": _NUMBERED, "headings": _HEADING}.get(unit)
            return sum(1 for line in lines if (pattern.match(line) if pattern else line.strip()))


def sentences(text: str) -> list[str]:
    """Split prose into sentences; a common abbreviation or an initial ends none."""
    found: list[str] = []
    for part in _SENTENCE_END.split(text):
        piece = part.strip()
        if found and _ABBREVIATION.search(found[-1][-12:]):
            found[-1] = f"{found[-1]} {piece}"
        elif piece:
            found.append(piece)
    return found
