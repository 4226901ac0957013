"""What /metrics says: a merged sample and what the supervisor knows beside it, in Prometheus' words.

Names follow Prometheus' conventions (base units, `_total`) and OpenTelemetry's HTTP vocabulary. Labels come from the
configuration and the proxy's own vocabulary, so a client cannot make series. prometheus_client is imported on the first
request for metrics only: a proxy that nobody scrapes does not pay for it.
"""

from __future__ import annotations

import platform
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Final

import msgspec

from meshctl.model.views import IdentityView, ServiceView
from meshctl.observe.api_metrics import Part, api_requests
from meshctl.observe.processes import Usage, processes, usage
from meshctl.observe.sample import CLASSES, CacheSample, Sample, SeriesSample
from meshctl.observe.upstream_metrics import upstream

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

_OPENMETRICS: Final = "application/openmetrics-text; version=1.0.0"
_SERIES: Final = ("route", "service", "version")


class Facts(msgspec.Struct, frozen=True):
    """What the supervisor knows of its proxy beside the counters."""

    version: str
    """meshctl's."""
    role: str = "gateway"
    revision: int = 0
    latest: int = 0
    """The newest revision there is."""
    started: float = 0.0
    """Seconds since the epoch."""
    restarts: int = 0
    """Workers that were started again."""
    pids: tuple[int, ...] = ()
    """The supervisor's and its workers'."""
    usage: Usage | None = None
    """What those processes take; None where it is to be looked up here."""
    services: tuple[ServiceView, ...] = ()
    identity: IdentityView | None = None
    roots: tuple[tuple[str, float], ...] = ()
    """Fingerprint and end, in seconds since the epoch, of each root the mesh trusts."""
    served: tuple[tuple[str, float], ...] = ()
    """File and end of each certificate that listeners have from one."""
    apis: tuple[Part, ...] = ()
    """The routes that are versions of an API."""
    limits_backend: bool | None = None
    """Whether the Redis that rates are shared in answers; None where there is none."""


def expose(sample: Sample, facts: Facts, accept: str = "") -> tuple[str, bytes]:
    """Content type and body for a scrape with this Accept header: OpenMetrics where it asks for that, else text."""
    return encoded(families(sample, facts), accept)


def families(sample: Sample, facts: Facts) -> Iterator[Metric]:
    """All that is told of one proxy."""
    yield from _about(facts)
    yield from _requests(sample)
    yield from _connections(sample)
    yield from upstream(sample, facts)
    yield from api_requests(sample, facts.apis)
    yield from processes(facts.usage or usage(facts.pids), facts.started)


def encoded(metrics: Iterable[Metric], accept: str) -> tuple[str, bytes]:
    """Content type and body of these metrics for who sends this Accept header."""
    from prometheus_client import CollectorRegistry
    from prometheus_client.exposition import choose_encoder

    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Metrics(list(metrics)))
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
    yield GaugeMetricFamily(
        "meshctl_revision_latest",
        "Number of the newest configuration applied; a proxy below it has refused that or not taken it yet.",
        max(facts.latest, facts.revision),
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
    listener = GaugeMetricFamily(
        "meshctl_listener_certificate_expiry_timestamp_seconds",
        "When a certificate ends that a listener has from a file of yours.",
        labels=("file",),
    )
    for file, not_after in facts.served:
        listener.add_metric((file,), not_after)
    yield from (certificate, intermediate, root, listener)
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
    if sample.cache is not None:
        yield from _cache(sample, sample.cache)


def _cache(sample: Sample, kept: CacheSample) -> Iterator[Metric]:
    from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily

    found = CounterMetricFamily(
        "meshctl_cache_requests",
        "Requests of routes with a cache: hit, stale, revalidated, refresh (behind a stale one), miss or bypass.",
        labels=("route", "result"),
    )
    for route, counts in sample.cached.items():
        for result, count in counts.items():
            found.add_metric((route, result), count)
    yield found
    yield GaugeMetricFamily("meshctl_cache_answers", "Answers that are kept, over all workers.", kept.answers)
    yield GaugeMetricFamily("meshctl_cache_bytes", "Bytes of what is kept of answers, over all workers.", kept.size)
    yield CounterMetricFamily("meshctl_cache_evictions", "Answers that gave way to others.", kept.evicted)


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
    yield CounterMetricFamily("meshctl_spans_exported", "Spans of traces that a receiver took.", sample.spans_exported)
    yield CounterMetricFamily(
        "meshctl_spans_dropped",
        "Spans of traces that were lost: the receiver was away, slow or refused them.",
        sample.spans_dropped,
    )
