"""A worker: one process, one event loop, one core's worth of traffic. It takes orders from its supervisor over a
channel, compiles revisions into snapshots, accepts on the sockets it is given and counts what happened."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
from typing import Final, NamedTuple

import msgspec

from meshctl import clock
from meshctl.errors import MeshError
from meshctl.model.mesh import Mesh, decode
from meshctl.proxy.client import Client
from meshctl.proxy.exchange import Exchange
from meshctl.proxy.housekeeping import Housekeeping
from meshctl.proxy.ledger import Ledger
from meshctl.proxy.listener import LiveListener
from meshctl.proxy.messages import (
    Abort,
    Answer,
    Ask,
    Channel,
    Commit,
    Drain,
    Message,
    Notice,
    Prepare,
    Prepared,
    Reopen,
)
from meshctl.proxy.registry import Registry
from meshctl.proxy.service import LiveVersion
from meshctl.proxy.snapshot import Snapshot
from meshctl.proxy.timers import COARSE, FINE, Deadlines
from meshctl.proxy.tls import ListenerTls
from meshctl.proxy.upstream import UpstreamConnection

HARD_STOP: Final = 1.0
"""Seconds a worker has after its drain time to end what is left."""


class Pending(NamedTuple):
    """A revision that was compiled and waits for the supervisor's word."""

    order: Prepare
    snapshot: Snapshot
    opened: dict[str, LiveListener]
    renewed: dict[str, ListenerTls]


class Worker:
    """Everything one worker process holds."""

    def __init__(self, loop: asyncio.AbstractEventLoop, channel: Channel, index: int, workers: int) -> None:
        self.loop = loop
        self.index = index
        self.workers = workers
        self.ledger = Ledger()
        self.counters = self.ledger.counters
        self.registry = Registry(self)
        self.snapshot = Snapshot(0, Mesh(), {}, self)
        self.exchanges: Deadlines[Exchange] = Deadlines(loop, FINE)
        self.clients: Deadlines[Client] = Deadlines(loop, COARSE)
        self.kept: Deadlines[UpstreamConnection] = Deadlines(loop, COARSE)
        self.listeners: dict[str, LiveListener] = {}
        self.draining = False
        self._channel = channel
        self._pending: Pending | None = None
        self._connection_limit = 0
        self._id_prefix = b"%016x" % clock.bits(64)
        self._id_count = 0
        self.stopped = loop.create_future()
        self.housekeeping = Housekeeping(self)
        loop.add_reader(channel.socket, self._on_orders)

    def __repr__(self) -> str:
        return (
            f"<Worker {self.index} on {self.snapshot!r}, {len(self.clients)} clients, {len(self.exchanges)} exchanges>"
        )

    # calls from connections and exchanges

    def next_request_id(self) -> bytes:
        """An identifier no other request of this proxy has."""
        self._id_count += 1
        return b"%b-%08x" % (self._id_prefix, self._id_count)

    def admits(self, client: Client) -> bool:
        """Whether one more client connection may be open; it is counted either way."""
        counters = self.counters
        counters.accepted += 1
        counters.connections += 1
        self.clients.watch(client)
        return counters.connections <= self._connection_limit

    def left(self, client: Client) -> None:
        """A client connection has ended."""
        self.clients.discard(client)
        self.counters.connections -= 1

    def rebuild_later(self, version: LiveVersion, seconds: float) -> None:
        """An ejected endpoint of `version` returns in `seconds`: choose anew then."""
        self.loop.call_later(max(seconds, 0.0) + FINE, lambda: version.rebuild(clock.monotonic()))

    def notice(self, event: str, *, is_trouble: bool = True, **fields: str) -> None:
        """Tell the supervisor's log; fields without a value are left out."""
        self._send(Notice(event, {name: value for name, value in fields.items() if value}, is_trouble))

    # orders from the supervisor

    def _on_orders(self) -> None:
        try:
            for message in self._channel.receive():
                self._obey(message)
        except EOFError:
            # The supervisor is gone: nobody would restart or stop this worker, so it ends as if told to.
            self.loop.remove_reader(self._channel.socket)
            self.drain(self.snapshot.timeouts.drain)

    def _obey(self, message: Message) -> None:
        match message:
            case Prepare():
                self._prepare(message)
            case Commit(number):
                self._commit(number)
            case Abort(number):
                self._abort(number)
            case Ask(number, what):
                self._send(Answer(number, self._answer(what)))
            case Reopen():
                self.ledger.reopen()
            case Drain(seconds):
                self.drain(seconds)
            case _:
                pass

    def _prepare(self, order: Prepare) -> None:
        sockets = dict(zip(order.opened, self._channel.take_sockets(len(order.opened)), strict=True))
        # Only of a worker that was started during a change: it was told of the revision before, and may have it
        # already.
        self._forget_pending()
        for key in self.listeners.keys() & sockets.keys():
            sockets.pop(key).close()
        # Nearly all that is made here stays, and clients wait meanwhile: to look for garbage in it would double their
        # wait.
        gc.disable()
        try:
            snapshot = self.registry.compile(order.revision, decode(order.mesh))
            renewed = self._renewed(order)
            opened = {
                spec.key: LiveListener(self, spec, sockets[spec.key], snapshot.timeouts.handshake)
                for spec in order.listeners
                if spec.key not in self.listeners
            }
        except Exception as error:
            for each in sockets.values():
                each.close()
            if isinstance(error, MeshError | ValueError | OSError):
                self._send(Prepared(order.number, refusal=str(error)))
                return
            # A defect of ours: the supervisor need not wait for an answer, and the loop's handler tells the rest.
            self._send(Prepared(order.number, refusal=f"unexpected {type(error).__name__}"))
            raise
        finally:
            gc.enable()
        self._pending = Pending(order, snapshot, opened, renewed)
        self._send(Prepared(order.number))

    def _renewed(self, order: Prepare) -> dict[str, ListenerTls]:
        """The certificates of listeners that stay, loaded anew. Raises ValueError."""
        found = {}
        for spec in order.listeners:
            known = self.listeners.get(spec.key)
            made = known.prepare(spec) if known else None
            if made is not None:
                found[spec.key] = made
        return found

    def _commit(self, number: int) -> None:
        pending, self._pending = self._pending, None
        if pending is None or pending.order.number != number:
            return
        self.snapshot = pending.snapshot
        self.registry.adopt(pending.snapshot)
        gateway = pending.snapshot.mesh.gateway
        self._connection_limit = max(1, gateway.limits.connections // self.workers)
        if problem := self.ledger.configure(gateway.access_log):
            self.notice("access_log_failed", error=problem)
        for key, tls in pending.renewed.items():
            current = self.listeners[key].tls
            if current is not None:
                current.adopt(tls)
        for listener in pending.opened.values():
            listener.start()
        wanted = {spec.key for spec in pending.order.listeners}
        for key in self.listeners.keys() - wanted:
            self.listeners.pop(key).close()
        self.listeners |= pending.opened
        self.housekeeping.adopt(pending.snapshot)

    def _abort(self, number: int) -> None:
        if self._pending is not None and self._pending.order.number == number:
            self._forget_pending()

    def _forget_pending(self) -> None:
        pending, self._pending = self._pending, None
        if pending is not None:
            for listener in pending.opened.values():
                listener.close()

    def _answer(self, what: str) -> bytes:
        if what == "sample":
            return self.ledger.sample()
        if what == "services":
            return msgspec.msgpack.encode(self.registry.views())
        return b""

    def _send(self, message: Message) -> None:
        try:
            if not self._channel.send(message):
                self.loop.add_writer(self._channel.socket, self._on_writable)
        except OSError:
            pass  # The supervisor is gone: reading its end tells, and ends this worker.

    def _on_writable(self) -> None:
        try:
            if self._channel.flush():
                self.loop.remove_writer(self._channel.socket)
        except OSError:
            self.loop.remove_writer(self._channel.socket)

    # its end

    def drain(self, seconds: float) -> None:
        """Accept no more, let clients go as their answers end, and stop within `seconds`."""
        if self.draining:
            return
        self.draining = True
        for listener in self.listeners.values():
            listener.close()
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
        self.ledger.close()


def run(end: socket.socket, index: int, workers: int) -> int:
    """Be worker `index` of `workers` until told to drain; the exit status. Called in a process of its own."""
    import uvloop

    clock.reseed()
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    # Ctrl-C reaches the whole process group: the supervisor decides what follows from it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    # Nearly all that a request makes is freed by its reference count. What a young collection looks at meanwhile is the
    # traffic of the moment, so it comes a hundredth as often as by default.
    gc.set_threshold(70_000, 10, 10)
    worker = Worker(loop, Channel(end), index, workers)
    loop.add_signal_handler(signal.SIGTERM, lambda: worker.drain(worker.snapshot.timeouts.drain))
    try:
        loop.run_until_complete(worker.stopped)
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        worker.close()
    return 0
