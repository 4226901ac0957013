"""What callers have used of their quotas, told and given back, whether or not a gateway runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from meshctl import clock
from meshctl.control.revisions import current
from meshctl.core.calendar import period
from meshctl.errors import MeshError
from meshctl.store.protocol import Audit, Store

if TYPE_CHECKING:
    from meshctl.model.route import Route
    from meshctl.store.usage import Usage, Used


_TOLD: Final = 20
"""Counts that the record of a change tells of."""


class QuotaUse(msgspec.Struct, frozen=True):
    """What one caller has used of one quota in the day or month that runs."""

    route: str
    quota: str
    key: str
    """Whose requests are counted together; "" for those that have no such thing, or all of a route."""
    used: int
    limit: int
    left: int
    period: str
    """`2026-11-22` or `2026-11`."""
    ends: float
    """When it begins anew, in seconds since the epoch."""


def in_use(store: Store, home: Path, route: str = "") -> list[QuotaUse]:
    """The quotas of routes that are configured, as far as they were used. Raises MeshError not_found."""
    usage = _usage(home)
    if usage is None:
        _routes(store, route)
        return []
    try:
        return [use for use, _ in _found(usage, _routes(store, route))]
    finally:
        usage.close()


def give_back(store: Store, home: Path, route: str, quota: str, key: str, *, who: str) -> list[QuotaUse]:
    """Forget what was used of a route's quotas, of one of them or by one caller alone where named; what that was.

    Raises MeshError not_found."""
    (found,) = _routes(store, route)
    names = [each.name for each in found.quotas]
    if quota and quota not in names:
        hint = f"it has {', '.join(names)}" if names else ""
        raise MeshError("not_found", f'route "{route}" has no quota "{quota}"', hint=hint)
    usage = _usage(home)
    if usage is None:
        return []
    try:
        gone = [
            (use, used)
            for use, used in _found(usage, [found])
            if (not quota or use.quota == quota) and (not key or use.key == key)
        ]
        usage.reset([used for _, used in gone])
    finally:
        usage.close()
    if gone:
        before = ", ".join(f"{use.quota} of {use.key or 'all'}: {use.used}" for use, _ in gone[:_TOLD])
        store.transact([], audit=Audit(who, clock.wall(), f"{route}: quotas given back", before, ""))
    return [use for use, _ in gone]


def _usage(home: Path) -> Usage | None:
    from meshctl.store.usage import FILE, Usage

    return Usage(home) if (home / FILE).exists() else None


def _routes(store: Store, name: str) -> list[Route]:
    revision = current(store)
    routes = [each for each in (revision.mesh().routes if revision else ()) if not name or each.written == name]
    if name and not routes:
        raise MeshError("not_found", f'there is no route "{name}"', hint="meshctl routes ls")
    return routes


def _found(usage: Usage, routes: list[Route]) -> list[tuple[QuotaUse, Used]]:
    now = clock.wall()
    quotas = {(route.written, each.name): each for route in routes for each in route.quotas}
    found = []
    for per in ("day", "month"):
        at = period("day" if per == "day" else "month", now)
        for used in usage.of(per, at.number):
            quota = quotas.get((used.route, used.quota))
            if quota is not None and quota.per == per:
                left = max(0, quota.limit - used.count)
                use = QuotaUse(used.route, used.quota, used.key, used.count, quota.limit, left, at.name, at.end)
                found.append((use, used))
    return found
