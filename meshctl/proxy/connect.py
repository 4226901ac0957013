"""A wrapped app's own requests: on a port for one service, or through its proxy setting, which may also ask for a
tunnel (CONNECT, RFC 9110 §9.3.6).

    CONNECT to a host outside the mesh → bytes, both ways, to that host
    CONNECT to a service of the mesh   → 200, and what follows is read as requests to that service

Some clients ask for a tunnel even to speak plain HTTP, so within the mesh it changes nothing: its requests are routed,
balanced and encrypted like others.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from meshctl import clock
from meshctl.proxy.downstream import Downstream
from meshctl.proxy.timers import NEVER
from meshctl.proxy.tunnel import Tunnel
from meshctl.proxy.tunnel_end import reset
from meshctl.wire.connect_reader import ConnectReader, PlainProxyRequests
from meshctl.wire.message import Request

if TYPE_CHECKING:
    from meshctl.proxy.stream import Inlet
    from meshctl.proxy.worker import Worker

_TLS_HANDSHAKE: Final = 0x16
_OK: Final = b"HTTP/1.1 200 OK\r\n\r\n"
# A fatal alert, unrecognized_name (RFC 6066 §3): the client can say more than that the connection was closed.
_NOT_BY_TLS: Final = b"\x15\x03\x03\x00\x02\x02\x70"


class Outgoing(Downstream):
    """The app's connection to a port that stands for one service."""

    is_outgoing = True

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.trusted = True


class Outbound(ConnectReader, Outgoing):
    """The app's connection to its proxy."""

    def __init__(self, worker: Worker, listener: Inlet) -> None:
        super().__init__(worker, listener)
        self._plain = PlainProxyRequests()
        self._service = ""
        """The service of the mesh to which the app has a tunnel here."""
        self._is_fresh = False
        """Whether that tunnel has not brought anything yet."""

    def data_received(self, data: bytes) -> None:
        if self._is_fresh:
            self._is_fresh = False
            if data[0] == _TLS_HANDSHAKE:
                self._refuse_tls()
                return
        super().data_received(data)

    def eof_received(self) -> bool | None:
        if isinstance(self._tunnel, Connect):
            self._tunnel.on_near_end()
            return True
        return super().eof_received()

    def on_request(self, request: Request) -> None:
        if request.method == "CONNECT":
            self._on_connect(request)
            return
        if self._service:
            # What a tunnel is to was said by its CONNECT.
            request.host = self._service
        super().on_request(request)

    def on_message_complete(self) -> None:
        if self._receiving is None or self._receiving.method != "CONNECT":
            super().on_message_complete()
            return
        # What follows the head of a CONNECT is not its body: it has not ended before it was answered.
        self._is_begun = False
        self.take_trailers()

    def _on_connect(self, request: Request) -> None:
        if self._closing:
            return
        limit = self.worker.snapshot.head_limit
        if self._head_bytes > limit and request.head_size() > limit:
            self._fail("head_too_large", f"the head may have at most {limit} bytes")
        if self._service:
            self._fail("method_unsupported", "this connection is a tunnel already")
        self._head_bytes = 0
        self.deadline = NEVER
        request.upgrade = b"connect"
        exchange = Connect(self.worker, self, request)
        self._receiving = request
        self._incoming = exchange
        self.worker.counters.in_flight += 1
        self._is_idle = False
        if self.exchange is not None or self._waiting or self._is_full:
            self._waiting.append(exchange)
            self._pause()
            return
        self.exchange = exchange
        exchange.begin()

    def _refuse_tls(self) -> None:
        worker = self.worker
        reason = "tls_inside_mesh"
        worker.ledger.record_refusal(self, reason, 400, worker.next_request_id(), 0, self._service)
        hint = f"call http://{self._service}: the mesh encrypts by itself"
        worker.complaints.tell("tunnel_refused", reason, host=self._service, hint=hint)
        self.transport.write(_NOT_BY_TLS)
        self._close()

    # its tunnel calls these

    def enter(self, service: str) -> None:
        """Let the app have its tunnel: from now on its requests are to `service`."""
        self.transport.write(_OK)
        self._service = service
        self._is_fresh = True

    def send_eof(self) -> None:
        """See `stream.TunnelStream`."""
        self.transport.write_eof()

    def cut(self) -> None:
        """See `stream.Stream`."""
        if isinstance(self._tunnel, Connect):
            reset(self.transport)
        super().cut()


class Connect(Tunnel):
    """A CONNECT and its tunnel."""

    stream: Outbound

    def match(self) -> bool:
        """Within the mesh requests will follow; to a service that speaks no HTTP, and outside, bytes do."""
        route = self.snapshot.tables[self.stream.entry].find(self.request)
        if route is None or (route.service is not None and route.service.config.protocol == "tcp"):
            return super().match()
        # It is not counted nor logged: what comes through it will be.
        self.finished = clock.monotonic()
        self.worker.counters.in_flight -= 1
        self.stream.enter(self.request.host)
        self.stream.done(clock.monotonic())
        return False
