"""The limit that follows latency, in simulations of a service that works on so many requests at once."""

from __future__ import annotations

import heapq
import random
from collections import deque
from itertools import count

import pytest

from meshctl.core.gradient import FEWEST, FIRST, Gradient

STEADY, EXPONENTIAL, HEAVY = "steady", "exponential", "heavy"


class Simulation:
    """`clients` ask again as soon as they have their answer; the service works on `slots` requests at once, each for
    `takes` seconds on average, and lets the others wait."""

    def __init__(self, most: int = 500, noise: str = STEADY) -> None:
        self.gradient = Gradient(most, 0.0)
        self.now = 0.0
        self.answered = 0
        self.clients = 0
        self._dice = random.Random(7)
        self._noise = noise
        self._number = count()
        self._worked_on: list[tuple[float, int, float]] = []
        self._line: deque[float] = deque()

    def run(self, seconds: float, clients: int, slots: int, takes: float = 0.02) -> list[int]:
        """The limits after each of the last ten seconds or so of `seconds` more."""
        end, limits, next_look = self.now + seconds, [], self.now + 1.0
        while self.now < end:
            while len(self._worked_on) + len(self._line) < min(self.gradient.limit, clients):
                self._line.append(self.now)
            while self._line and len(self._worked_on) < slots:
                done = self.now + self._draw(takes)
                heapq.heappush(self._worked_on, (done, next(self._number), self._line.popleft()))
            under_way = len(self._worked_on) + len(self._line)
            self.now, _, entered = heapq.heappop(self._worked_on)
            self.gradient.sample(self.now - entered, self.now, under_way)
            self.answered += 1
            if self.now >= next_look:
                limits.append(self.gradient.limit)
                next_look += 1.0
        return limits[-10:]

    def _draw(self, takes: float) -> float:
        if self._noise == EXPONENTIAL:
            return self._dice.expovariate(1 / takes)
        return takes * (self._dice.lognormvariate(-0.5, 1.0) if self._noise == HEAVY else 1.0)


def typical(limits: list[int]) -> int:
    """The one in the middle: a limit is halved for moments to look."""
    return sorted(limits)[len(limits) // 2]


@pytest.mark.parametrize("noise", [STEADY, EXPONENTIAL, HEAVY])
@pytest.mark.parametrize("slots", [5, 20, 60])
def test_it_finds_what_the_service_can_do_at_once(slots: int, noise: str) -> None:
    """Far more clients than the service can work for: the limit comes to what keeps it busy with a short line, whatever
    the noise, and little of its capacity is lost to looking."""
    simulation = Simulation(noise=noise)
    simulation.run(20, 300, slots)
    before = simulation.answered
    limits = simulation.run(20, 300, slots)
    assert slots <= typical(limits) <= 2.2 * slots + 5
    assert simulation.answered - before > 0.9 * 20 * slots / 0.02


@pytest.mark.parametrize("noise", [STEADY, EXPONENTIAL])
def test_it_follows_a_service_that_slows_down(noise: str) -> None:
    """A service that can do a tenth for a while gets less, and its old share within seconds after it is well again."""
    simulation = Simulation(noise=noise)
    simulation.run(15, 300, 50)
    assert typical(simulation.run(12, 300, 5)) < 40
    assert typical(simulation.run(20, 300, 50)) >= 50


def test_idle_times_change_nothing() -> None:
    """Few requests neither raise the limit nor lower it: it is there when the load comes back."""
    simulation = Simulation(noise=EXPONENTIAL)
    busy = typical(simulation.run(20, 300, 50))
    idle = simulation.run(20, 2, 50)
    assert set(idle) == {idle[0]}
    assert typical(simulation.run(15, 300, 50)) == pytest.approx(busy, rel=0.5)


def test_bounds() -> None:
    """It begins small, never leaves its bounds, and obeys a new upper bound at once."""
    simulation = Simulation(most=12)
    assert simulation.gradient.limit == FIRST
    assert max(simulation.run(15, 100, 50)) == 12
    simulation.gradient.bound(7)
    assert simulation.gradient.limit <= 7
    crushed = Simulation(most=100, noise=HEAVY)
    crushed.run(10, 300, 50)
    assert min(crushed.run(20, 300, 1)) >= FEWEST
    assert Gradient(2, 0.0).limit == 2
