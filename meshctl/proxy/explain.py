"""What would become of a request: the same table, split and balancer as in traffic, asked without sending anything.

Works on a configuration alone, or with what a running proxy knows of its endpoints beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from meshctl.core.balance import BALANCERS
from meshctl.core.match import compile_conditions, hold
from meshctl.core.paths import normalise
from meshctl.core.spelling import exposed, read_otherwise
from meshctl.core.split import Split, bucket
from meshctl.model.explained import ExplainView, LoserView
from meshctl.model.mesh import Mesh
from meshctl.model.policy import Breaker, Ejection, Key, Limit
from meshctl.model.route import Route
from meshctl.model.service import Service, Version
from meshctl.model.units import format_duration, format_percent, format_size, in_a_row
from meshctl.model.views import EndpointView, ServiceView
from meshctl.proxy.described import describe_conditions, describe_match, describe_target
from meshctl.proxy.explain_filters import Asked, describe_filters
from meshctl.proxy.explain_passing import describe_security_headers, forwarded_query, table_for
from meshctl.proxy.keys import request_key
from meshctl.proxy.shaping import target
from meshctl.wire.fields import REQUEST_READ
from meshctl.wire.message import Request
from meshctl.wire.reasons import REASONS
from meshctl.wire.request_reader import refused_method
from meshctl.wire.target import split_absolute, split_host

if TYPE_CHECKING:
    from meshctl.proxy.explain_auth import Vouched
    from meshctl.proxy.meters import Meters

_AVAILABLE = frozenset({"healthy", "unknown", "ramping", "half_open"})


class _Anybody:
    """Who might send the request: nobody in particular."""

    client = "127.0.0.1"
    peer = ""
    entry = "gateway"
    trusted = False


class Candidate:
    """An endpoint for a balancer that is asked once: nothing is in flight."""

    in_flight = 0
    ewma = 0.0

    def __init__(self, address: str, weight: float) -> None:
        self.address = address
        self.weight = weight


def explain(
    mesh: Mesh,
    method: str,
    url: str,
    headers: Sequence[tuple[str, str]] = (),
    live: Sequence[ServiceView] = (),
    vouched: Vouched | None = None,
    meters: Meters | None = None,
) -> ExplainView:
    """Which route takes `method url` with `headers`, what it meets and where it goes, and why every other route lost.

    `url` is a URL or a path; a path takes the Host header's host. `live` is what a running proxy sees, `vouched` what
    it knows of callers, `meters` what it has counted."""
    request = _request(method, url, headers)
    sent = request.path
    if refusal := refused_method(request.method):
        return ExplainView(method, request.host, sent, reason=f"{refusal}: {REASONS[refusal][1]}")
    try:
        request.path = normalise(sent)
    except ValueError as error:
        return ExplainView(method, request.host, sent, reason=f"bad_path: {error}")
    routes = mesh.served
    table, asked = table_for(routes, request)
    told = table.explain(asked, lambda route: route.name)
    losers = tuple(LoserView(routes[at].name, reason) for at, reason in told.losers)
    if told.winner is None:
        return ExplainView(
            method, request.host, request.path, reason=f"no_route: {REASONS['no_route'][1]}", losers=losers
        )
    route = routes[told.winner]
    other = read_otherwise(table.find, asked, route) if route.name in exposed(routes) else None
    services = {each.name: each for each in mesh.services}
    service = services[route.service] if route.service is not None else None
    said = describe_filters(
        Asked(mesh, route, service, request, vouched, meters,
              lambda part: _destination(services[part.service], request, live, part.version), [])
    )  # fmt: skip
    version, endpoint = "", ""
    if service is not None:
        version, endpoint = _destination(service, request, live, route.version)
    return ExplainView(
        method,
        request.host,
        request.path,
        route=route.name,
        match=describe_match(route.match),
        target=describe_target(route),
        forwarded=_forwarded(route, request) if route.service else "",
        policies=(*_misread(other), *said, *describe_security_headers(route), *_policies(mesh, route)),
        version=version,
        endpoint=endpoint,
        losers=losers,
    )


def _misread(other: tuple[str, str] | None) -> tuple[str, ...]:
    if other is None:
        return ()
    name, path = other
    return (f"path: could also be {path}, which {f'route {name} guards' if name else 'no route has'}: bad_path",)


def _request(method: str, url: str, headers: Sequence[tuple[str, str]]) -> Request:
    absolute = split_absolute(url)
    given = {name.lower(): value for name, value in headers}
    authority, target = absolute or (given.get("host", ""), url if url.startswith("/") else f"/{url}")
    encoded = [(name.encode("latin-1", "replace"), value.encode("latin-1", "replace")) for name, value in headers]
    request = Request(
        [b"%b: %b" % pair for pair in encoded if pair[0].lower() not in REQUEST_READ],
        {name.lower(): value for name, value in encoded if name.lower() in REQUEST_READ},
    )
    request.method = method.upper()
    request.host = split_host(authority) or "" if authority else ""
    request.authority = authority.encode("latin-1", "replace")
    request.path, mark, query = target.partition("#")[0].partition("?")
    request.query_string = query if mark else None
    return request


def _destination(
    service: Service, request: Request, live: Sequence[ServiceView], pinned: str | None
) -> tuple[str, str]:
    """The version and the endpoint in words: certain where the route, a condition or a key decides, a chance where a
    draw does."""
    seen = next((view for view in live if view.name == service.name), None)
    version, chosen = _pinned(service, pinned) if pinned else _version(service, request, seen)
    if version is None:
        return chosen, ""
    candidates = _candidates(version, seen)
    if not candidates:
        return chosen, "none can take it: no_endpoint"
    balance = service.balance
    balancer = BALANCERS[balance.policy](candidates)
    if len(candidates) == 1:
        return chosen, candidates[0].address
    if balance.key is not None:
        key = request_key(balance.key, request, _Anybody())
        picked = balancer.pick(key, lambda: 0.0)
        if key is not None and balance.key.kind != "client_ip" and picked is not None:
            return chosen, f"{picked.address} (by {_key_text(balance.key)})"
    return chosen, f"one of {', '.join(each.address for each in candidates)} ({balance.policy})"


def _pinned(service: Service, name: str) -> tuple[Version | None, str]:
    version = next((each for each in service.versions if each.name == name), None)
    return version, f"{name} (by the route)"


def _version(service: Service, request: Request, seen: ServiceView | None) -> tuple[Version | None, str]:
    for version in service.versions:
        conditions = compile_conditions(version.match) if version.match else None
        if version.match and conditions and hold(conditions, request) and _has_endpoints(version, seen):
            return version, f"{version.name} (it asks for {describe_conditions(version.match)})"
    # As `LiveService` has it: who has no endpoint leaves its share to those who have.
    there = any(_has_endpoints(version, seen) for version in service.versions if version.weight > 0)
    shares = [(each, each.weight if not there or _has_endpoints(each, seen) else 0.0) for each in service.versions]
    weighted = [(version, weight) for version, weight in shares if weight > 0]
    if not weighted:
        return None, "none takes traffic: no_endpoint"
    if len(weighted) == 1:
        return weighted[0][0], weighted[0][0].name
    whole = sum(weight for _, weight in weighted)
    chances = ", ".join(f"{version.name} {weight / whole:.4g}" for version, weight in weighted)
    key = request_key(service.sticky, request, _Anybody()) if service.sticky else None
    if service.sticky is not None and key is not None and service.sticky.kind != "client_ip":
        version = Split(shares).by_bucket(bucket(key, service.name))
        return version, f"{version.name} (by {_key_text(service.sticky)})"
    return None, f"by chance: {chances}"


def _has_endpoints(version: Version, seen: ServiceView | None) -> bool:
    if seen is None:
        return bool(version.endpoints)
    return any(each.version == version.name for each in seen.endpoints)


def _candidates(version: Version, seen: ServiceView | None) -> list[Candidate]:
    if seen is None:
        return [Candidate(each.address, each.weight) for each in version.endpoints]
    mine: list[EndpointView] = [each for each in seen.endpoints if each.version == version.name]
    return [Candidate(each.address, each.weight) for each in mine if each.state in _AVAILABLE]


def _forwarded(route: Route, request: Request) -> str:
    change = target(route)
    path = request.path if change is None else change(request.path)
    said = forwarded_query(route, request)
    query = "" if said is None else f"?{said}"
    host = route.rewrite.host or request.authority.decode("latin-1")
    return f"{request.method} {path}{query} HTTP/1.1" + (f", Host: {host}" if host else "")


def _policies(mesh: Mesh, route: Route) -> tuple[str, ...]:
    said = []
    for direction, edits in (("request", route.request_headers), ("response", route.response_headers)):
        for verb, names in (
            ("rename", tuple(f"{old} to {new}" for old, new in edits.rename)),
            ("remove", edits.remove),
            ("set", tuple(name for name, _ in edits.set)),
            ("add", tuple(name for name, _ in edits.add)),
        ):
            if names:
                said.append(f"{direction} headers: {verb} {', '.join(names)}")
    if route.response_bytes:
        said.append(f"answer: at most {format_size(route.response_bytes)}")
    if route.parts and route.timeout:
        said.append(f"timeout: {format_duration(route.timeout)} in all")
    if route.service is None:
        return tuple(said)
    service = next(each for each in mesh.services if each.name == route.service)
    limit = route.body_bytes or mesh.gateway.limits.body_bytes
    said.append(f"body: at most {format_size(limit)}" if limit else "body: any size")
    said.append(f"timeout: {format_duration(route.timeout)} in all" if route.timeout else "timeout: none")
    times = service.timeouts
    said.append(
        f"timeouts: connect {format_duration(times.connect)}, response {format_duration(times.response)}, "
        f"stream {format_duration(times.stream)}"
    )
    retry = route.retry
    if retry.attempts:
        tried = f", each within {format_duration(retry.per_try)}" if retry.per_try else ""
        said.append(f"retry: {retry.attempts} more on {', '.join(retry.on)}, where it is safe{tried}")
    if service.health is not None:
        checked = f"GET {service.health.path}" if service.health.path else "TCP connect"
        said.append(f"health: {checked} every {format_duration(service.health.interval)}")
    if service.limit is not None:
        said.append(_limit(service.limit, route.priority))
    if service.breaker is not None:
        said.append(f"breaker: opens after {_failing(service.breaker)}, for {format_duration(service.breaker.open)}")
    if service.ejection.enabled:
        said.append(f"ejection: after {_failing(service.ejection)}")
    return tuple(said)


def _failing(policy: Breaker | Ejection) -> str:
    said = []
    if policy.failures:
        said.append(in_a_row(policy.failures, "failure"))
    if policy.rate:
        share, window = format_percent(policy.rate), format_duration(policy.window)
        said.append(f"{share} failures among {policy.minimum} or more requests within {window}")
    return " or ".join(said) or "no failures at all"


def _limit(limit: Limit, priority: str) -> str:
    most = "up to " if limit.adaptive else ""
    waiting = f", {limit.queue} more wait up to {format_duration(limit.wait)}" if limit.queue else ""
    return f"limit: {most}{limit.requests} at a time{waiting}; priority {priority}"


def _key_text(key: Key) -> str:
    return f"{key.kind} {key.name}" if key.name else "client address"
