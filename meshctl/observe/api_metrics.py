"""How much each version of an API is asked for, in Prometheus' words: the requests of all routes to it together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from meshctl.observe.sample import Sample

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric

Part = tuple[str, str, str]
"""A route, the API it belongs to and the version that it is, "" where it refuses those there are not."""


def api_requests(sample: Sample, parts: Sequence[Part]) -> Iterator[Metric]:
    """The metric; none where there is no API."""
    if not parts:
        return
    from prometheus_client.metrics_core import CounterMetricFamily

    found = CounterMetricFamily(
        "meshctl_api_requests",
        "Requests finished by version of an API; without one, those that asked for none there is.",
        labels=("api", "version"),
    )
    for (api, version), count in counted({route: (api, version) for route, api, version in parts}, sample).items():
        found.add_metric((api, version), count)
    yield found


def counted(by_route: dict[str, tuple[str, str]], sample: Sample) -> dict[tuple[str, str], int]:
    """Requests by API and version, 0 where there were none."""
    found = dict.fromkeys(by_route.values(), 0)
    for series in sample.series:
        if series.route in by_route:
            found[by_route[series.route]] += series.requests
    return found
