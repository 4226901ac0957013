"""What one process has counted at one moment: the values that workers send, and how those of several become one.

Counters only grow and add up; gauges (`connections`, `in_flight`) are of the moment and add up too. Labels are names
from the configuration or from the proxy's fixed vocabulary, never anything a client sent. Knows no process and no time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from meshctl.model.names import EGRESS
from meshctl.observe.histogram import Distribution, together
from meshctl.wire.reasons import CUT_OFF, GIVEN_UP

CLASSES: Final = ("none", "1xx", "2xx", "3xx", "4xx", "5xx")
"""Status classes by status // 100. "none": no answer was sent, the client was gone before."""

Key = tuple[str, str, str]
"""A series' name: route, service and version; empty where a request came to none."""

UNCONFIGURED: Final[frozenset[Key]] = frozenset({("", "", ""), (EGRESS, EGRESS, "")})
"""What every proxy may count whatever its configuration: requests that no route took, and those that left the mesh."""


class SeriesSample(msgspec.Struct, frozen=True, array_like=True):
    """All requests of one route, service and version."""

    route: str
    service: str
    version: str
    statuses: tuple[int, ...] = (0,) * len(CLASSES)
    """Answers by class, as in `CLASSES`."""
    reasons: dict[str, tuple[int, ...]] = {}
    """Those of `statuses` that the proxy answered itself, by reason code and class."""
    received: int = 0
    sent: int = 0
    latency: Distribution = Distribution()
    callers: dict[str, SeriesSample] = {}
    """Those of all these that came from services which proved to be them, by service."""

    @property
    def key(self) -> Key:
        """The series' name."""
        return self.route, self.service, self.version

    @property
    def requests(self) -> int:
        """How many requests were finished."""
        return sum(self.statuses)

    @property
    def errors(self) -> int:
        """How many of them failed: were answered with 500 and above, or cut off by the endpoint (`has_failed`)."""
        cut = self.reasons.get(CUT_OFF)
        return self.statuses[5] + sum(cut[:5]) if cut else self.statuses[5]

    @property
    def given_up(self) -> int:
        """How many of them their clients gave up before an answer (`is_given_up`): neither successes nor failures.
        Those who left in the middle of an answer that was a 4xx are among them, for only hundreds are known."""
        left = self.reasons.get(GIVEN_UP)
        return left[4] if left else 0

    def plus(self, other: SeriesSample) -> SeriesSample:
        """Both together, under this one's name."""
        reasons = dict(self.reasons)
        for reason, counts in other.reasons.items():
            reasons[reason] = _added(reasons[reason], counts) if reason in reasons else counts
        return SeriesSample(
            *self.key,
            _added(self.statuses, other.statuses),
            reasons,
            self.received + other.received,
            self.sent + other.sent,
            self.latency.plus(other.latency),
            _merged(self.callers, other.callers),
        )

    def since(self, earlier: SeriesSample | None) -> SeriesSample:
        """What was counted since `earlier`, an older state of the same series. Where less was counted than then,
        counting has begun anew, and all of it is new."""
        if earlier is None or self.requests < earlier.requests:
            return self
        reasons = {}
        for reason, counts in self.reasons.items():
            more = _less(counts, earlier.reasons[reason]) if reason in earlier.reasons else counts
            if any(more):
                reasons[reason] = more
        callers = ((name, each.since(earlier.callers.get(name))) for name, each in self.callers.items())
        return SeriesSample(
            *self.key,
            _less(self.statuses, earlier.statuses),
            reasons,
            max(0, self.received - earlier.received),
            max(0, self.sent - earlier.sent),
            self.latency.minus(earlier.latency),
            {name: each for name, each in callers if each.requests},
        )


def total(samples: Sequence[SeriesSample]) -> SeriesSample:
    """Several samples of one series as one. At once, because to add them one by one takes ten times as long."""
    first = samples[0]
    if len(samples) == 1:
        return first
    reasons: dict[str, tuple[int, ...]] = {}
    callers: dict[str, list[SeriesSample]] = {}
    for each in samples:
        for reason, counts in each.reasons.items():
            reasons[reason] = _added(reasons[reason], counts) if reason in reasons else counts
        for name, theirs in each.callers.items():
            callers.setdefault(name, []).append(theirs)
    return SeriesSample(
        *first.key,
        tuple(map(sum, zip(*(each.statuses for each in samples), strict=True))),
        reasons,
        sum(each.received for each in samples),
        sum(each.sent for each in samples),
        together(each.latency for each in samples),
        {name: total(theirs) for name, theirs in callers.items()},
    )


class ServiceSample(msgspec.Struct, frozen=True, array_like=True):
    """What happened on the way to one service, by result."""

    service: str
    connects: dict[str, int] = {}
    retries: dict[str, int] = {}
    ejections: int = 0
    limits: dict[str, int] = {}
    """Requests that found no place under its limit, by why."""
    faults: dict[str, int] = {}
    mirrored: dict[str, int] = {}
    breaks: int = 0
    """How often its breaker opened."""

    def plus(self, other: ServiceSample) -> ServiceSample:
        """Both together."""
        return ServiceSample(
            self.service,
            _summed(self.connects, other.connects),
            _summed(self.retries, other.retries),
            self.ejections + other.ejections,
            limits=_summed(self.limits, other.limits),
            faults=_summed(self.faults, other.faults),
            mirrored=_summed(self.mirrored, other.mirrored),
            breaks=self.breaks + other.breaks,
        )


class DenialSample(msgspec.Struct, frozen=True, array_like=True):
    """Calls from one service that one rule between services denied, or with `is_shadow` would have."""

    rule: str
    caller: str
    is_shadow: bool
    count: int


class CacheSample(msgspec.Struct, frozen=True, array_like=True):
    """What is kept of answers."""

    answers: int = 0
    size: int = 0
    """Bytes."""
    evicted: int = 0
    """Answers that gave way to others."""

    def plus(self, other: CacheSample) -> CacheSample:
        """Both together."""
        return CacheSample(self.answers + other.answers, self.size + other.size, self.evicted + other.evicted)


class Sample(msgspec.Struct, frozen=True, array_like=True):
    """Everything one worker counted since it started, or several workers together."""

    series: tuple[SeriesSample, ...] = ()
    services: tuple[ServiceSample, ...] = ()
    connections: int = 0
    in_flight: int = 0
    accepted: int = 0
    handshake_failures: int = 0
    log_dropped: int = 0
    refusals: dict[str, int] = {}
    denials: tuple[DenialSample, ...] = ()
    shed: dict[str, int] = {}
    """Requests refused by workers that could not keep up, by priority."""
    cached: dict[str, dict[str, int]] = {}
    """What became of requests at the caches of their routes, by route and result."""
    cache: CacheSample | None = None
    """None where no route has a cache."""
    spans_exported: int = 0
    spans_dropped: int = 0
    """Spans of traces that a receiver took, and those that nobody did."""

    @property
    def requests(self) -> int:
        """How many requests were finished."""
        return sum(series.requests for series in self.series)


def encode(sample: Sample) -> bytes:
    """The sample for the way from worker to supervisor."""
    return msgspec.msgpack.encode(sample)


def decode(data: bytes) -> Sample:
    """The sample in `data`. Raises msgspec.ValidationError or DecodeError where it is none."""
    return msgspec.msgpack.decode(data, type=Sample)


def merge(samples: Iterable[Sample]) -> Sample:
    """All samples as one, in the order in which names first appear."""
    every = tuple(samples)
    if len(every) == 1:
        return every[0]
    series: dict[Key, SeriesSample] = {}
    services: dict[str, ServiceSample] = {}
    refusals: dict[str, int] = {}
    denials: dict[tuple[str, str, bool], int] = {}
    shed: dict[str, int] = {}
    cached: dict[str, dict[str, int]] = {}
    cache: CacheSample | None = None
    for sample in every:
        shed = _summed(shed, sample.shed)
        for route, counts in sample.cached.items():
            cached[route] = _summed(cached.get(route, {}), counts)
        if sample.cache is not None:
            cache = sample.cache if cache is None else cache.plus(sample.cache)
        for one in sample.series:
            series[one.key] = series[one.key].plus(one) if one.key in series else one
        for service in sample.services:
            known = services.get(service.service)
            services[service.service] = known.plus(service) if known else service
        refusals = _summed(refusals, sample.refusals)
        for denial in sample.denials:
            name = (denial.rule, denial.caller, denial.is_shadow)
            denials[name] = denials.get(name, 0) + denial.count
    return Sample(
        tuple(series.values()),
        tuple(services.values()),
        connections=sum(sample.connections for sample in every),
        in_flight=sum(sample.in_flight for sample in every),
        accepted=sum(sample.accepted for sample in every),
        handshake_failures=sum(sample.handshake_failures for sample in every),
        log_dropped=sum(sample.log_dropped for sample in every),
        refusals=refusals,
        denials=tuple(DenialSample(*name, count) for name, count in denials.items()),
        shed=shed,
        cached=cached,
        cache=cache,
        spans_exported=sum(sample.spans_exported for sample in every),
        spans_dropped=sum(sample.spans_dropped for sample in every),
    )


def _added(left: tuple[int, ...], right: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(a + b for a, b in zip(left, right, strict=True))


def _less(left: tuple[int, ...], right: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(max(0, a - b) for a, b in zip(left, right, strict=True))


def _merged(left: dict[str, SeriesSample], right: dict[str, SeriesSample]) -> dict[str, SeriesSample]:
    if not (left and right):
        return left or right
    return left | {name: left[name].plus(each) if name in left else each for name, each in right.items()}


def _summed(left: dict[str, int], right: dict[str, int]) -> dict[str, int]:
    return {name: left.get(name, 0) + right.get(name, 0) for name in left | right}
