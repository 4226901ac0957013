"""What a worker counts while it serves: plain numbers in one process, cheap enough for every request.

A `Series` counts the requests of one route, service and version, a `ServiceCounters` what happened on the way to a
service, and `Counters` holds them all by name: a snapshot takes its series from here, so a new snapshot goes on
counting where the old one was. No locks: one worker is one thread. Labels come from configuration and the proxy's own
vocabulary.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final, TypeVar

from meshctl.observe.sample import CacheSample, DenialSample, Key, Sample, ServiceSample
from meshctl.observe.series import Series

_K = TypeVar("_K")

MOST_DENIALS: Final = 1_000
"""Rules and callers told apart; those of more are counted as "other"."""

MOST_RETIRED: Final = 1_000
"""Series, services and caches kept although they have gone from the configuration, so that neither counts nor memory
run away."""


class ServiceCounters:
    """What happened on the way to one service. Results are the proxy's words: "ok", "refused", "timeout"…"""

    __slots__ = ("breaks", "connects", "ejections", "faults", "limits", "mirrored", "retries", "service")

    def __init__(self, service: str) -> None:
        self.service = service
        self.connects: dict[str, int] = {}
        self.retries: dict[str, int] = {}
        self.limits: dict[str, int] = {}
        self.ejections = 0
        self.breaks = 0
        self.faults: dict[str, int] = {}
        self.mirrored: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"<ServiceCounters {self.service} connects={self.connects} retries={self.retries}>"

    def connect(self, result: str) -> None:
        """Count an attempt to open a connection to an endpoint."""
        self.connects[result] = self.connects.get(result, 0) + 1

    def retry(self, result: str) -> None:
        """Count a retry that was made, or one that was wanted and not allowed."""
        self.retries[result] = self.retries.get(result, 0) + 1

    def limit(self, why: str) -> None:
        """Count a request that found no place under the service's limit."""
        self.limits[why] = self.limits.get(why, 0) + 1

    def eject(self) -> None:
        """Count an endpoint that was ejected."""
        self.ejections += 1

    def open_breaker(self) -> None:
        """Count that the service's breaker opened."""
        self.breaks += 1

    def fault(self, kind: str) -> None:
        """Count a fault that was injected."""
        self.faults[kind] = self.faults.get(kind, 0) + 1

    def mirror(self, result: str) -> None:
        """Count a copy of a request that was answered, or not, or not made."""
        self.mirrored[result] = self.mirrored.get(result, 0) + 1

    def freeze(self) -> ServiceSample:
        """What was counted so far."""
        return ServiceSample(
            self.service,
            dict(self.connects),
            dict(self.retries),
            self.ejections,
            limits=dict(self.limits),
            faults=dict(self.faults),
            mirrored=dict(self.mirrored),
            breaks=self.breaks,
        )


class Counters:
    """All that a worker counts. The numbers are plain attributes: `counters.connections += 1`."""

    __slots__ = (
        "_cached",
        "_denials",
        "_refusals",
        "_series",
        "_services",
        "_shed",
        "accepted",
        "cache",
        "connections",
        "handshake_failures",
        "in_flight",
        "log_dropped",
    )

    def __init__(self) -> None:
        self.connections = 0
        """Open client connections."""
        self.in_flight = 0
        """Requests being served."""
        self.accepted = 0
        self.handshake_failures = 0
        self.log_dropped = 0
        """Access log lines lost; the worker copies it from the log before it exports."""
        self._refusals: dict[str, int] = {}
        self._shed: dict[str, int] = {}
        self._cached: dict[str, dict[str, int]] = {}
        self.cache: CacheSample | None = None
        """What is kept of answers; the worker copies it from its cache before it exports."""
        self._denials: dict[tuple[str, str, bool], int] = {}
        self._series: dict[Key, Series] = {}
        self._services: dict[str, ServiceCounters] = {}

    def __repr__(self) -> str:
        return f"<Counters {len(self._series)} series, {self.connections} connections, {self.in_flight} in flight>"

    def series(self, route: str, service: str = "", version: str = "") -> Series:
        """The one series of this name. All empty: requests that no route took."""
        key = (route, service, version)
        found = self._series.get(key)
        if found is None:
            found = self._series[key] = Series(key)
        return found

    def service(self, name: str) -> ServiceCounters:
        """The one set of counters of this service."""
        found = self._services.get(name)
        if found is None:
            found = self._services[name] = ServiceCounters(name)
        return found

    def refuse(self, reason: str) -> None:
        """Count a connection or request that was refused before any route was asked."""
        self._refusals[reason] = self._refusals.get(reason, 0) + 1

    def shed(self, priority: str) -> None:
        """Count a request that was refused because the worker cannot keep up."""
        self._shed[priority] = self._shed.get(priority, 0) + 1

    def cached(self, route: str, result: str) -> None:
        """Count what became of a request at the cache of its route."""
        counts = self._cached.setdefault(route, {})
        counts[result] = counts.get(result, 0) + 1

    def deny(self, rule: str, caller: str, *, is_shadow: bool) -> None:
        """Count a call that a rule between services denied, or would have. `caller` is a service that proved to be it,
        or ""."""
        key = (rule, caller, is_shadow)
        if key not in self._denials and len(self._denials) >= MOST_DENIALS:
            key = ("other", "other", is_shadow)
        self._denials[key] = self._denials.get(key, 0) + 1

    def denials(self) -> tuple[DenialSample, ...]:
        """What rules between services denied so far."""
        return tuple(DenialSample(*key, count) for key, count in self._denials.items())

    def retire(self, live: Collection[Key], services: Collection[str]) -> None:
        """After a snapshot was swapped: forget the oldest series that are not in `live`, beyond `MOST_RETIRED`, and the
        oldest services and caches that are of none of these, nor among `services`."""
        for key in outdated(self._series, live):
            del self._series[key]
        for name in outdated(self._services, {service for _, service, _ in live} | set(services)):
            del self._services[name]
        for route in outdated(self._cached, {route for route, _, _ in live}):
            del self._cached[route]

    def export(self) -> Sample:
        """What was counted since the worker started; series and services without any count are left out."""
        frozen = (series.freeze() for series in self._series.values())
        return Sample(
            tuple(sample for sample in frozen if sample.requests),
            tuple(service.freeze() for service in self._services.values()),
            connections=self.connections,
            in_flight=self.in_flight,
            accepted=self.accepted,
            handshake_failures=self.handshake_failures,
            log_dropped=self.log_dropped,
            refusals=dict(self._refusals),
            denials=self.denials(),
            shed=dict(self._shed),
            cached={route: dict(counts) for route, counts in self._cached.items()},
            cache=self.cache,
        )


def outdated(kept: Iterable[_K], live: Collection[_K]) -> list[_K]:
    """Which of those that are kept, the oldest first, are to be forgotten."""
    retired = [each for each in kept if each not in live]
    return retired[: max(0, len(retired) - MOST_RETIRED)]
