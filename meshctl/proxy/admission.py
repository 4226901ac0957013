"""Whether a request to a limited service may go on: at once, in its turn, or not at all.

    split ──▶ enter ──▶ a place is free ────────────────────────────────────▶ balance, forward … finish ──▶ leave
                   └▶ the line ──▶ its turn: a place came back ──▶ take_turn ┘
                              └▶ limit_reached: the line is full, the wait was too long, or it had to make room

An exchange has one place from before it chooses anybody to `finish`, whatever it tries meanwhile. So it chooses among
those that are there when its turn comes; while it waits no more of its body is read. The protocol that an
HTTP upgrade opens is no request any more: it gives the place back; a connection of raw bytes, of which there is nothing
else to count, has it as long as it lives. Who waits for whom is `core.concurrency`'s business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from meshctl import clock
from meshctl.core.concurrency import Places, portion
from meshctl.core.gradient import Gradient
from meshctl.model.policy import Limit
from meshctl.model.views import LimitView

if TYPE_CHECKING:
    from meshctl.model.service import Service
    from meshctl.proxy.exchange import Exchange
    from meshctl.proxy.worker import Worker

REASON: Final = "limit_reached"
_TOO_SLOW: Final = frozenset(("upstream_timeout", "route_timeout"))


class Admission:
    """The places of one service at one worker. It outlives snapshots, with all who wait."""

    def __init__(self, worker: Worker, service: str) -> None:
        self._worker = worker
        self._service = service
        self._config = Limit()
        self._places: Places[Exchange] = Places(0, 0)
        self._gradient: Gradient | None = None
        self._counters = worker.counters.service(service)

    def __repr__(self) -> str:
        return f"<Admission {self._service} {self._places!r}>"

    def configure(self, service: Service | None) -> None:
        """Have this service's limit from now on; None lets everybody in."""
        worker, places = self._worker, self._places
        config = service.limit if service is not None else None
        if service is None or config is None:
            places.limit = places.in_flight + places.waiting
            self._serve(clock.monotonic())
            return
        self._config = config
        most = portion(config.requests, worker.index, worker.workers)
        places.room = portion(config.queue, worker.index, worker.workers)
        if not config.adaptive or service.protocol == "tcp":
            self._gradient = None
        elif self._gradient is None:
            self._gradient = Gradient(most, clock.monotonic())
        else:
            self._gradient.bound(most)
        places.limit = most if self._gradient is None else self._gradient.limit
        self._serve(clock.monotonic())

    def enter(self, exchange: Exchange) -> bool:
        """Whether `exchange` may go on; else it waits for its turn, or is refused."""
        if self._places.take():
            exchange.admission = self
            return True
        if is_health_check(exchange):
            return True
        breaker = exchange.service.breaker if exchange.service is not None else None
        if breaker is None or not breaker.is_guarding or breaker.lets_wait(exchange):
            self._wait(exchange)
        return False

    def leave(self, exchange: Exchange, now: float) -> None:
        """`exchange` neither needs its place any more nor waits for one."""
        exchange.admission = None
        places = self._places
        if exchange.in_line:
            exchange.in_line = False
            places.leave(exchange)
            return
        gradient = self._gradient
        if gradient is not None:
            is_usual = exchange.status < 500 and not exchange.attempt
            took = exchange.head_after - exchange.waited if is_usual else _patience(exchange, now)
            if took > 0.0 and gradient.sample(took, now, places.in_flight):
                places.limit = gradient.limit
        places.give_back()
        if places.waiting:
            self._serve(now)

    def give_up(self, exchange: Exchange, now: float) -> None:
        """The longest wait is over."""
        waited = now - exchange.started
        self._refuse(exchange, "wait", f"waited {waited:.3g}s for one of the requests before it to be answered")

    def view(self) -> LimitView:
        """How it is used now."""
        places = self._places
        return LimitView(places.limit, places.in_flight, places.waiting)

    def _wait(self, exchange: Exchange) -> None:
        route = exchange.route
        assert route is not None
        gone = self._places.join(exchange, route.rank)
        if gone is not exchange:
            exchange.admission = self
            exchange.in_line = True
            exchange.wait(self._config.wait, REASON)
            self._worker.exchanges.watch(exchange)
            if gone is not None:
                gone.admission = None
                gone.in_line = False
                self._refuse(gone, "displaced", "had to make room for a request of higher priority")
            return
        places = self._places
        self._refuse(exchange, "full", f"{places.in_flight} requests are under way and {places.waiting} wait already")

    def _refuse(self, exchange: Exchange, why: str, detail: str) -> None:
        self._counters.limit(why)
        exchange.reply(REASON, f'service "{self._service}": {detail}', retry_after=self._config.wait)

    def _serve(self, now: float) -> None:
        """Let those in for whom there is a place. Not from within the end of another: many ends would recurse."""
        while (waiter := self._places.next()) is not None:
            waiter.in_line = False
            waiter.waited = now - waiter.started
            waiter.deadline = waiter.total_deadline
            self._worker.loop.call_soon(waiter.take_turn)


def is_health_check(exchange: Exchange) -> bool:
    """Whether it asks for the wrapped app's health: a busy app is no sick one, so that question is always passed on."""
    snapshot = exchange.snapshot
    return exchange.stream.entry == "inbound" and exchange.path == snapshot.own_health != ""


def _patience(exchange: Exchange, now: float) -> float:
    """How long the service was waited for in vain; 0 where it failed in another way, which says nothing of how much it
    has to do."""
    return now - exchange.started - exchange.waited if exchange.reason in _TOO_SLOW and not exchange.attempt else 0.0
