"""How much of a route its callers have used up in a day or a month: 429 until it ends. A request that is refused, here
or before, does not count."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from meshctl import clock
from meshctl.core.calendar import period
from meshctl.core.concurrency import whole_seconds
from meshctl.proxy.filters.reply import Filter, Reply, refusal
from meshctl.wire.fields import make

if TYPE_CHECKING:
    from meshctl.core.cells import Cells
    from meshctl.model.limits import Quota
    from meshctl.model.route import Route
    from meshctl.model.service import Service
    from meshctl.proxy.exchange import Exchange

_LONGEST: Final = 32 * 86_400.0
"""Seconds before the end of a period at which it had not begun: the clock was set back."""


def compile_filter(route: Route, _service: Service | None, _guard: Filter | None) -> Filter | None:
    """The filter of a route with `quotas`."""
    if not route.quotas:
        return None
    quotas = tuple(Allowance(route.written, each) for each in route.quotas)

    def check(exchange: Exchange) -> Reply | None:
        found = []
        for each in quotas:
            key, at = each.find(exchange)
            if each.cells(exchange).values[at] >= each.limit:
                return _refused(exchange, each)
            found.append((each, key, at))
        for each, key, at in found:
            each.cells(exchange).values[at] += 1.0
            exchange.worker.reports.add((route.written, each.name, key, each.period.number))
        if exchange.snapshot.limiting.headers:
            left = [each.left(int(each.cells(exchange).values[at])) for each, _, at in found]
            _tell(exchange, quotas, b", ".join(left))
        return None

    return check


class Allowance:
    """One quota of one route."""

    def __init__(self, route: str, config: Quota) -> None:
        from meshctl.proxy.counted import counted, salt

        self.name = config.name
        self.limit = config.limit
        self.period = period(config.per, 0.0)
        self._per = config.per
        self._now = 0.0
        self._by = config.by
        self._key = counted(config.by)
        self._salt = salt(route, config.name, config.by)
        seconds = 86_400 if config.per == "day" else 2_592_000
        self.policy = b'"%b";q=%d;w=%d' % (config.name.encode(), config.limit, seconds)

    def __repr__(self) -> str:
        return f"<Allowance {self.name} {self.limit} in a {self._per}>"

    def cells(self, exchange: Exchange) -> Cells:
        """Where it is counted."""
        meters = exchange.worker.meters
        return meters.days if self._per == "day" else meters.months

    def find(self, exchange: Exchange) -> tuple[str, int]:
        """The request's key, as it may be written down, and the place of its count."""
        from meshctl.proxy.counted import shown

        now = self._now = clock.wall()
        if now >= self.period.end or now < self.period.end - _LONGEST:
            self.period = period(self._per, now)
        key = shown(self._key(exchange), self._by)
        return key, self.cells(exchange).find(hash((self._salt, self.period.number, key)), 0.0)

    def left(self, used: int) -> bytes:
        """In the RateLimit field: what is left, and the seconds until all of it is back."""
        return b'"%b";r=%d;t=%d' % (self.name.encode(), max(0, self.limit - used), self.seconds)

    @property
    def seconds(self) -> int:
        """Until the period ends."""
        return whole_seconds(self.period.end - self._now)


def _refused(exchange: Exchange, quota: Allowance) -> Reply:
    detail = f'the quota "{quota.name}" of {quota.limit} requests is used up for {quota.period.name}'
    reply = refusal(exchange, f"quota_exceeded:{quota.name}", detail)
    reply.fields.extend(make("Retry-After", str(quota.seconds)))
    if exchange.snapshot.limiting.headers:
        exchange.added = b""
        _tell(exchange, (quota,), quota.left(quota.limit))
    return reply


def _tell(exchange: Exchange, quotas: tuple[Allowance, ...], left: bytes) -> None:
    policies = b", ".join([each.policy for each in quotas])
    exchange.say(b"RateLimit-Policy: %b\r\nRateLimit: %b" % (policies, left))
