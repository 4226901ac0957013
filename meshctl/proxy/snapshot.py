"""A revision compiled for the hot path: everything about a request that can be known before it comes is decided here.

A snapshot is made whole or not at all, and swapped in one assignment. What is live (endpoints, their connections and
health, counters) is taken over from the one before by name, so that a change touches only what it names.
"""

from __future__ import annotations

from copy import copy
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import TYPE_CHECKING

from meshctl.core.access import Rules, compile_rules
from meshctl.core.concurrency import RANKS
from meshctl.core.deadline import REQUEST_TIMEOUT, encode
from meshctl.core.route_table import RouteTable
from meshctl.core.spelling import exposed
from meshctl.model.address import bare_address
from meshctl.model.mesh import Mesh
from meshctl.model.route import HeaderEdits, Route
from meshctl.model.weights import Shares
from meshctl.observe.series import Series
from meshctl.proxy.dressing import dressing
from meshctl.proxy.filters import FILTERS, Filter
from meshctl.proxy.filters.addresses import fence
from meshctl.proxy.preflights import PreflightTable
from meshctl.proxy.shaping import dropped, edits, fixed, query_shaping, renaming, said, target, touched
from meshctl.proxy.unambiguous import unambiguous
from meshctl.wire.fields import Fields, without
from meshctl.wire.message import Response

if TYPE_CHECKING:
    from meshctl.proxy.exchange import Exchange
    from meshctl.proxy.guard import Stripping
    from meshctl.proxy.planning import Plan
    from meshctl.proxy.service import LiveService
    from meshctl.proxy.worker import Worker

_NOTHING: frozenset[bytes] = frozenset()


class CompiledRoute:
    """A route with its edits as bytes, its filters as calls and its service live."""

    plan: Plan | None = None
    """What its answer is made of, where it has parts."""
    preflight: CompiledRoute | None = None
    """The same for what browsers ask before its requests, where it answers that."""
    copied: CompiledRoute | None = None
    """The same for copies of its requests, once there was one (see `copying`)."""

    def __init__(
        self, route: Route, service: LiveService | None, body_limit: int, worker: Worker, guard: Stripping | None
    ) -> None:
        self.config = route
        self.guard = guard
        self.name: str = route.name
        self.service = service
        self.timeout, self.retry, self.per_try = route.timeout, route.retry, route.retry.per_try
        self.body_bytes = route.body_bytes or body_limit
        self.response_bytes = route.response_bytes
        self.rank = RANKS.index(route.priority)
        config = service.config if service is not None else None
        compiled = {name: compile_filter(route, config, guard) for name, compile_filter in FILTERS.items()}
        filters = {name: each for name, each in compiled.items() if each is not None}
        self._own: tuple[Filter, ...] = tuple(each for name, each in filters.items() if name != "cors")
        self.filters = self._own
        # Towards the endpoint
        self.target = target(route)
        self.authority = (route.rewrite.host or "").encode("latin-1")
        self.request_drop = dropped(route.request_headers)
        self.request_untold = touched(route.request_headers)
        """What trailers of requests do not say."""
        self.query = query_shaping(route)
        self.keeps_target = self.target is None and self.query is None
        """Whether path and query go on as they came."""
        self.edits = edits(route)
        self.before_id = _before_id(self.timeout, self.request_drop)
        """What stands before the id of a request that goes on at once: how long the route lets it take, if it says."""
        # Towards the client
        self.dressing = dressing(route)
        self._response_drop = dropped(route.response_headers) | (self.dressing.names if self.dressing else _NOTHING)
        self.response_untold = self._response_drop | touched(route.response_headers)
        """What trailers of answers do not say, nor interim ones."""
        self._response_added = fixed(route.response_headers)
        self._response_renaming = renaming(route.response_headers)
        self.tells_date = "date" not in said(route.response_headers)
        """Whether an answer without a Date gets one (RFC 9110 §6.6.1): not where the route has its own word on that."""
        self._only_dresses = route.response_headers == HeaderEdits()
        self.edits_response = bool(
            self._response_drop or self._response_added or self._response_renaming or self.dressing is not None
        )
        """Whether an answer's head goes on other than it came."""
        self.series = _series(route, service, worker)
        """What is counted, by version."""
        if "cors" in filters:
            self.preflight = copy(self)
            self.preflight.filters = tuple(filters.values())

    def __repr__(self) -> str:
        return f"<CompiledRoute {self.name}>"

    def expose(self, is_exposed: bool) -> None:
        """Be beside another route that guards the same service otherwise, or not."""
        self.filters = (unambiguous, *self._own) if is_exposed else self._own

    def fits(self, route: Route, service: LiveService | None, body_limit: int, guard: Stripping | None) -> bool:
        """Whether it is what would be made of these."""
        limit = route.body_bytes or body_limit
        is_same = self.service is service and self.guard is guard and self.body_bytes == limit
        return is_same and self.config == route

    def only_adds(self, response: Response) -> bool:
        """Whether an answer whose head is known as bytes goes on with lines behind it and nothing else changed."""
        dressing = self.dressing
        if dressing is None or not self._only_dresses:
            return False
        if response.edited_by is not dressing:
            if dressing.is_said(response.block):
                return False
            # The same head mostly comes again.
            response.edited_by = dressing
        return True

    def edit_response(self, response: Response, exchange: Exchange) -> Fields:
        """The answer's fields that pass to the client of `exchange`, with the route's edits, for nobody to change."""
        drop, dressing, fields = self._response_drop, self.dressing, response.fields
        if self._response_renaming is not None:
            fields = self._response_renaming.renamed(fields)
        if response.named:
            drop = drop | response.named
        if dressing is None:
            if response.edited_by is not self._response_added:
                # A connection's next answer is often the very same.
                response.edited = without(fields, drop) + self._response_added
                response.edited_by = self._response_added
            return response.edited
        return without(fields, drop) + self._response_added + dressing.lines(exchange)


class Snapshot:
    """One configuration as traffic sees it. Of the one `before` it takes over what would be made the same again."""

    def __init__(
        self,
        number: int,
        mesh: Mesh,
        services: dict[str, LiveService],
        worker: Worker,
        before: Snapshot | None = None,
    ) -> None:
        gateway = mesh.gateway
        self.number = number
        self.mesh = mesh
        self.weights: dict[str, Shares] = {}
        """The live weights of versions when this was compiled, by service."""
        self.rules, self.own_health = _about_own(mesh, worker)
        """Who may call the wrapped app, None where anybody may; and the path where its health is asked for."""
        self.asks_certificates = any(each.certificate is not None for each in mesh.asked)
        """Whether clients from outside are asked for a certificate."""
        self.services = services
        self.body_limit = gateway.limits.body_bytes
        self.head_limit = gateway.limits.head_bytes
        self.header_count = gateway.limits.header_count
        self.timeouts = gateway.timeouts
        self.forwarded = gateway.forwarded
        self.limiting = gateway.rate_limit
        self.fence = fence(gateway.allow_addresses, gateway.deny_addresses, "gateway.")
        """Asked about requests from outside before any route; None where everybody may come."""
        known = {route.name: route for route in before.routes} if before else {}
        guards = worker.vouching.guards(mesh)
        self.authorities = worker.vouching.authorities(mesh)
        """Whose certificates they may have, beside those of the mesh."""
        self.routes: list[CompiledRoute] = [
            _compiled(route, services, self.body_limit, worker, known.get(route.name), guards.get(route.name))
            for route in mesh.served
        ]
        beside = exposed(mesh.served)
        for route in self.routes:
            route.expose(route.name in beside)
        self._by_entry: dict[str, list[CompiledRoute]] = {}
        for route in self.routes:
            self._by_entry.setdefault(route.config.entry, []).append(route)
        self.tables: dict[str, RouteTable[CompiledRoute]] = _Tables(
            (entry, before.tables[entry] if before and before.has(entry, routes) else _table(routes, before, entry))
            for entry, routes in self._by_entry.items()
        )
        """The routes by the listeners they are for; none where there are none."""
        self._trusted: list[IPv4Network | IPv6Network] = [
            ip_network(text, strict=False) for text in gateway.trusted_proxies
        ]

    def __repr__(self) -> str:
        return f"<Snapshot {self.number} {len(self.routes)} routes, {len(self.services)} services>"

    def has(self, entry: str, routes: list[CompiledRoute]) -> bool:
        """Whether the listeners of that entry have exactly these routes."""
        return self._by_entry.get(entry) == routes

    def lets_in(self, exchange: Exchange) -> bool:
        """Whether a client's address may be served at all; else it is told that it may not."""
        answer = self.fence(exchange) if self.fence is not None and exchange.stream.entry == "gateway" else None
        if answer is not None:
            exchange.path = exchange.request.path
            exchange.reply_with(answer)
        return answer is None

    def trusts(self, client: str) -> bool:
        """Whether `client` is a proxy whose forwarding headers are believed."""
        if not self._trusted or not client:
            return False
        address = bare_address(client)
        return any(address in network for network in self._trusted)


def _before_id(timeout: float, drop: frozenset[bytes]) -> bytes:
    is_told = timeout and REQUEST_TIMEOUT not in drop
    time = b"\r\nX-Request-Timeout: " + encode(timeout) if is_told else b""
    return time + b"\r\nX-Request-Id: "


def _series(route: Route, service: LiveService | None, worker: Worker) -> dict[str, Series]:
    versions = [version.name for version in service.versions] if service else []
    return {each: worker.counters.series(route.name, route.service or "", each) for each in (*versions, "")}


def _about_own(mesh: Mesh, worker: Worker) -> tuple[Rules | None, str]:
    if worker.mesh_tls is None:
        return None, ""
    own = worker.mesh_tls.service
    health = next((service.health for service in mesh.services if service.name == own), None)
    return compile_rules(mesh.access, own), (health.path or "") if health else ""


def _compiled(
    route: Route,
    services: dict[str, LiveService],
    body_limit: int,
    worker: Worker,
    before: CompiledRoute | None,
    guard: Stripping | None,
) -> CompiledRoute:
    service = _service(route, services)
    is_same = before is not None and before.fits(route, service, body_limit, guard)
    if before is not None and is_same and (before.plan is None or before.plan.fits(services)):
        return before
    made = CompiledRoute(route, service, body_limit, worker, guard)
    if route.parts:
        from meshctl.proxy.planning import Plan

        made.plan = Plan(route, services, lambda part, live: CompiledRoute(part, live, 0, worker, None))
    return made


def _table(routes: list[CompiledRoute], before: Snapshot | None, entry: str) -> RouteTable[CompiledRoute]:
    if any(route.config.cors for route in routes):
        return PreflightTable(routes)
    return RouteTable([(route.config.match, route) for route in routes], before.tables[entry] if before else None)


def _service(route: Route, services: dict[str, LiveService]) -> LiveService | None:
    service = services.get(route.service or "")
    return service.pinned(route.version) if service and route.version else service


class _Tables(dict[str, RouteTable[CompiledRoute]]):
    def __missing__(self, entry: str) -> RouteTable[CompiledRoute]:
        return self.setdefault(entry, RouteTable(()))
