"""A member of the mesh that calls this one: its connection, once the handshake is over, and what follows from who it
proved to be. Its requests are like any other's, but for three things: they carry the caller's identity to the app, what
the caller says of those it speaks for goes on untouched, and a caller that is no member gets a 403 and nothing else.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, cast

from meshctl import clock
from meshctl.pki.peer import Verdict
from meshctl.proxy.client import JOIN_LIMIT
from meshctl.proxy.downstream import Downstream
from meshctl.proxy.exchange import Exchange
from meshctl.proxy.membership import GRACE
from meshctl.proxy.mesh_tls import RAW, MeshTls
from meshctl.proxy.relay import accept
from meshctl.proxy.timers import NEVER
from meshctl.wire.frames import refused_frame
from meshctl.wire.message import Request

if TYPE_CHECKING:
    from meshctl.proxy.client_authorities import Arriving, Asking
    from meshctl.proxy.listener import LiveListener
    from meshctl.proxy.worker import Worker


class Caller(Downstream):
    """See the module."""

    def __init__(self, worker: Worker, listener: LiveListener, verdict: Verdict) -> None:
        super().__init__(worker, listener)
        self.scheme = "https"
        self._verdict = verdict
        self._is_retiring = False
        if verdict.is_accepted:
            self.peer = verdict.service
            self.identity = verdict.identity

    def __repr__(self) -> str:
        who = self.peer or self._verdict.reason
        return f"<Caller {who} at {self.client} on {self.listener}{', retiring' if self._is_retiring else ''}>"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.trusted = self._verdict.is_accepted

    def on_request(self, request: Request) -> None:
        if self._verdict.reason:
            self._turn_away(request)
            return
        if self._is_retiring:
            # Its answer says so, and the caller makes a new connection for its next request.
            request.keep_alive = False
        super().on_request(request)

    def send_ready(self, block: bytes, request_id: bytes, body: bytes | memoryview) -> bool:
        """See `stream.Stream`. A member that named its request is not told that name again: the head then says the same
        each time, and its proxy need not read it."""
        exchange = self.exchange
        if exchange is None or request_id is not exchange.request.request_id:
            return super().send_ready(block, request_id, body)
        if not self._is_alone or len(body) >= JOIN_LIMIT:
            return False
        self.transport.write(b"".join((block, b"\r\n\r\n", body)))
        return True

    def retire(self, now: float) -> None:
        """See `membership.Retiring`."""
        self._is_retiring = True
        last = self._waiting[-1] if self._waiting else self.exchange
        if last is not None:
            last.request.keep_alive = False
            self._is_alone = False
        elif self._receiving is None and not self._head_bytes and not self._closing:
            self.deadline = min(self.deadline, now + GRACE)
            self.deadline_reason = "idle"

    def _turn_away(self, request: Request) -> None:
        """Answer the first request with why its sender is no member, and close."""
        self.deadline = NEVER
        self._is_idle = False
        exchange = Exchange(self.worker, self, request)
        if request.length or request.upgrade:
            self._receiving = request
            self._incoming = exchange
        self.worker.counters.in_flight += 1
        self.exchange = exchange
        self._closing = True
        exchange.identify()
        exchange.fail(self._verdict.reason, self._verdict.detail)


class Visitor(Caller):
    """A client from outside that showed a certificate: known to routes that ask for it, and in all else a client like
    others. Neither is it believed what it says of others, nor is its word passed on to the app."""

    def __init__(self, worker: Worker, listener: LiveListener, arriving: Arriving) -> None:
        super().__init__(worker, listener, arriving.verdict)
        self.certified, self.identity = self.identity, ""
        self.arriving = arriving

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.trusted = self.worker.snapshot.trusts(self.client)

    def send_ready(self, block: bytes, request_id: bytes, body: bytes | memoryview) -> bool:
        """See `stream.Stream`."""
        return Downstream.send_ready(self, block, request_id, body)


class Arrival(asyncio.Protocol):
    """A connection whose handshake is under way: once that is over, it is decided who speaks and how."""

    def __init__(self, worker: Worker, listener: LiveListener, shown: MeshTls) -> None:
        self._worker = worker
        self._listener = listener
        self._shown = shown

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        worker = self._worker
        end = cast(asyncio.Transport, transport)
        tls = cast(ssl.SSLObject, end.get_extra_info("ssl_object"))
        # By what is believed now, which may be less than when the handshake began.
        believed = worker.mesh_tls or self._shown
        verdict = believed.judge(tls.getpeercert(binary_form=True), clock.wall())
        if verdict.reason:
            complain(worker, self._listener, end, verdict)
        if tls.selected_alpn_protocol() == RAW:
            self._relay(end, verdict)
            return
        caller = Caller(worker, self._listener, verdict)
        end.set_protocol(caller)
        caller.connection_made(end)
        worker.members.note(caller, verdict, self._shown)

    def _relay(self, end: asyncio.Transport, verdict: Verdict) -> None:
        if verdict.reason:
            self._worker.counters.refuse(verdict.reason)
            end.write(refused_frame(verdict.reason))
            end.close()
            return
        near = accept(self._worker, end, self._listener, verdict.service)
        self._worker.members.note(near, verdict, self._shown)


class Visit(asyncio.Protocol):
    """The same at a listener for clients from outside, which may show a certificate. Whoever shows none, or one that
    does not hold, is nobody in particular."""

    def __init__(self, worker: Worker, listener: LiveListener, asking: Asking) -> None:
        self._worker = worker
        self._listener = listener
        self._asking = asking
        self._shown = worker.mesh_tls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        worker, listener = self._worker, self._listener
        end = cast(asyncio.Transport, transport)
        tls = cast(ssl.SSLObject, end.get_extra_info("ssl_object"))
        arriving = self._asking.judge(tls) if tls.getpeercert(binary_form=True) else None
        if arriving is not None and arriving.verdict.reason:
            complain(worker, listener, end, arriving.verdict)
            arriving = None
        client = Downstream(worker, listener) if arriving is None else Visitor(worker, listener, arriving)
        end.set_protocol(client)
        client.connection_made(end)
        if arriving is not None and arriving.is_of_mesh and self._shown is not None:
            worker.members.note(client, arriving.verdict, self._shown)


def complain(worker: Worker, listener: LiveListener, end: asyncio.Transport, verdict: Verdict) -> None:
    """Tell of a peer that is refused."""
    found = end.get_extra_info("peername")
    worker.complaints.tell(
        "peer_refused",
        verdict.reason,
        client=found[0] if isinstance(found, tuple) else "",
        listener=listener.address,
        detail=verdict.detail,
    )
