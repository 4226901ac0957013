"""How often a route may be asked: 429 with the limit's name and when to come again, and what is left on other answers.

A request must keep all limits of its route, and one that breaks any of them counts for none. Limits that need to know
who calls come after that is known; others before, so that nobody can try passwords without end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from meshctl import clock
from meshctl.core.gcra import Rate
from meshctl.proxy.filters.reply import Filter, Reply, refusal
from meshctl.wire.fields import make

if TYPE_CHECKING:
    from meshctl.core.cells import Cells
    from meshctl.model.limits import RateLimit
    from meshctl.model.route import Route
    from meshctl.model.service import Service
    from meshctl.proxy.exchange import Exchange

OF_CALLERS: Final = frozenset(("key", "claim"))
_KEPT: Final = 1024
"""Keys and lines of each limit that are remembered, of some 200 bytes each."""
_LONGEST: Final = 64
"""Characters of such a key."""
_NOWHERE: Final = (-1, 1)
"""The place of a key that is not remembered: no hash is -1, so nobody has it."""


def before_auth(route: Route, _service: Service | None, _guard: Filter | None) -> Filter | None:
    """The filter of a route whose limits ask nothing of its callers."""
    return None if not route.rate_limits or asks_callers(route) else _made(route)


def after_auth(route: Route, _service: Service | None, _guard: Filter | None) -> Filter | None:
    """The filter of a route with a limit that does."""
    return _made(route) if asks_callers(route) else None


def asks_callers(route: Route) -> bool:
    """Whether any limit of the route counts by who calls: then all of them come after that is known."""
    return any(limit.by.kind in OF_CALLERS for limit in route.rate_limits)


def _made(route: Route) -> Filter:
    limits = tuple(Limited(route.written, each) for each in route.rate_limits)
    return limits[0].check if len(limits) == 1 else _Several(limits).check


class Limited:
    """One limit of one route."""

    __slots__ = ("_head", "_lines", "_places", "key", "name", "policy", "rate", "route", "salt")

    def __init__(self, route: str, config: RateLimit) -> None:
        from meshctl.proxy.counted import counted, salt

        self.route = route
        self.name = config.name
        self.rate = Rate(config.count, config.window, config.burst)
        self.key = counted(config.by)
        self.salt = salt(route, config.name, config.by)
        self.policy = b'"%b";q=%d;w=%d' % (config.name.encode(), config.count, max(1, round(config.window)))
        self._head = b"\r\nRateLimit-Policy: %b\r\nRateLimit: " % self.policy
        self._lines: dict[float, bytes] = {}
        self._places: dict[str, tuple[int, int]] = {}

    def __repr__(self) -> str:
        return f"<Limited {self.name} {self.rate!r}>"

    def check(self, exchange: Exchange) -> Reply | None:
        """Whether the request keeps it, as the only one of its route."""
        now = clock.monotonic() if exchange.is_late else exchange.started
        rates = exchange.worker.meters.rates
        key = self.key(exchange)
        number, at = self._places.get(key, _NOWHERE)
        if rates.keys[at - 1] != number:
            # Nobody has asked with this key lately, or others have its place now.
            at = self._found(rates, key, now)
        values, rate = rates.values, self.rate
        before = values[at]
        # `take`, without the call.
        after = (before if before > now else now) + rate.interval
        # A sibling may have counted since: this process can be put to sleep for milliseconds between any two lines.
        while values[at] != before:
            before = values[at]
            after = (before if before > now else now) + rate.interval
        ahead = after - now
        if ahead > rate.most:
            return refused(exchange, (self,), self, before, now)
        values[at] = after
        limiting = exchange.snapshot.limiting
        if limiting.headers:
            steps = (rate.reach - ahead) // rate.step
            exchange.added = self._lines.get(steps) or self._line(steps)
        if limiting.backend:
            exchange.worker.reports.add((self.route, self.name, key, 0))
        return None

    def _found(self, rates: Cells, key: str, now: float) -> int:
        """The place of a key's number, which is remembered: to find it takes as long as the limit itself."""
        number = hash((self.salt, key))
        at = rates.find(number, now)
        if len(self._places) >= _KEPT:
            self._places.clear()
        # Places that are shared have no key of their own.
        if len(key) <= _LONGEST and rates.keys[at - 1] == number:
            self._places[key] = number, at
        return at

    def state(self, ahead: float) -> bytes:
        """It in the RateLimit field, where the time of rest is so far ahead of now: what is left of it, and the seconds
        until all of it is back."""
        steps = (self.rate.reach - ahead) // self.rate.step
        return (self._lines.get(steps) or self._line(steps))[len(self._head) :]

    def _line(self, steps: float) -> bytes:
        """The lines that tell of it. They are kept: writing them takes longer than the limit itself."""
        if len(self._lines) >= _KEPT:
            self._lines.clear()
        line = self._lines[steps] = b'%b"%b";r=%d;t=%d' % (self._head, self.name.encode(), *self.rate.told(steps))
        return line


class _Several:
    """The limits of a route that has several."""

    def __init__(self, limits: tuple[Limited, ...]) -> None:
        self._limits = limits
        self._policies = b", ".join([limit.policy for limit in limits])

    def check(self, exchange: Exchange) -> Reply | None:
        """Whether the request keeps them all."""
        now = clock.monotonic()
        rates = exchange.worker.meters.rates
        values = rates.values
        found: list[tuple[int, float, float]] = []
        for limit in self._limits:
            at = rates.find(hash((limit.salt, limit.key(exchange))), now)
            before = values[at]
            after = limit.rate.take(before, now)
            if not after:
                return refused(exchange, self._limits, limit, before, now)
            found.append((at, before, after))
        for at, before, after in found:
            values[at] = after if values[at] == before else values[at] + after - before
        limiting = exchange.snapshot.limiting
        if limiting.headers:
            states = [limit.state(after - now) for limit, (_, _, after) in zip(self._limits, found, strict=True)]
            exchange.added = b"\r\nRateLimit-Policy: %b\r\nRateLimit: %b" % (self._policies, b", ".join(states))
        if limiting.backend:
            for limit in self._limits:
                exchange.worker.reports.add((limit.route, limit.name, limit.key(exchange), 0))
        return None


def refused(exchange: Exchange, limits: tuple[Limited, ...], limit: Limited, rest: float, now: float) -> Reply:
    """429, and when to come again."""
    from meshctl.core.concurrency import whole_seconds

    wait = limit.rate.wait(rest, now)
    detail = f'the limit "{limit.name}" allows the next one in {wait:.3g}s'
    reply = refusal(exchange, f"rate_limited:{limit.name}", detail)
    reply.fields.extend(make("Retry-After", str(whole_seconds(wait))))
    if exchange.snapshot.limiting.headers:
        exchange.added = b'\r\nRateLimit-Policy: %b\r\nRateLimit: "%b";r=0;t=%d' % (
            b", ".join([each.policy for each in limits]), limit.name.encode(), whole_seconds(wait),
        )  # fmt: skip
    return reply
