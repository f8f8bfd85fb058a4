"""What a call costs by its tokens, and the most that it can cost before it is made.

A price comes from the recipe, or else from the data file that ships, which says when and where each was read. Where neither
knows a model its cost is unknown, which is `None` and never 0: a bill that looks paid is worse than one that looks open.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from gristmill.messages import Frozen

if TYPE_CHECKING:
    from gristmill.records import Request, Usage

MILLION = 1_000_000
MESSAGE_TOKENS = 32
"""The most that a chat template puts around one message, tool or format; templates of open models use 3 to 10."""
_DATED = re.compile(r"-(\d{4}-\d{2}-\d{2}|\d{8})$")


class LongContext(Frozen):
    """Factors that hold for a whole call whose prompt is longer than this."""

    above_tokens: int
    input: float
    output: float


class Price(Frozen):
    """US dollars per million tokens, and where that was read."""

    input: float
    output: float
    cached_input: float | None = None
    """Of input that the provider had cached; the full price where it is not said."""
    cache_write: float | None = None
    """Of input that the provider put into its cache; the full price where it is not said."""
    batch: float | None = None
    """The factor of the provider's batch interface, or None where it has none that we know of."""
    long_context: LongContext | None = None
    source: str = "the recipe"
    read: str = ""
    """The day it was read, as YYYY-MM-DD."""
    reported: bool = False
    """Whether it was read from a report of the provider's page instead of the page."""


class Cost(NamedTuple):
    """One call's cost in US dollars, by what it was for."""

    input: float
    cached: float
    """Input that was read from the provider's cache, and what it cost to put there."""
    output: float
    """Output but its reasoning."""
    reasoning: float

    @property
    def total(self) -> float:
        """Return all of it."""
        return self.input + self.cached + self.output + self.reasoning


def cost_of(price: Price, usage: Usage, *, cache_write_tokens: int = 0, batched: bool = False) -> Cost | None:
    """Return what a call cost by the tokens that the provider counted, or None where it counted none.

    Args:
        price: Dollars per million tokens.
        usage: Tokens; cached ones and ones written to the cache are part of the input, reasoning is part of the output.
        cache_write_tokens: Input tokens that were written to the cache.
        batched: Whether the call was part of a batch.
    """
    if usage.input_tokens is None or usage.output_tokens is None:
        return None
    cached = min(usage.cached_tokens or 0, usage.input_tokens)
    written = min(cache_write_tokens, usage.input_tokens - cached)
    reasoning = min(usage.reasoning_tokens or 0, usage.output_tokens)
    far = price.long_context is not None and usage.input_tokens > price.long_context.above_tokens
    into, out = (price.long_context.input, price.long_context.output) if far and price.long_context else (1.0, 1.0)
    factor = (price.batch if batched and price.batch is not None else 1.0) / MILLION
    reading = price.input if price.cached_input is None else price.cached_input
    writing = price.input if price.cache_write is None else price.cache_write
    return Cost(
        input=(usage.input_tokens - cached - written) * price.input * into * factor,
        cached=(cached * reading + written * writing) * into * factor,
        output=(usage.output_tokens - reasoning) * price.output * out * factor,
        reasoning=reasoning * price.output * out * factor,
    )


def most_usd(price: Price, input_bound: int, output_limit: int) -> float:
    """Return the most that a call can cost: every input token at the dearest rate, every output token that it may write."""
    dearest = max(price.input, price.cache_write or 0.0, price.cached_input or 0.0)
    far = price.long_context is not None and input_bound > price.long_context.above_tokens
    into, out = (price.long_context.input, price.long_context.output) if far and price.long_context else (1.0, 1.0)
    return (input_bound * dearest * into + output_limit * price.output * out) / MILLION


def input_bound(texts_bytes: int, parts: int) -> int:
    """Return the most tokens that a prompt can be: no token is shorter than a byte, and a template wraps each part."""
    return texts_bytes + MESSAGE_TOKENS * (parts + 1)


def request_bound(request: Request) -> int:
    """Return the most input tokens that a request can be: its messages, tool calls, tools and response format."""
    sizes = [len(m.content.encode()) + sum(len(c.arguments.encode()) for c in m.tool_calls) for m in request.messages]
    sizes += [len(str(extra)) for extra in (*request.tools, *([request.response_format] if request.response_format else []))]
    return input_bound(sum(sizes), len(sizes))


@cache
def _table() -> dict[str, Any]:
    return orjson.loads((resources.files("gristmill.assets") / "prices.json").read_bytes())


def table_version() -> str:
    """Return the version of the price file that ships: the day on which it was put together."""
    return str(_table()["version"])


def shipped_price(provider: str, model: str) -> Price | None:
    """Return the price of a provider's model in the file that ships, or None. A snapshot's date after the name is ignored."""
    found = _table()["providers"].get(provider)
    if found is None:
        return None
    row = found["models"].get(model) or found["models"].get(_DATED.sub("", model))
    if row is None:
        return None
    shared = {key: found[key] for key in ("source", "read", "reported", "batch", "long_context") if key in found}
    return Price(**shared, **row)
