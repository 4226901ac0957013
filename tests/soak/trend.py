"""Whether a row of readings grows. Pure: it knows neither processes nor clocks.

A reading that jumps about is no growth, and neither is one outlier or a single step; so it takes two witnesses: the
median of the slopes between all pairs of readings (Theil and Sen), over the whole time, and the difference between the
medians of the last third and of the first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median

Reading = tuple[float, float]
"""When, in seconds, and what."""


@dataclass(frozen=True, slots=True)
class Allowed:
    """How much a measure may rise: this much or this share of its median, whichever is more."""

    amount: float
    share: float = 0.0

    def of(self, middle: float) -> float:
        """The allowance for a measure whose median is `middle`."""
        return max(self.amount, self.share * middle)


@dataclass(frozen=True, slots=True)
class Trend:
    """What became of a measure: its median in the first and in the last third, and its rise along the fitted line."""

    first: float
    last: float
    fitted: float

    @property
    def rise(self) -> float:
        """What both witnesses agree on."""
        return min(self.last - self.first, self.fitted)

    def exceeds(self, allowed: Allowed) -> bool:
        """Whether it has grown more than is allowed."""
        return self.rise > allowed.of((self.first + self.last) / 2)


def trend(readings: Sequence[Reading]) -> Trend:
    """The trend of at least three readings in the order of time."""
    if len(readings) < 3:
        raise ValueError(f"expected at least 3 readings, got {len(readings)}")
    third = len(readings) // 3
    values = [value for _, value in readings]
    return Trend(median(values[:third]), median(values[-third:]), _fitted(readings))


def halves(readings: Sequence[Reading]) -> tuple[float, float]:
    """The rise along the fitted line in the first half of at least six readings, and in the second: what levels off
    rises in the first, a leak in both."""
    if len(readings) < 6:
        raise ValueError(f"expected at least 6 readings, got {len(readings)}")
    middle = len(readings) // 2
    return _fitted(readings[:middle]), _fitted(readings[middle:])


def _fitted(readings: Sequence[Reading]) -> float:
    slopes = [(after[1] - before[1]) / (after[0] - before[0]) for before, after in combinations(readings, 2)]
    return median(slopes) * (readings[-1][0] - readings[0][0])
