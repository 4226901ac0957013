"""The whole of a configuration: one mesh, its gateway, routes and services. What `apply` stores and proxies compile."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec

from meshctl.model.api import Api
from meshctl.model.auth import Auth
from meshctl.model.limits import RateLimiting
from meshctl.model.names import LOOPBACK_HOSTS
from meshctl.model.policy import DownstreamTimeouts, Limits, Overload
from meshctl.model.route import Match, PathMatch, Route
from meshctl.model.service import Service
from meshctl.model.tracing import Tracing


class Certificate(msgspec.Struct, frozen=True):
    """A certificate chain file and its key file (PEM), as absolute paths. Its DNS names choose it by SNI."""

    certificate: str
    key: str


class Listener(msgspec.Struct, frozen=True):
    """An address to accept on: `host` "" is every interface; port 0 lets the system choose. `tls` empty is plain
    HTTP."""

    host: str
    port: int
    tls: tuple[Certificate, ...] = ()
    mesh: Literal["", "edge", "strict", "permissive"] = ""
    """What the mesh's CA does for it: "edge" gives it a certificate for the hosts of the routes (`certificate =
    "mesh"`), "strict" speaks mutual TLS with members of the mesh alone, "permissive" also takes plain HTTP."""
    entry: str = "gateway"
    """Which routes it serves: those of the same entry. "gateway", "inbound" (to the wrapped app), "outbound" (what the
    app sends), "upstream:NAME" (all to one service) or "tcp:NAME" (bytes to one service, unread)."""
    connections_per_client: int = 0
    """How many connections each worker lets one address have here; 0 is as many as it wants."""

    @property
    def address(self) -> str:
        """The listener in one word: "127.0.0.1:8080", ":8080", "[::1]:8080"."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class AccessLog(msgspec.Struct, frozen=True):
    """Where each request's line goes: "stdout", an absolute file path or "off". With `redact` query strings are not
    written."""

    path: str = "stdout"
    format: Literal["json", "text"] = "json"
    redact: bool = True


class Allow(msgspec.Struct, frozen=True):
    """Who may call whom: a call from one of `sources` to one of `targets` (service names; "*" is anyone, "gateway" the
    gateway). Empty `methods` and `paths` ask nothing."""

    name: str
    sources: tuple[str, ...]
    targets: tuple[str, ...]
    methods: tuple[str, ...] = ()
    paths: tuple[PathMatch, ...] = ()


class Access(msgspec.Struct, frozen=True):
    """The rules between services, kept by the sidecar of the one that is called. A service that any rule has among its
    targets takes only calls that some rule allows; `default` decides about the others. With `shadow` nothing is
    refused: what would have been is counted."""

    default: Literal["allow", "deny"] = "allow"
    shadow: bool = False
    rules: tuple[Allow, ...] = ()


class Gateway(msgspec.Struct, frozen=True):
    """The north-south entry: listeners and what they accept."""

    listeners: tuple[Listener, ...] = (Listener("127.0.0.1", 8080),)
    workers: int = 1
    """Processes; 0 is one for each core."""
    admin: str = "127.0.0.1:0"
    """Where /metrics, /healthz and /readyz are served; port 0 lets the system choose, "off" serves the admin socket
    alone."""
    access_log: AccessLog = AccessLog()
    trusted_proxies: tuple[str, ...] = ()
    """Networks (CIDR) whose X-Forwarded-* and Forwarded are believed."""
    forwarded: bool = False
    """Whether requests also carry the Forwarded field (RFC 7239) beside X-Forwarded-*."""
    timeouts: DownstreamTimeouts = DownstreamTimeouts()
    limits: Limits = Limits()
    overload: Overload = Overload()
    allow_addresses: tuple[str, ...] = ()
    """Networks (CIDR) whose clients alone are served; empty is all."""
    deny_addresses: tuple[str, ...] = ()
    """Networks whose clients are not."""
    rate_limit: RateLimiting = RateLimiting()
    cache_bytes: int = 67_108_864
    """Bytes of answers that each worker keeps, of all routes with `cache`."""


class Mesh(msgspec.Struct, frozen=True):
    """A checked configuration. Names are unique; routes point at services that exist; order is the file's."""

    name: str = "mesh"
    trust_domain: str = "mesh.mesh"
    gateway: Gateway = Gateway()
    routes: tuple[Route, ...] = ()
    services: tuple[Service, ...] = ()
    access: Access = Access()
    egress: Literal["allow", "deny"] = "allow"
    """Whether sidecars pass requests on to hosts outside the mesh."""
    auth: tuple[Auth, ...] = ()
    """The ways to know who calls."""
    apis: tuple[Api, ...] = ()
    versioned: tuple[Route, ...] = ()
    """The routes that belong to an API as the file has them; `routes` has one for each version in their place."""
    tracing: Tracing | None = None

    @property
    def asked(self) -> tuple[Auth, ...]:
        """The ways to know who calls that its routes ask for."""
        names = {name for route in self.routes if route.auth is not None for name in route.auth.names}
        return tuple(each for each in self.auth if each.name in names)

    @property
    def served(self) -> tuple[Route, ...]:
        """Its routes, after those by which browsers come back from logins and sign out."""
        ways = [each for each in self.asked if each.oidc is not None]
        own = [route for way in ways for route in _login_routes(way, self.routes)]
        return (*own, *self.routes) if own else self.routes

    @property
    def led_to_by_version(self) -> set[str]:
        """The services that versions of APIs lead to by themselves."""
        return {each.service for api in self.apis for each in api.versions if each.service is not None}

    @property
    def written_routes(self) -> tuple[Route, ...]:
        """The routes as the file has them."""
        waiting = {route.name: route for route in self.versioned}
        found = (waiting.pop(each.written, None) if each.api is not None else each for each in self.routes)
        return tuple(route for route in found if route is not None)

    @property
    def edge_hosts(self) -> tuple[str, ...]:
        """Whom the gateway's certificate from the mesh's CA is for: the hosts and host patterns of its routes, else
        this machine by its own names."""
        hosts = (host.strip("[]") for route in self.routes if route.entry == "gateway" for host in route.match.hosts)
        return tuple(dict.fromkeys(hosts)) or LOOPBACK_HOSTS


def _login_routes(way: Auth, routes: tuple[Route, ...]) -> Iterator[Route]:
    """The routes of a login, on every host that asks for it. Where some routes are for all hosts and some are not, each
    kind needs its own: a host that is named wins over any path."""
    asking = [route for route in routes if route.auth is not None and way.name in route.auth.names]
    hosts = tuple(dict.fromkeys(host for route in asking for host in route.match.hosts))
    kinds = [hosts] * bool(hosts) + [()] * any(not route.match.hosts for route in asking)
    if way.oidc is None or not asking:
        return
    for number, each in enumerate(kinds):
        for what, path in (("login", way.oidc.callback), ("logout", way.oidc.logout)):
            name = f"#{way.name}/{what}" + ("/any" if number else "")
            yield Route(name, Match(each, PathMatch("exact", path)), login=way.name, entry=asking[0].entry)


def encode(mesh: Mesh) -> bytes:
    """The mesh as canonical JSON: equal meshes give equal bytes."""
    return msgspec.json.encode(mesh, order="deterministic")


def decode(data: bytes) -> Mesh:
    """The mesh in `data`. Raises msgspec.ValidationError where it is none."""
    return msgspec.json.decode(data, type=Mesh)
