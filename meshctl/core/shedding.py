"""Whether a worker is behind for good, and which share of new requests it refuses for that.

How late its clock ticks tells how long whatever arrives now waits before anybody looks at it: the lag. One pause (a
collection of garbage, a large configuration compiled) makes lags too, so what counts is the standing lag, the least of
the last `TICKS`: a pause that is being worked off passes, a load beyond what one core can serve stays. It begins to
count once all of those are above the target and no longer falling.

A request is refused with a probability that rises with the standing lag, first for those of low priority:

    low      from 0 at the target        to 1 at 1.5 times the target
    normal   from 0 at 1.5 times         to 1 at 3 times
    high     from 0 at 3 times           to 1 at 6 times

At most `MOST` of any rank, so that some get through whatever happens and show when it is over. Pure.
"""

from __future__ import annotations

from collections import deque
from typing import Final

TICKS: Final = 5
MOST: Final = 0.95
STALE: Final = 1.0
"""Seconds, and twice the lag, after which it says nothing any more: where nothing is under way nobody measures."""
_FALLING: Final = 0.8
"""The newest of the lags below this part of the oldest is on its way down by itself."""
_RAMPS: Final = ((1.0, 1.5), (1.5, 3.0), (3.0, 6.0))
"""By rank from the lowest: at which multiple of the target it begins, and where it is complete."""

Shares = tuple[float, float, float]
"""Which part of the requests of high, normal and low priority is refused."""


def shares(lag: float, target: float) -> Shares:
    """What is refused while the standing lag is `lag`."""
    low, normal, high = (_ramp(lag / target, *ramp) for ramp in _RAMPS)
    return high, normal, low


def _ramp(value: float, start: float, end: float) -> float:
    return min(MOST, max(0.0, (value - start) / (end - start)))


class Lag:
    """The lags of the last ticks, and what follows from them."""

    __slots__ = ("_at", "_is_shedding", "_lags", "target")

    def __init__(self, target: float) -> None:
        self.target = target
        """0: nothing is ever refused."""
        self._at = 0.0
        self._lags: deque[float] = deque(maxlen=TICKS)
        self._is_shedding = False

    def __repr__(self) -> str:
        return f"<Lag {self.standing:.3f}s of {self.target:g}s{', shedding' if self._is_shedding else ''}>"

    @property
    def standing(self) -> float:
        """The least of the last ticks' lags; 0 until there are enough of them."""
        return min(self._lags) if len(self._lags) == TICKS else 0.0

    def tick(self, lag: float, now: float) -> Shares | None:
        """The clock has ticked `lag` seconds late. What is refused from now on; None where nothing is."""
        if self.is_stale(now - lag):
            self._lags.clear()
        self._at = now
        self._lags.append(lag)
        standing = self.standing
        if not self.target or standing <= self.target:
            self._is_shedding = False
            return None
        if not self._is_shedding and self._lags[-1] < self._lags[0] * _FALLING:
            return None
        self._is_shedding = True
        return shares(standing, self.target)

    def is_stale(self, now: float) -> bool:
        """Whether the last tick is too long ago to say anything of `now`."""
        return now - self._at > STALE + 2 * self.standing
