"""How long requests took: counting durations in fixed buckets, and reading quantiles out of the counts.

The bounds are the R20 series of preferred numbers (ISO 3): twenty to a decade, at most 14.3 % apart, from 50 µs to
60 s. It contains 1, 2.5 and 5 of every decade, so a coarser set for Prometheus (`COARSE`) is exact, not interpolated.
A `Histogram` counts; a `Distribution` is its frozen value, which can be added, subtracted, sent and asked. Knows
nothing of requests, routes or processes.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from itertools import pairwise
from math import ceil, sqrt
from typing import Final

import msgspec

_R20: Final = (100, 112, 125, 140, 160, 180, 200, 224, 250, 280, 315, 355, 400, 450, 500, 560, 630, 710, 800, 900)


def _bounds() -> Iterator[float]:
    for exponent in range(-7, 0):
        for number in _R20:
            seconds = float(f"{number}e{exponent}")
            if 50e-6 <= seconds < 60:
                yield seconds
    yield 60.0


BOUNDS: Final = tuple(_bounds())
"""Upper bounds in seconds, inclusive as Prometheus' `le` is. What exceeds the last is counted in one bucket more."""

COARSE: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 25.0, 60.0)
"""The bounds that are exposed to Prometheus; each is one of `BOUNDS`."""

# A bucket's value is its geometric middle: what lies in it is at most the square root of its bounds' ratio away (7 %).
_VALUES: Final = (BOUNDS[0], *(sqrt(low * high) for low, high in pairwise(BOUNDS)), BOUNDS[-1])


class Distribution(msgspec.Struct, frozen=True, array_like=True):
    """Counts of the buckets from `start` on, without leading and trailing zeros, and the sum of all durations."""

    start: int = 0
    counts: tuple[int, ...] = ()
    seconds: float = 0.0

    @property
    def count(self) -> int:
        """How many durations were counted."""
        return sum(self.counts)

    def quantile(self, q: float) -> float:
        """The duration that the share `q` of all stay at or below, at most 7 % off from 50 µs to 60 s; 0 for none."""
        left = max(1, ceil(q * self.count))
        for index, count in enumerate(self.counts, self.start):
            left -= count
            if left <= 0:
                return _VALUES[index]
        return 0.0

    def cumulative(self) -> Iterator[tuple[float, int]]:
        """Each bound of `COARSE` with the number of durations at or below it, for an exposition to Prometheus."""
        below = at = 0
        for bound in COARSE:
            end = bisect_left(BOUNDS, bound) + 1 - self.start
            if end > at:
                below += sum(self.counts[at:end])
                at = end
            yield bound, below

    def plus(self, other: Distribution) -> Distribution:
        """The durations of both."""
        if not (self.counts and other.counts):
            return self if self.counts else other
        start = min(self.start, other.start)
        end = max(self.start + len(self.counts), other.start + len(other.counts))
        sums = [a + b for a, b in zip(self._span(start, end), other._span(start, end), strict=True)]
        return Distribution(start, tuple(sums), self.seconds + other.seconds)

    def minus(self, earlier: Distribution) -> Distribution:
        """What was added since `earlier`, an older state of the same distribution."""
        if not earlier.counts:
            return self
        end = self.start + len(self.counts)
        pairs = zip(self.counts, earlier._span(self.start, end), strict=True)
        return _trimmed(self.start, [max(0, now - before) for now, before in pairs], self.seconds - earlier.seconds)

    def _span(self, start: int, end: int) -> tuple[int, ...]:
        """The counts of buckets `start` to `end`, zeros where there are none."""
        skip = max(0, start - self.start)
        padded = (0,) * max(0, self.start - start) + self.counts[skip:]
        return (padded + (0,) * (end - start))[: end - start]


def together(distributions: Iterable[Distribution]) -> Distribution:
    """The durations of all."""
    counts = [0] * (len(BOUNDS) + 1)
    seconds = 0.0
    for each in distributions:
        seconds += each.seconds
        for index, count in enumerate(each.counts, each.start):
            counts[index] += count
    return _trimmed(0, counts, seconds)


class Histogram:
    """A live count of durations. An unused one holds no buckets: of many routes most see no traffic."""

    __slots__ = ("_counts", "_seconds")

    def __init__(self) -> None:
        self._counts: list[int] = []
        self._seconds = 0.0

    def __repr__(self) -> str:
        return f"<Histogram {sum(self._counts)} durations>"

    def add(self, durations: Iterable[float]) -> None:
        """Count these, in seconds. Many at once take a tenth of the time each."""
        ordered = sorted(durations)
        self._seconds += sum(ordered)
        counts = self._counts = self._counts or [0] * (len(BOUNDS) + 1)
        at = 0
        while at < len(ordered):
            bucket = bisect_left(BOUNDS, ordered[at])
            end = bisect_right(ordered, BOUNDS[bucket], at) if bucket < len(BOUNDS) else len(ordered)
            counts[bucket] += end - at
            at = end

    def freeze(self) -> Distribution:
        """What was counted so far."""
        return _trimmed(0, self._counts, self._seconds)


def _trimmed(start: int, counts: list[int], seconds: float) -> Distribution:
    used = [index for index, count in enumerate(counts) if count]
    if not used:
        return Distribution()
    return Distribution(start + used[0], tuple(counts[used[0] : used[-1] + 1]), max(0.0, seconds))
