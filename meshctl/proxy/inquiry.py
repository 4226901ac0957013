"""A question of the proxy's own to a service of the mesh, on behalf of a request: an exchange like any other from
`split` on, with its service's balancer, breaker, retries and mutual TLS, its own line in the access log and its own
counts, and nobody but this module for a client. Must not know what is asked, nor why.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from meshctl.proxy.answers import Answered, Unreachable
from meshctl.proxy.exchange import Exchange
from meshctl.proxy.silent import Noting
from meshctl.wire.fields import Fields
from meshctl.wire.message import Request
from meshctl.wire.reasons import reason_told

if TYPE_CHECKING:
    from meshctl.proxy.snapshot import CompiledRoute

_WHO_IT_IS_FOR: Final = (b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"forwarded", b"via")
Told = Callable[["Answered | Unreachable"], None]


class Ear(Noting):
    """The client of such an exchange: it notes the answer, and tells it."""

    def __init__(self, original: Exchange, tell: Told) -> None:
        super().__init__(original.stream)
        self._tell = tell
        self.exchange: Exchange | None = None

    def done(self, now: float) -> None:
        """See `stream.Stream`."""
        exchange = self.exchange
        assert exchange is not None
        # Another proxy of the mesh that answers itself says nothing for its service.
        why = exchange.reason or reason_told(self.fields)
        if why:
            assert exchange.route is not None
            self._tell(Unreachable(f'service "{exchange.route.config.service}" gives no answer: {why}'))
        else:
            self._tell(Answered(exchange.status, self.fields, bytes(self.body)))


def inquire(original: Exchange, route: CompiledRoute, path: str, fields: Fields, tell: Told) -> None:
    """Ask for `path` with GET by a route of its own, on behalf of a request; `tell` is called with what came of it."""
    whole = original.request
    request = Request(fields, {name: whole.special[name] for name in _WHO_IT_IS_FOR if name in whole.special})
    request.method = "GET"
    request.path, request.query_string = path, None
    request.target_text, request.target = path, path.encode("ascii")
    request.host, request.authority = whole.host, whole.authority
    request.request_id, request.traceparent = original.request_id, original.context
    request.is_normal = request.keep_alive = True
    ear = Ear(original, tell)
    exchange = ear.exchange = Exchange(original.worker, ear, request)
    exchange.snapshot = original.snapshot
    exchange.identify()
    exchange.path, exchange.is_verbatim = path, True
    exchange.route, exchange.service = route, route.service
    exchange.total_deadline = exchange.until = exchange.started + route.timeout
    original.worker.counters.in_flight += 1
    exchange.proceed()
