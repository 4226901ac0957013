"""How much callers may have, in the file's shape. The inverse of `build_limits`."""

from __future__ import annotations

from typing import Any

from meshctl.model.limits import By, Quota, RateLimit, RateLimiting
from meshctl.model.route import Route
from meshctl.model.units import format_count_per, format_size

Table = dict[str, Any]


def limits(value: Route) -> Table:
    """What a route says of how much; keys that it does not have are empty."""
    return {
        "rate_limits": [_rate_limit(each) for each in value.rate_limits],
        "quotas": [_quota(each) for each in value.quotas],
        "allow_addresses": list(value.allow_addresses),
        "deny_addresses": list(value.deny_addresses),
        "response_bytes": format_size(value.response_bytes) if value.response_bytes else None,
        "bandwidth": bandwidth(value.bandwidth) if value.bandwidth else None,
    }


def rate_limiting(value: RateLimiting) -> Table:
    """`[gateway.rate_limit]`."""
    return {"headers": value.headers} | ({"backend": value.backend} if value.backend else {})


def bandwidth(rate: int) -> str:
    """Bytes per second in words: "64KiB/s"."""
    return f"{format_size(rate)}/s"


def _rate_limit(value: RateLimit) -> Table:
    limit = format_count_per(value.count, value.window)
    return {"name": value.name, "limit": limit, "by": by(value.by), "burst": value.burst}


def _quota(value: Quota) -> Table:
    return {"name": value.name, "limit": value.limit, "per": value.per, "by": by(value.by)}


def by(value: By) -> Any:
    """Whose requests are counted together."""
    return {value.kind: value.name} if value.name else value.kind
