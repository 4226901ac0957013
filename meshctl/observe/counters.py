"""What a worker counts while it serves: plain numbers in one process, cheap enough for every request.

A `Series` counts the requests of one route, service and version, a `ServiceCounters` what happened on the way to a
service, and `Counters` holds them all by name: a snapshot takes its series from here, so a new snapshot goes on
counting where the old one was. No locks: one worker is one thread. Labels come from configuration and the proxy's own
vocabulary.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final, TypeVar

from msgspec.structs import replace

from meshctl.observe.histogram import Histogram
from meshctl.observe.sample import CLASSES, CacheSample, DenialSample, Key, Sample, SeriesSample, ServiceSample

_K = TypeVar("_K")

MOST_REASONS: Final = 64
"""Reasons a series tells apart; more would be a mistake in the vocabulary and are counted as "other"."""

MOST_DENIALS: Final = 1_000
"""Rules and callers told apart; those of more are counted as "other"."""

MOST_CALLERS: Final = 256
"""Callers that a series tells apart; those of more are counted as "other"."""

MOST_RETIRED: Final = 1_000
"""Series, services and caches kept although they have gone from the configuration, so that neither counts nor memory
run away."""

# One place for each hundred of a three-digit status: what an upstream invents (6xx to 9xx) must not raise.
_HUNDREDS: Final = 10


class Series:
    """The requests of one route, service and version."""

    __slots__ = ("_callers", "_frozen", "_latency", "_reasons", "_statuses", "key", "received", "sent")

    def __init__(self, key: Key) -> None:
        self.key = key
        self.received = 0
        self.sent = 0
        self._statuses = [0] * _HUNDREDS
        self._reasons: dict[str, list[int]] = {}
        self._latency = Histogram()
        self._callers: dict[str, Series] = {}
        self._frozen = SeriesSample(*key)

    def __repr__(self) -> str:
        return f"<Series {'/'.join(self.key)} {self.requests} requests>"

    @property
    def requests(self) -> int:
        """How many requests were recorded."""
        own = sum(self._statuses)
        return own + sum(each.requests for each in self._callers.values()) if self._callers else own

    def of(self, caller: str) -> Series:
        """Where to record what came from a service that proved to be `caller`: a part of this series."""
        found = self._callers.get(caller)
        if found is None:
            if len(self._callers) >= MOST_CALLERS:
                caller = "other"
            found = self._callers.setdefault(caller, Series(self.key))
        return found

    def record(self, status: int, seconds: float, received: int, sent: int, reason: str = "") -> None:
        """Count a finished request: `status` from 0 (nothing was answered) to 999, the bytes of the bodies, and why the
        proxy answered itself ("" where the answer came from upstream)."""
        self._statuses[status // 100] += 1
        self.received += received
        self.sent += sent
        self._latency.observe(seconds)
        if reason:
            self._because(reason, status // 100)

    def _because(self, reason: str, hundred: int) -> None:
        counts = self._reasons.get(reason)
        if counts is None:
            if len(self._reasons) >= MOST_REASONS:
                reason = "other"
            counts = self._reasons.setdefault(reason, [0] * _HUNDREDS)
        counts[hundred] += 1

    def freeze(self) -> SeriesSample:
        """What was counted so far: the same object as last time where nothing was, at next to no cost."""
        if self._frozen.requests != self.requests:
            reasons = {reason: _by_class(counts) for reason, counts in self._reasons.items()}
            statuses = _by_class(self._statuses)
            own = SeriesSample(*self.key, statuses, reasons, self.received, self.sent, self._latency.freeze())
            self._frozen = own if not self._callers else self._with_callers(own)
        return self._frozen

    def _with_callers(self, own: SeriesSample) -> SeriesSample:
        callers = {name: each.freeze() for name, each in self._callers.items()}
        for each in callers.values():
            own = own.plus(each)
        return replace(own, callers=callers)


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


def _by_class(counts: list[int]) -> tuple[int, ...]:
    """Counts by hundred as counts by class; 600 and above count as 5xx, since clients treat them so (RFC 9110 §15)."""
    return (*counts[: len(CLASSES) - 1], sum(counts[len(CLASSES) - 1 :]))
