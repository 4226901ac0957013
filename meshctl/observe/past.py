"""What happened in the last so many seconds, by name, in slices of a tenth of that time: the memory follows the traffic
of the span, however often something is added. The time comes from outside."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from typing import Final, Generic, TypeVar

from meshctl.observe.tally import Tally

K = TypeVar("K")

_SLICES: Final = 10


class _Slice(Generic[K]):
    __slots__ = ("end", "start", "tallies")

    def __init__(self, start: float, end: float) -> None:
        self.start = start
        self.end = end
        self.tallies: dict[K, Tally] = {}


class Past(Generic[K]):
    """Tallies of the last `span` seconds."""

    __slots__ = ("_slices", "_span")

    def __init__(self, span: float) -> None:
        self._span = span
        self._slices: deque[_Slice[K]] = deque()

    def __repr__(self) -> str:
        return f"<Past of {self._span:g} s in {len(self._slices)} slices>"

    def __len__(self) -> int:
        return len(self._slices)

    def add(self, start: float, end: float, changes: Iterable[tuple[K, Tally]]) -> None:
        """Add what was counted between `start` and `end`."""
        self.forget(end)
        tallies = self._slice(start, end).tallies
        for name, tally in changes:
            tallies[name] = tallies[name].plus(tally) if name in tallies else tally

    def sums(self, now: float) -> dict[K, Tally]:
        """What happened in the span before `now`, by name; names with nothing are not among it."""
        self.forget(now)
        found: dict[K, Tally] = {}
        for piece in self._slices:
            for name, tally in piece.tallies.items():
                found[name] = found[name].plus(tally) if name in found else tally
        return found

    @property
    def seconds(self) -> float:
        """How long a time the sums are of."""
        return max(self._slices[-1].end - self._slices[0].start, 1e-3) if self._slices else 0.0

    def forget(self, now: float) -> None:
        """Drop what is older than the span."""
        while self._slices and self._slices[0].end <= now - self._span:
            self._slices.popleft()

    def _slice(self, start: float, end: float) -> _Slice[K]:
        """Where a change between `start` and `end` belongs: short intervals share a slice, so that few are kept."""
        if self._slices and end - self._slices[-1].start <= self._span / _SLICES:
            self._slices[-1].end = end
        else:
            self._slices.append(_Slice(start, end))
        return self._slices[-1]
