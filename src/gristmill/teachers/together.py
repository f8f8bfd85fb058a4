"""Several answers by one request: `n` of the chat completions format.

The samples of a prompt are asked for side by side, and their requests differ in nothing but the seed. Sent as one, the prompt is
billed once. The trade-off: one seed stands for all of them, nothing is streamed, so that no answer is ended early where it only
repeats itself, and the provider counts the output of all answers in one sum, of which each answer's share is an estimate.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

from gristmill.ports import TeacherFault
from gristmill.teachers.formats.wire import estimated

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from gristmill.records import Pace, Reply, Request, Usage

MISSING = "missing_choice"
"""The code of the fault where a server sent fewer answers than it was asked for."""
GATHER_S = 0.02
"""How long the first of several requests waits for the others: nothing beside the seconds that an answer takes."""


class Bundle(NamedTuple):
    """Requests that are sent as one."""

    requests: list[Request]
    full: asyncio.Event
    replies: asyncio.Task[list[Reply | TeacherFault]]


class Together:
    """Gathers requests that differ in nothing but their place among the samples, and sends them as one."""

    def __init__(self, exchange: Callable[[Sequence[Request]], Awaitable[list[Reply | TeacherFault]]], most: int) -> None:
        """Gather for a teacher.

        Args:
            exchange: Sends requests as one, and returns the replies to the first of them, one at least, or their faults.
            most: How many may be sent as one.
        """
        self._exchange = exchange
        self._most = most
        self._open: dict[tuple[str, str, int], Bundle] = {}
        """By prompt, step and occurrence."""

    async def complete(self, request: Request) -> Reply:
        """Return the reply to a request, which may be sent with others.

        Raises:
            TeacherFault: for everything that is not one well-formed reply.
        """
        key = (request.prompt_id, request.step, request.occurrence)
        bundle = self._open.get(key)
        if bundle is None or not _same(bundle.requests[0], request):
            bundle = self._open[key] = self._begun(key)
        place = len(bundle.requests)
        bundle.requests.append(request)
        if len(bundle.requests) >= self._most:
            self._close(key, bundle)
        replies = await asyncio.shield(bundle.replies)
        if place < len(replies):
            return received(replies[place])
        self._most = 1  # the server takes no notice of `n`: from now on every request is sent alone
        raise TeacherFault(f"{len(replies)} of {len(bundle.requests)} answers came", kind="transient", code=MISSING)

    def _begun(self, key: tuple[str, str, int]) -> Bundle:
        """Return a bundle that will be sent soon."""
        requests: list[Request] = []
        full = asyncio.Event()

        async def send() -> list[Reply | TeacherFault]:
            try:
                async with asyncio.timeout(GATHER_S):
                    await full.wait()
            except TimeoutError:
                self._close(key, bundle)
            return await self._exchange(requests)

        bundle = Bundle(requests, full, asyncio.create_task(send()))
        return bundle

    def _close(self, key: tuple[str, str, int], bundle: Bundle) -> None:
        """Let nobody else into a bundle."""
        bundle.full.set()
        if self._open.get(key) is bundle:
            del self._open[key]


def received(reply: Reply | TeacherFault) -> Reply:
    """Return a reply.

    Raises:
        TeacherFault: where it is one.
    """
    if isinstance(reply, TeacherFault):
        raise reply
    return reply


def _same(one: Request, other: Request) -> bool:
    """Whether requests differ in nothing that changes the answer but the seed."""
    return one._replace(id="", seed=0, sample_index=0) == other._replace(id="", seed=0, sample_index=0)


def accounted(replies: list[Reply | TeacherFault], request: Request, pace: Pace | None) -> list[Reply | TeacherFault]:
    """Return the replies of one response, each of which has the usage of all, with what each of them used.

    Args:
        replies: The replies, and the faults of those that could not be read.
        request: What was asked.
        pace: What the response says of going on.
    """
    good = [reply for reply in replies if not isinstance(reply, TeacherFault)]
    if not good:
        return replies
    whole = estimated(good[0].usage, request, *(reply.message for reply in good))
    if len(good) == 1 and whole is good[0].usage and pace is None:
        return replies
    usages = iter(_parts(whole, good, request.sampling.max_tokens))
    return [
        reply if isinstance(reply, TeacherFault) else reply.model_copy(update={"usage": next(usages), "pace": pace})
        for reply in replies
    ]


def _parts(whole: Usage, replies: Sequence[Reply], most: int | None) -> list[Usage]:
    """Return what each of several answers used: the first the input, each its share of the output by its length."""
    if len(replies) == 1:
        return [whole]
    sizes = [len(reply.message.model_dump_json()) for reply in replies]
    outputs, reasoning = shared(whole.output_tokens, sizes, most), shared(whole.reasoning_tokens, sizes, most)
    usages = [
        whole.model_copy(update={"output_tokens": output, "reasoning_tokens": thought, "estimated": True})
        for output, thought in zip(outputs, reasoning, strict=True)
    ]
    nothing = {"input_tokens": 0, "cached_tokens": None if whole.cached_tokens is None else 0}
    return [usages[0], *(usage.model_copy(update=nothing) for usage in usages[1:])]


def shared(total: int | None, weights: Sequence[int], most: int | None) -> list[int | None]:
    """Share a count by weights in whole numbers that add up to it, none above `most` while others have room.

    Args:
        total: What is shared; None where it is not known.
        weights: At least one; above 0.
        most: The most for one of them; None where that is not limited.
    """
    if total is None:
        return [None] * len(weights)
    room = total if most is None else most
    shares = [min(room, total * weight // sum(weights)) for weight in weights]
    left = total - sum(shares)
    for place in sorted(range(len(weights)), key=lambda place: -weights[place]):
        more = min(left, room - shares[place])
        shares[place] += more
        left -= more
    shares[0] += left  # more than all limits allow: the provider did not keep to them
    return list(shares)
