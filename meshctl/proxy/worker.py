"""A worker: one process, one event loop, one core's worth of traffic. It holds the snapshot that is served, the
listeners, the live endpoints, the clock's deadlines and the counters; what it is told to do stands in `orders`."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import msgspec

from meshctl import clock
from meshctl.model.mesh import Mesh
from meshctl.proxy import descriptors
from meshctl.proxy.api_callers import ApiCallers
from meshctl.proxy.client import Client
from meshctl.proxy.complaints import Complaints
from meshctl.proxy.crowd import Crowd
from meshctl.proxy.egress import Egress
from meshctl.proxy.exchange import Exchange
from meshctl.proxy.housekeeping import Housekeeping
from meshctl.proxy.ledger import Ledger
from meshctl.proxy.listener import LiveListener, is_for_app
from meshctl.proxy.membership import Membership
from meshctl.proxy.mesh_tls import MeshTls
from meshctl.proxy.messages import Channel, Identify, Notice
from meshctl.proxy.meters import Meters
from meshctl.proxy.orders import Orders
from meshctl.proxy.overload import Overload
from meshctl.proxy.plain import PlainCallers
from meshctl.proxy.registry import Registry
from meshctl.proxy.relay import Near
from meshctl.proxy.reports import Reports
from meshctl.proxy.service import LiveVersion
from meshctl.proxy.snapshot import Snapshot
from meshctl.proxy.steering import LiveSteering
from meshctl.proxy.timers import COARSE, FINE, Deadlines
from meshctl.proxy.upstream import UpstreamConnection
from meshctl.proxy.vouching import Vouching
from meshctl.wire.tracing import Identifiers

if TYPE_CHECKING:
    from meshctl.proxy.caching import LiveCaching
    from meshctl.proxy.intercept import Interception
    from meshctl.proxy.outward import Outward
    from meshctl.proxy.places import Places
    from meshctl.proxy.tracer import Tracer

HARD_STOP: Final = 1.0
"""Seconds a worker has after its drain time to end what is left."""


class Worker:
    """Everything one worker process holds."""

    places: Places | None = None
    """How many connections each client has, once a listener sets a limit to that."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, channel: Channel, index: int, workers: int, meters: Meters | None = None
    ) -> None:
        self.loop = loop
        self.index = index
        self.workers = workers
        self.ledger = Ledger()
        self.counters = self.ledger.counters
        self.mesh_tls: MeshTls | None = None
        """Who this proxy is to the mesh; None while it has no need to be anybody."""
        self.told: Identify | None = None
        """What that was made of."""
        self.meters = meters or Meters()
        """What it counts together with its siblings."""
        self.reports = Reports(self)
        self.members = Membership(self)
        self.plain_callers = PlainCallers()
        self.api_callers = ApiCallers()
        self.complaints = Complaints(self)
        self.registry = Registry(self)
        self.vouching = Vouching(self)
        self.snapshot = Snapshot(0, Mesh(), {}, self)
        self.steering = LiveSteering(self)
        self.overload = Overload(self)
        self.caching: LiveCaching | None = None
        """What it keeps of answers, once a route asks for that."""
        self.shedding: Overload | None = None
        """The same while it has anything to refuse."""
        self.exchanges: Deadlines[Exchange] = Deadlines(loop, FINE, self.overload.on_tick)
        self.tunnels: Deadlines[Exchange] = Deadlines(loop, COARSE)
        self.clients: Deadlines[Client | Near] = Deadlines(loop, COARSE)
        self.kept: Deadlines[UpstreamConnection] = Deadlines(loop, COARSE)
        self.listeners: dict[str, LiveListener] = {}
        self.draining = False
        self.is_leaving = False
        """Whether nobody is let in any more but the wrapped app, on its way out."""
        self.egress: Egress | None = None
        """The hosts outside the mesh, once anybody asked for one."""
        self.outward: Outward | None = None
        """The way to servers that the proxy itself has to ask, once it has (`outward.outward`)."""
        self.interception: Interception | None = None
        """What serves the wrapped app's own network, where it has one."""
        self.connection_limit = 0
        self.crowd = Crowd(self)
        self.identifiers = Identifiers(clock.bits(64), clock.bits(64))
        self.tracer: Tracer | None = None
        """What records traces, where that is asked for."""
        self.stopped = loop.create_future()
        self.housekeeping = Housekeeping(self)
        self.orders = Orders(self, channel)

    def __repr__(self) -> str:
        return (
            f"<Worker {self.index} on {self.snapshot!r}, {len(self.clients)} clients, {len(self.exchanges)} exchanges>"
        )

    @property
    def service(self) -> str:
        """The service as which this proxy is known to the mesh; "" while it has no identity."""
        return self.mesh_tls.service if self.mesh_tls is not None else ""

    # calls from connections and exchanges

    def next_request_id(self) -> bytes:
        """An identifier no other request of this proxy has."""
        return self.identifiers.next()[0]

    def refuses(self, client: Client | Near) -> str:
        """Why one more client connection may not be open; "" where it may, if need be in the place of one on which
        nothing happens. It is counted either way."""
        counters = self.counters
        counters.accepted += 1
        counters.connections += 1
        self.clients.watch(client)
        if self.places is not None and not self.places.take(client):
            return "too_many_connections"
        return "" if counters.connections <= self.connection_limit or self.crowd.makes_room() else "overloaded"

    def left(self, client: Client | Near) -> None:
        """A client connection has ended."""
        self.clients.discard(client)
        self.counters.connections -= 1
        if self.places is not None:
            self.places.leave(client)

    def rebuild_later(self, version: LiveVersion, seconds: float) -> None:
        """An ejected endpoint of `version` returns in `seconds`: choose anew then."""
        self.loop.call_later(max(seconds, 0.0) + FINE, lambda: version.rebuild(clock.monotonic()))

    def notice(self, event: str, *, is_trouble: bool = True, **fields: str) -> None:
        """Tell the supervisor's log; fields without a value are left out."""
        self.orders.send(Notice(event, {name: value for name, value in fields.items() if value}, is_trouble))

    def adopt(self, snapshot: Snapshot) -> None:
        """Serve `snapshot` from the next request on."""
        self.snapshot = snapshot
        self.registry.adopt(snapshot)
        if self.caching is not None:
            self.caching.adopt(snapshot)
        gateway = snapshot.mesh.gateway
        self._limit_connections(max(1, gateway.limits.connections // self.workers))
        self.overload.configure(gateway.overload.lag)
        if snapshot.mesh.tracing is not None or self.tracer is not None:
            from meshctl.proxy.tracer import tracer_for

            self.tracer = tracer_for(self, snapshot.mesh.tracing)
        if problem := self.ledger.configure(gateway.access_log):
            self.notice("access_log_failed", error=problem)

    def _limit_connections(self, wanted: int) -> None:
        files = descriptors.raise_limit(wanted)
        before, self.connection_limit = self.connection_limit, min(wanted, descriptors.fitting(files))
        if self.connection_limit < wanted and self.connection_limit != before:
            self.notice("files_short", limit=str(files), connections=str(self.connection_limit), wanted=str(wanted))

    def identify(self, told: Identify) -> None:
        """Be known to the mesh as this from the next handshake on. What cannot be used leaves the old one in place."""
        if not told.edge and self.told is not None:
            told = msgspec.structs.replace(told, edge=self.told.edge)
        try:
            tls = MeshTls(told)
        except ValueError as error:
            self.notice("identity_refused", identity=told.identity, error=str(error))
            return
        if tls.doubt:
            self.notice("identity_doubtful", identity=told.identity, error=tls.doubt)
        self.mesh_tls, self.told = tls, told
        self.members.adopt(tls)

    # its end

    def turns_away(self, entry: str) -> bool:
        """Whether who comes in by `entry` now comes too late."""
        return self.draining or (self.is_leaving and not is_for_app(entry))

    def leave(self) -> None:
        """Accept no more for the wrapped app, and let those who call it go as their answers end. What the app has
        begun may still need others, so it may go on calling them."""
        self.is_leaving = True
        for listener in self.listeners.values():
            if not is_for_app(listener.entry):
                listener.close()
        for client in list(self.clients):
            if not is_for_app(client.entry):
                client.drain()

    def drain(self, seconds: float) -> None:
        """Accept no more, let clients go as their answers end, and stop within `seconds`."""
        if self.draining:
            return
        self.draining = True
        for listener in self.listeners.values():
            listener.close()
        if self.interception is not None:
            self.interception.close()
        for client in list(self.clients):
            client.drain()
        self.loop.call_later(seconds, self._give_up)
        self._check_drained()

    def _check_drained(self) -> None:
        if not self.clients:
            self._stop()
        else:
            self.loop.call_later(FINE, self._check_drained)

    def _give_up(self) -> None:
        for client in list(self.clients):
            client.transport.abort()
        self.loop.call_later(HARD_STOP, self._stop)

    def _stop(self) -> None:
        if not self.stopped.done():
            self.stopped.set_result(None)

    def close(self) -> None:
        """Write what is left to write."""
        self.housekeeping.stop()
        self.reports.tell()
        if self.tracer is not None:
            self.tracer.flush(last=True)
        self.ledger.close()


def run(end: socket.socket, index: int, workers: int, meters: Meters | None = None) -> int:
    """Be worker `index` of `workers` until told to drain; the exit status. Called in a process of its own."""
    import uvloop

    clock.reseed()
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    # Ctrl-C and Ctrl-\ reach the whole process group: the supervisor decides what follows from them.
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    # Nearly all that a request makes is freed by its reference count. What a young collection looks at meanwhile is the
    # traffic of the moment, so it comes a hundredth as often as by default.
    gc.set_threshold(70_000, 10, 10)
    _keep_freed_memory()
    worker = Worker(loop, Channel(end), index, workers, meters)
    loop.add_signal_handler(signal.SIGTERM, lambda: worker.drain(worker.snapshot.timeouts.drain))
    try:
        loop.run_until_complete(worker.stopped)
        # A loop that runs once more needs files, of which there may be none.
        with suppress(OSError):
            if worker.outward is not None:
                loop.run_until_complete(worker.outward.close())
            loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        worker.close()
    return 0


def _keep_freed_memory() -> None:
    """Have glibc keep up to 4 MiB that were freed instead of giving them back at once.

    A piece of a body is read into fresh memory and freed when it is sent; where that lies at the end of the heap, each
    would be returned to the kernel and fetched, page by page, anew: a third of the cost of a large body. Freeing a
    block above the threshold for blocks of their own raises it, and with it, to the double, the one for keeping
    (mallopt(3), M_MMAP_THRESHOLD). The block is never written to, so it takes no memory.
    """
    bytes(2 << 20)
