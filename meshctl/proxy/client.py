"""A client's connection as what is written to: answers in HTTP/1.1 bytes, back-pressure, and an end that loses nothing.

`downstream` builds on this and reads; here nothing is known of how requests come.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final, cast

from meshctl import clock
from meshctl.proxy.heeding import UNHEARD, Heeding
from meshctl.proxy.keys import NOT_STUCK
from meshctl.proxy.stream import NOTHING_FORWARDED
from meshctl.proxy.timers import NEVER
from meshctl.wire.chunks import chunk, last_chunk
from meshctl.wire.dates import date_line
from meshctl.wire.fields import CRLF, Fields, encode_fields
from meshctl.wire.message import Malformed, Request
from meshctl.wire.reasons import problem, status_line, status_of

if TYPE_CHECKING:
    from meshctl.proxy.exchange import Exchange
    from meshctl.proxy.stream import Inlet
    from meshctl.proxy.worker import Worker

LINGER: Final = 2.0
"""Seconds for a client to read the last answer while what it still sends is thrown away: closing at once would reset
the connection, and the answer could be lost on its way (RFC 9112 §9.6)."""
FULL: Final = {
    "overloaded": "the proxy has as many connections as it accepts",
    "too_many_connections": "the client's address has as many connections as it may have",
}
JOIN_LIMIT: Final = 65_536
"""Bytes up to which the parts of an answer are copied together for one write."""


class Client(Heeding, asyncio.Protocol):
    """See the module. Its attributes are slots: more than thirty names would not share one place among connections (see
    `attempt.Attempt`), and each would hold a kilobyte more."""

    __slots__ = (
        "_behind", "_body", "_chunked", "_close_after", "_closing", "_discarded", "_head_bytes", "_incoming",
        "_is_alone", "_is_due", "_is_full", "_lingering", "_out", "_paused", "_raw_left", "_receiving", "_refused",
        "_starting", "_tunnel", "_unread", "_waiting", "client", "deadline", "deadline_reason", "entry", "exchange",
        "forwarding", "listener", "scheme", "transport", "trusted", "worker",
    )  # fmt: skip

    is_outgoing = False
    peer = identity = ""
    stuck = NOT_STUCK

    def __init__(self, worker: Worker, listener: Inlet) -> None:
        super().__init__()
        # The connection
        self.worker = worker
        self.transport: asyncio.Transport = cast(asyncio.Transport, None)
        self.scheme = listener.scheme
        self.listener = listener.address
        self.entry = listener.entry
        self.client = ""
        self.trusted = False
        self.forwarding = NOTHING_FORWARDED
        self.deadline = NEVER
        self.deadline_reason = ""
        # What is going on
        self.exchange: Exchange | None = None
        self._incoming: Exchange | None = None
        self._waiting: deque[Exchange] = deque()
        self._refused: Malformed | None = None
        self._receiving: Request | None = None
        self._body = 0
        self._raw_left = 0
        self._discarded = 0
        self._head_bytes = 0
        self._unread = b""
        """What has come and was not looked at yet: it has to wait, or belongs to the next protocol."""
        self._behind = self._is_due = False
        """Whether more has come than was looked at, and whether it will be looked at soon."""
        self._tunnel: Exchange | None = None
        self._closing = self._lingering = self._starting = False
        self._is_alone = False
        """Whether the exchange under way is of the plainest kind and nothing else is going on."""
        self._paused = False
        self._is_full = False
        # The answer
        self._out: list[bytes | memoryview] = []
        self._chunked = False
        self._close_after = False

    def __repr__(self) -> str:
        state = "tunnel" if self._tunnel else "busy" if self.exchange else "idle"
        return f"<Downstream {self.client} on {self.listener} {state}>"

    # asyncio, the worker and the clock call these

    def eof_received(self) -> bool | None:
        # A client that will send no more is taken for gone, as nginx does: whoever closes altogether looks the same.
        return None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        self.client = peer[0] if isinstance(peer, tuple) else ""
        worker = self.worker
        snapshot = worker.snapshot
        self.trusted = snapshot.trusts(self.client)
        self.max_fields = snapshot.header_count
        if refusal := worker.refuses(self):
            self._refuse(refusal, FULL[refusal])
            return
        self._expect(snapshot.timeouts.head, "head_timeout", clock.monotonic())
        if worker.turns_away(self.entry):
            # It was accepted in the moment before the listener closed.
            self._close()

    def drain(self) -> None:
        """The proxy stops: an idle connection ends now, a busy one after its answer."""
        self._is_alone = False
        if self.exchange is not None:
            # Its answer says so, where the head has not gone out yet.
            self._close_after = True
        elif self._waiting or self._receiving is not None or self._behind:
            self._end_connection()
        else:
            self._close()

    def on_deadline(self, now: float) -> None:
        """A timeout on the client ran out."""
        reason, self.deadline = self.deadline_reason, NEVER
        if reason == "head_timeout" and self._head_bytes:
            self._refuse(reason, f"the head did not arrive within {self.worker.snapshot.timeouts.head:g}s")
        elif reason == "body_timeout" and self.exchange is not None:
            self._closing = True
            self.exchange.fail(reason, f"no byte of the body arrived within {self.worker.snapshot.timeouts.body:g}s")
        elif reason == "write_timeout" and self.exchange is not None:
            self.exchange.fail(reason, "")
        elif reason == "write_timeout":
            self._closing = True
            self.transport.abort()
        elif reason == UNHEARD:
            self._look_after()
        else:
            self._close()

    # the exchange calls these

    def send_head(self, status: int, fields: Fields, length: int, *, body: bool, final: bool = True) -> None:
        """See `stream.Stream`."""
        if not final:
            self._out.append(b"%b\r\n%b\r\n" % (status_line(status), encode_fields(fields)))
            return
        request = self.exchange.request if self.exchange else None
        self._chunked = False
        close = self._closing or self._close_after or request is None or not request.keep_alive
        if length >= 0:
            # A 304 or the answer to HEAD may tell a length; 1xx and 204 must not (RFC 9110 §8.6).
            framing = b"Content-Length: %d\r\n" % length if status != 204 else b""
        elif not body:
            framing = b""
        elif request is not None and not request.is_http10:
            self._chunked = True
            framing = b"Transfer-Encoding: chunked\r\n"
        else:
            close = True
            framing = b""
        if status >= 300 and request is not None and request is self._receiving and request.expects_continue:
            # The client may never send the body it announced, or may: only a new connection is unambiguous.
            close = True
        self._close_after = close
        if close:
            framing += b"Connection: close\r\n"
        elif request is not None and request.is_http10:
            framing += b"Connection: keep-alive\r\n"
        self._out.append(b"%b\r\n%b%b\r\n" % (status_line(status), encode_fields(fields), framing))

    def send_whole(self, status: int, fields: Fields, body: bytes | memoryview) -> None:
        """See `stream.Stream`."""
        exchange = self.exchange
        if (
            exchange is None
            or exchange.request.is_http10
            or self._receiving is not None
            or self._close_after
            or len(body) >= JOIN_LIMIT
        ):
            self.send_head(status, fields, len(body), body=True)
            self._out.append(body)
            self.flush()
            return
        length = b"Content-Length: %d" % len(body)
        if not exchange.request.keep_alive or self._closing:
            self._close_after = True
            length += b"\r\nConnection: close"
        self.transport.write(CRLF.join([status_line(status), *fields, length, b"", body]))

    def send_ready(self, block: bytes, request_id: bytes, body: bytes | memoryview) -> bool:
        """See `stream.Stream`."""
        if not self._is_alone or len(body) >= JOIN_LIMIT:
            return False
        self.transport.write(b"".join((block, b"\r\nX-Request-Id: ", request_id, b"\r\n\r\n", body)))
        return True

    def send_body(self, data: bytes | memoryview) -> None:
        """See `stream.Stream`."""
        self._out.append(chunk(data) if self._chunked else data)

    def send_raw(self, data: bytes | memoryview) -> None:
        """See `stream.Stream`."""
        if self._out:
            self.flush()
        self.transport.write(data)

    def send_end(self, trailers: Fields) -> None:
        """See `stream.Stream`."""
        if self._chunked:
            self._out.append(last_chunk(trailers))
        self.flush()

    def flush(self) -> None:
        """See `stream.Stream`."""
        out = self._out
        if not out:
            return
        if len(out) == 1:
            self.transport.write(out[0])
        elif len(out[1]) < JOIN_LIMIT:
            self.transport.write(b"".join(out))
        else:
            self.transport.writelines(out)
        self._out = []

    def cut(self) -> None:
        """See `stream.Stream`."""
        self._out.clear()
        self._is_alone = False
        self._closing = True
        self.transport.abort()

    def to_tunnel(self, fields: Fields, status: int = 101) -> None:
        """See `stream.Stream`."""
        self.transport.write(b"%b\r\n%b\r\n" % (status_line(status), encode_fields(fields)))
        tunnel = self._tunnel = self.exchange
        self._receiving = None
        early, self._unread = self._unread, b""
        if tunnel is not None:
            # It may rest for hours, for which nobody need look at it fifty times a second.
            self.worker.exchanges.discard(tunnel)
            self.worker.tunnels.watch(tunnel)
            if early:
                tunnel.on_tunnel_input(early)
        self.resume_body()

    # what reading and writing share

    def _refuse(self, reason: str, detail: str) -> None:
        """Answer what is no request and close."""
        if self._receiving is not None:
            # It belongs to a request that has its answer: a second one would be taken for the next request's.
            self._end_connection()
            return
        worker = self.worker
        request_id = worker.next_request_id()
        body = problem(reason, detail=detail, request_id=request_id.decode())
        status = status_of(reason)
        self.transport.write(
            b"%b\r\nContent-Type: application/problem+json\r\nX-Meshctl-Reason: %b\r\n%b\r\nX-Request-Id: %b\r\n"
            b"Content-Length: %d\r\nConnection: close\r\n\r\n%b"
            % (status_line(status), reason.encode(), date_line(int(clock.wall())), request_id, len(body), body)
        )
        worker.ledger.record_refusal(self, reason, status, request_id, len(body))
        self._end_connection()

    def _close(self) -> None:
        """Close once the client has everything, or has taken nothing for too long."""
        self._closing = True
        self.transport.close()
        self._expect(self.worker.snapshot.timeouts.write, "write_timeout", clock.monotonic())

    def _end_connection(self) -> None:
        """Close so that the client can still read its answer: say goodbye, then read on for a while."""
        if self._lingering:
            return
        self._closing = True
        self.worker.counters.in_flight -= len(self._waiting)
        self._waiting.clear()
        reading = self._receiving is not None or self._refused is not None or self._head_bytes or self._behind
        if not reading or not self.transport.can_write_eof() or self.transport.is_closing():
            self._close()
            return
        self._lingering = True
        self.transport.write_eof()
        self._expect(LINGER, "linger", clock.monotonic())
        if self._paused or self._behind:
            self._paused = self._behind = False
            self.transport.resume_reading()
