"""How routes fare right now: requests per second, share of errors and latency over the last ten seconds.

Lives in the supervisor, which adds the merged sample about once a second. Only differences are kept, for routes that
had traffic, in slices of a second: the memory follows the traffic of ten seconds and not the number of routes. The time
comes from outside.
"""

from __future__ import annotations

from collections import deque
from typing import Final

import msgspec

from meshctl.observe.histogram import Distribution
from meshctl.observe.sample import Key, Sample, SeriesSample

SPAN: Final = 10.0
_SLICE: Final = 1.0


class Fare(msgspec.Struct, frozen=True):
    """How a route does. `rps` is requests finished per second, `errors` the share answered with 500 and above, 0 to 1;
    latencies are seconds."""

    requests: int = 0
    """Requests within the window."""
    rps: float = 0.0
    errors: float = 0.0
    p50: float = 0.0
    p95: float = 0.0
    p99: float = 0.0


class _Change(msgspec.Struct, frozen=True):
    requests: int = 0
    errors: int = 0
    latency: Distribution = Distribution()

    def plus(self, other: _Change) -> _Change:
        return _Change(self.requests + other.requests, self.errors + other.errors, self.latency.plus(other.latency))


class _Slice:
    __slots__ = ("changes", "end", "start")

    def __init__(self, start: float, end: float) -> None:
        self.start = start
        self.end = end
        self.changes: dict[str, _Change] = {}

    def add(self, route: str, change: _Change) -> None:
        self.changes[route] = self.changes[route].plus(change) if route in self.changes else change


class Window:
    """The last ten seconds of a proxy, by route."""

    __slots__ = ("_at", "_last", "_slices")

    def __init__(self) -> None:
        self._slices: deque[_Slice] = deque()
        self._last: dict[Key, SeriesSample] = {}
        self._at: float | None = None

    def __repr__(self) -> str:
        return f"<Window {len(self._slices)} slices, {len(self._last)} series>"

    def add(self, now: float, sample: Sample) -> None:
        """Take the proxy's merged sample of the monotonic time `now`. The first one is where counting starts. May be
        called at any moment, to have the newest requests in an answer."""
        before, self._last = self._last, {series.key: series for series in sample.series}
        started, self._at = self._at, now
        if started is None:
            return
        current = self._slice(started, now)
        for key, series in self._last.items():
            change = _change(before.get(key), series)
            if change.requests:
                current.add(series.route, change)
        self._forget(now)

    def fares(self, now: float) -> dict[str, Fare]:
        """Each route that finished a request in the ten seconds before `now`. The route "" took what no other did."""
        self._forget(now)
        sums: dict[str, _Change] = {}
        for piece in self._slices:
            for route, change in piece.changes.items():
                sums[route] = sums[route].plus(change) if route in sums else change
        return {route: self._fare(change) for route, change in sums.items()}

    def overall(self, now: float) -> Fare:
        """All routes together."""
        self._forget(now)
        total = _Change()
        for piece in self._slices:
            for change in piece.changes.values():
                total = total.plus(change)
        return self._fare(total)

    def _slice(self, start: float, end: float) -> _Slice:
        """Where a change between `start` and `end` belongs: short intervals share a slice, so that few are kept."""
        if self._slices and end - self._slices[-1].start <= _SLICE:
            self._slices[-1].end = end
        else:
            self._slices.append(_Slice(start, end))
        return self._slices[-1]

    def _forget(self, now: float) -> None:
        while self._slices and self._slices[0].end <= now - SPAN:
            self._slices.popleft()

    def _fare(self, change: _Change) -> Fare:
        if not change.requests:
            return Fare()
        seconds = max(self._slices[-1].end - self._slices[0].start, 1e-3)
        p50, p95, p99 = (change.latency.quantile(q) for q in (0.5, 0.95, 0.99))
        return Fare(change.requests, change.requests / seconds, change.errors / change.requests, p50, p95, p99)


def _change(before: SeriesSample | None, now: SeriesSample) -> _Change:
    # Fewer requests than before: the series had been forgotten and has begun anew, so all of it is new.
    if before is None or now.requests < before.requests:
        return _Change(now.requests, now.errors, now.latency)
    if now.requests == before.requests:
        return _Change()
    latency = now.latency.minus(before.latency)
    return _Change(now.requests - before.requests, max(0, now.errors - before.errors), latency)
