"""What a route's limits would say of a request, in words: from where it may come, how often, what is left of a quota.

With what a running proxy has counted beside the configuration, it says what would happen now.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from meshctl import clock
from meshctl.core.calendar import period
from meshctl.core.gcra import Rate
from meshctl.core.principal import Principal
from meshctl.model.limits import By, Quota, RateLimit
from meshctl.model.mesh import Mesh
from meshctl.model.route import Route
from meshctl.model.units import format_count_per, format_duration, format_size
from meshctl.proxy.counted import counted, salt, shown
from meshctl.proxy.filters.addresses import verdict
from meshctl.proxy.filters.rate_limits import asks_callers
from meshctl.proxy.meters import Meters
from meshctl.wire.message import Request

HERE = "127.0.0.1"
"""Nobody sends this request, so it is asked as if from here."""


class _Asked:
    """As much of an exchange as limits look at."""

    client = HERE
    trusted = False
    peer = identity = ""

    def __init__(self, request: Request, callers: Sequence[Principal]) -> None:
        self.request = request
        self.stream = self
        self.principal = callers[0] if callers else None

    def is_known(self, by: By) -> bool:
        """Whether it is known here under which key the request would count."""
        return by.kind != "key" or self.principal is not None


def describe_rates(
    route: Route, request: Request, callers: Sequence[Principal], meters: Meters | None, *, of_callers: bool
) -> Iterator[str]:
    """A line for each rate, where the route's are kept before it is known who calls, or after that (`of_callers`)."""
    if asks_callers(route) is not of_callers:
        return
    asked = _Asked(request, callers)
    for limit in route.rate_limits:
        said = f"rate limit {limit.name}: {format_count_per(limit.count, limit.window)}, {limit.burst} at once"
        yield f"{said}, by {_by(limit.by)}{_rate_now(route.written, limit, asked, meters)}"


def describe_quotas(
    route: Route, request: Request, callers: Sequence[Principal], meters: Meters | None
) -> Iterator[str]:
    """A line for each quota."""
    asked = _Asked(request, callers)
    for quota in route.quotas:
        said = f"quota {quota.name}: {quota.limit} in a {quota.per}, by {_by(quota.by)}"
        yield said + _quota_now(route.written, quota, asked, meters)


def describe_bandwidth(route: Route) -> Iterator[str]:
    """How fast answers go out."""
    if route.bandwidth:
        yield f"bandwidth: {format_size(route.bandwidth)}/s for the body of an answer"


def describe_addresses(mesh: Mesh, route: Route) -> Iterator[str]:
    """Whether the gateway, and the route, let clients from here in."""
    for where, of in (("gateway.", mesh.gateway), ("", route)):
        # The gateway's hold for what comes in there, not for calls between services.
        if (of.allow_addresses or of.deny_addresses) and (not where or route.entry == "gateway"):
            rule = verdict(of.allow_addresses, of.deny_addresses)(HERE)
            name = "gateway addresses" if where else "addresses"
            yield f"{name}: from {HERE} " + (f"denied:{where}{rule}" if rule else "let in")


def _rate_now(route: str, limit: RateLimit, asked: _Asked, meters: Meters | None) -> str:
    if meters is None or not asked.is_known(limit.by):
        return ""
    now = clock.monotonic()
    key = counted(limit.by)(asked)  # type: ignore[arg-type]
    rates = meters.rates
    rest = rates.values[rates.find(hash((salt(route, limit.name, limit.by), key)), now)]
    rate = Rate(limit.count, limit.window, limit.burst)
    if left := rate.left(rest, now):
        return f"; {left} left"
    return f"; rate_limited:{limit.name}, the next one in {format_duration(round(rate.wait(rest, now), 1))}"


def _quota_now(route: str, quota: Quota, asked: _Asked, meters: Meters | None) -> str:
    if meters is None or not asked.is_known(quota.by):
        return ""
    at = period(quota.per, clock.wall())
    key = shown(counted(quota.by)(asked), quota.by)  # type: ignore[arg-type]
    cells = meters.days if quota.per == "day" else meters.months
    used = cells.values[cells.find(hash((salt(route, quota.name, quota.by), at.number, key)), 0.0)]
    left = max(0, quota.limit - int(used))
    return f"; {left} left" if left else f"; quota_exceeded:{quota.name}"


def _by(by: By) -> str:
    """Whose requests are counted together, in words."""
    words = {"client_ip": "client address", "route": "route", "key": "caller", "identity": "member"}
    return f"{by.kind} {by.name}" if by.name else words[by.kind]
