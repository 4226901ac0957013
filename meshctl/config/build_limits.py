"""A route's `rate_limits` and `quotas`, and address lists, as the model has them."""

from __future__ import annotations

from typing import Any

import msgspec

from meshctl.config.document import GatewayTable
from meshctl.config.document_limits import ByTable, QuotaTable, RateLimitTable
from meshctl.config.document_route import RouteTable
from meshctl.config.naming import Names
from meshctl.model.limits import By, Quota, RateLimit


def limits(table: RouteTable) -> dict[str, Any]:
    """The fields of a route that say how much its callers may have, as far as they are given."""
    named = [each.name for each in table.rate_limits or ()] + [each.name for each in table.quotas or ()]
    names = Names(name for name in named if name)
    found: dict[str, Any] = dict(addresses(table))
    if table.rate_limits is not None:
        found["rate_limits"] = tuple(_rate_limit(each, names) for each in table.rate_limits)
    if table.quotas is not None:
        found["quotas"] = tuple(_quota(each, names) for each in table.quotas)
    return found


def addresses(table: GatewayTable | RouteTable) -> dict[str, tuple[str, ...]]:
    """The lists of networks of a route or the gateway, as far as they are given."""
    lists = {"allow_addresses": table.allow_addresses, "deny_addresses": table.deny_addresses}
    return {key: tuple(dict.fromkeys(each)) for key, each in lists.items() if each is not None}


def made_name(by: By) -> str:
    """A name for what is counted by this: "per-client", "per-x-tenant"."""
    word = {"client_ip": "client"}.get(by.kind, by.kind)
    named = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in by.name).strip("-._")
    return f"per-{named[:40] or word}"


def _rate_limit(table: RateLimitTable, names: Names) -> RateLimit:
    count, window = table.limit
    by = _by(table.by)
    return RateLimit(table.name or names.free(made_name(by)), count, window, table.burst or count, by)


def _quota(table: QuotaTable, names: Names) -> Quota:
    by, per = _by(table.by), table.per or Quota("", 1).per
    return Quota(table.name or names.free(f"{per}-{made_name(by)}"), table.limit, per, by)


def _by(table: ByTable | None) -> By:
    if table is None:
        return By()
    ((kind, value),) = table.given().items()
    return msgspec.convert({"kind": kind, "name": value if isinstance(value, str) else ""}, By)
