"""The documents a proxy answers with: what its workers report, merged, beside what is configured."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from meshctl import clock
from meshctl.core.shift import overridden
from meshctl.errors import MeshError
from meshctl.model.explained import ExplainView
from meshctl.model.views import (
    BreakerView,
    EndpointView,
    LimitView,
    PlainCallerView,
    RouteView,
    ServiceView,
    VersionView,
)
from meshctl.observe.tally import VersionTally
from meshctl.observe.window import Fare
from meshctl.proxy.described import describe_match, describe_target

if TYPE_CHECKING:
    from meshctl.control.supervisor import Supervisor
    from meshctl.proxy.explain_auth import Vouched

# The worst that any worker sees is what the operator should see.
_SEVERITY = {"unhealthy": 5, "ejected": 4, "half_open": 3, "ramping": 2, "unknown": 1, "healthy": 0}
_BREAKER = {"open": 3, "half_open": 2, "ramping": 1, "closed": 0}


async def service_views(supervisor: Supervisor) -> tuple[ServiceView, ...]:
    """The services as all workers together see them."""
    decoder = msgspec.msgpack.Decoder(list[ServiceView])
    answers = [decoder.decode(payload) for _, payload in await supervisor.fleet.ask("services")]
    if not answers:
        return ()
    return tuple(_merged([answer[at] for answer in answers if at < len(answer)]) for at in range(len(answers[0])))


async def plain_views(supervisor: Supervisor) -> list[PlainCallerView]:
    """Who came in the clear where the mesh speaks mutual TLS, to any worker."""
    decoder = msgspec.msgpack.Decoder(list[PlainCallerView])
    return [view for _, payload in await supervisor.fleet.ask("plain") for view in decoder.decode(payload)]


def route_views(supervisor: Supervisor, services: Sequence[ServiceView]) -> list[RouteView]:
    """The routes with how they fare, in the file's order."""
    fares = supervisor.sampling.window.fares(clock.monotonic())
    totals: dict[str, int] = {}
    for series in supervisor.fleet.totals.merged().series:
        totals[series.route] = totals.get(series.route, 0) + series.requests
    known = {service.name: service for service in services}
    views = []
    for route in supervisor.mesh.served:
        fare = fares.get(route.name, Fare())
        service = known.get(route.service or "")
        weights = service.versions if service else ()
        views.append(
            RouteView(
                name=route.name,
                match=describe_match(route.match),
                target=describe_target(route),
                weights=weights,
                healthy=sum(version.healthy for version in weights),
                total=sum(version.endpoints for version in weights),
                requests=totals.get(route.name, 0),
                rps=fare.rps,
                errors=fare.errors,
                p50=fare.p50,
                p95=fare.p95,
                p99=fare.p99,
                api=route.api.api if route.api is not None else "",
                api_version=route.api.version if route.api is not None else "",
            )
        )
    return views


def version_tallies(supervisor: Supervisor, name: str, services: Sequence[ServiceView]) -> list[VersionTally]:
    """The versions of service `name`, with what was counted of each; none where this proxy has no such service."""
    counted = {each.version: each for each in supervisor.sampling.window.versions(clock.monotonic(), name)}
    return [
        msgspec.structs.replace(
            counted.get(version.name, VersionTally(version.name)), endpoints=version.endpoints, healthy=version.healthy
        )
        for service in services
        if service.name == name
        for version in service.versions
    ]


def explain_view(
    supervisor: Supervisor, method: str, url: str, headers: Sequence[str], services: Sequence[ServiceView]
) -> ExplainView:
    """`routes explain` against what is live. `headers` are lines "name: value"."""
    from meshctl.proxy.explain import explain

    pairs = []
    for line in headers:
        name, mark, value = line.partition(":")
        if not mark or not name.strip():
            raise MeshError("usage", f'"{line}" is not a header', hint='write it as "name: value"')
        pairs.append((name.strip(), value.strip()))
    mesh = overridden(supervisor.mesh, supervisor.changing.weights)
    vouched = _vouched(supervisor) if mesh.auth else None
    return explain(mesh, method, url, pairs, services, vouched, supervisor.fleet.meters)


def _vouched(supervisor: Supervisor) -> Vouched:
    """What the proxy knows of callers."""
    from meshctl.control.keys import listed
    from meshctl.proxy.explain_auth import Vouched

    return Vouched({each.digest: each for each in listed(supervisor.store)}, supervisor.jwks.sets())


def _merged(views: Sequence[ServiceView]) -> ServiceView:
    """One service out of every worker's view of it."""
    first = views[0]
    if len(views) == 1:
        return first
    versions = tuple(
        VersionView(
            version.name,
            version.weight,
            version.endpoints,
            min(view.versions[at].healthy for view in views if at < len(view.versions)),
            sum(view.versions[at].requests for view in views if at < len(view.versions)),
            version.declared,
        )
        for at, version in enumerate(first.versions)
    )
    by_name: dict[tuple[str, str], list[EndpointView]] = {}
    for view in views:
        for endpoint in view.endpoints:
            by_name.setdefault((endpoint.version, endpoint.address), []).append(endpoint)
    limit = _limit([view.limit for view in views if view.limit is not None])
    return ServiceView(
        first.name,
        first.policy,
        versions,
        tuple(_endpoint(each) for each in by_name.values()),
        limit=limit,
        breaker=_breaker([view.breaker for view in views if view.breaker is not None]),
        retries_left=sum(view.retries_left or 0.0 for view in views),
    )


def _breaker(views: Sequence[BreakerView]) -> BreakerView | None:
    if not views:
        return None
    worst = max(views, key=lambda view: _BREAKER[view.state])
    return msgspec.structs.replace(worst, opened=sum(view.opened for view in views))


def _limit(views: Sequence[LimitView]) -> LimitView | None:
    if not views:
        return None
    return LimitView(
        sum(view.limit for view in views),
        sum(view.in_flight for view in views),
        sum(view.waiting for view in views),
    )


def _endpoint(views: Sequence[EndpointView]) -> EndpointView:
    worst = max(views, key=lambda view: _SEVERITY.get(view.state, 0))
    asked = [view for view in views if view.requests]
    failing = max(views, key=lambda view: view.row)
    return msgspec.structs.replace(
        worst,
        in_flight=sum(view.in_flight for view in views),
        requests=sum(view.requests for view in views),
        failures=sum(view.failures for view in views),
        connections=sum(view.connections for view in views),
        latency=sum(view.latency * view.requests for view in asked) / sum(view.requests for view in asked)
        if asked
        else 0.0,
        row=failing.row,
        failure=failing.failure,
    )
