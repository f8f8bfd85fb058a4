"""Who may send now: the gate before one endpoint.

Requests pass in the order in which they came, when three things allow it: the window of requests in flight, which shrinks when
the server is overloaded and grows again while all is well, up to a size that is declared or found by trying; the pace of requests
and tokens, which is declared or learned; and what the server itself said in its headers. There is no limit on the waiting. Where
nothing is declared and nothing was ever refused, the gate is a counter: no file, no lock, no arithmetic.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from gristmill.pricing.price import request_bound
from gristmill.sending.climbing import Climb, climbed
from gristmill.sending.pacing import Measured, Slots, granted, refused
from gristmill.sending.sharing import Booked, book, correct

if TYPE_CHECKING:
    from collections.abc import Callable

    from gristmill.ports import Clock, TeacherFault
    from gristmill.records import Allowance, Pace, Reply, Request
    from gristmill.sending.sharing import Known, Shared
    from gristmill.sending.stopping import StopSwitch

OVERLOADED = {"http_503": 0.5, "http_529": 0.5, "timeout": 0.75}
"""What is left of the window after such a fault, by its code."""
REFUSED = 0.9
"""What is left of those in flight after a refusal."""
GROWTH = 16
"""The window grows by this part of its largest size in the time in which it is answered once."""
DECLARED_SHARE = 0.995
"""Share of a declared rate that is used, so that no minute has one request too many at its edge."""
LONG_PAUSE_S = 10.0
"""A pause that a person is told of."""
_SEEN_S = 2.0


class Bounds(NamedTuple):
    """What is declared of an endpoint."""

    in_flight: int
    rpm: int | None = None
    tpm: int | None = None
    most: int | None = None
    """In flight at most, where how many are worth it is found by trying; None or no more than `in_flight` where it stands."""


class Pass(NamedTuple):
    """Leave to send one request."""

    number: int
    at: float
    """When it was given, in seconds since 1970."""
    booked: Booked | None


class Held(NamedTuple):
    """What the server said is left of a limit."""

    number: int
    """The request whose answer said so."""
    last: int
    """The last request that there is room for …"""
    until: float
    """… before this time."""


class Gate:
    """Lets the requests of one endpoint through."""

    def __init__(
        self, bounds: Bounds, shared: Shared, switch: StopSwitch, clock: Clock, say: Callable[..., None] = lambda *_: None
    ) -> None:
        self.in_flight = 0
        """Requests that were let through and have not come back."""
        self.window = float(bounds.in_flight)
        """How many may be."""
        self._bounds = bounds
        self._ceiling = float(bounds.in_flight)
        """How many may be in flight while nothing is overloaded."""
        tries = bounds.most is not None and bounds.most > bounds.in_flight
        self._climb = Climb(self._ceiling, bounds.most or 0) if tries else None
        self._shared = shared
        self._switch = switch
        self.clock = clock
        self._say = say
        self._turn = asyncio.Lock()
        self._changed = asyncio.Event()
        switch.listen(self._changed.set)
        self._waiting = 0
        self._passed = 0
        self._refused = 0
        self._seen = [(clock.time(), 0, 0)] * 2
        """Time, passes and refusals some seconds ago and a little later."""
        self._shrunk_at = 0.0
        self._paced = bounds.rpm is not None
        self._slots = Slots(0.0, 0.0, 0)
        self._unreported = 0
        self._closed_until = 0.0
        self._told_until = 0.0
        """Until when a person knows that the server asks to be left alone."""
        self._held: dict[str, Held] = {}
        """By limit."""
        self._mean_tokens = 0.0
        self._corrections: list[Booked] = []

    @property
    def places(self) -> int:
        """How many requests may be in flight now."""
        return max(1, int(self.window))

    async def enter(self, request: Request) -> Pass:
        """Wait until a request may be sent; where the run stops meanwhile, return at once."""
        tokens = self._bound(request) if self._bounds.tpm else 0
        self._waiting += 1
        try:
            if self._waiting == 1:  # nobody is in line
                wait_s, booked = self._look(tokens)
                if wait_s == 0:
                    return self._let_through(booked)
            return await self._in_line(tokens)
        finally:
            self._waiting -= 1

    async def _in_line(self, tokens: int) -> Pass:
        """Wait behind those who came earlier, then for leave."""
        booked: Booked | None = None
        async with self._turn:
            while not self._switch.on:
                wait_s, booked = self._look(tokens)
                if wait_s == 0:
                    break
                await self._wait(wait_s)
            return self._let_through(booked)

    def _let_through(self, booked: Booked | None) -> Pass:
        now = self.clock.time()
        self.in_flight += 1
        self._passed += 1
        self._unreported += 1
        if self._passed == 1:
            self._seen = [(now, 0, 0)] * 2
        if now - self._seen[1][0] > _SEEN_S:
            self._seen = [self._seen[1], (now, self._passed, self._refused)]
        return Pass(self._passed, now, booked)

    async def _wait(self, seconds: float | None) -> None:
        self._changed.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._changed.wait()

    def _look(self, tokens: int) -> tuple[float | None, Booked | None]:
        """Return the seconds to wait (None: until something changes), and the booked tokens once it is 0."""
        if self.in_flight >= self.places:
            return None, None
        if not (self._paced or self._held or tokens):
            return 0, None
        now = self.clock.time()
        hold_s = self._hold_s(now)
        if hold_s >= LONG_PAUSE_S and now >= self._told_until:
            self._told_until = now + hold_s
            self._say(f"the server says that its limits leave no room for {hold_s:.0f} s")
        wait_s = max(hold_s, self._slot_s(now) if self._paced else 0.0)
        if wait_s > 0:
            return wait_s, None
        booked: Booked | None = None
        if tokens:
            wait_s = self._book(now, tokens)
            if wait_s > 0:
                return wait_s, None
            booked = Booked(int(now), tokens)
        start, step_s, left = self._slots
        self._slots = Slots(start + step_s, step_s, left - 1)
        return 0, booked

    def _slot_s(self, now: float) -> float:
        """Return the seconds to the next place in the rate, taking a slice of them where none is left."""
        if now < self._closed_until:
            self._slots = Slots(0.0, 0.0, 0)
            return self._closed_until - now
        if self._slots.left <= 0:
            most = self._bounds.rpm * DECLARED_SHARE / 60 if self._bounds.rpm else None
            sent, self._unreported = self._unreported, 0

            def take(known: Known) -> tuple[Known, tuple[Slots, float]]:
                pacing = known.pacing._replace(sent=known.pacing.sent + sent)
                pacing, slots = granted(pacing, now, self._waiting, most)
                return known._replace(pacing=pacing), (slots, pacing.closed_until)

            self._slots, self._closed_until = self._shared.change(now, take)
        return self._slots.start - now

    def _book(self, now: float, tokens: int) -> float:
        """Book tokens and return 0, or the seconds until it may be tried again."""
        most, corrections = self._bounds.tpm or 0, self._corrections
        self._corrections = []

        def take(known: Known) -> tuple[Known, float]:
            booked, wait_s = book(correct(known.booked, corrections), now, tokens, most)
            return known._replace(booked=booked), wait_s

        return self._shared.change(now, take)

    def _hold_s(self, now: float) -> float:
        """Return the seconds until the server has room again by its own word."""
        wait_s = 0.0
        for kind, held in list(self._held.items()):
            if now >= held.until:
                del self._held[kind]
            elif self._passed >= held.last:
                wait_s = max(wait_s, held.until - now)
        return wait_s

    def answered(self, passed: Pass, reply: Reply) -> None:
        """Note a reply."""
        full = self.in_flight >= self.places
        if full and self.window < self._ceiling:
            self.window = min(self._ceiling, self.window + max(1.0, self._ceiling / GROWTH) / self.window)
        used = (reply.usage.input_tokens or 0) + (reply.usage.output_tokens or 0)
        if self._climb is not None:
            self._try_another(climbed(self._climb, self.clock.monotonic(), used, full=full and self.window >= self._ceiling))
        if passed.booked is not None:
            self._corrections.append(Booked(passed.booked.second, used - passed.booked.tokens))
        if used and (reply.pace or self._bounds.tpm):
            self._mean_tokens += (used - self._mean_tokens) * (0.1 if self._mean_tokens else 1.0)
        if reply.pace:
            self._heed(passed, reply.pace)
        self._leave()

    def _try_another(self, climb: Climb) -> None:
        """Take the window that the search is at."""
        if climb.window != self._ceiling:
            self._ceiling = self.window = climb.window
        self._climb = climb

    def failed(self, passed: Pass, fault: TeacherFault) -> None:
        """Note a fault; one that limits everybody closes the gate for a while."""
        share = REFUSED * self.in_flight / self.window if fault.kind == "limited" else OVERLOADED.get(fault.code, 1.0)
        now = self.clock.time()
        if share < 1 and passed.at > self._shrunk_at:
            self.window, self._shrunk_at = max(1.0, self.window * share), now
        if passed.booked is not None and not fault.possibly_billed:
            self._corrections.append(Booked(passed.booked.second, -passed.booked.tokens))
        if fault.pace:
            self._heed(passed, fault.pace)
        if fault.kind == "limited":
            self._close(passed, fault, now)
        elif fault.kind == "transient" and fault.pace:
            self._tell(fault, fault.pace.retry_after_s or 0.0, now)
        self._leave()

    def _tell(self, fault: TeacherFault, told_s: float, now: float) -> None:
        """Say once that requests wait long because the server asks for it."""
        if told_s >= LONG_PAUSE_S and now >= self._told_until:
            self._told_until = now + told_s
            self._say(f"the server asks to be tried again in {told_s:.0f} s: {fault}")

    def dropped(self) -> None:
        """Note that a request was not sent after all, or that nobody knows what became of it."""
        self._leave()

    def _leave(self) -> None:
        self.in_flight -= 1
        self._changed.set()

    def _close(self, passed: Pass, fault: TeacherFault, now: float) -> None:
        told_s = fault.retry_after_s
        since, passes, refusals = self._seen[0]
        unpaced = None if self._paced else Measured(self._passed - passes, self._refused - refusals, now - since)
        sent, self._unreported = self._unreported, 0
        self._refused += 1

        def close(known: Known) -> tuple[Known, float]:
            pacing = known.pacing._replace(sent=known.pacing.sent + sent)
            pacing = refused(pacing, now, passed.at, told_s, unpaced)
            return known._replace(pacing=pacing), pacing.closed_until

        before, self._paced = self._closed_until, True
        self._closed_until = self._shared.change(now, close)
        self._slots = Slots(0.0, 0.0, 0)
        if self._closed_until - max(now, before) >= LONG_PAUSE_S:
            self._say(f"the server takes no requests for {self._closed_until - now:.0f} s: {fault}")

    def _heed(self, passed: Pass, pace: Pace) -> None:
        """Remember what the server says is left."""
        self._hold("requests", passed, pace.requests, 1.0)
        self._hold("tokens", passed, pace.tokens, max(1.0, self._mean_tokens))

    def _hold(self, kind: str, passed: Pass, allowance: Allowance | None, each: float) -> None:
        if allowance is None or allowance.reset_s is None:
            return
        known = self._held.get(kind)
        if known is None or passed.number >= known.number:
            last = passed.number + int(max(0.0, allowance.remaining) / each)
            self._held[kind] = Held(passed.number, last, passed.at + allowance.reset_s)

    def _bound(self, request: Request) -> int:
        """Return the most tokens that a request can cost; without a limit on its output, what is usual so far."""
        return request_bound(request) + (request.sampling.max_tokens or int(self._mean_tokens))

    def close(self) -> None:
        """Let go of what is shared."""
        self._shared.close()
