"""Versions of APIs as commands see them: how far on their way out, and callers put together."""

from __future__ import annotations

import pytest

from meshctl.cli.api import lifetime
from meshctl.control.apis import find, find_version, in_use, merged, state
from meshctl.errors import MeshError
from meshctl.model.api import Api, ApiRoute, ApiVersion
from meshctl.model.mesh import Mesh
from meshctl.model.route import Route
from meshctl.model.views import ApiCallerView
from meshctl.observe.api_metrics import api_requests
from meshctl.observe.reading import Reading
from meshctl.observe.sample import Sample, SeriesSample

NOW = 1.8e9
DAY = 86_400.0


@pytest.mark.parametrize(
    ("deprecated", "sunset", "enforced", "expected", "words"),
    [
        (None, None, False, "current", "current"),
        (NOW + DAY, None, False, "current", "current, deprecated in 1d"),
        (NOW, None, False, "deprecated", "deprecated"),
        (NOW - DAY, NOW + 12 * DAY, True, "deprecated", "deprecated, sunset in 12d"),
        (None, NOW + 1, False, "current", "current, sunset in 1s"),
        (NOW - DAY, NOW, False, "sunset", "sunset 0s ago"),
        (None, NOW - 2 * DAY, True, "gone", "gone 2d ago"),
    ],
)
def test_states(deprecated: float | None, sunset: float | None, enforced: bool, expected: str, words: str) -> None:
    """A version is what its moments say, from each of them on, and people are told how long it has."""
    version = ApiVersion("v1", deprecated=deprecated, sunset=sunset)
    api = Api("a", enforce_sunset=enforced, versions=(version,))
    assert state(api, version, NOW) == expected
    (use,) = in_use(Mesh(apis=(api,)), None, NOW)
    assert (use.state, use.requests, lifetime(use, NOW)) == (expected, None, words)


def test_requests_of_all_routes_and_proxies() -> None:
    """What a version is asked for is the sum over its routes and over proxies; requests for none have none."""
    api = Api("a", versions=(ApiVersion("v1"), ApiVersion("v2")), default="v2")
    parts = [("r.v1", "v1"), ("r.v2", "v2"), ("r.default", "v2"), ("r.unknown", "")]
    mesh = Mesh(apis=(api,), routes=tuple(Route(name, api=ApiRoute("a", version=version)) for name, version in parts))
    series = tuple(SeriesSample(name, "s", "x", (0, 0, at + 1, 0, 0, 0)) for at, (name, _) in enumerate(parts))
    readings = [Reading("one", "gateway", series=series), Reading("two", "gateway", series=series[:2])]
    assert [(each.version, each.requests) for each in in_use(mesh, readings, NOW)] == [("v1", 2), ("v2", 7)]
    (metric,) = api_requests(Sample(series=series), [(name, "a", version) for name, version in parts])
    found = {each.labels["version"]: each.value for each in metric.samples}
    assert found == {"v1": 1, "v2": 5, "": 4}
    assert list(api_requests(Sample(series=series), [])) == []


def test_callers_of_several_workers() -> None:
    """A caller whom several workers saw is one, with all its requests and its last one; the most frequent is first."""
    seen = [
        ApiCallerView("a", "v1", "acme", "keys", 2, NOW - 5),
        ApiCallerView("a", "v1", "192.0.2.1", "address", 4, NOW),
        ApiCallerView("a", "v1", "acme", "keys", 3, NOW - 9),
        ApiCallerView("a", "v1", "acme", "jwt", 1, NOW),
    ]
    assert [(each.via, each.caller, each.count, each.last_seen) for each in merged(seen)] == [
        ("keys", "acme", 5, NOW - 5),
        ("address", "192.0.2.1", 4, NOW),
        ("jwt", "acme", 1, NOW),
    ]


def test_names() -> None:
    """An API and a version are found by their names, a version by its others, too; else the nearest is told."""
    api = Api("orders", versions=(ApiVersion("v1", aliases=("1",)),))
    mesh = Mesh(apis=(api,))
    assert find_version(find(mesh, "orders"), "1").name == "v1"
    with pytest.raises(MeshError, match="there is no api") as wrong:
        find(mesh, "order")
    assert (wrong.value.code, wrong.value.hint) == ("not_found", 'did you mean "orders"?')
    with pytest.raises(MeshError, match='has no version "9"'):
        find_version(api, "9")
