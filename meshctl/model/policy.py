"""Policies: timeouts, limits, retries, health checks, ejection and balancing, each with a default that is safe.

Durations are seconds, sizes are bytes, fractions lie in [0, 1]; 0 means "no limit" only where the field says so.
"""

from __future__ import annotations

from typing import Literal

import msgspec


class DownstreamTimeouts(msgspec.Struct, frozen=True):
    """How long a client may take. Slow clients are ended by `head` and `body`, idle ones by `idle`."""

    head: float = 10.0
    """From the first byte of a request head (or from the accepted connection) to its end."""
    body: float = 30.0
    """Between two pieces of a request body."""
    idle: float = 75.0
    """Between two requests on a kept-alive connection."""
    write: float = 60.0
    """While a client takes nothing of an answer that waits for it."""
    drain: float = 30.0
    """For what is in flight when the proxy stops."""
    handshake: float = 10.0
    """For a TLS handshake."""


class UpstreamTimeouts(msgspec.Struct, frozen=True):
    """How long a service may take. There is no total here: it belongs to a route, and streams must live."""

    connect: float = 5.0
    """To a connection, TLS handshake included."""
    response: float = 60.0
    """From the request's last byte to the response's head."""
    stream: float = 300.0
    """Without a byte in either direction of a body or tunnel."""
    idle: float = 50.0
    """A kept connection unused; below the usual 60 s of servers, so that they do not close it under a request."""


class Limits(msgspec.Struct, frozen=True):
    """What one proxy accepts."""

    connections: int = 10_000
    """Open client connections over all workers; beyond it whoever waits for a request for longest makes room, and where
    nobody does new ones are answered 503."""
    head_bytes: int = 65_536
    header_count: int = 100
    body_bytes: int = 0
    """0 is no limit: bodies stream in constant memory, whatever their size."""
    upstream_connections: int = 1_024
    """Connections to one endpoint from one worker."""


class Retry(msgspec.Struct, frozen=True):
    """When a request may be sent again. `attempts` counts the extra ones. A request that may have reached the
    application is only repeated if its method is idempotent (RFC 9110 §9.2.2)."""

    attempts: int = 1
    on: tuple[str, ...] = ("connect", "reset", "refused")
    """"connect", "reset", "refused", "timeout" or a status such as "503". Refused is what another proxy of the mesh did
    before the application saw the request."""
    per_try: float = 0.0
    """Seconds for one attempt, from its start, or the request's last byte where that comes later, to the answer's head;
    0 is as long as the service's response timeout."""


class RetryBudget(msgspec.Struct, frozen=True):
    """How much of a service's traffic one worker may send again, over ten seconds: a share of its requests, and a few a
    second besides, so that there are retries where there is little traffic."""

    ratio: float = 0.2
    floor: float = 10.0


class Limit(msgspec.Struct, frozen=True):
    """How much of a service's traffic one proxy has under way at a time. What comes beyond that waits for its turn, by
    the priority of its route, and is refused where too many wait or the wait is too long."""

    requests: int = 100
    """Divided over the proxy's workers, at least one each."""
    queue: int = 100
    """How many may wait, divided likewise; 0 is nobody."""
    wait: float = 1.0
    """The longest wait, in seconds."""
    adaptive: bool = False
    """Whether the limit follows the service's latency, with `requests` as its upper bound."""


class Overload(msgspec.Struct, frozen=True):
    """When a proxy refuses part of its requests because it cannot keep up with all of them."""

    lag: float = 0.5
    """Seconds by which a worker may be behind for good; 0 is whatever happens."""


class HealthCheck(msgspec.Struct, frozen=True):
    """An active check: HTTP GET where `path` is given, else a TCP connection."""

    path: str | None = None
    host: str | None = None
    interval: float = 5.0
    timeout: float = 2.0
    healthy: int = 1
    """Successes in a row that make an endpoint healthy."""
    unhealthy: int = 3
    """Failures in a row that make it unhealthy."""
    statuses: tuple[int, int] = (200, 399)
    """The lowest and highest status that passes."""


class Ejection(msgspec.Struct, frozen=True):
    """Passive ejection: an endpoint that fails `failures` times in a row, or `rate` of at least `minimum` requests
    within `window`, rests for `base` seconds, doubled with each ejection up to `longest`. At most `share` of a
    version's endpoints rest at a time, and the last one never does. One that comes back is first tried by a single
    request; then its share grows to the whole over `ramp`."""

    enabled: bool = True
    failures: int = 5
    rate: float = 0.0
    """0 is whatever fails."""
    minimum: int = 20
    window: float = 10.0
    base: float = 10.0
    longest: float = 300.0
    share: float = 0.5
    ramp: float = 10.0
    """0 is at once."""


class Breaker(msgspec.Struct, frozen=True):
    """Circuit breaker: a service of which `rate` of at least `minimum` requests within `window` fail, or `failures` in
    a row, is not asked at all for `open` seconds, doubled with each time up to ten times that. Then `probes` requests
    must succeed; after them the share of requests that are let through grows to all of them over `ramp`."""

    failures: int = 0
    """0 is any number in a row."""
    rate: float = 0.5
    """0 is whatever fails."""
    minimum: int = 20
    window: float = 10.0
    open: float = 5.0
    probes: int = 3
    ramp: float = 10.0
    """0 is at once."""


class Key(msgspec.Struct, frozen=True):
    """What of a request is hashed: a header, cookie, query parameter or claim by name, the client's address, or the
    service that the caller proved to be."""

    kind: Literal["header", "cookie", "query", "claim", "client_ip", "identity"]
    name: str = ""


class Balance(msgspec.Struct, frozen=True):
    """How an endpoint is chosen. `key` is given exactly when the policy is hash."""

    policy: Literal["round_robin", "random", "least_load", "hash"] = "least_load"
    key: Key | None = None
