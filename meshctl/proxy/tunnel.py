"""Bytes that nobody reads, between a client and an endpoint that is chosen as for a request.

    client ── stream ── Tunnel ── Far ── endpoint

The phases are the exchange's as far as `forward`, which opens a connection for this client alone. Nothing waits for a
first byte, so either side may speak first; what one side ends, the other may go on answering. Where another sidecar is
at one end, bytes travel in frames (`wire.frames`), because TLS here cannot end one direction alone.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Final

from meshctl import clock
from meshctl.core.balance import observe
from meshctl.proxy.dialing import Unreached
from meshctl.proxy.exchange import Exchange
from meshctl.proxy.tasks import spawn
from meshctl.proxy.tunnel_end import TunnelEnd
from meshctl.wire.frames import OPEN
from meshctl.wire.reasons import REASONS, status_of

if TYPE_CHECKING:
    from meshctl.proxy.endpoint import LiveEndpoint
    from meshctl.proxy.stream import TunnelStream

_DENIED: Final = re.compile(r"denied:[!-~]{1,128}", re.ASCII)

LAST_WORDS: Final = 5.0
"""Seconds an endpoint has to take what was written to a connection that ends."""


class Tunnel(Exchange):
    """See the module."""

    stream: TunnelStream
    is_usual = False
    far: Far | None = None
    _opening: asyncio.Task[None] | None = None
    _early: tuple[bytes, ...] = ()
    _near_ended = False
    _far_ended = False

    def __repr__(self) -> str:
        where = self.endpoint.address if self.endpoint else "nowhere"
        return f"<Tunnel {self.stream.client} → {where} {self.received} in, {self.sent} out>"

    # the way there

    def forward(self) -> None:
        """A connection of its own for the client."""
        endpoint = self.endpoint
        assert endpoint is not None
        self.worker.exchanges.watch(self)
        self.wait(endpoint.timeouts.connect, "connect_timeout")
        if endpoint.opened >= endpoint.limit:
            self.on_connect_failed("upstream_busy", f"{endpoint.address} has {endpoint.opened} connections")
            return
        endpoint.opened += 1
        self._opening = spawn(self._open(endpoint), name=f"tunnel to {endpoint.address}")

    async def _open(self, endpoint: LiveEndpoint) -> None:
        far = Far(self, endpoint)
        try:
            await endpoint.connect(lambda: far, is_raw=True)
        except Unreached as problem:
            self._opening = None
            if not far.give_up():
                endpoint.lost()
                self.on_connect_failed(problem.reason, problem.detail)
        except asyncio.CancelledError:
            if not far.give_up():
                endpoint.lost()
            raise

    def on_far_open(self, far: Far) -> None:
        """The endpoint takes bytes from now on."""
        now = clock.monotonic()
        endpoint = far.endpoint
        self._opening = None
        self.status = 200
        took = self.head_after = now - self.started
        endpoint.ewma = observe(endpoint.ewma, endpoint.ewma_at, now, took)
        endpoint.ewma_at = now
        self.note_success(now)
        self.tunnel = True
        self.worker.exchanges.discard(self)
        self.worker.tunnels.watch(self)
        self.deadline_reason = "stream_timeout"
        self.move()
        self.stream.to_tunnel([], 200)
        early, self._early = self._early, ()
        for data in early:
            self.on_tunnel_input(data)
        if self._near_ended:
            far.send_eof()

    # the client's bytes

    def on_tunnel_input(self, data: bytes | memoryview) -> None:
        far = self.far
        if not self.tunnel:
            # The client is not read from now, but a transport may give what it had already.
            self._early = (*self._early, bytes(data))
        elif far is not None:
            self.received += len(data)
            self.move()
            far.send(data)

    def on_near_end(self) -> None:
        """The client has nothing more to send."""
        if self._near_ended:
            return  # The loop tells it again when reading goes on after a pause.
        self._near_ended = True
        if self.far is not None and self.tunnel:
            self.far.send_eof()
        self._consider_end()

    def on_client_gone(self) -> None:
        if self._far_ended and not self.finished:
            # It has everything that there was for it.
            self._near_ended = True
            self._consider_end()
        else:
            super().on_client_gone()

    # the endpoint's bytes

    def on_tunnel_data(self, data: bytes | memoryview) -> None:
        self.sent += len(data)
        self.move()
        self.stream.send_raw(data)

    def on_far_end(self) -> None:
        """The endpoint has nothing more to send."""
        if not self._far_ended:
            self._far_ended = True
            self.stream.send_eof()
            self._consider_end()

    def on_far_lost(self, far: Far, detail: str) -> None:
        """The endpoint's connection has ended."""
        if self.finished or far is not self.far:
            return
        self.far = None
        if not self.status:
            self.on_connect_failed("upstream_connect", detail)
        elif self._far_ended:
            self.finish(clock.monotonic())
        else:
            self.note_failure("upstream_cut")
            self.fail("upstream_cut", detail)

    def on_far_refused(self, reason: str) -> None:
        """The endpoint's sidecar is there, but takes nothing from here: by a rule, or because its app is not there."""
        self.release()
        endpoint = self.endpoint
        where = endpoint.address if endpoint is not None else "the service"
        if not _is_reason(reason):
            self.on_connect_failed("upstream_connect", f"the sidecar at {where} refused the connection")
        elif status_of(reason) < 500:
            # Another one would say the same.
            self.fail(reason, f"the sidecar at {where} refused the connection")
        else:
            self.on_connect_failed(reason, f"the sidecar at {where}: {REASONS[reason][1].lower()}")

    # the end

    def _consider_end(self) -> None:
        """Once both sides have said all, the endpoint has a moment to take it."""
        if self._near_ended and self._far_ended and not self.finished:
            if self.far is None:
                self.finish(clock.monotonic())
                return
            self.far.close()
            self.deadline = clock.monotonic() + LAST_WORDS

    def move(self) -> None:
        """Bytes moved; once everything was said they make no more time."""
        if not (self._near_ended and self._far_ended):
            super().move()

    def on_deadline(self, now: float) -> None:
        if self._near_ended and self._far_ended:
            self.release()
            self.finish(now)
        else:
            super().on_deadline(now)

    def release(self) -> None:
        """Let go of the connection, or of the attempt to open one."""
        opening, self._opening = self._opening, None
        if opening is not None:
            opening.cancel()
        far, self.far = self.far, None
        if far is not None:
            far.reset()

    def finish(self, now: float) -> None:
        """See `Exchange.finish`."""
        self.worker.tunnels.discard(self)
        super().finish(now)

    # back-pressure

    def on_client_full(self) -> None:
        if self.far is not None:
            self.far.pause()

    def on_client_ready(self) -> None:
        if self.far is not None:
            self.far.resume()


def _is_reason(reason: str) -> bool:
    """Whether what a sidecar gives as its reason is one that may be counted and logged."""
    return reason in REASONS or _DENIED.fullmatch(reason) is not None


class Far(TunnelEnd):
    """The endpoint's end."""

    def __init__(self, tunnel: Tunnel, endpoint: LiveEndpoint) -> None:
        super().__init__(is_framed=endpoint.config.mesh)
        self.endpoint = endpoint
        self.is_made = False
        self._is_lost = False
        self._tunnel = tunnel

    def __repr__(self) -> str:
        return f"<Far {self.endpoint.address} of {self._tunnel!r}>"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.is_made = True
        if self._tunnel.finished or self._tunnel.endpoint is not self.endpoint:
            self.reset()
            return
        self._tunnel.far = self
        if not self.is_framed:
            self._tunnel.on_far_open(self)

    def give_up(self) -> bool:
        """It took too long to come about: whether it has done so just then. The loop may tell of its end or not."""
        if self.is_made:
            self.transport.abort()
            self.connection_lost(None)
        return self.is_made

    def connection_lost(self, exc: Exception | None) -> None:
        if self._is_lost:
            return
        self._is_lost = True
        self.endpoint.lost()
        self._tunnel.on_far_lost(self, f"{self.endpoint.address}: {exc or 'the connection was closed'}")

    def on_bytes(self, data: bytes | memoryview) -> None:
        if self._tunnel.far is not self:
            return
        if self._tunnel.tunnel:
            self._tunnel.on_tunnel_data(data)
        else:
            self.reset()

    def on_end(self) -> None:
        if self._tunnel.far is not self:
            return
        if self._tunnel.tunnel:
            self._tunnel.on_far_end()
        else:
            self.reset()

    def on_said(self, kind: int, reason: str) -> None:
        if self._tunnel.far is not self or self._tunnel.tunnel:
            self.reset()
        elif kind == OPEN:
            self._tunnel.on_far_open(self)
        else:
            self._tunnel.on_far_refused(reason)

    def pause_writing(self) -> None:
        self._tunnel.on_upstream_full()

    def resume_writing(self) -> None:
        self._tunnel.on_upstream_ready()
