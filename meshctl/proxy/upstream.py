"""A connection to an endpoint, spoken to in HTTP/1.1: one request at a time, its answer handed to the exchange.

Nothing an endpoint sends can reach a client it was not meant for: bytes after an answer's end, or before any request,
end the connection, and it is only reused once a whole read was consumed.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, cast

from meshctl import clock
from meshctl.proxy.timers import NEVER
from meshctl.proxy.unread import hear_out
from meshctl.wire.fields import keep_alive_timeout
from meshctl.wire.message import UNTIL_CLOSE, Malformed, Response
from meshctl.wire.plain import PlainResponses
from meshctl.wire.response_reader import ResponseReader

if TYPE_CHECKING:
    from meshctl.proxy.endpoint import LiveEndpoint
    from meshctl.proxy.exchange import Exchange

HEAD_LIMIT: Final = 262_144
"""The longest response head accepted, in bytes."""
LAST_WORDS: Final = 5.0
"""Seconds an endpoint has to take what was written to a connection that ends."""
RAW_FROM: Final = 16_384
"""Bytes still to come from which a body is counted instead of parsed."""


class UpstreamConnection(ResponseReader, asyncio.Protocol):
    """See the module."""

    def __init__(self, endpoint: LiveEndpoint) -> None:
        super().__init__(is_member=endpoint.config.mesh)
        self.endpoint = endpoint
        self.transport: asyncio.Transport = cast(asyncio.Transport, None)
        self.deadline = NEVER
        # Per exchange
        self.exchange: Exchange | None = None
        self._plain = PlainResponses(self.max_fields, is_member=endpoint.config.mesh)
        self._response: Response | None = None
        self._is_answered = False
        self._ended = False
        self._is_reusable = True
        self._is_paused = False
        self._pieces: list[bytes] = []
        self._body = 0
        self._raw_left = 0
        self._head_bytes = 0

    def __repr__(self) -> str:
        return f"<UpstreamConnection {self.endpoint.address} {'idle' if self.exchange is None else 'busy'}>"

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
        if self._response is None and not self._head_bytes and not self.answers_head:
            plain = self._plain.read(data)
            if plain is not None:
                self._pass_plain(exchange, *plain)
                return
        if exchange.tunnel:
            exchange.on_tunnel_data(data)
            return
        rest = None
        try:
            rest = self.feed(data)
        except Malformed as error:
            if not self._ended:
                self._break(exchange, error.detail)
                return
            self._is_reusable = False
        self._pass_on(exchange, len(data), rest)

    def eof_received(self) -> bool | None:
        exchange = self.exchange
        if exchange is None:
            self.close()
        elif exchange.tunnel:
            exchange.on_tunnel_end()
        return None

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None and self.exchange is not None:
            self._is_reusable = False
            hear_out(self)
        self.end_reading()
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

    # httptools calls these: they only note what there is, `_pass_on` acts once the whole read is known

    def on_message_begin(self) -> None:
        # The first byte of a message; the only sign of one that begins behind an answer and does not end with the read.
        if self._ended:
            self._fail("bytes after the end of the answer")

    def on_response(self, response: Response) -> None:
        if self._ended or self._response is not None:
            self._fail("an answer nobody asked for")
        self._response = response
        if not response.has_body and self.answers_head:
            self._ended = True

    def on_informational(self, response: Response) -> None:
        exchange = self.exchange
        if self._ended or exchange is None:
            self._fail("an answer nobody asked for")
        exchange.on_informational(response)

    def on_body(self, data: bytes) -> None:
        if self._ended:
            self._fail("bytes after the end of the answer")
        self._pieces.append(data)

    def on_message_complete(self) -> None:
        # Also called for interim answers and after a 101, which end nothing.
        response = self._response
        if response is not None and response.status != 101:
            self._ended = True

    # the exchange and the endpoint call these

    def on_deadline(self, now: float) -> None:
        """It has rested, or been about to end, for long enough."""
        self.deadline = NEVER
        if self.exchange is None:
            self.abort() if self.is_closing() else self.close()

    def pause(self) -> None:
        """Read no more of the answer until `resume`."""
        self._is_paused = True
        self.transport.pause_reading()

    def resume(self) -> None:
        """See `pause`."""
        self._is_paused = False
        self.transport.resume_reading()

    def is_closing(self) -> bool:
        """Whether it can no longer be used."""
        return self.transport.is_closing()

    def close(self) -> None:
        """End it; what was written is still sent, where the endpoint takes it in time."""
        self.endpoint.forget(self)
        self.transport.close()
        self.deadline = clock.monotonic() + LAST_WORDS

    def abort(self) -> None:
        """End it at once; its exchange hears no more of it."""
        self.exchange = None
        self.transport.abort()

    def end_soon(self) -> None:
        """End it once the endpoint has what was written; its exchange hears no more of it."""
        self.exchange = None
        self.close()

    # the rest is private

    def _pass_plain(self, exchange: Exchange, response: Response, body: bytes | memoryview) -> None:
        """Hand on an answer that came whole, or the beginning of a longer one."""
        now = clock.monotonic()
        left = response.length - len(body)
        if not left:
            self._let_go(exchange, response, now)
            exchange.on_whole_response(response, body, now)
            return
        self._response = response
        self._is_answered = True
        self._raw_left = left
        if not exchange.on_response(response, None, now) or exchange.finished:
            return
        if body:
            exchange.on_response_body(body)
        exchange.stream.flush()

    def _pass_on(self, exchange: Exchange, size: int, rest: bytes | None) -> None:
        """Hand on what one read brought."""
        response = self._response
        if response is None:
            self._count_head(exchange, size)
            return
        pieces = self._pieces
        if self._ended and not self._is_answered and len(pieces) <= 1 and response.has_body and response.length >= 0:
            body = pieces[0] if pieces else b""
            pieces.clear()
            now = clock.monotonic()
            self._let_go(exchange, response, now)
            exchange.on_whole_response(response, body, now)
            return
        if not self._is_answered:
            self._is_answered = True
            if not exchange.on_response(response, None, clock.monotonic()) or exchange.finished:
                return
        if rest is not None:
            exchange.on_tunnel_data(rest)
            return
        if pieces:
            self._head_bytes = 0
        elif not self._ended:
            # Trailers, or a chunk's extensions: they may not go on for ever.
            self._count_head(exchange, size)
            if self.exchange is None:
                return
        for piece in pieces:
            self._body += len(piece)
            exchange.on_response_body(piece)
        pieces.clear()
        if self._ended:
            self._end(exchange)
            return
        if response.length - self._body >= RAW_FROM and response.has_body:
            self._raw_left = response.length - self._body
            self.renew_parser()
        exchange.move()
        exchange.stream.flush()

    def _take_raw(self, exchange: Exchange, data: bytes) -> None:
        """A piece of a body of known length: counted, not parsed, which saves a copy and a pass."""
        left = self._raw_left - len(data)
        if left > 0:
            self._raw_left = left
            exchange.on_raw_body(data)
            return
        self._raw_left = 0
        self._is_reusable = self._is_reusable and left == 0
        exchange.on_raw_body(data[:left] if left else data)
        self._end(exchange)

    def _count_head(self, exchange: Exchange, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > HEAD_LIMIT:
            self._break(exchange, f"the answer's head is longer than {HEAD_LIMIT} bytes")

    def _end(self, exchange: Exchange) -> None:
        """The answer is complete: the connection is free, or closed where it cannot be used again."""
        trailers = self.take_trailers()
        now = clock.monotonic()
        if self._response is not None:
            self._let_go(exchange, self._response, now)
        exchange.on_response_end(trailers, now)

    def _let_go(self, exchange: Exchange, response: Response, now: float) -> None:
        """Ready this connection for the next exchange."""
        is_reusable = self._is_reusable and response.keep_alive and exchange.body_ended
        self.exchange = None
        if self._response is not None:
            self._response = None
            self._ended = self._is_answered = False
            self._body = self._head_bytes = 0
        if not is_reusable:
            self.close()
            return
        if self.answers_head:
            self.renew_parser()
        if self._is_paused:
            # The client was full when the last piece came; the next one must not wait for that.
            self.resume()
        self.endpoint.give_back(self, now)
        if b"keep-alive" in response.special and self.exchange is None:
            # One second less than it says, so that the endpoint does not close under a request.
            seconds = keep_alive_timeout(response.special[b"keep-alive"])
            self.deadline = min(self.deadline, now + max(0.5, seconds - 1.0))

    def _break(self, exchange: Exchange, detail: str) -> None:
        self.abort()
        exchange.on_upstream_lost("upstream_cut" if self._is_answered else "upstream_protocol", detail)
