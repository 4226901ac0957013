"""The role of a sidecar: what it makes of the configuration that all proxies of the mesh share.

inbound   mutual TLS, from the mesh          → the app, on loopback
outbound  plain HTTP, from the app           → every service by its mesh names; other hosts pass (`proxy.egress`)
upstream  plain, from the app, a port each   → one service
gateway   as configured, where it is one     → the routes of the configuration
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, Literal

import msgspec

from meshctl.model.mesh import AccessLog, Gateway, Listener, Mesh
from meshctl.model.names import LOCAL
from meshctl.model.policy import Ejection, Retry
from meshctl.model.route import Match, Rewrite, Route
from meshctl.model.service import Endpoint, Service, Version
from meshctl.pki.identity import mesh_names
from meshctl.sidecar.environment import LOOPBACK, Upstream

INBOUND: Final = "inbound"
OUTBOUND: Final = "outbound"


class SidecarRole(msgspec.Struct):
    """What the supervisor of a sidecar asks of its role. `app_host` and `app_port` are where the app listens: they
    change when that turns out to be elsewhere."""

    service: str
    version: str
    app_port: int
    app_host: str = LOOPBACK
    upstreams: tuple[Upstream, ...] = ()
    gateway: tuple[Listener, ...] = ()
    """Listeners for the routes of the configuration."""
    admin: str | None = f"{LOOPBACK}:0"
    is_enclosed: bool = False
    """Whether the app has a network of its own: then its port of this machine is free, and is where requests to it come
    in."""
    access_log: str = ""
    """The file requests are logged in; "" is where the configuration says."""

    @property
    def name(self) -> Literal["sidecar"]:
        """See `control.roles.Role`."""
        return "sidecar"

    @property
    def workers(self) -> int:
        """See `control.roles.Role`: an app has one process of its own, so it has one of ours."""
        return 1

    @property
    def may_begin_empty(self) -> bool:
        """See `control.roles.Role`."""
        return True

    @property
    def local(self) -> str:
        """The name of the wrapped app as a service of its own."""
        return f"{LOCAL}:{self.service}"

    def configured(self, mesh: Mesh) -> Service:
        """The service as it is configured, or what it is where nobody has."""
        return next((each for each in mesh.services if each.name == self.service), None) or Service(self.service)

    def listeners(self, mesh: Mesh) -> tuple[Listener, ...]:
        """See `control.roles.Role`."""
        outbound = () if self.is_enclosed else (Listener(LOOPBACK, 0, entry=OUTBOUND),)
        port = self.app_port if self.is_enclosed else 0
        return (
            Listener(LOOPBACK, port, mesh=self.configured(mesh).mtls, entry=INBOUND),
            *outbound,
            *(Listener(LOOPBACK, each.port, entry=each.entry) for each in self.upstreams),
            *self.gateway,
        )

    def effective(self, mesh: Mesh) -> Mesh:
        """See `control.roles.Role`."""
        known = {each.name for each in mesh.services}
        # Whoever is asked for and not there yet may come: until then its callers hear that it has no endpoint.
        awaited = dict.fromkeys(each.service for each in self.upstreams if each.service not in known)
        services = (*mesh.services, *map(Service, awaited))
        return msgspec.structs.replace(
            mesh,
            gateway=self._gateway(mesh.gateway),
            routes=(*(mesh.routes if self.gateway else ()), *self._routes(mesh, services)),
            services=(*services, self._app(self.configured(mesh))),
        )

    def _gateway(self, gateway: Gateway) -> Gateway:
        log = gateway.access_log
        if not self.access_log or log.path == "off":
            return gateway
        # The app's stdout is the app's own, and one file for all proxies would be moved by any of them.
        return msgspec.structs.replace(gateway, access_log=AccessLog(self.access_log, log.format, log.redact))

    def _routes(self, mesh: Mesh, services: tuple[Service, ...]) -> Iterator[Route]:
        yield Route(INBOUND, service=self.local, entry=INBOUND)
        for service in services:
            hosts = mesh_names(service.name, mesh.trust_domain)
            yield self._route(f"{OUTBOUND}:{service.name}", service, OUTBOUND, match=Match(hosts=hosts))
        by_name = {service.name: service for service in services}
        for upstream in self.upstreams:
            # The app asks for 127.0.0.1 there: who is called should see a name that means something to it.
            rewrite = Rewrite() if upstream.is_raw else Rewrite(host=upstream.service)
            yield self._route(upstream.entry, by_name[upstream.service], upstream.entry, rewrite=rewrite)

    def _route(self, name: str, service: Service, entry: str, **more: Any) -> Route:
        """A route that nobody wrote: all about it is the service's."""
        retry = service.retry or Retry()
        return Route(name, service=service.name, entry=entry, timeout=service.timeout, retry=retry, **more)

    def _app(self, configured: Service) -> Service:
        """The app: one endpoint, which is never set aside, because there is no other to take its place. Whether it is
        well is for those to judge who have others."""
        endpoint = Endpoint(self.app_host, self.app_port)
        return Service(
            self.local,
            (Version(self.version, (endpoint,)),),
            ejection=Ejection(enabled=False),
            limit=configured.limit,
            timeouts=configured.timeouts,
            protocol=configured.protocol,
        )
