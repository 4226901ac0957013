"""How what is served becomes something else: a new revision, other services, other endpoints, a new identity.

    store ──follow──▶ Changing ──Prepare, Commit──▶ workers      a revision, a service: all of them serve it, or none
                          ├─Discovered, Weighted,──▶ workers      endpoints that came or went, weights, faults and
                          │ Steered                               mirrors: nobody can refuse these
                          └──acknowledgement──▶ store

One change at a time. While the store cannot be read, what is served stays.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from meshctl import clock
from meshctl.control.acks import acknowledge
from meshctl.control.discovery import Name, Registrations, extended, remembered
from meshctl.control.fleet import PATIENCE, Fleet
from meshctl.control.identity import Identity
from meshctl.control.keyring import Keyring
from meshctl.control.revisions import Revision, current, nothing, pointer
from meshctl.control.roles import Role
from meshctl.control.roll import Roll
from meshctl.control.serving import Serving, by_name, live_series
from meshctl.control.sockets import Bound
from meshctl.control.steered import live_steering
from meshctl.control.weights import live_weights
from meshctl.errors import MeshError
from meshctl.model.mesh import Listener, Mesh
from meshctl.model.steering import Steering
from meshctl.model.views import Acknowledgement
from meshctl.model.weights import Shares
from meshctl.observe.access_log import check_access_log
from meshctl.observe.log import Events
from meshctl.proxy.messages import Discovered, Prepare, Steered, Weighted
from meshctl.store.protocol import Store

TELL_AGAIN: Final = 60.0
"""Seconds until the same failure of the store is told of again."""


class Changing:
    """See the module. `proxy` is the id under which it answers to revisions, `lease()` the lease it does so under."""

    def __init__(
        self, store: Store, role: Role, fleet: Fleet, identity: Identity, proxy: str, lease: Callable[[], str]
    ) -> None:
        self.serving: Serving | None = None
        self.refused = 0
        self.refusal = ""
        self.weights: dict[str, Shares] = {}
        self.steering = Steering()
        self.on_changed: Callable[[], None] = lambda: None
        """Called after traffic has changed over."""
        self.pending: Callable[[Mesh], tuple[str, ...]] = lambda _mesh: ()
        """What of a configuration holds only when the proxy is started again."""
        self._store = store
        self._role = role
        self._fleet = fleet
        self._identity = identity
        self._proxy = proxy
        self._lease = lease
        self._roll = Roll()
        self._keyring = Keyring(store, fleet)
        self._known: tuple[Name, ...] = ()
        self._said = (-1, "")
        self._told: dict[str, float] = {}
        """Failures of the store that were told of, and until when that is enough."""
        self._count = 0
        self._one_at_a_time = asyncio.Lock()
        self._synced = 0
        self._moved = asyncio.Event()
        self._events = Events(role.name)
        fleet.order_for = self._order_for

    def __repr__(self) -> str:
        return f"<Changing {self._proxy} on revision {self.number}, store revision {self._synced}>"

    @property
    def number(self) -> int:
        """The revision that traffic runs on."""
        return self.serving.revision.number if self.serving else 0

    @property
    def mesh(self) -> Mesh:
        """What is served."""
        return self.serving.mesh if self.serving else Mesh()

    @property
    def registrations(self) -> Registrations:
        """Which endpoints are registered."""
        return self._roll.registrations

    @property
    def bounds(self) -> dict[str, Bound]:
        """The sockets traffic comes in by."""
        return self.serving.bounds if self.serving else {}

    async def begin(self) -> None:
        """Serve what is current. Raises MeshError where that is not possible."""
        async with self._one_at_a_time:
            synced = self._store.revision()
            self.weights = live_weights(self._store)
            self.steering = live_steering(self._store)
            self._keyring.refresh()
            revision = current(self._store) or nothing()
            self._roll.refresh(self._store)
            refusal = await self._change_to(revision)
            if refusal:
                raise MeshError("refused", f"revision {revision.number} cannot be served: {refusal}")
            self._now(synced)

    async def follow(self) -> None:
        """Bring what is served up to what the store has."""
        async with self._one_at_a_time:
            if self._fleet.is_stopping or self.serving is None:
                return
            try:
                synced = self._store.revision()
                await self._catch_up(self.serving)
            except MeshError as error:
                self.store_failed(error)
                return
            self._now(synced)

    async def renew(self) -> str:
        """Serve the same revision again, of which the role makes something else now; "" or why not."""
        async with self._one_at_a_time:
            if self._fleet.is_stopping or self.serving is None:
                return ""
            return await self._change_to(self.serving.revision)

    async def synced(self, revision: int, timeout: float) -> int:
        """The store revision that traffic is up to: at least `revision`, unless that takes longer than `timeout`
        seconds."""
        try:
            async with asyncio.timeout(timeout):
                while self._synced < revision:
                    await self._moved.wait()
        except TimeoutError:
            pass
        return self._synced

    def acknowledge(self) -> None:
        """Say in the store what became of the newest revision."""
        pending = () if self.refused else self.pending(self.mesh)
        number = self.refused or self.number
        answer = Acknowledgement(self._proxy, number, not self.refused, self.refusal, clock.wall(), pending)
        try:
            acknowledge(self._store, answer, self._lease())
            self._said = answer.revision, answer.reason
        except MeshError as error:
            self.store_failed(error)

    def store_failed(self, error: MeshError) -> None:
        """Traffic does not need the store; it is tried again at the next occasion, which is several times a second: so
        each failure is told of once a minute."""
        now = clock.monotonic()
        self._told = {message: until for message, until in self._told.items() if until > now}
        if error.message not in self._told:
            self._told[error.message] = now + TELL_AGAIN
            self._events.error("store_failed", error=error.message, serving=self.number)

    # the rest is private

    def _order_for(self, index: int) -> tuple[Prepare, list[int]] | None:
        return self.serving.order(index, frozenset()) if self.serving else None

    async def _catch_up(self, serving: Serving) -> None:
        await self._weigh(serving)
        latest = pointer(self._store)
        roll = self._roll
        roll.refresh(self._store)
        if latest is not None and latest.number not in {self.number, self.refused}:
            revision = current(self._store)
            assert revision is not None
            if refusal := await self._change_to(revision):
                self._events.error("revision_refused", revision=revision.number, reason=refusal, serving=self.number)
        elif not roll.names.issubset(self._known) and (refusal := await self._change_to(serving.revision)):
            self._events.error("services_refused", reason=refusal, serving=self.number)
        if roll.changed and self.serving is serving:
            serving.listed = roll.listed
            await self._be_somebody(serving.mesh, ())
            changed = sorted(roll.changed)
            roll.changed.clear()
            self._fleet.tell(Discovered(tuple(map(roll.of, changed))))
            # Orders are obeyed one after another: whoever answers this has obeyed that.
            await self._fleet.ask("commit", PATIENCE)

    async def _be_somebody(self, mesh: Mesh, listeners: tuple[Listener, ...]) -> None:
        """Have an identity before anything needs it: a listener that shows it, or an endpoint that asks for it. Raises
        MeshError where a listener would be without."""
        listeners = listeners or self._role.listeners(mesh)
        hosts = mesh.edge_hosts if any(each.mesh == "edge" for each in listeners) else ()
        needs = any(each.mesh for each in listeners)
        if not needs and not self.registrations:
            return
        try:
            await self._identity.want(mesh.trust_domain, hosts)
        except MeshError as error:
            if needs:
                raise
            # The endpoints cannot be reached, and say so to whom they were meant for; everything else can.
            self._events.error("no_identity", error=error.message, hint=error.hint)

    async def _weigh(self, serving: Serving) -> None:
        """Have traffic follow the live weights, faults, mirrors and keys, before anything that might take longer."""
        is_keyed = self._keyring.refresh()
        weights, steering = live_weights(self._store), live_steering(self._store)
        if weights == self.weights and steering == self.steering and not is_keyed:
            return
        if weights != self.weights:
            self.weights = serving.weights = weights
            self._fleet.tell(Weighted(weights))
        if steering != self.steering:
            self.steering = serving.steering = steering
            self._fleet.tell(Steered(steering))
        await self._fleet.ask("commit", PATIENCE)

    def _now(self, synced: int) -> None:
        self._synced = synced
        self._moved.set()
        self._moved = asyncio.Event()

    async def _change_to(self, revision: Revision) -> str:
        """Serve `revision` with all that is registered, all workers or none; "" or why not."""
        opened: dict[str, Bound] = {}
        self._count += 1
        known = remembered(self._known, self._roll.names)
        try:
            mesh = self._role.effective(extended(revision.mesh(), known))
            listeners = self._role.listeners(mesh)
            if self.serving is None or mesh.gateway.access_log != self.mesh.gateway.access_log:
                # Of what is served already, a lost log stops nothing: workers go on without it, and count what is lost.
                check_access_log(mesh.gateway.access_log)
            await self._be_somebody(mesh, listeners)
            wanted = by_name(listeners)
            for name in wanted.keys() - self.bounds.keys():
                opened[name] = Bound(wanted[name].host, wanted[name].port, len(self._fleet.slots))
            bounds = {name: opened.get(name) or self.bounds[name] for name in wanted}
            serving = Serving(self._count, revision, mesh, wanted, bounds)
            serving.listed, serving.weights = self._roll.listed, self.weights
            serving.steering = self.steering
            has = self.serving.keys if self.serving else frozenset[str]()
            refusal = await self._fleet.change(lambda index: serving.order(index, has))
        except MeshError as error:
            if not self.serving:
                raise
            refusal = f"{error.message} ({error.hint})" if error.hint else error.message
        if refusal:
            for bound in opened.values():
                bound.close()
            if revision.number != self.number:
                self.refused, self.refusal = revision.number, refusal
        else:
            for name in self.bounds.keys() - bounds.keys():
                self.bounds[name].close()
            self.serving, self._known = serving, known
            self._roll.changed.clear()
            self.refused, self.refusal = 0, ""
            self._fleet.catch_up(serving.number)
            self._fleet.totals.retire(live_series(mesh), {each.name for each in mesh.services})
            self.on_changed()
        # Said once: whatever is written wakes every proxy.
        if (self.refused or self.number, self.refusal) != self._said:
            self.acknowledge()
        return refusal
