"""A worker that cannot keep up refuses part of the new requests at once, so that the others are served in time.

How far it is behind is measured by the clock that looks at exchanges anyway (`timers`), so an idle worker does not wake
for it; what follows is decided by `core.shedding`. As long as the worker keeps up, a request only finds that nobody is
to be asked (`Worker.shedding` is None).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from meshctl import clock
from meshctl.core.concurrency import RANKS
from meshctl.core.shedding import Lag, Shares
from meshctl.proxy.admission import is_health_check

if TYPE_CHECKING:
    from meshctl.proxy.exchange import Exchange
    from meshctl.proxy.worker import Worker

REASON: Final = "overloaded"
RETRY_AFTER: Final = 1.0


class Overload:
    """See the module."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._lag = Lag(0.0)
        self._shares: Shares = (0.0, 0.0, 0.0)

    def __repr__(self) -> str:
        return f"<Overload {self._lag!r}>"

    def configure(self, lag: float) -> None:
        """From now on this lag is too much; 0 is none."""
        if lag != self._lag.target:
            self._lag = Lag(lag)
            self._worker.shedding = None

    def on_tick(self, late: float, now: float) -> None:
        """The clock that looks at exchanges has ticked, so late."""
        found = self._lag.tick(late, now)
        worker = self._worker
        if found is not None and worker.shedding is None:
            worker.complaints.tell("overloaded", "", behind=f"{self._lag.standing:.3g}s")
        self._shares = found or (0.0, 0.0, 0.0)
        worker.shedding = None if found is None else self

    def passes(self, exchange: Exchange) -> bool:
        """Whether the request is served; else it is refused."""
        worker, route = self._worker, exchange.route
        if self._lag.is_stale(exchange.started):
            worker.shedding = None
            return True
        if route is None or (route.service is None and route.plan is None) or clock.draw() >= self._shares[route.rank]:
            return True
        if is_health_check(exchange):
            return True
        worker.counters.shed(RANKS[route.rank])
        behind = f"the proxy is {self._lag.standing:.2g}s behind with what it has to do"
        return exchange.reply(REASON, behind, retry_after=RETRY_AFTER)
