"""How long requests took in the last so many seconds, by name, where only the sums since the start are at hand: marks
of them are kept now and then, and what came since the right one is told. The time comes from outside.

Adding up latencies every second would be most of the work with thousands of busy routes; a mark is made a few times a
minute.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Final, Generic, TypeVar

from meshctl.observe.histogram import Distribution

K = TypeVar("K")

_MARKS: Final = 4
"""Marks within the span: what is told is of up to a fourth of it longer ago."""


class Marks(Generic[K]):
    """Marks of the last `span` seconds."""

    __slots__ = ("_marks", "_span")

    def __init__(self, span: float) -> None:
        self._span = span
        self._marks: deque[tuple[float, Mapping[K, Distribution]]] = deque()

    def __repr__(self) -> str:
        return f"<Marks {len(self._marks)} in {self._span:g} s>"

    def offer(self, now: float, sums: Callable[[], Mapping[K, Distribution]]) -> None:
        """Make a mark of what `sums` gives, if it is time for one."""
        marks = self._marks
        if marks and now - marks[-1][0] < self._span / _MARKS:
            return
        marks.append((now, sums()))
        while len(marks) > 1 and marks[1][0] <= now - self._span:
            marks.popleft()

    def since(self, now: float, name: K, sum_now: Distribution) -> Distribution:
        """What was added to the sum of `name` since the last mark before the span, or since the first there is."""
        found = self._marks[0][1] if self._marks else {}
        for at, sums in self._marks:
            if at <= now - self._span:
                found = sums
        before = found.get(name)
        return sum_now if before is None or before.count > sum_now.count else sum_now.minus(before)
