"""Tasks that tests register in other processes: one that takes several turns, and one that reads a set's order."""

from __future__ import annotations

from gristmill.messages import Frozen, user
from gristmill.ports import Session
from gristmill.records import Prompt, Reply, Sample
from gristmill.tasks.building import sample_from
from gristmill.tasks.registry import task

WORDS = {"amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "heath"}


@task("turns", version=1)
async def turns(prompt: Prompt, session: Session, options: Frozen) -> Sample:
    """Ask three times, each time with what was said before, a moment and a random number."""
    messages = list(session.frame(prompt))
    replies: list[Reply] = []
    for turn in range(3):
        reply = await session.complete(messages, step="turn")
        replies.append(reply)
        now, chance = await session.now("turn"), session.rng(f"turn {turn}").random()
        messages = [*messages, reply.message, user(f"go on, {now:.6f} {chance}")]
    return sample_from(prompt, session, messages[:-2], replies)


@task("careless", version=1)
async def careless(prompt: Prompt, session: Session, options: Frozen) -> Sample:
    """Ask with words in the order of a set, which changes with the hash seed of the process."""
    messages = [*session.frame(prompt), user(" ".join(WORDS))]
    first = await session.complete(messages, step="first")
    reply = await session.complete([*messages, first.message, user("and now?")], step="second")
    return sample_from(prompt, session, messages, [reply])
