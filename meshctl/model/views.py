"""What is observed of running proxies: the documents of the admin API, which the CLI asks for, merges and renders.

Rates are per second over the last ten seconds, latencies are seconds, times are seconds since the epoch.
"""

from __future__ import annotations

from typing import Final

import msgspec

from meshctl.model.address import shown
from meshctl.model.steering import Fault, Mirror

OUT: Final = {"unhealthy": 3, "unresolved": 2, "ejected": 1}
"""States in which an endpoint takes no requests, the worst first."""
FAILING: Final = 5
"""So many failures in a row are no chance."""


class EndpointView(msgspec.Struct, frozen=True):
    """One endpoint as a proxy sees it. `state` is healthy, unhealthy, ejected, half_open (back from its rest, and about
    to be tried), ramping (its share grows again), unresolved or unknown (not checked yet)."""

    address: str
    version: str
    weight: float
    state: str
    reason: str = ""
    until: float = 0.0
    """When an ejection ends, or the growth of its share; 0 where neither is under way."""
    in_flight: int = 0
    requests: int = 0
    failures: int = 0
    latency: float = 0.0
    """Moving average of the time to the response head."""
    connections: int = 0
    row: int = 0
    """Failures without a success between them, in the worker with the most; 0 where the last is five minutes ago."""
    failure: str = ""
    """Why the last of them failed."""

    @property
    def is_out(self) -> bool:
        """Whether it takes no requests."""
        return self.state in OUT

    @property
    def is_failing(self) -> bool:
        """Whether it fails all requests, and gets them all the same: the last endpoint there is never rests."""
        return self.row >= FAILING and not self.is_out


class VersionView(msgspec.Struct, frozen=True):
    """A version's weight in effect and the requests it really got since the revision was compiled."""

    name: str
    weight: float
    endpoints: int
    healthy: int
    requests: int = 0
    declared: float | None = None
    """The weight that the configuration gives it, where the proxy tells: another than `weight` while live weights
    hold."""


class LimitView(msgspec.Struct, frozen=True):
    """How many requests a proxy may have under way with a service, how many it has, and how many wait."""

    limit: int
    in_flight: int = 0
    waiting: int = 0


class BreakerView(msgspec.Struct, frozen=True):
    """A service's circuit breaker: closed, open, half_open or ramping."""

    state: str
    reason: str = ""
    """Why it last opened, until it is closed again."""
    since: float = 0.0
    """When it went over to its state; 0 where it never opened."""
    until: float = 0.0
    """When its time is over, where that is known."""
    opened: int = 0
    """How often it opened since the proxy started."""


class ServiceView(msgspec.Struct, frozen=True):
    """A service with its versions and endpoints, as one proxy sees it."""

    name: str
    policy: str
    versions: tuple[VersionView, ...]
    endpoints: tuple[EndpointView, ...]
    limit: LimitView | None = None
    breaker: BreakerView | None = None
    retries_left: float | None = None
    """How many retries its budget allows now, in all workers together; None where the proxy does not tell."""


class RouteView(msgspec.Struct, frozen=True):
    """A live route and how it fares."""

    name: str
    match: str
    """The conditions in one line: `GET api.localhost /v1/orders*`."""
    target: str
    """`service orders`, `redirect 302 https://…` or `respond 200`."""
    weights: tuple[VersionView, ...] = ()
    healthy: int = 0
    total: int = 0
    requests: int = 0
    rps: float = 0.0
    errors: float = 0.0
    """Share of requests that failed over the last ten seconds, 0 to 1."""
    p50: float = 0.0
    p95: float = 0.0
    p99: float = 0.0
    api: str = ""
    """Of which API it is, and which version; that is "" where it refuses those there are not."""
    api_version: str = ""


class WorkerView(msgspec.Struct, frozen=True):
    """One worker process of a proxy."""

    pid: int
    state: str
    restarts: int = 0
    connections: int = 0
    in_flight: int = 0
    requests: int = 0


class ListenerView(msgspec.Struct, frozen=True):
    """An address a proxy accepts on, with the port that was really taken."""

    url: str
    address: str
    tls: bool = False
    entry: str = "gateway"
    """Which routes it serves (`model.mesh.Listener.entry`)."""

    @property
    def shown(self) -> str:
        """Where to reach it, and who can."""
        return shown(self.url, self.address)


class IdentityView(msgspec.Struct, frozen=True):
    """Who a proxy is to the mesh: what all of its workers present and trust now, not what they were last told."""

    spiffe: str
    """`spiffe://shop.mesh/service/orders`."""
    serial: str
    """Of its certificate, in lower-case hex."""
    issuer: str
    """The fingerprint of the root that its chain ends in: the SHA-256 of the certificate in lower-case hex."""
    not_before: float
    not_after: float
    generation: int
    """See `Identify.generation`."""
    roots: tuple[str, ...] = ()
    """The fingerprints of all roots it trusts, sorted."""
    intermediate_not_after: float = 0.0
    """When the intermediate that signed its certificate ends; 0 where that is not known."""


class PlainCallerView(msgspec.Struct, frozen=True):
    """Who still calls a service without mutual TLS, and would be refused were it strict: GET /v1/plain."""

    service: str
    caller: str
    """The address it comes from, without port."""
    count: int
    """The connections it made since the proxy started."""
    last_seen: float


class ApiCallerView(msgspec.Struct, frozen=True):
    """Who still calls a version of an API that is deprecated or has a sunset: GET /v1/api/callers."""

    api: str
    version: str
    caller: str
    """An API key's owner, a token's subject, a SPIFFE ID, or the address it comes from, without port."""
    via: str
    """By what it is known: the name of an [auth] table, "identity" or "address"."""
    count: int
    """The requests it made since the proxy started."""
    last_seen: float


class AppView(msgspec.Struct, frozen=True):
    """The app that a sidecar wraps."""

    pid: int
    """0 where it does not run."""
    port: int
    """Where it is to listen."""
    state: str
    """starting (it does not take requests yet), late (it should), ready, drained (it is kept from taking any), draining
    (it is about to be ended), restarting or ended."""
    command: str
    restarts: int = 0
    since: float = 0.0
    """When it was started."""
    problem: str = ""
    """Why it does not take requests."""
    code: int | None = None
    """What its last run ended with, where it has been started again since, or is about to be."""


class ProxyView(msgspec.Struct, frozen=True):
    """One running proxy: `meshctl gateway status`."""

    id: str
    role: str
    pid: int
    version: str
    started: float
    revision: int
    """The revision its traffic runs on."""
    latest: int
    """The newest applied revision; greater than `revision` where this proxy is behind or refused it."""
    refusal: str = ""
    """Why it refused the newest revision."""
    source: str = ""
    admin: str = ""
    admin_address: str = ""
    """What the admin URL's socket is bound to: ":9901" is every address."""
    state: str = "ready"
    """starting, ready or draining."""
    listeners: tuple[ListenerView, ...] = ()
    workers: tuple[WorkerView, ...] = ()
    identity: IdentityView | None = None
    """None where it has none, because nothing in its configuration needs one."""
    service: str = ""
    app_version: str = ""
    app: AppView | None = None
    faults: tuple[Fault, ...] = ()
    """Those that hold now, in the whole mesh."""
    mirrors: tuple[Mirror, ...] = ()
    pending: tuple[str, ...] = ()
    """Settings of its revision that hold only when it is started again: "gateway.workers"."""


class ProxyRecord(msgspec.Struct, frozen=True):
    """What a proxy writes under `proxies/<id>` in the store, under its lease, so that commands find it."""

    id: str
    role: str
    pid: int
    started: float
    socket: str
    """The admin socket's path."""
    admin: str = ""
    """The admin URL, where one is served over TCP."""
    admin_address: str = ""
    """What that is bound to: ":9901" is every address."""
    source: str = ""
    """The configuration file it was started with, absolute; empty without one."""
    routes: tuple[str, ...] = ()
    """The `--route PATH=URL` it was started with."""
    listeners: tuple[ListenerView, ...] = ()
    log: str = ""
    """The file a detached gateway writes to; empty in the foreground."""
    machine: str = ""
    """Which machine `pid` is a process of."""
    service: str = ""
    """The service whose identity the proxy has: "gateway", or what a sidecar wraps."""
    app_version: str = ""
    """The version of the service that a sidecar wraps."""
    app: AppView | None = None


class Acknowledgement(msgspec.Struct, frozen=True):
    """A proxy's answer to a revision, under `acks/<proxy id>`: taken, or refused with the reason (xDS ACK and NACK)."""

    proxy: str
    revision: int
    accepted: bool
    reason: str = ""
    at: float = 0.0
    pending: tuple[str, ...] = ()
    """What of it holds only when the proxy is started again."""
