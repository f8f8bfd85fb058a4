"""Numbers, names, code and links that a rewriting must carry over, and must not add.

A fluent rewriting that turns 1,024 into 1,042 is worse than no rewriting, and no reader sees it. So what has only one right
form is taken out of both texts and compared: numbers by their exact value, however they are written (`1,024`, `1024`, `five` for
`5`, `10 million`), with their sign and with what they count (`amounts`); links and code as they stand; names as words. What is a
name is guessed by its capitals inside a sentence, by capitals in the middle of a word and by acronyms, so that needs no model and
knows no language's names; a word that begins a sentence is a name only if it is one elsewhere.
"""

from __future__ import annotations

import re
from collections import Counter
from fractions import Fraction
from typing import TYPE_CHECKING, Literal, NamedTuple

from pydantic import Field, model_validator

from gristmill.grading.amounts import amounts, changed, spoken
from gristmill.grading.registry import grader
from gristmill.messages import Frozen
from gristmill.records import Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Self

    from gristmill.records import Prompt, Sample

Kind = Literal["numbers", "names", "code", "links"]
SHOWN = 10
"""Things that evidence lists of each kind."""

_LINK = re.compile(r"\b(?:https?|ftp)://[^\s<>\"'`\])}]+|\bwww\.[^\s<>\"'`\])}]+|\b[\w.+-]+@[\w-]+\.[\w.-]+\b")
_NAMED_LINK = re.compile(r"`([^`<>]*?)\s*<([^<>`\n]*)>`__?")
"""A link with its words, as reStructuredText writes it."""
_FENCED = re.compile(r"^[ \t]*(```|~~~)[^\n]*\n(.*?)^[ \t]*\1[ \t]*$", re.DOTALL | re.MULTILINE)
_INLINE = re.compile(r"(?<!`)(`{1,2})(?!`)([^`\n]{1,200}?)\1(?!`)")
_WORD = re.compile(r"[^\W\d_][\w’'-]*(?:\.[^\W\d_][\w]*)*", re.UNICODE)
_ENDS = re.compile(r"(?:[.!?:;…]|\n\s*\n|[-=~^*#]{3,})[\"'”’)\]*_\s]*$|^\s*(?:[-*+#>]+|\d+[.)])?\s*[\"'“‘(\[*_]*$")
_NO_NAMES = frozenset(
    [
        *("i", "i'm", "i've", "i'll", "i'd", "a", "an", "the", "this", "that", "these", "those", "he", "she", "it"),
        *("we", "they", "you", "his", "her", "its", "our", "their", "your", "my", "and", "but", "or", "if", "in"),
        *("on", "at", "by", "for", "with", "from", "to", "of", "as", "is", "are", "was", "were", "be", "not", "no"),
        *("yes", "so", "then", "there", "here", "when", "while", "where", "who", "what", "which", "why", "how", "all"),
        *("any", "some", "each", "also", "however", "note", "please", "one", "two", "three"),
    ]
)


class PreservedOptions(Frozen):
    """What must be carried over, and how completely."""

    of: tuple[Kind, ...] = ("numbers", "names", "code", "links")
    """What is compared."""
    missing: float = Field(default=0.0, ge=0, le=1)
    """The largest share of the source's that may be missing, of each kind; 1 for a summary, which only may not add."""
    added: float = Field(default=0.0, ge=0, le=1)
    """The largest share of the rewriting's that the source has not, of each kind."""
    source: Literal["prompt", "reference"] = "prompt"
    """Where the source stands: the prompt's last message, or the reference."""

    @model_validator(mode="after")
    def _checks_something(self) -> Self:
        if not self.of or (self.missing == 1 and self.added == 1):
            raise ValueError("nothing is checked: name kinds in `of`, and let not all of them be missing and added")
        return self


class Things(NamedTuple):
    """What is taken out of a text."""

    numbers: frozenset[Fraction | str]
    names: frozenset[str]
    code: frozenset[str]
    links: frozenset[str]


@grader("preserved", version=2, options=PreservedOptions)
def grade_preserved(prompt: Prompt, sample: Sample, options: PreservedOptions) -> Verdict:
    """Compare numbers, names, code and links of a rewriting with those of its source.

    Reasons: `preserved`; `missing_numbers`, `added_numbers` and so on for the first kind that fails; without a verdict `no_text`,
    `no_reference`. Score: the share of the source's things that are there.
    """
    source = prompt.reference if options.source == "reference" else prompt.messages[-1].content
    if sample.answer is None or source is None:
        return Verdict(passed=None, reason="no_text" if sample.answer is None else "no_reference")
    before, after = things(source), things(sample.answer)
    reason, evidence, kept, total = "preserved", dict[str, object](), 0, 0
    for kind in options.of:
        had: frozenset[object] = getattr(before, kind)
        has: frozenset[object] = getattr(after, kind)
        missing = [one for one in had if one not in has and not _said(kind, one, sample.answer, after)]
        added = [one for one in has if one not in had and not _said(kind, one, source, before)]
        if kind == "numbers":
            lost, new = changed(source, sample.answer, words=options.missing < 1)
            missing, added = [*missing, *lost], [*added, *new]
        kept, total = kept + len(had) - len(missing), total + len(had)
        for word, found, of, most in (("missing", missing, had, options.missing), ("added", added, has, options.added)):
            if found and most < 1:
                evidence[f"{word}_{kind}"] = sorted(map(str, found))[:SHOWN]
                if reason == "preserved" and len(found) > most * len(of):
                    reason = f"{word}_{kind}"
    score = kept / total if total else 1.0
    return Verdict.model_validate({"passed": reason == "preserved", "reason": reason, "score": score, "evidence": evidence})


def things(text: str) -> Things:
    """Return the numbers, names, code and links of a text."""
    text = _NAMED_LINK.sub(r"\1 \2 ", text)
    links = frozenset(link.rstrip(".,;:!?").removesuffix("/").casefold() for link in _LINK.findall(text))
    text = _LINK.sub(" ", text)
    code = frozenset(_one_line(found) for _, found in _FENCED.findall(text) if found.strip())
    text = _FENCED.sub(" ", text)
    code |= frozenset(_one_line(found) for _, found in _INLINE.findall(text))
    prose = _INLINE.sub(" ", text)
    return Things(amounts(prose), frozenset(_names(prose)), code, links)


def _said(kind: str, one: object, text: str, there: Things) -> bool:
    """Whether something stands in a text in another form, such as a name that begins a sentence."""
    if kind == "names":
        prose = _flat(_LINK.sub(" ", text))
        return re.search(rf"(?<!\w){re.escape(str(one))}(?:s|es|['’]s)?(?!\w)", prose, re.IGNORECASE) is not None
    if kind == "code":
        return str(one) in _one_line(text)
    if kind == "links":
        return str(one) in text.casefold()
    if isinstance(one, Fraction):
        return one in spoken(text) or any(one in amounts(code) for code in there.code)
    return str(one) in text


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _flat(text: str) -> str:
    return " ".join(re.sub(r"[`*_]", "", text).split()).replace("’", "'")


# --- names


def _names(text: str) -> Iterable[str]:
    """Yield names: capitalised words within sentences, acronyms, words with capitals or digits inside."""
    begun, inside = Counter[str](), Counter[str]()
    for match in _WORD.finditer(text):
        word = match.group().replace("’", "'").removesuffix("'s").rstrip("'-")
        if len(word) < 2 or word.casefold() in _NO_NAMES:
            continue
        mixed = any(letter.isupper() for letter in word[1:])
        if not (mixed or word[0].isupper()):
            continue
        shouted = word.isupper() and len(word) > 6
        first = _ENDS.search(text[max(0, match.start() - 40) : match.start()]) is not None
        if mixed and not shouted:
            inside[word] += 1
        else:
            (begun if first or shouted else inside)[word] += 1
    yield from inside
