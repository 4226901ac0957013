"""A client's connection, spoken to in HTTP/1.1: requests in, answers out in their order.

    bytes ─▶ RequestReader ─▶ on_request ─▶ exchange (one at a time) ─▶ send_head, send_body, send_end ─▶ bytes
                                   └▶ waiting (pipelined)

While a request waits for its turn nothing more is read, so a client cannot make the proxy collect requests.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshctl import clock
from meshctl.proxy.exchange import Exchange
from meshctl.proxy.incoming import SHARE, Incoming
from meshctl.proxy.timers import NEVER
from meshctl.wire.message import Malformed, Request
from meshctl.wire.plain import PlainRequests

if TYPE_CHECKING:
    from meshctl.proxy.stream import Inlet
    from meshctl.proxy.worker import Worker


class Downstream(Incoming):
    """See the module."""

    def __init__(self, worker: Worker, listener: Inlet) -> None:
        super().__init__(worker, listener)
        self._plain = PlainRequests()
        self._is_idle = True
        """Whether the next byte begins a request and nothing else is going on."""

    # asyncio calls these

    def data_received(self, data: bytes) -> None:
        if self._is_idle and not self._closing and len(data) <= self.worker.snapshot.head_limit:
            request = self._plain.read(data, self.max_fields)
            if request is not None:
                self.on_request(request)
                return
        self._is_alone = False
        if self._raw_left:
            data = self._take_raw(data)
            if not data:
                return
        if self._tunnel is not None:
            self._tunnel.on_tunnel_input(data)
            return
        if self._closing:
            return
        if self._unread or (self._receiving is not None and self._receiving.upgrade):
            self._put_off(self._unread + data)
        elif len(data) > SHARE:
            self._read_share(data)
        elif rest := self._read(data):
            self._put_off(rest)

    def connection_lost(self, exc: Exception | None) -> None:
        self._closing = True
        self.deadline = NEVER
        self.end_reading()
        self.worker.left(self)
        self._unread = b""
        exchange = self.exchange
        self.worker.counters.in_flight -= len(self._waiting)
        self._waiting.clear()
        if exchange is not None:
            exchange.on_client_gone()

    def pause_writing(self) -> None:
        self._is_full = True
        if self.exchange is not None:
            self.exchange.on_client_full()
        self._expect(self.worker.snapshot.timeouts.write, "write_timeout", clock.monotonic())

    def resume_writing(self) -> None:
        self._is_full = False
        if self.exchange is not None:
            self.deadline = NEVER
            if self._paused:
                self._pause()
            self.exchange.on_client_ready()
        elif self._closing:
            self._expect(self.worker.snapshot.timeouts.write, "write_timeout", clock.monotonic())
        else:
            self._next()

    # httptools calls these

    def on_message_begin(self) -> None:
        # From here to its end a message belongs to the full reader, however its bytes are cut.
        self._is_begun = True
        self._is_idle = False

    def on_request(self, request: Request) -> None:
        if request.is_bare and request.keep_alive and not self._is_full:
            self._begin_alone(request)
            return
        if self._closing:
            # It came in one read with a request whose answer ended the connection.
            return
        worker = self.worker
        limit = worker.snapshot.head_limit
        if self._head_bytes > limit and request.head_size() > limit:
            self._fail("head_too_large", f"the head may have at most {limit} bytes")
        self._head_bytes = 0
        self.deadline = NEVER
        exchange = Exchange(worker, self, request)
        if request.length or request.upgrade:
            self._receiving = request
            self._incoming = exchange
            self._body = 0
        worker.counters.in_flight += 1
        self._is_idle = False
        if self.exchange is not None or self._waiting or self._is_full:
            # Answers to a client that takes none must not pile up either.
            self._waiting.append(exchange)
            self._pause()
            return
        self.exchange = exchange
        exchange.begin()

    # the worker calls these

    def resting_since(self) -> float:
        """Since when it has done nothing but wait for a request to be whole; `NEVER` where it does anything else."""
        if self.exchange is not None or self._waiting or self._receiving is not None or self._closing or self._behind:
            return NEVER
        timeouts = self.worker.snapshot.timeouts
        return self.deadline - (timeouts.head if self.deadline_reason == "head_timeout" else timeouts.idle)

    def make_room(self) -> None:
        """End at once, to leave the place to somebody else."""
        self._closing = True
        self.transport.abort()

    # the exchange calls these

    def done(self, now: float) -> None:
        """See `stream.Stream`."""
        self.exchange = None
        if self._is_alone and not self._close_after:
            self._rest(now)
            return
        if self._incoming is not None and self._incoming.finished:
            self._incoming = None
        if self._tunnel is not None or self._close_after or self._closing:
            if self._tunnel is not None:
                self.worker.tunnels.discard(self._tunnel)
                self._tunnel = None
            self._end_connection()
        elif self._receiving is not None and self._incoming is None:
            if self._receiving.upgrade:
                # The endpoint declined: what came after the head is the next request.
                self._receiving = None
                self._next()
                return
            # The answer came before the body's end: the rest is thrown away, within bounds.
            self._discarded = 0
            self._expect(self.worker.snapshot.timeouts.body, "body_timeout", now)
            self.resume_body()
        elif not self._starting and (self._waiting or self._refused or self._unread):
            self._next()
        elif not self._waiting:
            self._rest(now)

    # the rest is private

    def _begin_alone(self, request: Request) -> None:
        """A request that is nothing but a head, on a connection that rested: the usual case, with the fewest steps."""
        worker = self.worker
        worker.counters.in_flight += 1
        self.deadline = NEVER
        self._is_idle = False
        self._is_alone = True
        exchange = self.exchange = Exchange(worker, self, request)
        exchange.begin()

    def _rest(self, now: float) -> None:
        """Wait for the next request."""
        self._is_idle = not self._is_begun
        self.deadline = now + self.worker.snapshot.timeouts.idle
        self.deadline_reason = "idle"
        if self._paused:
            # The body came before the connection it was meant for, or was never wanted: go on reading.
            self.resume_body()

    def _check_head(self) -> None:
        """Part of a head is there: it must not be too long, nor take too long."""
        limit = self.worker.snapshot.head_limit
        if self._head_bytes > limit:
            reason = "head_too_large" if self._fields or self._special else "uri_too_long"
            self._on_malformed(Malformed(reason, f"the head may have at most {limit} bytes"))
        elif self.exchange is not None or self._waiting:
            return
        elif self.deadline_reason != "head_timeout" or self.deadline == NEVER:
            self._expect(self.worker.snapshot.timeouts.head, "head_timeout", clock.monotonic())

    def _next(self) -> None:
        """Begin what waits for its turn. A loop, not a recursion: many answers of our own may follow each other."""
        self._starting = True
        while self.exchange is None and self._waiting and not self._closing and not self._is_full:
            exchange = self.exchange = self._waiting.popleft()
            exchange.is_late = True
            if self._refused is not None and exchange is self._incoming:
                # What has come of its body is not one: nobody gets any of it.
                self._closing = True
                exchange.identify()
                exchange.fail(self._refused.reason, self._refused.detail)
            else:
                exchange.begin()
        self._starting = False
        if self.exchange is not None or self._closing or self._is_full:
            return
        if self._refused is not None:
            self._refuse(self._refused.reason, self._refused.detail)
            return
        if self._receiving is None:
            self._expect(self.worker.snapshot.timeouts.idle, "idle", clock.monotonic())
        self.resume_body()

    def _on_malformed(self, error: Malformed) -> None:
        if self.exchange is None and not self._waiting:
            if not self._closing:
                self._refuse(error.reason, error.detail)
        elif self._receiving is not None and self._incoming is self.exchange and self.exchange is not None:
            self._closing = True
            self.exchange.fail(error.reason, error.detail)
        else:
            # Answer in order: the requests before it first.
            self._refused = error
            self._pause()
