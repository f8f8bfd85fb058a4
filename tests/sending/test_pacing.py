"""What is learned of a rate, in virtual time: simulated servers, no clock and no waiting."""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count, pairwise
from typing import NamedTuple, Protocol

import pytest

from gristmill.sending.pacing import Measured, Pacing, granted, refused

START, ANSWER_S, REFUSAL_S, BARE_RATE, IN_FLIGHT = 1000.0, 0.05, 0.004, 700.0, 64


class Server(Protocol):
    def take(self, now: float) -> bool: ...


class Bucket:
    """A token bucket, whose limit may change."""

    def __init__(self, burst: float, *rates: float, change_s: float = 20.0) -> None:
        self.burst, self.rates, self.change_s = burst, rates, change_s
        self.level, self.last = burst, 0.0

    def rate(self, now: float) -> float:
        return self.rates[min(int(now // self.change_s), len(self.rates) - 1)]

    def take(self, now: float) -> bool:
        self.level, self.last = min(self.burst, self.level + (now - self.last) * self.rate(now)), now
        if self.level < 1:
            return False
        self.level -= 1
        return True


class Minutes:
    """So many requests in each minute, and then none until the next."""

    def __init__(self, most: int) -> None:
        self.most, self.minute, self.taken = most, -1, 0

    def take(self, now: float) -> bool:
        if int(now // 60) != self.minute:
            self.minute, self.taken = int(now // 60), 0
        self.taken += 1
        return self.taken <= self.most


class Chance:
    """Refuses a share of all requests, however slowly they come."""

    def __init__(self, share: float) -> None:
        self.share, self.random = share, random.Random(0)

    def take(self, now: float) -> bool:
        return self.random.random() >= self.share


class Client:
    """One process: what it took of the rate, and what it sent."""

    def __init__(self) -> None:
        self.in_flight = self.sent = self.refused = self.untold = 0
        self.paced = False
        self.places: list[float] = []
        self.last = START


class Arrival(NamedTuple):
    at: float
    taken: bool


class World:
    """Clients that always want more, and a server."""

    def __init__(self, server: Server, clients: int = 1, told_s: float | None = None) -> None:
        self.server, self.told_s = server, told_s
        self.pacing = Pacing()
        self.arrivals: list[Arrival] = []
        self.random = random.Random(1)
        self.numbers: Iterator[int] = count()
        self.events: list[tuple[float, int, Callable[[float], None]]] = []
        for _ in range(clients):
            self.later(START + self.random.random() / 50, partial(self.go, Client()))

    def later(self, at: float, what: Callable[[float], None]) -> None:
        heapq.heappush(self.events, (at, next(self.numbers), what))

    def run(self, seconds: float) -> World:
        while self.events and self.events[0][0] < START + seconds:
            at, _, what = heapq.heappop(self.events)
            what(at)
        return self

    def go(self, client: Client, now: float) -> None:
        """Send a request if one may be sent."""
        if client.in_flight >= IN_FLIGHT:
            return
        if client.paced:
            wait_until = self.place(client, now)
            if wait_until > now:
                self.later(wait_until, lambda at: self.go(client, at))
                return
            client.places.pop(0)
        client.in_flight += 1
        client.sent += 1
        client.untold += 1
        self.later(now + 0.001 + self.random.random() * 0.003, lambda at: self.arrive(client, now, at))
        client.last = max(now, client.last) + 1 / BARE_RATE
        self.later(client.last, lambda at: self.go(client, at))

    def place(self, client: Client, now: float) -> float:
        if now < self.pacing.closed_until:
            client.places.clear()
        if not client.places:
            self.tell(client)
            self.pacing, slots = granted(self.pacing, now, IN_FLIGHT - client.in_flight, None)
            client.places = [slots.start + number * slots.step_s for number in range(slots.left)]
        return client.places[0]

    def tell(self, client: Client) -> None:
        self.pacing = self.pacing._replace(sent=self.pacing.sent + client.untold)
        client.untold = 0

    def arrive(self, client: Client, sent_at: float, now: float) -> None:
        taken = self.server.take(now - START)
        self.arrivals.append(Arrival(now - START, taken))
        if taken:
            self.later(now + ANSWER_S * (0.7 + 0.6 * self.random.random()), lambda at: self.back(client, at))
        else:
            self.later(now + REFUSAL_S, lambda at: self.refuse(client, sent_at, at))

    def refuse(self, client: Client, sent_at: float, now: float) -> None:
        self.tell(client)
        unpaced = None if client.paced else Measured(client.sent, client.refused, now - START)
        self.pacing = refused(self.pacing, now, sent_at, self.told_s, unpaced)
        client.refused += 1
        client.paced = True
        client.places.clear()
        self.back(client, now)

    def back(self, client: Client, now: float) -> None:
        client.in_flight -= 1
        if client.in_flight == IN_FLIGHT - 1:
            self.go(client, now)

    def seen(self, start: float, end: float) -> tuple[float, float]:
        """Return how many a second were let through in a stretch of time, and the share that was refused."""
        found = [arrival.taken for arrival in self.arrivals if start <= arrival.at < end]
        return sum(found) / (end - start), 1 - sum(found) / max(1, len(found))


@pytest.mark.parametrize("clients", [1, 2])
@pytest.mark.parametrize(("limit", "burst"), [(100.0, 100.0), (100.0, 10.0), (5.0, 5.0), (400.0, 400.0)])
def test_an_unknown_limit_is_reached_in_ten_seconds_and_seldom_passed(limit: float, burst: float, clients: int) -> None:
    world = World(Bucket(burst, limit), clients).run(40)
    passed, share = world.seen(10, 40)
    assert passed >= 0.9 * limit
    assert share < 0.05


@pytest.mark.parametrize("clients", [1, 2])
def test_the_same_where_the_server_asks_for_a_second_of_rest(clients: int) -> None:
    passed, share = World(Bucket(100, 100), clients, told_s=1.0).run(40).seen(10, 40)
    assert passed >= 90
    assert share < 0.05


@pytest.mark.parametrize(("before", "after"), [(100.0, 50.0), (50.0, 100.0), (100.0, 10.0)])
def test_a_limit_that_changes_is_followed(before: float, after: float) -> None:
    world = World(Bucket(min(before, after), before, after)).run(80)
    assert world.seen(10, 20)[0] >= 0.9 * before
    passed, share = world.seen(40, 80)
    assert passed >= 0.9 * after
    assert share < 0.05


def test_a_limit_by_the_minute_is_learned_as_a_rate() -> None:
    passed, share = World(Minutes(600)).run(900).seen(600, 900)
    assert passed >= 0.9 * 10
    assert share < 0.05


@pytest.mark.parametrize("share", [0.02, 0.2])
def test_a_server_that_refuses_by_chance_is_not_asked_ever_more_slowly(share: float) -> None:
    """No rate is at fault, so the rate is given back."""
    world = World(Chance(share)).run(60)
    assert all(world.seen(start, start + 30)[0] > 50 for start in (0, 30))


def test_nothing_is_sent_before_the_server_said_so() -> None:
    first = refused(Pacing(), START, START - 0.1, 7.0, Measured(10, 0, 1.0))
    assert first.closed_until == START + 7
    _, slots = granted(first, START + 1, 5, None)
    assert slots.start == START + 7


def test_refusals_of_one_burst_are_one_refusal() -> None:
    """Requests that were sent before the first refusal came mend its measurement and cut nothing again."""
    one = refused(Pacing(), START, START - 0.1, None, Measured(64, 0, 0.1))
    more = one
    for _ in range(30):
        more = refused(more, START + 0.01, START - 0.1, None, None)
    assert (more.cut_at, more.closed_until) == (one.cut_at, one.closed_until)
    assert one.rate is not None
    assert more.rate is not None
    assert more.rate < one.rate


def test_a_declared_rate_is_kept_whatever_is_learned() -> None:
    pacing, places = Pacing(), list[float]()
    for tick in range(1000):
        pacing, slots = granted(pacing, START + tick / 100, 100, 50.0)
        places += [slots.start + number * slots.step_s for number in range(slots.left)]
    later = sorted(places)[10:]
    assert all(after - before >= 0.02 - 1e-6 for before, after in pairwise(later))


@pytest.mark.parametrize(("told_s", "most"), [(None, 60), (0.0, 400)])
def test_a_server_that_lets_nothing_through_is_asked_seldom(told_s: float | None, most: int) -> None:
    """Also where it says that it may be asked again at once."""
    world = World(Bucket(0, 0.0), told_s=told_s).run(600)
    assert sum(1 for arrival in world.arrivals if arrival.at >= 300) < most
