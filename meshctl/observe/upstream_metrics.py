"""What /metrics says of the way to services: connections, retries, ejections, breakers, limits, weights, endpoints.

A part of `exposition`, which has the rest and the conventions. Knows of a service what the configuration names, and
nothing that a client sent.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

    from meshctl.observe.exposition import Facts
    from meshctl.observe.sample import Sample

_BREAKER: Final = ("closed", "open", "half_open", "ramping")
_UNAVAILABLE: Final = frozenset({"unhealthy", "ejected", "unresolved"})


def upstream(sample: Sample, facts: Facts) -> Iterator[Metric]:
    """How services fare, and what is done about it."""
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
    yield from _endpoints(facts)
    yield from _budgets(facts)
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


def _endpoints(facts: Facts) -> Iterator[Metric]:
    from prometheus_client.metrics_core import GaugeMetricFamily

    labels = ("service", "version")
    count = GaugeMetricFamily(
        "meshctl_endpoints", "Endpoints of a version, by state; healthy is always told.", labels=(*labels, "state")
    )
    connections = GaugeMetricFamily(
        "meshctl_upstream_connections", "Connections open to a version's endpoints.", labels=labels
    )
    in_flight = GaugeMetricFamily(
        "meshctl_upstream_requests_in_flight", "Requests under way to a version's endpoints.", labels=labels
    )
    for view in facts.services:
        for version in view.versions:
            those = [each for each in view.endpoints if each.version == version.name]
            states = Counter(each.state for each in those)
            # Every proxy knows every service: series for states that nothing is in would be most of all.
            for state in ("healthy", *sorted(states.keys() - {"healthy"})):
                count.add_metric((view.name, version.name, state), states[state])
            connections.add_metric((view.name, version.name), sum(each.connections for each in those))
            in_flight.add_metric((view.name, version.name), sum(each.in_flight for each in those))
    yield from (count, connections, in_flight)


def _budgets(facts: Facts) -> Iterator[Metric]:
    from prometheus_client.metrics_core import GaugeMetricFamily

    left = GaugeMetricFamily(
        "meshctl_retry_budget_remaining", "Retries that the budget of a service still allows now.", labels=("service",)
    )
    for view in facts.services:
        if view.retries_left is not None:
            left.add_metric((view.name,), view.retries_left)
    yield left
