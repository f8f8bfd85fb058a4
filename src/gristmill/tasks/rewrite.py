"""`rewrite`: the same document in another form: clearer, as a textbook, a dialogue, simpler, shorter, in another language.

Rephrased documents teach more than their originals repeated (Maini et al. 2024, "Rephrasing the Web", arXiv 2401.16380). A
document that is larger than a model writes well at once is rewritten section by section, each with the end of what came before,
and put together again; so its length is bounded by nothing but the price. That the rewriting keeps numbers, names, code and
links, copies neither all nor nothing, and has no chat around it is for the graders to say.
"""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from gristmill.ids import seed_for
from gristmill.messages import Frozen, Message, user
from gristmill.prose import CHARACTERS_PER_TOKEN, cut_at
from gristmill.recipe.templates import fence_for
from gristmill.tasks.building import made, unreadable
from gristmill.tasks.quota import Quota, Shares
from gristmill.tasks.registry import task
from gristmill.tasks.spread import variant

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gristmill.ports import Session, SourceRow
    from gristmill.records import Prompt, Reply, Sample

STYLES = {
    "clear": "clear, well-ordered prose for an educated reader; every statement of the source, in other sentences",
    "textbook": "a textbook section: it introduces the idea, explains it step by step, and gives the source's own examples",
    "dialogue": "a dialogue of two people, one who asks and one who knows, that covers everything the source says",
    "qa_list": "a list of questions with their answers that covers everything the source says",
    "simpler": "plain language for a twelve-year-old, in short sentences, with every term explained",
    "shorter": "a summary of about a third of the length that keeps what matters most",
}
"""What the styles that have a name ask for. `language:CODE` translates; any other text is its own description."""
LANGUAGE = re.compile(r"language:([A-Za-z][A-Za-z -]{1,40})")
TAIL_CHARACTERS = 400
"""How much of what was written is shown to the next section."""


class RewriteOptions(Frozen):
    """Which rewritings are made."""

    styles: Shares = Field(default={"clear": 1.0})
    """Shares of the styles: `clear`, `textbook`, `dialogue`, `qa_list`, `simpler`, `shorter`, `language:German`, or in your
    words."""
    per_document: Annotated[int, Field(ge=1)] | Literal["all"] = 1
    """Rewritings of each document, in different styles; `all` makes one in each style."""
    section_tokens: Annotated[int, Field(ge=100)] = 1500
    """A longer document is rewritten in sections of about so many tokens."""


def spread(rows: Iterator[SourceRow], options: RewriteOptions, seed: int) -> Iterator[SourceRow]:
    """Yield one prompt a rewriting: the document and the style."""
    quota = Quota(options.styles, random.Random(seed_for(seed, "rewrite", 0, "quota", 0)))
    names = [name for name, share in options.styles.items() if share]
    for row in rows:
        if row.prompt is None:
            yield row
            continue
        if options.per_document == "all":
            chosen = names
        else:
            chosen = list(dict.fromkeys(quota.next() for _ in range(min(options.per_document, len(names)))))
            chosen += [name for name in names if name not in chosen][: min(options.per_document, len(names)) - len(chosen)]
        for style in chosen:
            yield variant(row, row.prompt, "rewrite", style, style=style)


@task("rewrite", version=1, options=RewriteOptions, templates=("rewrite/section@1",), spread=spread, counted=("style",))
async def rewrite(prompt: Prompt, session: Session, options: RewriteOptions) -> Sample:
    """Rewrite a document in a style, section by section where it is long."""
    source, style = prompt.messages[-1].content, str(prompt.meta["style"])
    parts = sections(source, CHARACTERS_PER_TOKEN * options.section_tokens)
    replies: list[Reply] = []
    written: list[str] = []
    for number, part in enumerate(parts, 1):
        text = session.fill(
            "rewrite/section",
            section=part,
            fence=fence_for(part),
            title=prompt.meta.get("title"),
            style=described(style),
            number=number,
            of=len(parts),
            before=written[-1][-TAIL_CHARACTERS:] if written else None,
        )
        reply = await session.complete((user(text.strip()),), step=f"section-{number}")
        replies.append(reply)
        if reply.finish in ("length", "content_filter") or not reply.message.content.strip():
            return unreadable(prompt, session, replies, "empty_section", f"section {number} of {len(parts)}")
        written.append(reply.message.content.strip())
    asked = f"Rewrite this text. Style: {described(style)}.\n\n{source}"
    answer = Message(role="assistant", content="\n\n".join(written))
    return made(prompt, session, messages=(user(asked), answer), replies=replies, meta={"sections": len(parts)})


def described(style: str) -> str:
    """Return what a style asks for."""
    language = LANGUAGE.fullmatch(style)
    if language:
        return f"a faithful translation into {language.group(1)}; names, numbers, code and links stay as they are"
    return STYLES.get(style, style)


_BREAKS = (r"\n(?=#{1,6} |=+\n)", r"\n\s*\n", r"\n", r"(?<=[.!?])\s+", r"\s+")
"""Where a text may be cut, best first."""


def sections(text: str, most: int) -> list[str]:
    """Return a text in parts of at most `most` characters, cut where it hurts least; only white space between them is lost."""
    parts: list[str] = []
    at = 0
    while at < len(text):
        end = at + cut_at(text[at : at + most + 1], most, _BREAKS, most // 4)
        if part := text[at:end].strip():
            parts.append(part)
        at = end
    return parts or [""]
