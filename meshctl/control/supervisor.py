"""The life of a proxy: it holds the sockets, the lease and the workers, follows the store, and answers questions.

It never touches a request: if it dies the workers finish what is in flight and end; while the store cannot be read or
written they go on with what they have. What is served, and how that changes, stands in `changing`.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from typing import Final

import msgspec

from meshctl import __version__, clock
from meshctl.control.acks import register
from meshctl.control.at_start import AtStart
from meshctl.control.changing import Changing
from meshctl.control.comparing import Comparing
from meshctl.control.discovery import announce, bury, withdraw
from meshctl.control.driving import Driving
from meshctl.control.exporting import Exporting
from meshctl.control.fleet import Fleet
from meshctl.control.identity import Identity
from meshctl.control.jwks import Jwks
from meshctl.control.limits import LiveLimits
from meshctl.control.looking import Looking
from meshctl.control.revisions import current, nothing, pointer
from meshctl.control.roles import Role
from meshctl.control.sampling import Sampling
from meshctl.core.faults import active
from meshctl.errors import MeshError
from meshctl.model.mesh import Mesh
from meshctl.model.registration import Registration
from meshctl.model.views import AppView, ProxyRecord, ProxyView
from meshctl.observe.log import Events
from meshctl.proxy.messages import Reopen
from meshctl.proxy.tasks import spawn
from meshctl.store.home import Home
from meshctl.store.protocol import Store

LEASE: Final = 30.0
KEEP_ALIVE_EVERY: Final = 10.0


class Supervisor:
    """See the module."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, home: Home, store: Store, record: ProxyRecord, role: Role
    ) -> None:
        self.loop = loop
        self.store = store
        self.record = record
        self.role = role
        self.state = "starting"
        self.status: int | None = None
        self.failure: MeshError | None = None
        self.on_begin: Callable[[str], tuple[str, str]] = lambda _address: ("", "")
        """Opens the admin API at an address; gives its URL, and where it is then. Raises MeshError."""
        self.on_ready: Callable[[ProxyView], None] = lambda _view: None
        self.on_stop: Callable[[], None] = self.stop
        """What the first SIGTERM or SIGINT does."""
        self.on_store_changed: Callable[[], None] = lambda: None
        self._events = Events(role.name)
        self._watch = store.watch()
        self._lease = ""
        self._registration: Registration | None = None
        self._turn = 0
        self.at_start = AtStart(role, (current(store) or nothing()).mesh().gateway)
        self.fleet = Fleet(loop, self.at_start.workers)
        self.fleet.on_absent = self._leave
        self.identity = Identity(home, store, self.fleet, role.service, record.id)
        self.changing = Changing(store, role, self.fleet, self.identity, record.id, lambda: self._lease)
        self.changing.on_changed = self._on_changed
        self.changing.pending = self.at_start.pending
        self.jwks = Jwks(home, self.fleet)
        self.comparing = Comparing(self.fleet, lambda: self.changing.steering)
        self.sampling = Sampling(loop, self.fleet)
        self.limits = LiveLimits(loop, home, self.fleet)
        self.exporting = Exporting(self.fleet, record)
        self.driving = Driving(store, record.id, record.pid, str(home.path))

    def __repr__(self) -> str:
        return f"<Supervisor {self.record.id} {self.state} on revision {self.number}>"

    @property
    def number(self) -> int:
        """The revision that traffic runs on."""
        return self.changing.number

    @property
    def mesh(self) -> Mesh:
        """What is served."""
        return self.changing.mesh

    # its life

    def run(self) -> int:
        """Serve until stopped; the exit status. Raises MeshError where it cannot begin."""
        loop = self.loop
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_signal)
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
            if not self.role.may_begin_empty and current(self.store) is None:
                raise MeshError("not_found", "nothing has been applied to this home", hint="run `meshctl apply`")
            admin, bound = self.on_begin(self.at_start.admin)
            self.record = msgspec.structs.replace(self.record, admin=admin, admin_address=bound)
            self._lease = self.store.grant(LEASE)
            register(self.store, self.record, self._lease)
            await self.changing.begin()
        except MeshError as error:
            self.fail(error)
            return
        if self.state != "starting":
            return
        self.state = "ready"
        Looking(self.loop, self._watch.fileno(), self._look, self._bury).start()
        self.loop.call_later(KEEP_ALIVE_EVERY, self._keep_alive)
        self.sampling.start()
        self._drive()
        self.on_ready(self.view())

    def _on_signal(self) -> None:
        if self.fleet.is_stopping:
            self.stop()
        else:
            self.on_stop()

    def fail(self, error: MeshError) -> None:
        """End because of `error`, which `run` raises then."""
        self.failure = error
        self.stop()

    def stop(self) -> None:
        """Accept no more, finish what is in flight, end. A second time: end at once."""
        if self.fleet.is_stopping:
            self.fleet.kill()
            return
        self.state = "draining"
        self.driving.stop()
        self.jwks.stop()
        # Ours must be closed first: a socket that stays open here would take connections that nobody accepts.
        for bound in self.changing.bounds.values():
            bound.close()
        seconds = self.mesh.gateway.timeouts.drain
        self.fleet.stop(seconds if self.failure is None else 0.0)
        spawn(self._end(), name="end")

    async def _end(self) -> None:
        await self.fleet.empty
        self.limits.close()
        await self.exporting.close()
        try:
            self.store.release(self._lease)
        except MeshError as error:
            self._events.warning("lease_not_released", error=error.message)
        self.status = 0
        self.loop.stop()

    def reopen(self) -> None:
        """The access log was rotated (SIGHUP)."""
        self.fleet.tell(Reopen())

    # the endpoint of a sidecar

    def announce(self, registration: Registration) -> int:
        """Have every proxy send traffic to this endpoint, as long as this process lives; the store revision from which
        on they do. Raises MeshError."""
        self._registration = registration
        return announce(self.store, registration, self._lease)

    def withdraw(self) -> int:
        """Have nobody send traffic here any more; the store revision from which on that holds, 0 where there was none.
        Raises MeshError."""
        revision = withdraw(self.store, self._registration) if self._registration else 0
        self._registration = None
        return revision

    def tell_app(self, app: AppView) -> None:
        """Let people know how the wrapped app fares."""
        self.record = msgspec.structs.replace(self.record, app=app)
        if self._lease:
            self._register()

    # following the store

    def _look(self) -> None:
        try:
            if self._watch.changed():
                spawn(self.changing.follow(), name="follow")
                self.identity.follow()
                self._drive()
                self.on_store_changed()
            self.identity.look()
        except MeshError as error:
            self.changing.store_failed(error)

    def _drive(self) -> None:
        try:
            self.driving.follow()
        except MeshError as error:
            self.changing.store_failed(error)

    def _leave(self, index: int) -> None:
        """Worker `index` will be away for a while: no connection may wait for it."""
        for bound in self.changing.bounds.values():
            try:
                bound.renew(index)
            except OSError as error:
                self._events.error("socket_not_renewed", listener=bound.address, error=error)

    def _on_changed(self) -> None:
        self._tell_listeners()
        for each in (self.limits, self.jwks, self.exporting):
            each.adopt(self.mesh)

    def _tell_listeners(self) -> None:
        listeners = self.changing.serving.views() if self.changing.serving else ()
        if listeners != self.record.listeners:
            self.record = msgspec.structs.replace(self.record, listeners=listeners)
            self._register()

    def _bury(self) -> None:
        self._turn += 1
        try:
            for each in bury(self.store, self.changing.registrations, self._turn):
                self._events.warning("endpoint_buried", service=each.service, proxy=each.proxy, process=each.pid)
        except MeshError as error:
            self.changing.store_failed(error)

    def _keep_alive(self) -> None:
        self.loop.call_later(KEEP_ALIVE_EVERY, self._keep_alive)
        # A change that was seen while the store could not be read, or a lease that ended.
        spawn(self.changing.follow(), name="follow")
        self.identity.follow()
        self._drive()
        try:
            if self.store.keep_alive(self._lease):
                return
            # The machine slept for longer than the lease lives: begin a new one.
            self._lease = self.store.grant(LEASE)
            self._register()
            self.changing.acknowledge()
            if self._registration is not None:
                announce(self.store, self._registration, self._lease)
        except MeshError as error:
            self.changing.store_failed(error)

    def _register(self) -> None:
        try:
            register(self.store, self.record, self._lease)
        except MeshError as error:
            self.changing.store_failed(error)

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
            refusal=self.changing.refusal,
            source=record.source or (self.changing.serving.revision.summary.source if self.changing.serving else ""),
            admin=record.admin,
            admin_address=record.admin_address,
            pending=self.at_start.pending(self.mesh),
            state=self.state,
            listeners=record.listeners,
            workers=self.fleet.views(),
            identity=self.identity.view,
            service=record.service,
            app_version=record.app_version,
            app=record.app,
            faults=active(self.changing.steering.faults, clock.wall()),
            mirrors=self.changing.steering.mirrors,
        )
