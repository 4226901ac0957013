"""What is asked of a tap, and what it tells of a request: values, and the messages that they travel in."""

from __future__ import annotations

import msgspec


class TapFilter(msgspec.Struct, frozen=True):
    """Which requests are wanted. All that is given must hold; a list of values is met by one of them."""

    services: tuple[str, ...] = ()
    """Requests that one of these services makes or gets."""
    sources: tuple[str, ...] = ()
    """Who calls: services, or addresses of clients."""
    destinations: tuple[str, ...] = ()
    """Who is called: services, or versions as "orders/v2"."""
    methods: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    """Prefixes on segment boundaries, or with "*" patterns of the whole path."""
    statuses: tuple[tuple[int, int], ...] = ()
    """From and to, both included; 0 is no answer at all."""
    headers: tuple[tuple[str, str], ...] = ()
    """Names in lower case with the values wanted, in which "*" stands for anything."""
    slow: float = 0.0
    """Seconds that it takes at least."""
    hops: bool = False
    """Whether a request is told of at each proxy that it passes, not only where it is sent into a service."""
    with_headers: bool = False
    max_rate: float = 100.0
    """Requests a second that are told of at most, by each worker; those beyond are only counted."""


class TapOrder(msgspec.Struct, frozen=True):
    """A tap as a worker is told of it. `own` is the service as which its proxy calls others."""

    number: int
    own: str
    filter: TapFilter


class Taps(msgspec.Struct, frozen=True, tag=True):
    """A supervisor's order to its workers: the taps there are, in the place of those of the last such message."""

    orders: tuple[TapOrder, ...]


class Seen(msgspec.Struct, frozen=True, tag=True):
    """A worker's word on what a tap wants: lines of JSON, each a `Tapped`."""

    number: int
    lines: bytes


class TapEvent(msgspec.Struct, omit_defaults=True, gc=False):
    """One request at one proxy, as it ended. What may be secret has been taken out where it was seen."""

    at: float
    """When it came, in seconds since the epoch."""
    proxy: str
    """Of which kind, as seen from the mesh: "gateway", "out" (of a wrapped app) or "in" (to one)."""
    method: str
    host: str
    path: str
    status: int
    duration_us: int
    request_id: str
    source: str = ""
    """The service that calls; "" where nobody knows."""
    client: str = ""
    """The address that it came from."""
    destination: str = ""
    version: str = ""
    endpoint: str = ""
    route: str = ""
    tls: str = ""
    """Between the proxy and where it sends the request, or for "in" the caller: "mtls", "tls" or "plain"."""
    latency_us: int = 0
    """Until the head of the answer came."""
    bytes_in: int = 0
    bytes_out: int = 0
    retries: int = 0
    reason: str = ""
    """Why the proxy answered itself."""
    trace_id: str = ""
    request_headers: dict[str, str] | None = None
    response_headers: dict[str, str] | None = None


class Tapped(msgspec.Struct, omit_defaults=True, gc=False):
    """A line of a tap's stream: a request, or how many were wanted and not told of since the last one."""

    event: TapEvent | None = None
    skipped: int = 0
