"""The life of a proxy: it holds the sockets, the lease and the workers, follows the store, and answers questions.

    store ──watch──▶ supervisor ──Prepare, Commit──▶ workers          a new revision: all of them serve it, or none
                         │◀───────Prepared, samples────┘
                         └──acknowledgement──▶ store

It never touches a request: if it dies the workers finish what is in flight and end; while the store cannot be read or
written they go on with what they have.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from typing import Final

import msgspec

from meshctl import __version__, clock
from meshctl.control.acks import acknowledge, register
from meshctl.control.fleet import Fleet
from meshctl.control.revisions import Revision, current, pointer
from meshctl.control.sampling import Sampling
from meshctl.control.serving import Overrides, Serving, by_name, live_series
from meshctl.control.sockets import Bound
from meshctl.errors import MeshError
from meshctl.model.mesh import Mesh
from meshctl.model.views import Acknowledgement, ProxyRecord, ProxyView
from meshctl.observe.log import Events
from meshctl.proxy.messages import Prepare, Reopen
from meshctl.proxy.tasks import spawn
from meshctl.store.protocol import Store

LOOK_EVERY: Final = 0.05
"""Seconds between two looks at the store: a change is live everywhere within 150 ms. A look costs some ten
microseconds."""
LEASE: Final = 30.0
KEEP_ALIVE_EVERY: Final = 10.0


class Supervisor:
    """See the module."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, store: Store, record: ProxyRecord, overrides: Overrides
    ) -> None:
        self.loop = loop
        self.store = store
        self.record = record
        self.overrides = overrides
        self.serving: Serving | None = None
        self.mesh = Mesh()
        self.refused = 0
        self.refusal = ""
        self.state = "starting"
        self.status: int | None = None
        self.failure: MeshError | None = None
        self.on_begin: Callable[[str], str] = lambda _address: ""
        """Opens the admin API at an address; gives its URL. Raises MeshError."""
        self.on_ready: Callable[[ProxyView], None] = lambda _view: None
        self._events = Events("gateway")
        self._watch = store.watch()
        self._lease = ""
        self._changing = asyncio.Lock()
        first = current(store)
        count = overrides.workers
        if count is None:
            count = first.mesh().gateway.workers if first else 1
        self.fleet = Fleet(loop, count or len(os.sched_getaffinity(0)), self._order_for)
        self.fleet.on_absent = self._leave
        self.sampling = Sampling(loop, self.fleet)

    def __repr__(self) -> str:
        return f"<Supervisor {self.record.id} {self.state} on revision {self.number}>"

    @property
    def number(self) -> int:
        """The revision that traffic runs on."""
        return self.serving.revision.number if self.serving else 0

    # its life

    def run(self) -> int:
        """Serve until stopped; the exit status. Raises MeshError where it cannot begin."""
        loop = self.loop
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        loop.add_signal_handler(signal.SIGHUP, self.reopen)
        self.fleet.fork_due()
        loop.call_soon(lambda: spawn(self._begin(), name="begin"))
        while self.status is None:
            # A worker that is due stops the loop, because a fork inside of it would take it along.
            loop.run_forever()
            self.fleet.fork_due()
        if self.failure is not None:
            raise self.failure
        return self.status

    async def _begin(self) -> None:
        try:
            revision = current(self.store)
            if revision is None:
                raise MeshError("not_found", "nothing has been applied to this home", hint="run `meshctl apply`")
            admin = self.on_begin(self.overrides.admin or revision.mesh().gateway.admin)
            self.record = msgspec.structs.replace(self.record, admin=admin)
            self._lease = self.store.grant(LEASE)
            register(self.store, self.record, self._lease)
            refusal = await self._change_to(revision)
            if refusal:
                raise MeshError("refused", f"revision {revision.number} cannot be served: {refusal}")
        except MeshError as error:
            self._fail(error)
            return
        if self.state != "starting":
            return
        self.state = "ready"
        self.loop.call_later(LOOK_EVERY, self._look)
        self.loop.call_later(KEEP_ALIVE_EVERY, self._keep_alive)
        self.sampling.start()
        self.on_ready(self.view())

    def _fail(self, error: MeshError) -> None:
        self.failure = error
        self.stop()

    def stop(self) -> None:
        """Accept no more, finish what is in flight, end. A second time: end at once."""
        if self.fleet.is_stopping:
            self.fleet.kill()
            return
        self.state = "draining"
        # Ours must be closed first: a socket that stays open here would take connections that nobody accepts.
        for bound in self.bounds.values():
            bound.close()
        seconds = self.mesh.gateway.timeouts.drain
        self.fleet.stop(seconds if self.failure is None else 0.0)
        spawn(self._end(), name="end")

    async def _end(self) -> None:
        await self.fleet.empty
        try:
            self.store.release(self._lease)
        except MeshError as error:
            self._events.warning("lease_not_released", error=error.message)
        self.status = 0
        self.loop.stop()

    def reopen(self) -> None:
        """The access log was rotated (SIGHUP)."""
        self.fleet.tell(Reopen())

    # following the store

    def _look(self) -> None:
        self.loop.call_later(LOOK_EVERY, self._look)
        try:
            if self._watch.changed():
                spawn(self._follow(), name="follow")
        except MeshError as error:
            self._store_failed(error)

    def _leave(self, index: int) -> None:
        """Worker `index` will be away for a while: no connection may wait for it."""
        for bound in self.bounds.values():
            try:
                bound.renew(index)
            except OSError as error:
                self._events.error("socket_not_renewed", listener=bound.address, error=error)

    async def _follow(self) -> None:
        async with self._changing:
            try:
                latest = pointer(self.store)
                if latest is None or latest.number in {self.number, self.refused} or self.fleet.is_stopping:
                    return
                revision = current(self.store)
            except MeshError as error:
                self._store_failed(error)
                return
            assert revision is not None
            refusal = await self._change_to(revision)
            if refusal:
                self._events.error("revision_refused", revision=revision.number, reason=refusal, serving=self.number)

    async def _change_to(self, revision: Revision) -> str:
        """Serve `revision`, all workers or none, and say so in the store; "" or why not."""
        opened: dict[str, Bound] = {}
        try:
            mesh = revision.mesh()
            wanted = by_name(self.overrides.listeners(mesh))
            for name in wanted.keys() - self.bounds.keys():
                opened[name] = Bound(wanted[name].host, wanted[name].port, len(self.fleet.slots))
            bounds = {name: opened.get(name) or self.bounds[name] for name in wanted}
            serving = Serving(revision, wanted, bounds)
            refusal = await self.fleet.change(lambda index: serving.order(index, self._known))
        except MeshError as error:
            if not self.serving:
                raise
            refusal = f"{error.message} ({error.hint})" if error.hint else error.message
        if refusal:
            for bound in opened.values():
                bound.close()
            self.refused, self.refusal = revision.number, refusal
        else:
            for name in self.bounds.keys() - bounds.keys():
                self.bounds[name].close()
            self.serving, self.mesh = serving, mesh
            self.refused, self.refusal = 0, ""
            self.fleet.catch_up(revision.number)
            self.fleet.totals.retire(live_series(mesh))
            self._tell_listeners()
        self._acknowledge(revision.number, refusal)
        return refusal

    @property
    def bounds(self) -> dict[str, Bound]:
        """The sockets traffic comes in by, by their configured addresses."""
        return self.serving.bounds if self.serving else {}

    @property
    def _known(self) -> frozenset[str]:
        return self.serving.keys if self.serving else frozenset()

    def _order_for(self, index: int) -> tuple[Prepare, list[int]] | None:
        """What a worker that was started again should serve."""
        return self.serving.order(index, frozenset()) if self.serving else None

    def _acknowledge(self, number: int, refusal: str) -> None:
        answer = Acknowledgement(self.record.id, number, not refusal, refusal, clock.wall())
        try:
            acknowledge(self.store, answer, self._lease)
        except MeshError as error:
            self._store_failed(error)

    def _tell_listeners(self) -> None:
        listeners = self.serving.views() if self.serving else ()
        if listeners != self.record.listeners:
            self.record = msgspec.structs.replace(self.record, listeners=listeners)
            self._register()

    def _keep_alive(self) -> None:
        self.loop.call_later(KEEP_ALIVE_EVERY, self._keep_alive)
        # A change that was seen while the store could not be read.
        spawn(self._follow(), name="follow")
        try:
            if self.store.keep_alive(self._lease):
                return
            # The machine slept for longer than the lease lives: begin a new one.
            self._lease = self.store.grant(LEASE)
            self._register()
            self._acknowledge(self.refused or self.number, self.refusal)
        except MeshError as error:
            self._store_failed(error)

    def _register(self) -> None:
        try:
            register(self.store, self.record, self._lease)
        except MeshError as error:
            self._store_failed(error)

    def _store_failed(self, error: MeshError) -> None:
        # Traffic does not need the store; it is tried again at the next occasion.
        self._events.error("store_failed", error=error.message, serving=self.number)

    # what is asked

    def view(self) -> ProxyView:
        """The proxy as `gateway status` shows it."""
        record = self.record
        try:
            latest = pointer(self.store)
        except MeshError:
            latest = None
        return ProxyView(
            id=record.id,
            role=record.role,
            pid=record.pid,
            version=__version__,
            started=record.started,
            revision=self.number,
            latest=latest.number if latest else self.number,
            refusal=self.refusal,
            source=record.source or (self.serving.revision.summary.source if self.serving else ""),
            admin=record.admin,
            state=self.state,
            listeners=record.listeners,
            workers=self.fleet.views(),
        )
