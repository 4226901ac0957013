"""What a worker does when its supervisor tells it to: compile a revision, serve it or forget it, take on an identity,
use other endpoints or weights, steer otherwise, answer a question, drain. In the order they were given, each whole
before the next."""

from __future__ import annotations

import gc
import socket
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec

from meshctl.errors import MeshError
from meshctl.model.login import Claimed, Renewed, Sealing
from meshctl.model.mesh import decode
from meshctl.model.tap import TapOrder, Taps
from meshctl.proxy.inside import Enclosed
from meshctl.proxy.listener import LiveListener
from meshctl.proxy.messages import (
    Abort,
    Answer,
    Ask,
    Channel,
    Commit,
    Discovered,
    Drain,
    Fetched,
    Guard,
    Identify,
    Keyed,
    Message,
    Prepare,
    Prepared,
    Reopen,
    Steered,
    Weighted,
)
from meshctl.proxy.process_group import end_group
from meshctl.proxy.snapshot import Snapshot
from meshctl.proxy.tasks import spawn
from meshctl.proxy.tls import ListenerTls

if TYPE_CHECKING:
    from meshctl.proxy.tapping import Tapping
    from meshctl.proxy.worker import Worker

GUARDED_GRACE: Final = 3.0
"""Seconds that an app gets to end when its wrapper is gone."""


class Pending(NamedTuple):
    """A revision that was compiled and waits for the supervisor's word."""

    order: Prepare
    snapshot: Snapshot
    opened: dict[str, LiveListener]
    renewed: dict[str, ListenerTls]


class Orders:
    """The worker's end of the channel to its supervisor."""

    def __init__(self, worker: Worker, channel: Channel) -> None:
        self.channel = channel
        self._worker = worker
        self._pending: Pending | None = None
        self._guarded = 0
        self._tapping: Tapping | None = None
        worker.loop.add_reader(channel.socket, self._on_readable)

    def __repr__(self) -> str:
        return f"<Orders {self.channel!r}, {'a change' if self._pending else 'nothing'} pending>"

    def send(self, message: Message) -> None:
        """Tell the supervisor."""
        try:
            if not self.channel.send(message):
                self._worker.loop.add_writer(self.channel.socket, self._on_writable)
        except OSError:
            pass  # The supervisor is gone: reading its end tells, and ends this worker.

    def _on_writable(self) -> None:
        try:
            if self.channel.flush():
                self._worker.loop.remove_writer(self.channel.socket)
        except OSError:
            self._worker.loop.remove_writer(self.channel.socket)

    def _on_readable(self) -> None:
        worker = self._worker
        try:
            for message in self.channel.receive():
                self._obey(message)
        except EOFError:
            # The supervisor is gone: nobody would restart or stop this worker, so it ends as if told to.
            worker.loop.remove_reader(self.channel.socket)
            self._tap(())
            spawn(self._outlive(), name="outlive")

    async def _outlive(self) -> None:
        """End what the supervisor has left: the app, which nobody would stop either, and then this worker. Meanwhile
        nobody is let in who would find no app: each of them had to be asked again elsewhere."""
        if self._guarded:
            self._worker.leave()
            await end_group(self._guarded, GUARDED_GRACE)
        self._worker.drain(self._worker.snapshot.timeouts.drain)

    def _obey(self, message: Message) -> None:
        worker = self._worker
        match message:
            case Prepare():
                self._prepare(message)
            case Commit(number):
                self._commit(number)
            case Abort(number):
                self._abort(number)
            case Identify():
                worker.identify(message)
            case Discovered(listed):
                worker.registry.discover(listed)
                worker.housekeeping.adopt(worker.snapshot)
            case Weighted(weights):
                worker.registry.weigh(weights)
            case Steered(steering):
                worker.steering.take(steering)
            case Keyed():
                worker.vouching.take(message)
            case Fetched():
                worker.vouching.fetched(message)
            case Sealing() | Claimed() | Renewed():
                worker.vouching.about_sessions(message)
            case Taps(orders):
                self._tap(orders)
            case Ask(number, what):
                self.send(Answer(number, self._answer(what)))
            case Reopen():
                worker.ledger.reopen()
            case Drain(seconds):
                worker.drain(seconds)
            case Guard(group):
                self._guarded = group
            case Enclosed(names):
                self._enclose(names)
            case _:
                pass

    def _prepare(self, order: Prepare) -> None:
        worker = self._worker
        # Holds whatever becomes of the revision.
        worker.steering.take(order.steering)
        handles = self.channel.take(len(order.opened))
        sockets = {key: socket.socket(fileno=handle) for key, handle in zip(order.opened, handles, strict=True)}
        # Only of a worker that was started during a change: it was told of the revision before, and may have it
        # already.
        self._forget()
        for key in worker.listeners.keys() & sockets.keys():
            sockets.pop(key).close()
        # Nearly all that is made here stays, and clients wait meanwhile: to look for garbage in it would double their
        # wait.
        gc.disable()
        try:
            snapshot = worker.registry.compile(order.revision, decode(order.mesh), order.listed, order.weights)
            renewed = self._renewed(order)
            opened = {
                spec.key: LiveListener(worker, spec, sockets[spec.key])
                for spec in order.listeners
                if spec.key not in worker.listeners
            }
        except Exception as error:
            for each in sockets.values():
                each.close()
            if isinstance(error, MeshError | ValueError | OSError):
                self.send(Prepared(order.number, refusal=str(error)))
                return
            # A defect of ours: the supervisor need not wait for an answer, and the loop's handler tells the rest.
            self.send(Prepared(order.number, refusal=f"unexpected {type(error).__name__}"))
            raise
        finally:
            gc.enable()
        self._pending = Pending(order, snapshot, opened, renewed)
        self.send(Prepared(order.number))

    def _renewed(self, order: Prepare) -> dict[str, ListenerTls]:
        """The certificates of listeners that stay, loaded anew. Raises ValueError."""
        found = {}
        for spec in order.listeners:
            known = self._worker.listeners.get(spec.key)
            made = known.prepare(spec) if known else None
            if made is not None:
                found[spec.key] = made
        return found

    def _commit(self, number: int) -> None:
        pending, self._pending = self._pending, None
        if pending is None or pending.order.number != number:
            return
        worker = self._worker
        worker.adopt(pending.snapshot)
        worker.steering.apply()
        for key, tls in pending.renewed.items():
            current = worker.listeners[key].tls
            if current is not None:
                current.adopt(tls)
        for listener in pending.opened.values():
            listener.start()
        wanted = {spec.key for spec in pending.order.listeners}
        for key in worker.listeners.keys() - wanted:
            worker.listeners.pop(key).close()
        worker.listeners |= pending.opened
        limits = {each.address: each.per_client for each in pending.order.listeners if each.per_client}
        if limits or worker.places is not None:
            from meshctl.proxy.places import limit_clients

            limit_clients(worker, limits)
        worker.housekeeping.adopt(pending.snapshot)
        if worker.interception is not None:
            worker.interception.open()

    def _enclose(self, names: tuple[str, ...]) -> None:
        """The app has a network of its own. What serves it is loaded for those that have."""
        from meshctl.proxy.intercept import Interception

        handles = dict(zip(names, self.channel.take(len(names)), strict=True))
        self._worker.interception = Interception(self._worker, handles)

    def _tap(self, orders: tuple[TapOrder, ...]) -> None:
        """Show requests to those who look on. What does that is loaded for the first of them."""
        if self._tapping is None and orders:
            from meshctl.proxy.tapping import Tapping

            self._tapping = Tapping(self._worker)
        if self._tapping is not None:
            self._tapping.take(orders)

    def _abort(self, number: int) -> None:
        if self._pending is not None and self._pending.order.number == number:
            self._forget()

    def _forget(self) -> None:
        pending, self._pending = self._pending, None
        if pending is not None:
            for listener in pending.opened.values():
                listener.close()

    def _answer(self, what: str) -> bytes:
        if what == "sample":
            worker = self._worker
            if worker.caching is not None:
                worker.counters.cache = worker.caching.count()
            return worker.ledger.sample()
        if what == "services":
            return msgspec.msgpack.encode(self._worker.registry.views())
        if what == "plain":
            own = self._worker.mesh_tls
            return msgspec.msgpack.encode(self._worker.plain_callers.views(own.service if own else ""))
        if what == "api_callers":
            return msgspec.msgpack.encode(self._worker.api_callers.views())
        if what == "denied":
            return msgspec.msgpack.encode(self._worker.counters.denials())
        if what == "mirrors":
            return msgspec.msgpack.encode(self._worker.steering.counts())
        return b""
