"""Who a proxy is to the mesh: its certificate from the first need on, renewed in time, replaced on demand, and told to
the workers together with whom to trust.

    store ──follow──▶ Identity ──Order──▶ issuing process    a certificate that is due, revoked, rotated, of an old root
                         └─────Identify──▶ workers           what they present and trust from the next handshake on

What cannot be had is tried again while what there is still serves.
"""

from __future__ import annotations

import asyncio
from typing import Final

import msgspec

from meshctl import clock
from meshctl.control.credentials import Credentials, Order, request
from meshctl.control.fleet import PATIENCE, Fleet
from meshctl.control.trust_state import TrustState, bundle, must_reissue, read
from meshctl.core.renewal import is_due, pause_after_failure, renewal_moment
from meshctl.errors import MeshError
from meshctl.model.views import IdentityView
from meshctl.observe.log import Events
from meshctl.proxy.messages import Identify
from meshctl.proxy.tasks import spawn
from meshctl.store.home import Home
from meshctl.store.protocol import Store

_NEVER: Final = float("inf")


class _Wanted(msgspec.Struct, frozen=True):
    """As whom the proxy is to be known: a member of this trust domain, and the server of these hosts."""

    trust_domain: str
    hosts: tuple[str, ...]


class Identity:
    """The identity of the proxy `proxy` as a member of `service`. It has none until somebody wants it."""

    def __init__(self, home: Home, store: Store, fleet: Fleet, service: str, proxy: str) -> None:
        self.view: IdentityView | None = None
        """What the workers present and trust."""
        self._home = home
        self._store = store
        self._fleet = fleet
        self._service = service
        self._proxy = proxy
        self._wanted: _Wanted | None = None
        self._own: Credentials | None = None
        self._edge: Credentials | None = None
        self._trust_domain = ""
        self._state = TrustState()
        self._generation = 0
        self._moment = _NEVER
        self._failures = 0
        self._not_before = 0.0
        self._one_at_a_time = asyncio.Lock()
        self._events = Events("identity")

    def __repr__(self) -> str:
        return f"<Identity of {self._service}: {self._own!r}>"

    async def want(self, trust_domain: str, hosts: tuple[str, ...]) -> None:
        """Be a member of the trust domain, and have a certificate for `hosts` where there are any, from now on.
        Immediate where that is so. Raises MeshError."""
        wanted = _Wanted(trust_domain, hosts)
        if wanted == self._wanted:
            return
        async with self._one_at_a_time:
            if wanted != self._wanted:
                await self._obtain(wanted)
                self._wanted = wanted
                # What the store asked for meanwhile nobody has noticed yet.
                self.follow()

    def follow(self) -> None:
        """The store has changed: do what it asks for."""
        if self._wanted is not None:
            spawn(self._follow(), name="follow identity")

    async def caught_up(self) -> None:
        """The workers trust and refuse whom the store said when this was called. Raises MeshError."""
        await self._take_up()
        if self._own is not None:
            # Somebody else may have told them just now: they have obeyed it when they answer this.
            await self._fleet.ask("commit", PATIENCE)

    def look(self) -> None:
        """Renew what is due. Asked many times a second: the wall clock decides, so a machine that slept recovers."""
        if self._own is None or self._one_at_a_time.locked():
            return
        now = clock.wall()
        if is_due(self._moment, self._own.not_before, now) and now >= self._not_before:
            spawn(self._renew_in_time(), name="renew identity")

    def roots(self) -> tuple[tuple[str, float], ...]:
        """Fingerprint and end of each root the mesh trusts; none where the proxy has no identity."""
        try:
            found = bundle(self._store) if self._own else None
        except MeshError:
            return ()
        return tuple((root.fingerprint, root.not_after) for root in found.roots) if found else ()

    # the rest is private

    async def _follow(self) -> None:
        try:
            await self._take_up()
        except MeshError as error:
            self._events.error("store_failed", error=error.message)
            return
        async with self._one_at_a_time:
            held = [each for each in (self._own, self._edge) if each]
            reasons = (
                must_reissue(self._state, serial=each.serial, root=each.root, generation=each.generation)
                for each in held
            )
            if why := next(filter(None, reasons), ""):
                await self._renew(why)

    async def _take_up(self) -> None:
        """Have the workers trust and refuse whom the store says. It waits for no certificate of its own: others' may be
        revoked, or under a new root, while that is made."""
        if self._own is None:
            return
        state = read(self._store, self._service)
        if state != self._state:
            self._state = state
            await self._tell()

    async def _renew_in_time(self) -> None:
        async with self._one_at_a_time:
            await self._renew("its time has come")

    async def _renew(self, why: str) -> None:
        assert self._wanted is not None
        try:
            await self._obtain(self._wanted)
        except MeshError as error:
            self._failures += 1
            pause = pause_after_failure(self._failures, clock.draw())
            # What the store asked for is due until it is done.
            self._moment = min(self._moment, clock.wall())
            self._not_before = clock.wall() + pause
            self._events.error("certificate_not_renewed", why=why, error=error.message, again_in=f"{pause:.0f}s")
            return
        self._events.info("certificate_renewed", why=why, serial=self._own.serial if self._own else "")

    async def _obtain(self, wanted: _Wanted) -> None:
        """Get new certificates and have the workers use them. Raises MeshError, and then nothing has changed."""
        domain, service, proxy = wanted.trust_domain, self._service, self._proxy
        own = await request(self._home, Order("workload", domain, service=service, proxy=proxy))
        edge = None
        if wanted.hosts:
            edge = await request(self._home, Order("edge", domain, service=service, hosts=wanted.hosts, proxy=proxy))
        self._state = read(self._store, service)
        self._own, self._edge, self._trust_domain = own, edge, domain
        self._generation += 1
        self._failures = 0
        self._not_before = 0.0
        dice = clock.draw()
        self._moment = min(renewal_moment(each.not_before, each.not_after, dice) for each in (own, edge) if each)
        await self._tell()

    async def _tell(self) -> None:
        own, edge, state = self._own, self._edge, self._state
        assert own is not None
        message = Identify(
            own.identity,
            self._trust_domain,
            own.certificate,
            own.key,
            state.bundle or own.bundle,
            self._generation,
            state.revoked,
            ((edge.certificate, edge.key),) if edge else (),
        )
        self._fleet.tell(message, standing=True)
        # Orders are obeyed one after another: whoever answers this presents it.
        await self._fleet.ask("commit", PATIENCE)
        self.view = msgspec.structs.replace(own.view, roots=state.roots or own.roots)
