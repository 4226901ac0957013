"""What a proxy tells of its last minutes, and how that of several becomes one picture in which each request is counted
once.

A request may pass the gateway, its caller's sidecar and its callee's. It is counted where it is sent into a service: by
the gateway or by the caller's sidecar, as its caller saw it, so that those that never arrive are failures too, and with
all its retries as one. What reaches a sidecar from nobody who was asked (in the clear, or from a member whose own proxy
does not answer) is counted there. Knows no process; nothing here averages a percentile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

import msgspec

from meshctl.observe.histogram import Distribution
from meshctl.observe.sample import SeriesSample

MTLS: Final = "mtls"
TLS: Final = "tls"
PLAIN: Final = "plain"


class Load(msgspec.Struct, frozen=True):
    """What one proxy has under way with one version of a service at this moment. `tls` is how it speaks to its
    endpoints: "mtls" with proof of both sides, "tls", "plain", or several of them, in this order, joined by "+"."""

    service: str
    version: str
    in_flight: int = 0
    connections: int = 0
    tls: str = ""


class Reading(msgspec.Struct, frozen=True):
    """One proxy's answer to GET /v1/stat."""

    proxy: str
    service: str
    """As which it calls others: "gateway", or what it wraps."""
    local: str = ""
    """The name under which it counts what goes to the app it wraps."""
    seconds: float = 0.0
    """How long a time `series` is of."""
    series: tuple[SeriesSample, ...] = ()
    loads: tuple[Load, ...] = ()


class Flow(NamedTuple):
    """Requests of one caller to one version of a service, each counted once in all flows of a mesh. `caller` is a
    service that called, "gateway" where it is that which sends on what comes in, "" where nobody knows; `tls` is how
    they came, "" where nothing went anywhere."""

    caller: str
    route: str
    service: str
    version: str
    series: SeriesSample
    seconds: float
    tls: str = ""


class Row(msgspec.Struct, frozen=True):
    """What happened to all requests of one name. Rates are per second, latencies seconds."""

    requests: int = 0
    errors: int = 0
    """Answered with 500 and above, or cut off by the endpoint."""
    rps: float = 0.0
    p50: float = 0.0
    p95: float = 0.0
    p99: float = 0.0
    received: float = 0.0
    """Bytes of request bodies per second."""
    sent: float = 0.0
    """Bytes of answers' bodies per second."""
    reasons: dict[str, int] = {}
    """Why proxies answered themselves, and how often, the most frequent first."""
    tls: str = ""
    given_up: int = 0
    """Those whose clients left before an answer."""

    @property
    def success(self) -> float | None:
        """The share of requests that did not fail, of those that were not given up; None where there were none."""
        judged = self.requests - self.given_up
        return 1 - self.errors / judged if judged > 0 else None


def flows(readings: Sequence[Reading]) -> Iterator[Flow]:
    """All requests that these proxies together tell of, each once."""
    asked = {reading.service for reading in readings}
    for reading in readings:
        ways = {(load.service, load.version): load.tls for load in reading.loads}
        for series in reading.series:
            if series.service == reading.local and reading.local:
                yield from _arrived(reading, series, asked)
            else:
                name = (series.service, series.version)
                yield Flow(reading.service, series.route, *name, series, reading.seconds, ways.get(name, ""))


def _arrived(reading: Reading, series: SeriesSample, asked: set[str]) -> Iterator[Flow]:
    """Those of a sidecar's own requests that nobody else tells of, and why it answered others itself: their callers'
    proxies only know with what status."""
    own = series
    # What was refused before it came to the app has no version yet.
    version = series.version or next((load.version for load in reading.loads if load.service == reading.local), "")
    for caller, theirs in series.callers.items():
        own = without(own, theirs)
        if caller not in asked:
            yield Flow(caller, "", reading.service, version, theirs, reading.seconds, MTLS)
        elif theirs.reasons:
            why = SeriesSample(*theirs.key, reasons=theirs.reasons)
            yield Flow(caller, "", reading.service, version, why, reading.seconds, MTLS)
    if own.requests:
        yield Flow("", "", reading.service, version, own, reading.seconds, PLAIN)


def without(whole: SeriesSample, part: SeriesSample) -> SeriesSample:
    """A series less a part of it."""
    return msgspec.structs.replace(whole.since(part), callers={})


def rows(found: Iterable[Flow], name_of: Callable[[Flow], tuple[str, ...]]) -> dict[tuple[str, ...], Row]:
    """What happened by name, in the order of the names."""
    groups: dict[tuple[str, ...], list[Flow]] = {}
    for flow in found:
        groups.setdefault(name_of(flow), []).append(flow)
    return {name: _row(groups[name]) for name in sorted(groups)}


def _row(group: Sequence[Flow]) -> Row:
    latency = Distribution()
    reasons: dict[str, int] = {}
    rps = received = sent = 0.0
    for flow in group:
        # Each rate over the proxy's own time: one that was started a moment ago has counted for less long.
        seconds = max(flow.seconds, 1.0)
        latency = latency.plus(flow.series.latency)
        rps += flow.series.requests / seconds
        received += flow.series.received / seconds
        sent += flow.series.sent / seconds
        for reason, counts in flow.series.reasons.items():
            reasons[reason] = reasons.get(reason, 0) + sum(counts)
    p50, p95, p99 = (latency.quantile(q) for q in (0.5, 0.95, 0.99))
    return Row(
        sum(flow.series.requests for flow in group),
        # Reasons alone are of requests that are counted elsewhere.
        sum(flow.series.errors for flow in group if flow.series.requests),
        rps,
        p50,
        p95,
        p99,
        received,
        sent,
        dict(sorted(reasons.items(), key=lambda item: (-item[1], item[0]))),
        joined(flow.tls for flow in group),
        sum(flow.series.given_up for flow in group if flow.series.requests),
    )


def joined(ways: Iterable[str]) -> str:
    """Several ways of speaking as one."""
    found = {way for each in ways for way in each.split("+") if way}
    return "+".join(way for way in (MTLS, TLS, PLAIN) if way in found)
