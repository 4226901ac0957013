"""How much callers of a route may have: requests at a rate, requests in a day or a month. Whose share it is: `By`."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

REDIS_PASSWORD: Final = "MESHCTL_REDIS_PASSWORD"  # noqa: S105 - where it is, not what it is
"""The variable with the password of the Redis that gateways share rates in: theirs alone, and of nothing they start."""


class By(msgspec.Struct, frozen=True):
    """Whose requests are counted together: those of one client address, API key, claim, header, cookie, query
    parameter or member of the mesh, or with "route" all of them. Requests that have no such thing share one count."""

    kind: Literal["client_ip", "route", "key", "claim", "header", "cookie", "query", "identity"] = "client_ip"
    name: str = ""


class RateLimit(msgspec.Struct, frozen=True):
    """At most `count` requests in each `window` seconds, evenly, and `burst` of them at once after a rest."""

    name: str
    count: int
    window: float
    burst: int
    by: By = By()


class Quota(msgspec.Struct, frozen=True):
    """At most `limit` requests in a day or a month of UTC. The count outlives the proxy."""

    name: str
    limit: int
    per: Literal["day", "month"] = "day"
    by: By = By()


class RateLimiting(msgspec.Struct, frozen=True):
    """How all rate limits of a gateway are kept."""

    headers: bool = True
    """Whether answers say how much is left (`RateLimit`, `RateLimit-Policy`)."""
    backend: str = ""
    """The URL of a Redis that several gateways share their limits in; "" is each by itself."""
