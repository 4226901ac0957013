"""Raw TCP, for services that speak no HTTP: a connection to a "tcp:NAME" listener is one request without words, and so
is one that another sidecar passes on to the app of this one.

Must not know how an endpoint is found or reached (`tunnel`, `exchange`).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from meshctl import clock
from meshctl.proxy.keys import NOT_STUCK
from meshctl.proxy.stream import NOTHING_FORWARDED
from meshctl.proxy.timers import NEVER
from meshctl.proxy.tunnel import Tunnel
from meshctl.proxy.tunnel_end import TunnelEnd
from meshctl.wire.fields import Fields
from meshctl.wire.frames import OPEN_FRAME, refused_frame
from meshctl.wire.message import NO_FIELDS, Request
from meshctl.wire.reasons import status_of

if TYPE_CHECKING:
    from meshctl.proxy.dressing import Dressed
    from meshctl.proxy.known import Known
    from meshctl.proxy.listener import LiveListener
    from meshctl.proxy.stream import Inlet
    from meshctl.proxy.worker import Worker


def accept(worker: Worker, transport: asyncio.Transport, listener: LiveListener, peer: str) -> Near:
    """Relay what another sidecar sends over `transport`, whose handshake is over and agreed on raw bytes, to the app
    behind `listener`. `peer` is the service that the caller proved to be."""
    near = Near(worker, listener, is_framed=True)
    near.peer = peer
    transport.set_protocol(near)
    near.connection_made(transport)
    return near


class Relay(Tunnel):
    """One connection, as a request that says nothing."""

    stream: Near

    def split(self) -> bool:
        """See `Exchange.split`. From other sidecars an app that speaks HTTP gets requests alone: among bytes that
        nobody reads a caller could say that it is somebody else."""
        service = self.service
        if self.stream.is_framed and service is not None and service.config.protocol != "tcp":
            return self.reply("not_tcp", f'"{service.name}" has no protocol = "tcp" in mesh.toml')
        return super().split()

    def answer_with(self, status: int, fields: Fields, body: bytes, reason: str) -> None:
        """A refusal in the only way there is."""
        self.status = status
        self.reason = reason
        self.stream.refuse(reason)
        self.finish(clock.monotonic())


class Near(TunnelEnd):
    """The client's end: an app, or with frames another sidecar."""

    scheme = "tcp"
    trusted = False
    is_outgoing = False
    peer = ""
    identity = ""
    known: Known | None = None
    dressed: Dressed | None = None
    stuck = NOT_STUCK

    def __init__(self, worker: Worker, listener: Inlet, *, is_framed: bool = False) -> None:
        super().__init__(is_framed=is_framed)
        self.worker = worker
        self.listener = listener.address
        self.entry = listener.entry
        self.client = ""
        self.forwarding = NOTHING_FORWARDED
        self.deadline = NEVER
        self._relay: Relay | None = None
        self._is_paused = False

    def __repr__(self) -> str:
        return f"<Near {self.client} on {self.listener} {'busy' if self._relay else 'ending'}>"

    # asyncio, the worker and the clock call these

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        found = transport.get_extra_info("peername")
        self.client = found[0] if isinstance(found, tuple) else ""
        worker = self.worker
        if refusal := worker.refuses(self):
            worker.ledger.record_refusal(self, refusal, status_of(refusal), worker.next_request_id(), 0)
            self.refuse(refusal)
            self.close()
            return
        self.pause_body()
        worker.counters.in_flight += 1
        self._relay = self.relay()
        self._relay.begin()

    def connection_lost(self, exc: Exception | None) -> None:
        self.deadline = NEVER
        self.worker.left(self)
        relay, self._relay = self._relay, None
        if relay is not None:
            relay.on_client_gone()

    def pause_writing(self) -> None:
        if self._relay is not None:
            self._relay.on_client_full()

    def resume_writing(self) -> None:
        if self._relay is not None:
            self._relay.on_client_ready()

    def drain(self) -> None:
        """The proxy stops: it may take as long as that may."""

    def on_deadline(self, now: float) -> None:
        self.deadline = NEVER
        self.reset()

    def relay(self) -> Relay:
        """What is to become of the connection, which has just been made."""
        return Relay(self.worker, self, wordless(self.entry.partition(":")[2]))

    # what comes

    def on_bytes(self, data: bytes | memoryview) -> None:
        if self._relay is not None:
            self._relay.on_tunnel_input(data)

    def on_end(self) -> None:
        if self._relay is not None:
            self._relay.on_near_end()

    def on_said(self, kind: int, reason: str) -> None:
        # The caller has nothing to grant.
        self.reset()

    # the relay calls these

    def to_tunnel(self, fields: Fields, status: int = 101) -> None:
        """See `stream.Stream`."""
        if self.is_framed:
            self.transport.write(OPEN_FRAME)
        self.resume_body()

    def send_raw(self, data: bytes | memoryview) -> None:
        """See `stream.Stream`."""
        self.send(data)

    def refuse(self, reason: str) -> None:
        """Nothing will come of it: another sidecar is told why, an app can only be cut off."""
        if self.is_framed:
            self.transport.write(refused_frame(reason))
        else:
            self.reset()

    def cut(self) -> None:
        """See `stream.Stream`."""
        self.reset()

    def done(self, now: float) -> None:
        """See `stream.Stream`."""
        self._relay = None
        self.deadline = now + self.worker.snapshot.timeouts.write
        self.close()

    def pause_body(self) -> None:
        """See `stream.Stream`."""
        if not self._is_paused:
            self._is_paused = True
            self.pause()

    def resume_body(self) -> None:
        """See `stream.Stream`."""
        if self._is_paused:
            self._is_paused = False
            self.resume()

    # of a stream that speaks HTTP, there is nothing to say

    def send_head(self, status: int, fields: Fields, length: int, *, body: bool, final: bool = True) -> None:
        """See `stream.Stream`."""

    def send_whole(self, status: int, fields: Fields, body: bytes | memoryview) -> None:
        """See `stream.Stream`."""

    def send_ready(self, block: bytes, request_id: bytes, body: bytes | memoryview) -> bool:
        """See `stream.Stream`."""
        return False

    def send_body(self, data: bytes | memoryview) -> None:
        """See `stream.Stream`."""

    def send_end(self, trailers: Fields) -> None:
        """See `stream.Stream`."""

    def flush(self) -> None:
        """See `stream.Stream`."""


def wordless(name: str, port: int = 0) -> Request:
    """What a connection asks by being opened. `name` is the service's, where the listener names one, or the host's that
    was meant, with its `port`."""
    request = Request(NO_FIELDS, {})
    request.method = "TCP"
    request.target, request.target_text, request.path = b"/", "", "/"
    shown = f"[{name}]" if ":" in name else name
    request.host, request.authority = name, (f"{shown}:{port}" if port else shown).encode()
    # Nothing that came with HTTP/1.1 may be expected of it.
    request.is_http10 = True
    request.keep_alive = False
    return request
