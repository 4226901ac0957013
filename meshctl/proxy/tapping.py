"""Showing requests to those who look on, as they end; loaded with the first tap there is.

While nobody looks, nothing of this is anywhere on a request's way. While somebody does, it stands in the place of the
ledger's `record`, and where headers are wanted in that of `Exchange.answer`. What a tap does not want costs a few
comparisons; what is beyond its rate, or more than the supervisor takes, is counted and not shown.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

from meshctl import clock
from meshctl.core.tap_filter import Wanted
from meshctl.model.names import GATEWAY
from meshctl.model.tap import Seen, TapEvent, TapOrder, Tapped
from meshctl.proxy.exchange import Exchange
from meshctl.wire.discretion import shown_fields, shown_target

if TYPE_CHECKING:
    from meshctl.proxy.snapshot import Snapshot
    from meshctl.proxy.worker import Worker
    from meshctl.wire.fields import Fields
    from meshctl.wire.message import Response

FLUSH_AFTER: Final = 0.05
"""Seconds that what was seen waits for more, so that a message has several."""
MOST: Final = 500
"""What may wait; more than that in so short a time is counted and not shown."""

_MOST_KNOWN: Final = 256
_BATCH: Final = 64  # as in the access log: what they refer to stays in the processor's cache until it is written
_ENCODER: Final = msgspec.json.Encoder()
_answer: Final = Exchange.answer


class Tapping:
    """The taps of one worker."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._taps: list[_Tap] = []

    def __repr__(self) -> str:
        return f"<Tapping {self._taps}>"

    def take(self, orders: tuple[TapOrder, ...]) -> None:
        """These taps hold, in the place of those before."""
        known = {tap.order: tap for tap in self._taps}
        self._taps = [known[order] if order in known else _Tap(self._worker, order) for order in orders]
        for tap in known.values():
            if tap not in self._taps:
                tap.close()
        own: dict[str, Any] = vars(self._worker.ledger)
        if self._taps:
            own["record"] = self._record
        else:
            own.pop("record", None)
        wants_headers = any(tap.order.filter.with_headers for tap in self._taps)
        Exchange.answer = _noting if wants_headers else _answer  # type: ignore[method-assign,assignment]

    def _record(self, exchange: Exchange, now: float) -> None:
        ledger = self._worker.ledger
        type(ledger).record(ledger, exchange, now)
        for tap in self._taps:
            tap.look(exchange, now)


def _noting(exchange: Exchange, response: Response, body: bytes | memoryview | None = None) -> None:
    """See `Exchange.answer`; what was answered stays with the exchange."""
    vars(exchange)["answered"] = response
    _answer(exchange, response, body)


class _Tap:
    """One who looks on."""

    def __init__(self, worker: Worker, order: TapOrder) -> None:
        self.order = order
        self._worker = worker
        self._wanted = Wanted(order.filter)
        self._rate = order.filter.max_rate
        self._credit = max(self._rate, 1.0)
        self._counted = clock.monotonic()
        self._waiting: list[Tapped] = []
        self._lines = bytearray()
        self._held = 0
        """How many requests are in these two."""
        self._is_due = False
        self._is_closed = False
        self._skipped = 0
        self._offset = clock.wall() - clock.monotonic()
        self._snapshot: Snapshot | None = None
        self._secret: frozenset[str] = frozenset()
        self._known: dict[tuple[int, int], tuple[Fields, dict[bytes, bytes] | None, dict[str, str]]] = {}

    def __repr__(self) -> str:
        return f"<tap {self.order.number}, {self._held} waiting>"

    def look(self, exchange: Exchange, now: float) -> None:
        """Show a request that has ended, where it is wanted."""
        stream, wanted, version = exchange.stream, self._wanted, exchange.version
        is_arrival = stream.entry == "inbound"
        if is_arrival and stream.peer and not wanted.filter.hops:
            return  # Whoever sent it tells of it.
        own = self.order.own
        destination = own if is_arrival else exchange.service.name if exchange.service is not None else ""
        source = stream.peer if is_arrival else own
        name = version.name if version is not None else ""
        if wanted.is_picky and not wanted.takes(source, stream.client, destination, name):
            return
        if wanted.is_particular and not self._takes(exchange, now):
            return
        if self._may_show(now):
            self._waiting.append(Tapped(self._event(exchange, now, source, destination, name)))
            if len(self._waiting) >= _BATCH:
                self._render()
        else:
            self._skipped += 1
        if not self._is_due:
            self._is_due = True
            self._worker.loop.call_later(FLUSH_AFTER, self._flush)

    def _takes(self, exchange: Exchange, now: float) -> bool:
        request, wanted = exchange.request, self._wanted
        if not wanted.takes_request(request.method, request.path, exchange.status, now - exchange.started):
            return False
        return all(
            (value := request.header(name)) is not None and pattern.fullmatch(value) is not None
            for name, pattern in wanted.headers
        )

    def close(self) -> None:
        """Nobody looks any more."""
        self._is_closed = True

    def _may_show(self, now: float) -> bool:
        self._credit = min(self._credit + (now - self._counted) * self._rate, max(self._rate, 1.0))
        self._counted = now
        if self._credit < 1 or self._held >= MOST:
            return False
        self._credit -= 1
        self._held += 1
        return True

    def _flush(self) -> None:
        self._is_due = False
        if self._is_closed:
            return
        # What makes a wall clock's time of a monotonic one: the former may be set.
        self._offset = clock.wall() - clock.monotonic()
        orders = self._worker.orders
        if orders.channel.is_behind:
            # The supervisor has other things to hear, too.
            self._skipped += self._held
            self._waiting.clear()
            self._is_due = True
            self._worker.loop.call_later(FLUSH_AFTER, self._flush)
        else:
            if self._skipped:
                self._waiting.append(Tapped(skipped=self._skipped))
                self._skipped = 0
            self._render()
            orders.send(Seen(self.order.number, bytes(self._lines)))
        self._held = 0
        self._lines.clear()

    def _render(self) -> None:
        self._lines += _ENCODER.encode_lines(self._waiting)
        self._waiting.clear()

    def _event(self, exchange: Exchange, now: float, source: str, destination: str, version: str) -> TapEvent:
        request, stream, endpoint, route = exchange.request, exchange.stream, exchange.endpoint, exchange.route
        redact = exchange.snapshot.mesh.gateway.access_log.redact
        started = exchange.started
        # By position: names would cost a tenth more.
        event = TapEvent(
            started + self._offset,
            _KINDS.get(stream.entry, "out"),
            request.method,
            request.authority.decode("latin-1"),
            shown_target(request.target_text, redact=redact),
            exchange.status,
            int((now - started) * 1e6),
            exchange.request_id.decode("latin-1"),
            source,
            stream.client,
            destination,
            version,
            endpoint.address if endpoint is not None else "",
            route.name if route is not None else "",
            _tls(exchange),
            int(exchange.head_after * 1e6),
            exchange.received,
            exchange.sent,
            exchange.attempt,
            exchange.reason,
            exchange.traceparent[3:35].decode("latin-1"),
        )
        if self.order.filter.with_headers:
            self._add_headers(event, exchange, redact)
        return event

    def _add_headers(self, event: TapEvent, exchange: Exchange, redact: bool) -> None:
        request = exchange.request
        if exchange.snapshot is not self._snapshot:
            self._snapshot = exchange.snapshot
            ways = (each.api_key for each in exchange.snapshot.mesh.auth)
            self._secret = frozenset(each.header for each in ways if each is not None)
            self._known.clear()
        event.request_headers = self._shown(request.fields, redact, request.special)
        answered: Response | None = vars(exchange).get("answered")
        event.response_headers = self._shown(answered.fields if answered is not None else [], redact, None)

    def _shown(self, fields: Fields, redact: bool, more: dict[bytes, bytes] | None) -> dict[str, str]:
        """Fields as they may be seen. Connections show the very same ones again and again."""
        known = self._known.get((id(fields), id(more)))
        if known is not None:
            return known[2]
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        shown = shown_fields(fields, secret=self._secret, redact=redact, more=more)
        # With the objects, so that nobody else has their ids.
        self._known[id(fields), id(more)] = fields, more, shown
        return shown


_KINDS: Final = {"gateway": GATEWAY, "inbound": "in"}


def _tls(exchange: Exchange) -> str:
    stream, endpoint = exchange.stream, exchange.endpoint
    if stream.entry == "inbound":
        return "mtls" if stream.peer else "tls" if stream.scheme == "https" else "plain"
    if endpoint is None:
        return ""
    return "mtls" if endpoint.config.mesh else "tls" if endpoint.tls is not None else "plain"
