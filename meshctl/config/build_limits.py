"""A route's `rate_limits` and `quotas` as the model has them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from meshctl.config.document_limits import ByTable, QuotaTable, RateLimitTable
from meshctl.config.naming import Names
from meshctl.model.limits import By, Quota, RateLimit


def rate_limits(tables: Sequence[RateLimitTable], names: Names) -> tuple[RateLimit, ...]:
    """The rate limits of a route. `names` are those that its limits have already."""
    found = []
    for table in tables:
        count, window = table.limit
        by = _by(table.by)
        found.append(RateLimit(table.name or names.free(made_name(by)), count, window, table.burst or count, by))
    return tuple(found)


def quotas(tables: Sequence[QuotaTable], names: Names) -> tuple[Quota, ...]:
    """The quotas of a route."""
    found = []
    for table in tables:
        by, per = _by(table.by), table.per or Quota("", 1).per
        found.append(Quota(table.name or names.free(f"{per}-{made_name(by)}"), table.limit, per, by))
    return tuple(found)


def names_of(rates: Sequence[RateLimitTable], others: Sequence[QuotaTable]) -> Names:
    """The names that the limits of one route were given: an answer tells which of them it is about."""
    given = [*(each.name for each in rates), *(each.name for each in others)]
    return Names(name for name in given if name)


def made_name(by: By) -> str:
    """A name for what is counted by this: "per-client", "per-x-tenant"."""
    word = {"client_ip": "client"}.get(by.kind, by.kind)
    named = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "-" for c in by.name).strip("-._")
    return f"per-{named[:40] or word}"


def _by(table: ByTable | None) -> By:
    if table is None:
        return By()
    ((kind, value),) = table.given().items()
    return msgspec.convert({"kind": kind, "name": value if isinstance(value, str) else ""}, By)
