"""Faults on purpose: requests that wait, are answered with an error, lose their connection, or whose answers drip.

    inject ─▶ (delay, by the loop's clock) ─▶ reset, abort or throttle, each by its own draw ─▶ the exchange goes on

A fault is the proxy's own doing: no endpoint is asked, none is blamed, and nothing is retried here. Loaded with the
first fault only. Must not know who set them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Final

from meshctl import clock
from meshctl.proxy.exchange import Exchange
from meshctl.proxy.filters.reply import refusal
from meshctl.wire.fields import Fields
from meshctl.wire.message import Response

if TYPE_CHECKING:
    from meshctl.model.steering import Fault

TICK: Final = 0.02
"""Seconds between two pieces of a throttled answer."""
REASON: Final = "fault"


def caller_of(exchange: Exchange) -> str:
    """Whose request it is: a service's, or "gateway" for one from outside."""
    return "gateway" if exchange.stream.entry == "gateway" else exchange.worker.service


def inject(faults: Sequence[Fault], exchange: Exchange) -> bool:
    """Do to a request what `faults` say of its caller; whether it goes on at once."""
    fault = _meant(faults, caller_of(exchange))
    if fault is None or fault.until <= clock.wall():
        return True
    if not _drawn(fault.delay_share):
        return _strike(fault, exchange)
    _count(exchange, "delay")
    exchange.deadline, exchange.deadline_reason = exchange.total_deadline, "route_timeout"
    worker = exchange.worker
    worker.exchanges.watch(exchange)
    worker.loop.call_later(fault.delay, _after_delay, fault, exchange)
    return False


def _meant(faults: Sequence[Fault], caller: str) -> Fault | None:
    """The faults for this caller, or else those for everybody."""
    found = None
    for each in faults:
        if each.caller == caller:
            return each
        if not each.caller:
            found = each
    return found


def _after_delay(fault: Fault, exchange: Exchange) -> None:
    # Its client or its time may be gone meanwhile.
    if not exchange.finished and _strike(fault, exchange):
        exchange.proceed()


def _strike(fault: Fault, exchange: Exchange) -> bool:
    """What there is beside waiting; whether the request goes on."""
    if _drawn(fault.reset_share):
        _count(exchange, "reset")
        exchange.reason = REASON
        exchange.stream.cut()
        exchange.finish(clock.monotonic())
        return False
    is_http = exchange.is_usual or isinstance(exchange, Throttled)
    if is_http and _drawn(fault.abort_share):
        _count(exchange, "abort")
        _abort(exchange, fault.abort)
        return False
    if is_http and _drawn(fault.throttle_share):
        _count(exchange, "throttle")
        throttle(exchange, fault.throttle)
    return True


def _drawn(share: float) -> bool:
    return share > 0 and (share >= 1 or clock.draw() < share)


def _count(exchange: Exchange, kind: str) -> None:
    if exchange.service is not None:
        exchange.service.counters.fault(kind)


def _abort(exchange: Exchange, status: int) -> None:
    name = exchange.service.name if exchange.service is not None else ""
    detail = f'`meshctl traffic fault {name}` shows it, and "--clear" ends it'
    exchange.reply_with(refusal(exchange, REASON, detail, status=status))


def throttle(exchange: Exchange, rate: int) -> None:
    """Have an exchange that has not begun to answer do so with `rate` bytes of the body in a second."""
    # mypy takes what instances are hashed by for what their class is.
    exchange.__class__ = _slowed(type(exchange))  # type: ignore[arg-type]
    assert isinstance(exchange, Throttled)
    exchange.dripping = Dripping(exchange, rate)


@cache
def _slowed(kind: type[Exchange]) -> type[Throttled]:
    """What an exchange of this kind becomes: still all that it was."""
    if issubclass(kind, Throttled):
        return kind
    return Throttled if kind is Exchange else type(f"Throttled{kind.__name__}", (kind, Throttled), {"is_usual": False})


class Throttled(Exchange):
    """An exchange whose client seems to take its answer slowly: what one read brought is held and given away piece by
    piece, and nothing more is read from the endpoint before it is gone."""

    is_usual = False
    dripping: Dripping

    def on_whole_response(self, response: Response, body: bytes | memoryview, now: float) -> None:
        if not body:
            super().on_whole_response(response, body, now)
            return
        if self.finished:
            return
        self.connection = None
        if self.on_response(response, None, now) and not self.finished:
            self.stream.flush()
            self.on_response_body(body)
            self.on_response_end([], now)

    def on_response_body(self, data: bytes | memoryview) -> None:
        self.dripping.take(data)

    def on_raw_body(self, data: bytes) -> None:
        self.dripping.take(data)

    def on_response_end(self, trailers: Fields, now: float) -> None:
        if not self.dripping.is_empty:
            # The connection is another's from now on.
            self.connection = None
            self.dripping.trailers = trailers
            return
        super().on_response_end(trailers, now)

    def on_client_full(self) -> None:
        self.dripping.is_held_up = True
        super().on_client_full()

    def on_client_ready(self) -> None:
        self.dripping.is_held_up = False
        if self.dripping.is_empty:
            super().on_client_ready()

    def give(self, data: bytes | memoryview) -> None:
        """A piece goes out."""
        super().on_response_body(data)
        self.move()
        self.stream.flush()

    def go_on(self) -> None:
        """All that was held has gone out."""
        super().on_client_ready()

    def end(self, trailers: Fields) -> None:
        """And nothing more will come."""
        super().on_response_end(trailers, clock.monotonic())


class Dripping:
    """What is held of one answer's body, and its clock."""

    def __init__(self, exchange: Throttled, rate: int) -> None:
        self.trailers: Fields | None = None
        """Those of an answer that has come to its end."""
        self.is_held_up = False
        """Whether the client really takes nothing."""
        self._exchange = exchange
        self._rate = rate
        self._held: deque[memoryview] = deque()
        self._began = 0.0
        self._given = 0

    def __repr__(self) -> str:
        return f"<Dripping {sum(map(len, self._held))} bytes at {self._rate}/s>"

    @property
    def is_empty(self) -> bool:
        """Whether nothing is held."""
        return not self._held

    def take(self, data: bytes | memoryview) -> None:
        """Hold a piece."""
        if not data:
            return
        is_first = not self._held
        self._held.append(memoryview(bytes(data)))
        exchange = self._exchange
        if exchange.connection is not None:
            exchange.connection.pause()
        if is_first:
            self._began, self._given = clock.monotonic(), 0
            exchange.worker.loop.call_later(TICK, self._drip)

    def _drip(self) -> None:
        exchange = self._exchange
        if exchange.finished:
            self._held.clear()
            return
        now = clock.monotonic()
        if self.is_held_up:
            # What it did not take meanwhile must not come all at once.
            self._began, self._given = now, 0
        due = int((now - self._began) * self._rate) - self._given
        while due > 0 and self._held and not self.is_held_up:
            piece = self._held.popleft()
            if len(piece) > due:
                self._held.appendleft(piece[due:])
                piece = piece[:due]
            due -= len(piece)
            self._given += len(piece)
            exchange.give(piece)
        if self._held:
            exchange.worker.loop.call_later(TICK, self._drip)
        elif self.trailers is not None:
            exchange.end(self.trailers)
        elif not self.is_held_up:
            exchange.go_on()
