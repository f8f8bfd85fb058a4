"""What calls cost, and what the price file says."""

from __future__ import annotations

import re
from importlib import resources

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gristmill.pricing.price import LongContext, Price, cost_of, input_bound, most_usd, shipped_price, table_version
from gristmill.records import Usage

PRICE = Price(input=2.0, cached_input=0.2, cache_write=2.5, output=10.0, batch=0.5)
counts = st.integers(0, 10**7)


def test_a_call_is_billed_part_by_part() -> None:
    usage = Usage(input_tokens=1_000_000, cached_tokens=400_000, output_tokens=100_000, reasoning_tokens=60_000)
    cost = cost_of(PRICE, usage, cache_write_tokens=100_000)
    assert cost is not None
    assert cost.input == pytest.approx(0.5 * 2.0)
    assert cost.cached == pytest.approx(0.4 * 0.2 + 0.1 * 2.5)
    assert cost.output == pytest.approx(0.04 * 10)
    assert cost.reasoning == pytest.approx(0.06 * 10)
    assert cost.total == pytest.approx(1.0 + 0.08 + 0.25 + 1.0)
    batched = cost_of(PRICE, usage, cache_write_tokens=100_000, batched=True)
    assert batched is not None
    assert batched.total == pytest.approx(cost.total / 2)


def test_cached_input_costs_the_full_price_where_no_other_is_said() -> None:
    cost = cost_of(Price(input=2.0, output=10.0), Usage(input_tokens=1000, cached_tokens=900, output_tokens=0))
    assert cost is not None
    assert cost.total == pytest.approx(1000 * 2e-6)


def test_what_was_not_counted_has_no_cost() -> None:
    """Never 0."""
    assert cost_of(PRICE, Usage()) is None
    assert cost_of(PRICE, Usage(input_tokens=3)) is None


def test_a_long_prompt_makes_the_whole_call_dearer() -> None:
    price = Price(input=2.0, output=10.0, long_context=LongContext(above_tokens=272_000, input=2, output=1.5))
    short = cost_of(price, Usage(input_tokens=272_000, output_tokens=1000))
    far = cost_of(price, Usage(input_tokens=272_001, output_tokens=1000))
    assert short is not None
    assert far is not None
    assert short.total == pytest.approx(0.544 + 0.01)
    assert far.total == pytest.approx(272_001 * 4e-6 + 0.015)


@given(counts, counts, counts, counts, counts)
def test_no_call_costs_more_than_its_worst_case(inp: int, out: int, cached: int, written: int, reasoning: int) -> None:
    """Whatever a provider counts, as long as it keeps to the prompt and the limit."""
    prices = (PRICE, PRICE.model_copy(update={"long_context": LongContext(above_tokens=1000, input=2, output=1.5)}))
    usage = Usage(input_tokens=inp, output_tokens=out, cached_tokens=cached, reasoning_tokens=reasoning)
    for price in prices:
        cost = cost_of(price, usage, cache_write_tokens=written)
        assert cost is not None
        assert min(cost) >= 0
        assert cost.total <= most_usd(price, inp, out) + 1e-9


@given(st.lists(st.text(), max_size=6))
def test_no_prompt_has_more_tokens_than_its_bound(texts: list[str]) -> None:
    """A byte-level vocabulary has no token shorter than a byte."""
    assert input_bound(sum(len(text.encode()) for text in texts), len(texts)) >= sum(len(text.encode()) for text in texts)


def test_a_snapshot_costs_what_its_model_does() -> None:
    plain = shipped_price("anthropic", "claude-haiku-4-5")
    assert plain is not None
    assert (plain.input, plain.output, plain.cached_input) == (1, 5, 0.1)
    assert shipped_price("anthropic", "claude-haiku-4-5-20251001") == plain
    assert shipped_price("anthropic", "claude-haiku-4-5-turbo") is None
    assert shipped_price("vllm", "claude-haiku-4-5") is None
    assert shipped_price("openai", "a-model-of-tomorrow") is None


def test_every_price_says_when_and_where_it_was_read() -> None:
    content = orjson.loads((resources.files("gristmill.assets") / "prices.json").read_bytes())
    assert content["version"] == table_version()
    day = r"20\d\d-\d\d-\d\d"
    assert re.fullmatch(day, content["version"])
    for provider, rows in content["providers"].items():
        for model in rows["models"]:
            price = shipped_price(provider, model)
            assert price is not None
            assert price.source.startswith("https://")
            assert re.fullmatch(day, price.read)
            assert price.read <= content["version"]
            assert 0 < price.input < price.output
            assert price.cached_input is not None
            assert price.cached_input < price.input
