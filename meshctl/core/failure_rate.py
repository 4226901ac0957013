"""How many of the last requests failed? A window of time over which requests and failures are counted, in tenths.

Failures are told when they happen. Requests may be told later and many at a time, so that those that succeed, nearly
all of them, cost nothing one by one. Does not know what a failure is nor whose.
"""

from __future__ import annotations

from math import floor
from typing import Final

from meshctl.model.units import format_duration

_BUCKETS: Final = 10


class FailureRate:
    """Requests and failures of the last `window` seconds."""

    __slots__ = ("_ended", "_failed", "_index", "_width", "failures", "window")

    def __init__(self, window: float) -> None:
        self.window = window
        self.failures = 0
        self._width = window / _BUCKETS
        self._index = 0
        self._ended = [0] * _BUCKETS
        self._failed = [0] * _BUCKETS

    @property
    def requests(self) -> int:
        """How many requests have ended. A failure may be told before its request is."""
        return max(sum(self._ended), self.failures)

    def count(self, now: float, requests: int) -> None:
        """So many requests have ended, in whatever way."""
        self._ended[self._now(now)] += requests

    def fail(self, now: float) -> None:
        """A request has failed."""
        self._failed[self._now(now)] += 1
        self.failures += 1

    def is_above(self, rate: float, minimum: int, now: float) -> bool:
        """Whether at least `minimum` requests ended within the window and at least a share of `rate` of them failed."""
        self._now(now)
        # The failures first: where there are few, nobody need add up the requests.
        if not self.failures:
            return False
        requests = self.requests
        # Without the small subtrahend a half of 20 could be more than 10.
        return requests >= minimum and self.failures >= requests * rate - 1e-9

    def clear(self) -> None:
        """Forget all of it."""
        self._ended = [0] * _BUCKETS
        self._failed = [0] * _BUCKETS
        self.failures = 0

    def __str__(self) -> str:
        return f"{self.failures} of {self.requests} requests failed in the last {format_duration(self.window)}"

    def __repr__(self) -> str:
        return f"FailureRate({self.failures} of {self.requests})"

    def _now(self, now: float) -> int:
        """The bucket of this moment; those that time has passed since the last one are emptied."""
        index = floor(now / self._width)
        for step in range(min(abs(index - self._index), _BUCKETS)):
            at = (index - step) % _BUCKETS
            self.failures -= self._failed[at]
            self._ended[at] = self._failed[at] = 0
        self._index = index
        return index % _BUCKETS
