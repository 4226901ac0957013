"""A connection to an endpoint, spoken to in HTTP/1.1: one request at a time, its answer handed to the exchange.

Nothing an endpoint sends can reach a client it was not meant for: bytes after an answer's end, or before any request,
end the connection, and it is only reused once a whole read was consumed.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, cast

from meshctl import clock
from meshctl.proxy.timers import NEVER
from meshctl.wire.http1 import UNTIL_CLOSE, Malformed, Response, ResponseReader

if TYPE_CHECKING:
    from meshctl.proxy.endpoint import LiveEndpoint
    from meshctl.proxy.exchange import Exchange

HEAD_LIMIT: Final = 262_144
"""The longest response head accepted, in bytes."""
RAW_FROM: Final = 16_384
"""Bytes still to come from which a body is counted instead of parsed."""


class UpstreamConnection(ResponseReader, asyncio.Protocol):
    """See the module."""

    def __init__(self, endpoint: LiveEndpoint) -> None:
        super().__init__()
        self.endpoint = endpoint
        self.transport: asyncio.Transport = cast(asyncio.Transport, None)
        self.deadline = NEVER
        # Per exchange
        self.exchange: Exchange | None = None
        self._response: Response | None = None
        self._ended = False
        self._body = 0
        self._raw_left = 0
        self._head_bytes = 0

    def __repr__(self) -> str:
        state = "idle" if self.exchange is None else "busy"
        return f"<UpstreamConnection {self.endpoint.address} {state}>"

    # asyncio calls these

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.endpoint.worker.kept.watch(self)

    def data_received(self, data: bytes) -> None:
        exchange = self.exchange
        if exchange is None:
            self.close()
            return
        if self._raw_left:
            self._take_raw(exchange, data)
            return
        if exchange.tunnel:
            exchange.on_tunnel_data(data)
            return
        broken: Malformed | None = None
        rest: bytes | None = None
        try:
            rest = self.feed(data)
        except Malformed as error:
            broken = error
        response = self._response
        if self._ended:
            self._end(exchange, reusable=broken is None)
        elif broken:
            self._break(exchange, "upstream_protocol", broken.detail)
        elif rest is not None:
            exchange.on_tunnel_data(rest)
        elif response is None:
            self._count_head(exchange, len(data))
        else:
            self._consider_raw(response)
            exchange.stream.flush()

    def eof_received(self) -> bool | None:
        exchange = self.exchange
        if exchange is not None and exchange.tunnel:
            exchange.on_tunnel_end()
        return None

    def connection_lost(self, exc: Exception | None) -> None:
        self.endpoint.worker.kept.discard(self)
        self.endpoint.lost(self)
        exchange = self.exchange
        if exchange is None:
            return
        response = self._response
        self.exchange = None
        if response is not None and response.length == UNTIL_CLOSE and response.has_body and exc is None:
            exchange.on_response_end([], clock.monotonic())
        elif response is None:
            exchange.on_upstream_lost("upstream_reset", "the connection was closed before the answer", reset=True)
        else:
            exchange.on_upstream_lost("upstream_cut", "the connection was closed in the middle of the answer")

    def pause_writing(self) -> None:
        if self.exchange is not None:
            self.exchange.on_upstream_full()

    def resume_writing(self) -> None:
        if self.exchange is not None:
            self.exchange.on_upstream_ready()

    # httptools calls these

    def on_response(self, response: Response) -> None:
        exchange = self.exchange
        if exchange is None or self._ended:
            self._fail("an answer nobody asked for")
            return
        self._response = response
        if not response.has_body and response.status != 101:
            self._ended = self.answers_head
        exchange.on_response(response)

    def on_informational(self, response: Response) -> None:
        if self.exchange is None or self._ended:
            self._fail("an answer nobody asked for")
            return
        self.exchange.on_informational(response)

    def on_body(self, data: bytes) -> None:
        if self.exchange is None or self._ended:
            self._fail("bytes after the end of the answer")
            return
        self._body += len(data)
        self.exchange.on_response_body(data)

    def on_message_complete(self) -> None:
        # Also called for interim answers and after a 101, which end nothing.
        response = self._response
        if response is not None and response.status != 101:
            self._ended = True

    # the exchange and the endpoint call these

    def start(self, exchange: Exchange, *, answers_head: bool) -> None:
        """Take an exchange; the caller writes its request to the transport."""
        self.exchange = exchange
        self.deadline = NEVER
        self.answers_head = answers_head
        self._response = None
        self._ended = False
        self._body = 0
        self._head_bytes = 0

    def on_deadline(self, now: float) -> None:
        """It has rested for long enough."""
        self.deadline = NEVER
        if self.exchange is None:
            self.close()

    def is_closing(self) -> bool:
        """Whether it can no longer be used."""
        return self.transport.is_closing()

    def close(self) -> None:
        """End it; what was written is still sent."""
        self.transport.close()

    def abort(self) -> None:
        """End it at once; its exchange hears no more of it."""
        self.exchange = None
        self.transport.abort()

    # the rest is private

    def _take_raw(self, exchange: Exchange, data: bytes) -> None:
        """A piece of a body of known length: counted, not parsed, which saves a copy and a pass."""
        left = self._raw_left - len(data)
        if left > 0:
            self._raw_left = left
            exchange.on_raw_body(data)
            return
        self._raw_left = 0
        self.renew_parser()
        exchange.on_raw_body(data[:left] if left else data)
        self._end(exchange, reusable=left == 0)

    def _consider_raw(self, response: Response) -> None:
        if response.length > 0 and response.has_body and response.length - self._body >= RAW_FROM:
            self._raw_left = response.length - self._body

    def _count_head(self, exchange: Exchange, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > HEAD_LIMIT:
            self._break(exchange, "upstream_protocol", f"the answer's head is longer than {HEAD_LIMIT} bytes")

    def _end(self, exchange: Exchange, *, reusable: bool) -> None:
        trailers = self.take_trailers()
        response = cast(Response, self._response)
        now = clock.monotonic()
        self.exchange = None
        self._response = None
        if self.answers_head:
            self.renew_parser()
        if reusable and response.keep_alive and exchange.body_ended:
            self.endpoint.give_back(self, now)
            if b"keep-alive" in response.special and self.exchange is None:
                self._keep(response.special[b"keep-alive"], now)
        else:
            self.transport.close()
        exchange.on_response_end(trailers, now)

    def _keep(self, hint: bytes, now: float) -> None:
        """Heed `Keep-Alive: timeout=5`, less one second so that the endpoint does not close under a request."""
        for part in hint.split(b","):
            name, _, value = part.strip().partition(b"=")
            if name.lower() == b"timeout" and value.isdigit():
                self.deadline = min(self.deadline, now + max(0.5, int(value) - 1.0))

    def _break(self, exchange: Exchange, reason: str, detail: str) -> None:
        self.abort()
        exchange.on_upstream_lost(reason if self._response is None else "upstream_cut", detail)

