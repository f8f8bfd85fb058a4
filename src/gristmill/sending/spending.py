"""Money at the one door: what a call may cost is set aside before it is sent, what it did cost is booked when it is back.

A `Meter` knows one teacher's price, a `Purse` the budget that all teachers share. Near the cap a call waits for those in flight,
which mostly cost less than their worst case; when none is in flight and it still does not fit, the budget is reached and the run
stops in good order.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, NamedTuple

from gristmill.errors import BudgetReached, InputError, TeacherDown
from gristmill.plain import as_count
from gristmill.ports import Parked
from gristmill.pricing.budget import Amount, Budget, Caps
from gristmill.pricing.price import Price, cost_of, most_usd, request_bound, shipped_price
from gristmill.store.effects import Reserved, spent_so_far
from gristmill.teachers.addresses import PROVIDERS
from gristmill.teachers.formats.wire import estimated

if TYPE_CHECKING:
    from gristmill.ports import Clock
    from gristmill.recipe.model import BudgetSpec, PriceSpec, Recipe, TeacherSpec
    from gristmill.records import Reply, Request
    from gristmill.sending.stopping import StopSwitch
    from gristmill.store.ledger import Ledger
    from gristmill.teachers.addresses import Endpoint

HOSTED = frozenset({*PROVIDERS, "azure"})
"""Teachers whose calls somebody bills for, also where their price is not known."""
FREE = frozenset({"builtin", "gguf", "recorded"})
"""Teachers whose calls cost nothing unless the recipe gives a price."""


class Rates(NamedTuple):
    """What one teacher's calls cost: by tokens, by the second that calls are under way, or neither is known."""

    price: Price | None = None
    second_usd: float | None = None
    declared: bool = False
    """Whether the recipe says so, which holds even for teachers that are free."""


def rates_of(spec: TeacherSpec, place: Endpoint) -> Rates:
    """Return what a teacher's calls cost: by the recipe, or else by the price file that ships."""
    given = spec.price
    if given is None:
        return Rates(shipped_price(place.kind, place.model))
    if given.gpu_hour_usd is not None:
        return Rates(second_usd=given.gpu_hour_usd * given.gpus / 3600, declared=True)
    return Rates(_by_tokens(given), declared=True)


def _by_tokens(given: PriceSpec) -> Price:
    return Price(input=given.input or 0.0, output=given.output or 0.0, cached_input=given.cached_input)


def is_paid(recipe: Recipe, endpoints: dict[str, Endpoint]) -> bool:
    """Return whether any teacher costs money by tokens: its price is known, or it is a hosted provider's."""
    specs = recipe.all_teachers()
    return any(place.kind in HOSTED or rates_of(specs[name], place).price is not None for name, place in endpoints.items())


def check_budget(recipe: Recipe, endpoints: dict[str, Endpoint]) -> None:
    """Make sure that a budget can be kept: every price is known and every call has a worst case.

    Raises:
        InputError: naming what is missing.
    """
    budget = recipe.budget
    if budget is None:
        return
    if (budget.usd is not None or budget.tokens is not None) and recipe.sampling.max_tokens is None:
        raise InputError(
            "a budget in dollars or tokens needs `sampling.max_tokens`: without it no call has a worst case",
            fix="Write `sampling: {max_tokens: 4096}`, or what your longest answer needs.",
        )
    for name, spec in recipe.all_teachers().items():
        place = endpoints[name]
        rates = rates_of(spec, place)
        known = rates.price is not None or rates.second_usd is not None or place.kind in FREE or "cost_usd" in spec.script
        if budget.usd is not None and not known:
            raise InputError(
                f"`budget.usd` needs the price of `{place.model}` ({name}), which is not known",
                fix=f"Add `price: {{input: …, output: …}}` in dollars per million tokens to the teacher `{name}`.",
            )


class Purse:
    """The budget that all teachers of a run share, and the waiting for it."""

    def __init__(self, budget: Budget, switch: StopSwitch, clock: Clock, *, known: bool = True) -> None:
        self.budget = budget
        self._known = known
        """Whether the cost of every reply so far is known."""
        self._switch = switch
        self._clock = clock
        self._began = clock.monotonic()
        self._hours_before = budget.hours
        self._changed = asyncio.Event()
        switch.listen(self._changed.set)

    @property
    def hours(self) -> float:
        """Return how long the run has been going, earlier processes included."""
        return self._hours_before + (self._clock.monotonic() - self._began) / 3600

    def watch_hours(self) -> None:
        """Stop the run when its hours are over, also while nothing is sent: a batch or a server may be waited for."""
        cap = self.budget.caps.hours
        if cap is None or self._switch.on:
            return
        left_s = (cap - self.hours) * 3600
        if left_s > 0:
            asyncio.get_running_loop().call_later(left_s, self.watch_hours)
            return
        self.budget.hours = self.hours
        self._switch.stop(_reached(self.budget.obstacle(Amount()) or "the hours are over"))

    @property
    def spent_usd(self) -> float | None:
        """Return what all replies cost, those of earlier processes included; None where one cost is unknown."""
        return self.budget.spent.usd if self._known else None

    async def admit(self, need: Amount) -> None:
        """Set a call's worst case aside, as soon as the budget allows it.

        Raises:
            Parked: where the run stops, for the budget or for another reason.
        """
        while not self._switch.on:
            self.budget.hours = self.hours
            obstacle = self.budget.obstacle(need)
            if obstacle is None:
                self.budget.reserve(need)
                return
            if not self.budget.calls:
                self._switch.stop(_reached(obstacle))
                break
            self._changed.clear()
            await self._changed.wait()
        raise Parked

    def settle(self, need: Amount, reply: Reply) -> None:
        """Book a reply; one that is dearer than its worst case stops the run, because then no cap can be kept."""
        cost = Amount(reply.cost_usd or 0.0, (reply.usage.input_tokens or 0) + (reply.usage.output_tokens or 0))
        self._known = self._known and reply.cost_usd is not None
        self.budget.settle(need, cost)
        caps, words = self.budget.caps, ""
        if caps.usd is not None and need.usd and cost.usd > need.usd * (1 + 1e-6):
            words = f"a reply cost ${cost.usd:.6f}, more than the ${need.usd:.6f}"
        elif caps.tokens is not None and need.tokens and cost.tokens > need.tokens:
            words = f"a reply took {cost.tokens:,} tokens, more than the {need.tokens:,}"
        if words:
            fix = (
                "The provider does not keep to `max_tokens` (hidden reasoning?), or its price is another: mend it and run again."
            )
            self._switch.stop(TeacherDown(f"{words} that its limits allow", fix=fix))
        self._changed.set()

    def fail(self, need: Amount, *, possibly_billed: bool) -> None:
        """Book a call that brought no reply."""
        if possibly_billed:
            self.budget.lose(need)
        else:
            self.budget.drop(need)
        self._changed.set()


def _reached(obstacle: str) -> BudgetReached:
    return BudgetReached(f"the budget is reached: {obstacle}", fix="Raise `budget` in the recipe and run again to go on.")


def open_purse(spec: BudgetSpec | None, ledger: Ledger, switch: StopSwitch, clock: Clock) -> Purse:
    """Return the purse of a run, with what its earlier processes spent."""
    caps = Caps() if spec is None else Caps(spec.usd, spec.tokens, spec.hours)
    so_far = spent_so_far(ledger)
    spent, lost = Amount(so_far.usd, so_far.tokens), Amount(so_far.lost_usd, so_far.lost_tokens)
    return Purse(Budget(caps, spent, lost, float(ledger.fact("hours") or 0.0)), switch, clock, known=so_far.known)


class Meter:
    """What one teacher's calls cost."""

    def __init__(self, rates: Rates, purse: Purse, clock: Clock, *, bills: bool) -> None:
        self.rates = rates
        self.purse = purse
        self._clock = clock
        self._estimates = bills or rates.declared
        self._careful = purse.budget.caps.usd is not None or purse.budget.caps.tokens is not None
        self._under_way = 0
        self._each_usd = 0.0
        """What a call that had been under way from the beginning would have to bear of the machines' time."""
        self._since_s = clock.monotonic()
        self.price = rates.price.model_dump(mode="json") if rates.price else None
        """The price by tokens as the ledger keeps it beside each call."""

    def need(self, request: Request) -> Amount:
        """Return the most that a call can cost; nothing where no cap asks for it."""
        if not self._careful:
            return Amount()
        bound, limit = request_bound(request), request.sampling.max_tokens or 0
        usd = most_usd(self.rates.price, bound, limit) if self.rates.price else 0.0
        return Amount(usd, bound + limit)

    @staticmethod
    def reserved(need: Amount) -> Reserved:
        """Return what the ledger keeps of a reservation."""
        return Reserved(need.usd or None, need.tokens or None)

    def begin(self) -> float:
        """Note that a call is under way, and return a mark for `priced`."""
        self._advance()
        self._under_way += 1
        return self._each_usd

    def end(self) -> None:
        """Note that a call is no longer under way."""
        self._advance()
        self._under_way -= 1

    def _advance(self) -> None:
        """Share the machines' time since the last change among the calls that were under way."""
        now = self._clock.monotonic()
        if self._under_way and self.rates.second_usd is not None:
            self._each_usd += (now - self._since_s) * self.rates.second_usd / self._under_way
        self._since_s = now

    def priced(self, request: Request, reply: Reply, mark: float, *, batched: bool = False) -> Reply:
        """Return a reply with its usage, an estimate where the provider counted nothing, and what it cost."""
        usage = estimated(reply.usage, request, reply.message) if self._estimates else reply.usage
        cost = reply.cost_usd
        if self.rates.second_usd is not None:
            self._advance()
            cost = self._each_usd - mark
        elif self.rates.price is not None and (cost is None or self.rates.declared):
            written = reply.meta.get("cache_write_tokens")
            found = cost_of(self.rates.price, usage, cache_write_tokens=as_count(written) or 0, batched=batched)
            cost = None if found is None else found.total
        if cost == reply.cost_usd and usage is reply.usage:
            return reply
        return reply.model_copy(update={"usage": usage, "cost_usd": cost})
