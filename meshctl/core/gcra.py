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

from typing import Final

_SLACK: Final = 1e-3
"""Of an interval: what sums of floats may be off by."""


class Rate:
    """`count` in `window` seconds, `burst` of them at once."""

    __slots__ = ("burst", "depth", "interval", "most")

    def __init__(self, count: int, window: float, burst: int) -> None:
        self.interval = window / count
        self.burst = burst
        self.depth = burst * self.interval
        self.most = self.depth + _SLACK * self.interval
        """How far ahead of now the time of rest may lie."""

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

    def full_in(self, rest: float, now: float) -> int:
        """Whole seconds until all of the burst may come again."""
        # A millisecond less is no second more: differences of clocks are rounded in their last digits.
        return int(rest - now + 0.999) if rest > now else 0
