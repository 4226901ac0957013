"""What /metrics says: a merged sample and what the supervisor knows beside it, in Prometheus' words.

Names follow Prometheus' conventions (base units, `_total`) and OpenTelemetry's HTTP vocabulary. Labels come from the
configuration and the proxy's own vocabulary, so a client cannot make series. prometheus_client is imported on the first
request for metrics only: a proxy that nobody scrapes does not pay for it.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import msgspec

from meshctl.model.views import IdentityView, ServiceView
from meshctl.observe.sample import CLASSES, Sample, SeriesSample

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

_OPENMETRICS: Final = "application/openmetrics-text; version=1.0.0"
_BREAKER: Final = ("closed", "open", "half_open", "ramping")
_UNAVAILABLE: Final = frozenset({"unhealthy", "ejected", "unresolved"})
_SERIES: Final = ("route", "service", "version")


class Facts(msgspec.Struct, frozen=True):
    """What the supervisor knows of its proxy beside the counters."""

    version: str
    """meshctl's."""
    role: str = "gateway"
    revision: int = 0
    started: float = 0.0
    """Seconds since the epoch."""
    restarts: int = 0
    """Workers that were started again."""
    pids: tuple[int, ...] = ()
    """The supervisor's and its workers'."""
    services: tuple[ServiceView, ...] = ()
    identity: IdentityView | None = None
    roots: tuple[tuple[str, float], ...] = ()
    """Fingerprint and end, in seconds since the epoch, of each root the mesh trusts."""
    limits_backend: bool | None = None
    """Whether the Redis that rates are shared in answers; None where there is none."""


def expose(sample: Sample, facts: Facts, accept: str = "") -> tuple[str, bytes]:
    """Content type and body for a scrape with this Accept header: OpenMetrics where it asks for that, else text."""
    from prometheus_client import CollectorRegistry
    from prometheus_client.exposition import choose_encoder

    from meshctl.observe.processes import processes

    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Metrics([*_about(facts), *_requests(sample), *_connections(sample), *_upstream(sample, facts)]))
    registry.register(_Metrics(list(processes(facts.pids, facts.started))))
    # The client's own words are not passed on: prometheus_client raises on a version that is none.
    encode, content_type = choose_encoder(_OPENMETRICS if "application/openmetrics-text" in accept else "")
    return content_type, encode(registry)


class _Metrics:
    """The interface prometheus_client asks for."""

    def __init__(self, metrics: list[Metric]) -> None:
        self._metrics = metrics

    def collect(self) -> Iterator[Metric]:
        return iter(self._metrics)


def _about(facts: Facts) -> Iterator[Metric]:
    from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily

    build = {"version": facts.version, "role": facts.role, "python_version": platform.python_version()}
    yield InfoMetricFamily("meshctl_build", "The software that runs.", build)
    yield GaugeMetricFamily(
        "meshctl_revision", "Number of the applied configuration the proxy runs on.", facts.revision
    )
    yield CounterMetricFamily(
        "meshctl_worker_restarts", "Worker processes started again after they ended unexpectedly.", facts.restarts
    )
    certificate = GaugeMetricFamily(
        "meshctl_certificate_expiry_timestamp_seconds",
        "When the proxy's own certificate ends; it is replaced long before.",
        labels=("identity",),
    )
    intermediate = GaugeMetricFamily(
        "meshctl_intermediate_expiry_timestamp_seconds",
        "When the intermediate that signed the proxy's certificate ends.",
        labels=("root",),
    )
    if facts.identity is not None:
        certificate.add_metric((facts.identity.spiffe,), facts.identity.not_after)
        intermediate.add_metric((facts.identity.issuer,), facts.identity.intermediate_not_after)
    root = GaugeMetricFamily(
        "meshctl_root_expiry_timestamp_seconds", "When a root that the mesh trusts ends.", labels=("fingerprint",)
    )
    for fingerprint, not_after in facts.roots:
        root.add_metric((fingerprint,), not_after)
    yield from (certificate, intermediate, root)
    if facts.limits_backend is not None:
        text = "1 while the Redis that rate limits are shared in answers, 0 while each gateway limits by itself."
        yield GaugeMetricFamily("meshctl_limits_backend_up", text, float(facts.limits_backend))


def _requests(sample: Sample) -> Iterator[Metric]:
    from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

    finished = CounterMetricFamily(
        "meshctl_http_requests",
        "Requests finished, by status class; reason says why the proxy answered itself, empty for upstream answers.",
        labels=(*_SERIES, "status_class", "reason"),
    )
    duration = HistogramMetricFamily(
        "meshctl_http_request_duration_seconds", "Time from a request's head to its answer's last byte.", labels=_SERIES
    )
    received = CounterMetricFamily("meshctl_http_request_bytes", "Bytes of request bodies received.", labels=_SERIES)
    sent = CounterMetricFamily("meshctl_http_response_bytes", "Bytes of response bodies sent.", labels=_SERIES)
    for series in sample.series:
        for status_class, reason, count in _by_reason(series):
            finished.add_metric((*series.key, status_class, reason), count)
        duration.add_metric(series.key, _buckets(series), series.latency.seconds)
        received.add_metric(series.key, series.received)
        sent.add_metric(series.key, series.sent)
    yield from (finished, duration, received, sent)
    yield GaugeMetricFamily("meshctl_http_requests_in_flight", "Requests being served.", sample.in_flight)
    shed = CounterMetricFamily(
        "meshctl_shed_requests",
        "Requests refused because a worker could not keep up, by the priority of their route.",
        labels=("priority",),
    )
    for priority, count in sample.shed.items():
        shed.add_metric((priority,), count)
    yield shed


def _by_reason(series: SeriesSample) -> Iterator[tuple[str, str, int]]:
    """Every request of the series exactly once, by status class and reason."""
    for index, status_class in enumerate(CLASSES):
        own = 0
        for reason, counts in series.reasons.items():
            if counts[index]:
                own += counts[index]
                yield status_class, reason, counts[index]
        if series.statuses[index] > own:
            yield status_class, "", series.statuses[index] - own


def _buckets(series: SeriesSample) -> list[tuple[str, float]]:
    buckets: list[tuple[str, float]] = [(str(bound), count) for bound, count in series.latency.cumulative()]
    return [*buckets, ("+Inf", series.latency.count)]


def _connections(sample: Sample) -> Iterator[Metric]:
    from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily

    yield GaugeMetricFamily("meshctl_connections", "Client connections open.", sample.connections)
    yield CounterMetricFamily("meshctl_connections_accepted", "Client connections accepted.", sample.accepted)
    yield CounterMetricFamily(
        "meshctl_tls_handshake_failures", "TLS handshakes of clients that failed.", sample.handshake_failures
    )
    refusals = CounterMetricFamily(
        "meshctl_refusals",
        "Connections and requests refused before a route was looked for, by reason.",
        labels=("reason",),
    )
    for reason, count in sample.refusals.items():
        refusals.add_metric((reason,), count)
    denials = CounterMetricFamily(
        "meshctl_denied_calls",
        "Calls that a rule between services denied, or with shadow would have, by rule and calling service.",
        labels=("rule", "caller", "shadow"),
    )
    for denial in sample.denials:
        denials.add_metric((denial.rule, denial.caller, str(denial.is_shadow).lower()), denial.count)
    yield from (refusals, denials)
    yield CounterMetricFamily(
        "meshctl_access_log_dropped_lines", "Access log lines that could not be written.", sample.log_dropped
    )


def _upstream(sample: Sample, facts: Facts) -> Iterator[Metric]:
    from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily

    connects = CounterMetricFamily(
        "meshctl_upstream_connects",
        "Connections opened to endpoints, or tried, by result.",
        labels=("service", "result"),
    )
    retries = CounterMetricFamily(
        "meshctl_retries", "Requests sent again, or not allowed to be, by result.", labels=("service", "result")
    )
    ejections = CounterMetricFamily("meshctl_ejections", "Endpoints ejected for failing.", labels=("service",))
    for service in sample.services:
        for result, count in service.connects.items():
            connects.add_metric((service.service, result), count)
        for result, count in service.retries.items():
            retries.add_metric((service.service, result), count)
        ejections.add_metric((service.service,), service.ejections)
    yield from (connects, retries, ejections)
    yield from _limits(sample, facts)
    yield from _breakers(sample, facts)
    yield from _steered(sample)
    healthy = GaugeMetricFamily(
        "meshctl_endpoint_healthy",
        "1 while requests may be sent to the endpoint, 0 while it is unhealthy, ejected or unresolved.",
        labels=("service", "version", "endpoint"),
    )
    for view in facts.services:
        for endpoint in view.endpoints:
            usable = float(endpoint.state not in _UNAVAILABLE)
            healthy.add_metric((view.name, endpoint.version, endpoint.address), usable)
    yield healthy


def _breakers(sample: Sample, facts: Facts) -> Iterator[Metric]:
    from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily

    state = GaugeMetricFamily(
        "meshctl_breaker_state",
        "1 for the state that a service's circuit breaker is in, 0 for the others.",
        labels=("service", "state"),
    )
    weight = GaugeMetricFamily(
        "meshctl_version_weight", "The weight in effect of a service's version.", labels=("service", "version")
    )
    broken = set()
    for view in facts.services:
        for version in view.versions:
            weight.add_metric((view.name, version.name), version.weight)
        if view.breaker is not None:
            broken.add(view.name)
            for each in _BREAKER:
                state.add_metric((view.name, each), float(each == view.breaker.state))
    opened = CounterMetricFamily(
        "meshctl_breaker_opened", "Times that a service's circuit breaker opened.", labels=("service",)
    )
    for service in sample.services:
        if service.breaks or service.service in broken:
            opened.add_metric((service.service,), service.breaks)
    yield from (weight, state, opened)


def _steered(sample: Sample) -> Iterator[Metric]:
    from prometheus_client.metrics_core import CounterMetricFamily

    faults = CounterMetricFamily(
        "meshctl_faults_injected", "Faults injected on purpose, by kind.", labels=("service", "kind")
    )
    mirrored = CounterMetricFamily(
        "meshctl_mirrored_requests",
        "Copies of requests for another version, by result: answered, failed, or dropped before they were sent.",
        labels=("service", "result"),
    )
    for service in sample.services:
        for kind, count in service.faults.items():
            faults.add_metric((service.service, kind), count)
        for result, count in service.mirrored.items():
            mirrored.add_metric((service.service, result), count)
    yield from (faults, mirrored)


def _limits(sample: Sample, facts: Facts) -> Iterator[Metric]:
    from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily

    refused = CounterMetricFamily(
        "meshctl_limit_refusals",
        "Requests that found no place under a service's limit: the line was full, the wait over, or they were displaced"
        " by a higher priority.",
        labels=("service", "why"),
    )
    for service in sample.services:
        for why, count in service.limits.items():
            refused.add_metric((service.service, why), count)
    yield refused
    limit = GaugeMetricFamily("meshctl_limit_requests", "The limit in force.", labels=("service",))
    held = GaugeMetricFamily("meshctl_limit_in_flight", "Requests under way within the limit.", labels=("service",))
    waiting = GaugeMetricFamily("meshctl_limit_waiting", "Requests that wait for their turn.", labels=("service",))
    for view in facts.services:
        if view.limit is not None:
            limit.add_metric((view.name,), view.limit.limit)
            held.add_metric((view.name,), view.limit.in_flight)
            waiting.add_metric((view.name,), view.limit.waiting)
    yield from (limit, held, waiting)
