"""How routes and versions fare right now: requests per second, errors and latency of a route over the last ten seconds,
and what each version of a service really got in the last minute.

Lives in the supervisor, which adds the merged sample about once a second. Only differences are kept, for what had
traffic (`past`). The time comes from outside.
"""

from __future__ import annotations

from typing import Final

import msgspec
from msgspec.structs import replace

from meshctl.observe.histogram import Distribution
from meshctl.observe.marks import Marks
from meshctl.observe.past import Past
from meshctl.observe.sample import Key, Sample, SeriesSample
from meshctl.observe.tally import Tally, VersionTally

SPAN: Final = 10.0
MINUTE: Final = 60.0

Version = tuple[str, str]
"""A service and one of its versions."""


class Fare(msgspec.Struct, frozen=True):
    """How a route does. `rps` is requests finished per second, `errors` the share that failed, 0 to 1;
    latencies are seconds."""

    requests: int = 0
    """Requests within the window."""
    rps: float = 0.0
    errors: float = 0.0
    p50: float = 0.0
    p95: float = 0.0
    p99: float = 0.0


class Window:
    """The last ten seconds of a proxy by route, and its last minute by version."""

    __slots__ = ("_at", "_last", "_latencies", "_routes", "_versions")

    def __init__(self) -> None:
        self._routes: Past[str] = Past(SPAN)
        self._versions: Past[Version] = Past(MINUTE)
        self._latencies: Marks[Version] = Marks(MINUTE)
        self._last: dict[Key, SeriesSample] = {}
        self._at: float | None = None

    def __repr__(self) -> str:
        return f"<Window {len(self._routes)} slices, {len(self._last)} series>"

    def add(self, now: float, sample: Sample) -> None:
        """Take the proxy's merged sample of the monotonic time `now`. The first one is where counting starts. May be
        called at any moment, to have the newest requests in an answer."""
        before, self._last = self._last, {series.key: series for series in sample.series}
        started, self._at = self._at, now
        self._latencies.offer(now, self._by_version)
        if started is None:
            return
        changes = [
            (key, change)
            for key, series in self._last.items()
            if series is not before.get(key) and (change := _since(before.get(key), series)).requests
        ]
        self._routes.add(started, now, ((route, change) for (route, _, _), change in changes))
        # Without latencies (see `marks`).
        self._versions.add(
            started,
            now,
            (
                ((service, version), Tally(change.requests, change.errors, given_up=change.given_up))
                for (_, service, version), change in changes
                if version
            ),
        )

    def fares(self, now: float) -> dict[str, Fare]:
        """Each route that finished a request in the ten seconds before `now`. The route "" took what no other did."""
        return {route: self._fare(tally) for route, tally in self._routes.sums(now).items()}

    def versions(self, now: float, service: str) -> list[VersionTally]:
        """What was counted of each version of `service` that ever had a request, as of the last sample."""
        minute = self._versions.sums(now)
        totals: dict[str, Tally] = {}
        for (_, name, version), series in self._last.items():
            if name == service and version:
                totals[version] = totals.get(version, Tally()).plus(_tally(series))
        found = []
        for version, total in totals.items():
            tally = minute.get((service, version), Tally())
            if tally.requests:
                latency = self._latencies.since(now, (service, version), total.latency)
                tally = replace(tally, latency=latency)
            found.append(VersionTally(version, total, tally))
        return found

    def _by_version(self) -> dict[Version, Distribution]:
        found: dict[Version, Distribution] = {}
        for (_, service, version), series in self._last.items():
            if version:
                found[service, version] = found.get((service, version), Distribution()).plus(series.latency)
        return found

    def _fare(self, tally: Tally) -> Fare:
        if not tally.requests:
            return Fare()
        p50, p95, p99 = (tally.latency.quantile(q) for q in (0.5, 0.95, 0.99))
        rps = tally.requests / self._routes.seconds
        return Fare(tally.requests, rps, tally.error_rate, p50, p95, p99)


def _tally(series: SeriesSample) -> Tally:
    return Tally(series.requests, series.errors, series.latency, series.given_up)


def _since(before: SeriesSample | None, now: SeriesSample) -> Tally:
    # Most series of a large configuration had no request since: those cost a comparison.
    if before is not None and before.requests == now.requests:
        return Tally()
    return _tally(now).since(_tally(before) if before is not None else None)
