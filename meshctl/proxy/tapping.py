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
from meshctl.model.names import GATEWAY, LOCAL
from meshctl.model.tap import Seen, TapEvent, TapOrder, Tapped
from meshctl.proxy.exchange import Exchange
from meshctl.wire.discretion import shown_fields, shown_target

if TYPE_CHECKING:
    from meshctl.proxy.worker import Worker
    from meshctl.wire.message import Response

FLUSH_AFTER: Final = 0.05
"""Seconds that what was seen waits for more, so that a message has several."""
MOST: Final = 500
"""What may wait; more than that in so short a time is counted and not shown."""

_LOCAL: Final = f"{LOCAL}:"
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
        self._is_due = False
        self._is_closed = False
        self._skipped = 0

    def __repr__(self) -> str:
        return f"<tap {self.order.number}, {len(self._waiting)} waiting>"

    def look(self, exchange: Exchange, now: float) -> None:
        """Show a request that has ended, where it is wanted."""
        stream, wanted = exchange.stream, self._wanted
        is_arrival = stream.entry == "inbound"
        if is_arrival and stream.peer and not wanted.filter.hops:
            return  # Whoever sent it tells of it.
        service, version = exchange.service, exchange.version
        own = self.order.own
        destination = own if is_arrival else service.name if service is not None else ""
        source = stream.peer if is_arrival else own
        if not wanted.takes(source, stream.client, destination, version.name if version is not None else ""):
            return
        request = exchange.request
        if not wanted.takes_request(request.method, request.path, exchange.status, now - exchange.started):
            return
        if not all(_has(request.header(name), value) for name, value in wanted.headers):
            return
        if self._may_show(now):
            self._waiting.append(Tapped(self._event(exchange, now, source, destination)))
        else:
            self._skipped += 1
        if not self._is_due:
            self._is_due = True
            self._worker.loop.call_later(FLUSH_AFTER, self._flush)

    def close(self) -> None:
        """Nobody looks any more."""
        self._is_closed = True

    def _may_show(self, now: float) -> bool:
        self._credit = min(self._credit + (now - self._counted) * self._rate, max(self._rate, 1.0))
        self._counted = now
        if self._credit < 1 or len(self._waiting) >= MOST:
            return False
        self._credit -= 1
        return True

    def _flush(self) -> None:
        self._is_due = False
        if self._is_closed:
            return
        orders = self._worker.orders
        if orders.channel.is_behind:
            # The supervisor has other things to hear, too.
            self._skipped += len(self._waiting)
            self._waiting.clear()
            self._is_due = True
            self._worker.loop.call_later(FLUSH_AFTER, self._flush)
            return
        if self._skipped:
            self._waiting.append(Tapped(skipped=self._skipped))
            self._skipped = 0
        orders.send(Seen(self.order.number, _ENCODER.encode_lines(self._waiting)))
        self._waiting.clear()

    def _event(self, exchange: Exchange, now: float, source: str, destination: str) -> TapEvent:
        request, stream, endpoint, version = exchange.request, exchange.stream, exchange.endpoint, exchange.version
        redact = exchange.snapshot.mesh.gateway.access_log.redact
        route = exchange.route
        request_headers, response_headers = self._headers(exchange, redact) if self._is_open else (None, None)
        return TapEvent(
            clock.timestamp(clock.wall() - (now - exchange.started)),
            _KINDS.get(stream.entry, "out"),
            request.method,
            request.authority.decode("latin-1"),
            shown_target(request.target_text, redact=redact),
            exchange.status,
            int((now - exchange.started) * 1e6),
            exchange.request_id.decode("latin-1"),
            source,
            stream.client,
            destination,
            version.name if version is not None else "",
            endpoint.address if endpoint is not None else "",
            route.name if route is not None else "",
            _tls(exchange),
            int(exchange.head_after * 1e6),
            exchange.received,
            exchange.sent,
            exchange.attempt,
            exchange.reason,
            exchange.traceparent[3:35].decode("latin-1"),
            request_headers,
            response_headers,
        )

    @property
    def _is_open(self) -> bool:
        return self.order.filter.with_headers

    def _headers(self, exchange: Exchange, redact: bool) -> tuple[dict[str, str], dict[str, str]]:
        request = exchange.request
        auth = exchange.snapshot.mesh.auth
        secret = {each.api_key.header for each in auth if each.api_key is not None}
        asked = shown_fields(request.fields, secret=secret, redact=redact, more=request.special)
        response: Response | None = vars(exchange).get("answered")
        fields = [] if response is None else response.fields
        return asked, shown_fields(fields, secret=secret, redact=redact)


_KINDS: Final = {"gateway": GATEWAY, "inbound": "in"}


def _tls(exchange: Exchange) -> str:
    stream, endpoint = exchange.stream, exchange.endpoint
    if stream.entry == "inbound":
        return "mtls" if stream.peer else "tls" if stream.scheme == "https" else "plain"
    if endpoint is None:
        return ""
    return "mtls" if endpoint.config.mesh else "tls" if endpoint.tls is not None else "plain"


def _has(value: str | None, pattern: Any) -> bool:
    return value is not None and pattern.fullmatch(value) is not None
