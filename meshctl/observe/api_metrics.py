"""How much each version of an API is asked for, in Prometheus' words: the requests of all routes to it together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from meshctl.observe.sample import Sample, SeriesSample

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
    by_route = {route: (api, version) for route, api, version in parts}
    for (api, version), count in counted(by_route, sample.series).items():
        found.add_metric((api, version), count)
    yield found


def counted(by_route: Mapping[str, tuple[str, str]], series: Iterable[SeriesSample]) -> dict[tuple[str, str], int]:
    """Requests by API and version, 0 where there were none."""
    found = dict.fromkeys(by_route.values(), 0)
    for each in series:
        if each.route in by_route:
            found[by_route[each.route]] += each.requests
    return found
