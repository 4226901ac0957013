"""A rate limit as the generic cell rate algorithm: one number remembers all that a key has done. Pure.

The number is the time at which the key would be back at rest ("theoretical arrival time", ITU-T I.371): each request
moves it on by `interval`, and may come as long as that is at most `depth` ahead of now. So no more than `burst` come at
once, and in any time t no more than burst + t / interval.

>>> rate = Rate(10, 1.0, 2)
>>> first = rate.take(0.0, 100.0); second = rate.take(first, 100.0)
>>> rate.left(first, 100.0), rate.take(second, 100.0), round(rate.wait(second, 100.0), 3)
(1, 0.0, 0.1)
"""

from __future__ import annotations

from math import ceil
from typing import Final

_SLACK: Final = 1e-3
"""Of an interval: what sums of floats may be off by."""


class Rate:
    """`count` in `window` seconds, `burst` of them at once."""

    __slots__ = ("_parts", "burst", "depth", "interval", "most", "reach", "step")

    def __init__(self, count: int, window: float, burst: int) -> None:
        self.interval = window / count
        self.burst = burst
        self.depth = burst * self.interval
        self.most = self.depth + _SLACK * self.interval
        """How far ahead of now the time of rest may lie."""
        self._parts = max(1, ceil(self.interval))
        self.step = self.interval / self._parts
        """Seconds, at most one, that divide the interval: how finely `told` tells."""
        self.reach = self.depth + _SLACK * self.step
        """How far ahead of now the time of rest lies when none of its steps is left."""

    def __repr__(self) -> str:
        return f"<Rate one in {self.interval:g}s, {self.burst} at once>"

    def take(self, rest: float, now: float) -> float:
        """The time of rest after one more request, 0 where it may not come. `rest` is the one before it."""
        after = (rest if rest > now else now) + self.interval
        return after if after - now <= self.most else 0.0

    def left(self, rest: float, now: float) -> int:
        """How many may come now."""
        if rest <= now:
            return self.burst
        left = int((self.most - rest + now) / self.interval)
        return left if left > 0 else 0

    def wait(self, rest: float, now: float) -> float:
        """Seconds until the next one may come."""
        return max(0.0, rest + self.interval - self.depth - now)

    def told(self, steps: float) -> tuple[int, int]:
        """How many may come, and in how many whole seconds all of the burst may come again, for the time of rest that
        lies `reach` less `steps` steps ahead of now."""
        # A millisecond less is no second more: differences of clocks are rounded in their last digits.
        return int(steps // self._parts), max(0, ceil(self.depth - steps * self.step - 0.001))
