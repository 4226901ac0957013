"""What outlasts a snapshot: live services and endpoints by name.

`compile` makes a snapshot without touching what runs, so that it can be refused or dropped; `adopt` makes it current.
An endpoint that the new configuration still has keeps its connections, its health and its counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from ipaddress import ip_address
from typing import TYPE_CHECKING

from meshctl import clock
from meshctl.core.match import compile_conditions
from meshctl.model.mesh import Mesh
from meshctl.model.registration import Listed
from meshctl.model.service import Endpoint, Service
from meshctl.model.views import EndpointView, ServiceView, VersionView
from meshctl.model.weights import Shares
from meshctl.observe.sample import UNCONFIGURED
from meshctl.proxy.admission import Admission
from meshctl.proxy.endpoint import LiveEndpoint, Name
from meshctl.proxy.endpoint_tls import EndpointTls
from meshctl.proxy.service import LiveService, LiveVersion
from meshctl.proxy.snapshot import Snapshot
from meshctl.proxy.tls import CertificateProblem

if TYPE_CHECKING:
    from meshctl.proxy.worker import Worker

Registered = dict[tuple[str, str], tuple[Endpoint, ...]]
"""Endpoints of sidecars by service and version."""


class Registry:
    """See the module."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._endpoints: dict[Name, LiveEndpoint] = {}
        self._addresses: dict[tuple[str, int], tuple[str, ...]] = {}
        self._tls = EndpointTls()
        self._weights: dict[str, Shares] = {}
        self._admissions: dict[str, Admission] = {}

    def __repr__(self) -> str:
        return f"<Registry {len(self._endpoints)} endpoints, {len(self._addresses)} names>"

    def compile(
        self,
        number: int,
        mesh: Mesh,
        listed: tuple[Listed, ...] = (),
        weights: dict[str, Shares] | None = None,
    ) -> Snapshot:
        """The snapshot of a revision, of what is registered and of live weights. Raises ValueError where it cannot be
        served."""
        weights = weights or {}
        current = self._worker.snapshot
        registered = {(each.service, each.version): each.endpoints for each in listed}
        limit = mesh.gateway.limits.upstream_connections
        services: dict[str, LiveService] = {}
        for config in mesh.services:
            shares = weights.get(config.name, {})
            live = current.services.get(config.name)
            # The same revision is compiled again when a service comes: those that were there stay what they are.
            is_kept = live is not None and number == current.number and self._is(live, config, registered, limit)
            if live is None or not is_kept or shares != self._weights.get(config.name, {}):
                live = self._made(config, registered, limit, live)
                live.weigh(shares)
            services[config.name] = live
        snapshot = Snapshot(number, mesh, services, self._worker, current)
        snapshot.weights = weights
        return snapshot

    def _made(self, config: Service, registered: Registered, limit: int, before: LiveService | None) -> LiveService:
        live = LiveService(self._worker, config)
        if before is not None:
            live.budget = before.budget
            if live.breaker is not None and before.breaker is not None and before.config.breaker == config.breaker:
                before.settle(clock.monotonic())
                live.breaker = before.breaker
        if config.limit is not None:
            live.admission = self._admissions.get(config.name) or Admission(self._worker, config.name)
        try:
            tls = self._tls.context(config)
        except CertificateProblem as problem:
            raise ValueError(str(problem)) from problem
        for version in config.versions:
            made = LiveVersion(self._worker, config, version.name, version.weight, version.endpoints)
            made.registered = registered.get((config.name, version.name), ())
            made.asks = compile_conditions(version.match) if version.match else None
            made.tls = tls
            made.limit = limit
            made.fill(self.find)
            live.versions.append(made)
        return live

    def _is(self, live: LiveService, config: Service, registered: Registered, limit: int) -> bool:
        """Whether `live` is already what would be made."""
        return live.config == config and all(
            version.limit == limit and version.registered == registered.get((config.name, version.name), ())
            for version in live.versions
        )

    def adopt(self, snapshot: Snapshot) -> None:
        """Make `snapshot`'s endpoints the live ones and let go of the others."""
        self._weights = snapshot.weights
        self._sweep(snapshot)
        self._limit(snapshot)
        for service in snapshot.services.values():
            service.budget.configure(service.config.retry_budget)
        self._tls.keep({service.config.tls for service in snapshot.services.values()})
        live = {series.key for route in snapshot.routes for series in route.series.values()}
        self._worker.counters.retire(live | UNCONFIGURED, snapshot.services)

    def look(self) -> Iterator[str]:
        """Believe whom the files of authorities name now: "" for each that has changed, or why it is not believed."""
        for tls, found in self._tls.look():
            if isinstance(found, CertificateProblem):
                yield str(found)
                continue
            services = self._worker.snapshot.services.values()
            for version in [each for service in services if service.config.tls == tls for each in service.versions]:
                version.tls = found
                for endpoint in version.endpoints:
                    endpoint.renew(version)
            yield ""

    def discover(self, listed: tuple[Listed, ...]) -> None:
        """Other endpoints are registered for these services' versions than before, which use them. Nothing else is
        touched, so that a sidecar that comes or goes costs the same whatever the configuration's size."""
        found = {(each.service, each.version): each.endpoints for each in listed}
        services = self._worker.snapshot.services
        for service in [services[name] for name in {each.service for each in listed} if name in services]:
            for version in service.versions:
                name = service.name, version.name
                if name in found:
                    version.registered = found[name]
                    self._refill(version)
            service.set_versions(service.versions)

    def weigh(self, weights: dict[str, Shares]) -> None:
        """Other live weights hold than before, from the next request on: requests that have a version keep it."""
        before, self._weights = self._weights, weights
        for name in before.keys() | weights.keys():
            service = self._worker.snapshot.services.get(name)
            if service is not None and before.get(name) != weights.get(name):
                service.weigh(weights.get(name, {}))

    def resolved(self, host: str, port: int, addresses: tuple[str, ...]) -> None:
        """A name's addresses are known, anew: versions that have it use them all."""
        if self._addresses.get((host, port)) == addresses:
            return
        self._addresses[host, port] = addresses
        for service in self._worker.snapshot.services.values():
            for version in service.versions:
                if any(config.host == host and config.port == port for config in version.configured):
                    self._refill(version)

    def release(self, host: str, port: int) -> None:
        """Nobody has the name any more."""
        self._addresses.pop((host, port), None)

    def find(self, version: LiveVersion, config: Endpoint) -> list[LiveEndpoint]:
        """The live endpoints for one configured: known ones, or new ones that nobody uses until they are adopted."""
        addresses = self._addresses.get((config.host, config.port)) or (config.address,)
        bare = Endpoint(config.host, config.port, config.unix, config.tls, mesh=config.mesh)
        found = []
        for address in addresses:
            name = version.service, version.name, bare, address
            known = self._endpoints.get(name)
            found.append(known or LiveEndpoint(self._worker, version.config, name, config))
        return found

    def names(self, snapshot: Snapshot) -> set[tuple[str, int]]:
        """The host names that need addresses, with their ports."""
        configured = (
            each
            for service in snapshot.services.values()
            for version in service.versions
            for each in version.configured
        )
        return {(each.host, each.port) for each in configured if is_name(each)}

    def endpoints(self) -> list[LiveEndpoint]:
        """All live endpoints."""
        return list(self._endpoints.values())

    def views(self) -> list[ServiceView]:
        """The services as this worker sees them."""
        now = clock.monotonic()
        return [_service_view(service, now) for service in self._worker.snapshot.services.values()]

    def _sweep(self, snapshot: Snapshot) -> None:
        now = clock.monotonic()
        kept: dict[Name, LiveEndpoint] = {}
        for service in snapshot.services.values():
            for version in service.versions:
                # One that was kept has them already.
                if any(each.owner is not version for each in version.endpoints):
                    self._take(version, now)
                for each in version.endpoints:
                    kept[each.name] = each
        for name, endpoint in self._endpoints.items():
            if kept.get(name) is not endpoint:
                endpoint.retire()
        self._endpoints = kept

    def _limit(self, snapshot: Snapshot) -> None:
        """Have the limits of `snapshot` hold for those, too, who are under way or wait since before."""
        before, self._admissions = self._admissions, {}
        for name, service in snapshot.services.items():
            if service.admission is not None:
                self._admissions[name] = service.admission
                service.admission.configure(service.config)
        for name in before.keys() - self._admissions.keys():
            before[name].configure(None)

    def _refill(self, version: LiveVersion) -> None:
        """Other endpoints stand in `version` than before: let it have them, and go of those it no longer has."""
        before = version.endpoints
        version.fill(self.find)
        self._take(version, clock.monotonic())
        after = {each.name: each for each in version.endpoints}
        self._endpoints |= after
        for name in {each.name for each in before} - after.keys():
            self._endpoints.pop(name).retire()

    def _take(self, version: LiveVersion, now: float) -> None:
        """Let the endpoints in `version` be what it makes of them."""
        for endpoint in version.endpoints:
            endpoint.renew(version)
        version.rebuild(now)


def is_name(endpoint: Endpoint) -> bool:
    """Whether the endpoint's host has to be looked up. "localhost" is left to each connection, which tries both
    families: a server listens on one of them, seldom on both."""
    return not endpoint.unix and endpoint.host != "localhost" and not _is_address(endpoint.host)


@lru_cache(maxsize=16_384)
def _is_address(host: str) -> bool:
    # Asked of every endpoint whenever one comes or goes.
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _service_view(service: LiveService, now: float) -> ServiceView:
    endpoints = []
    versions = []
    for version in service.versions:
        usable = set(version.available)
        versions.append(
            VersionView(
                version.name, version.weight, len(version.endpoints), len(usable), version.requests, version.declared
            )
        )
        for each in version.endpoints:
            until = each.health.ends(now)
            row, failure = each.health.row.told(now)
            endpoints.append(
                EndpointView(
                    address=each.address,
                    version=version.name,
                    weight=each.weight,
                    state=each.health.state(now),
                    reason=each.health.reason(now),
                    until=clock.wall() + until - now if until > now else 0.0,
                    in_flight=each.in_flight,
                    requests=each.requests,
                    failures=each.failures,
                    latency=each.ewma,
                    connections=each.opened,
                    row=row,
                    failure=failure,
                )
            )
    balance = service.config.balance
    breaker = service.breaker.view(now) if service.breaker is not None else None
    limit = service.admission.view() if service.admission is not None else None
    left = service.budget.left(now)
    return ServiceView(service.name, balance.policy, tuple(versions), tuple(endpoints), limit, breaker, left)
