"""Whether the mesh sends requests to the app: from its gate on, until it ends, is ended, or is drained by command.

    gate opens ──▶ announced ◀──undo── drained
                       │ ──drain──▶
                       └──leave──▶ withdrawn → seen by every proxy → nothing in flight

The store says who was drained, under the sidecar's lease. What it cannot be told now is told when it can be.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import msgspec

from meshctl import clock
from meshctl.control.acks import proxies
from meshctl.control.discovery import machine
from meshctl.errors import MeshError
from meshctl.model.registration import Registration
from meshctl.model.views import ServiceView
from meshctl.observe.log import Events
from meshctl.sidecar.followers import until_seen
from meshctl.sidecar.role import INBOUND, SidecarRole

if TYPE_CHECKING:
    from meshctl.control.supervisor import Supervisor

DRAINS: Final = "drains/"
"""Where the store says which sidecars are drained, by their ids."""
SEEN_WITHIN: Final = 3.0
"""Seconds that proxies get to see that an app takes no more requests."""
AGAIN_AFTER: Final = 1.0
SETTLING: Final = 0.15
"""Seconds without any request in flight that make sure that none is still on its way here."""
_LOOK: Final = 0.02
_DECODER: Final = msgspec.msgpack.Decoder(list[ServiceView])


class Presence:
    """The app's place among the endpoints of its service."""

    def __init__(self, supervisor: Supervisor, role: SidecarRole) -> None:
        self.is_drained = False
        self._is_open = False
        self._is_leaving = False
        self._is_suspended = False
        self._is_announced = False
        self._revision = 0
        """The store revision of its last announcement or withdrawal."""
        self._supervisor = supervisor
        self._role = role
        self._events = Events("sidecar")

    def __repr__(self) -> str:
        return f"<Presence of {self._supervisor.record.id} {'announced' if self._is_announced else 'withdrawn'}>"

    def open(self) -> None:
        """The app takes requests."""
        self._is_open = True
        self._settle()

    def close(self) -> None:
        """The app takes no requests any more."""
        self._is_open = False
        self._settle()

    def suspend(self, is_suspended: bool) -> None:
        """The app stands still, or goes on."""
        self._is_suspended = is_suspended
        self._settle()

    def follow(self) -> bool:
        """The store has changed: whether the sidecar is drained now and was not, or the other way round."""
        try:
            is_drained = self._supervisor.store.get(DRAINS + self._supervisor.record.id) is not None
        except MeshError as error:
            self._supervisor.changing.store_failed(error)
            return False
        if is_drained == self.is_drained:
            return False
        self.is_drained = is_drained
        self._settle()
        return True

    async def leave(self, seconds: float) -> None:
        """Take no more requests, and return when no proxy sends any and none is in flight, or after `seconds`."""
        self._is_leaving = True
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        was_announced = self._is_announced
        self._settle()
        # A store that fails for a moment is told again: until then others go on sending.
        told_by = min(loop.time() + SEEN_WITHIN, deadline)
        while self._is_announced and loop.time() < told_by:
            await asyncio.sleep(_LOOK)
        if was_announced and not self._is_announced:
            await self._seen(self._revision, min(SEEN_WITHIN, deadline - loop.time()))
        idle_since = loop.time() if was_announced else loop.time() - SETTLING
        while (now := loop.time()) < deadline:
            if await self.in_flight():
                idle_since = loop.time()
            elif now - idle_since >= SETTLING:
                return
            await asyncio.sleep(_LOOK)
        self._events.warning("requests_cut", in_flight=await self.in_flight(), waited=f"{seconds:g}s")

    async def in_flight(self) -> int:
        """How many requests the app is at."""
        name = self._role.local
        answers = await self._supervisor.fleet.ask("services")
        views = (view for _, payload in answers for view in _DECODER.decode(payload) if view.name == name)
        return sum(endpoint.in_flight for view in views for endpoint in view.endpoints)

    # the rest is private

    def _settle(self) -> None:
        """Announce or withdraw what is not as it should be; again after a while where the store cannot be told."""
        wanted = self._is_open and not (self.is_drained or self._is_leaving or self._is_suspended)
        if wanted == self._is_announced:
            return
        supervisor = self._supervisor
        try:
            revision = supervisor.announce(self._registration()) if wanted else supervisor.withdraw()
        except MeshError as error:
            supervisor.changing.store_failed(error)
            supervisor.loop.call_later(AGAIN_AFTER, self._settle)
            return
        self._is_announced, self._revision = wanted, revision

    def _registration(self) -> Registration:
        serving, record = self._supervisor.changing.serving, self._supervisor.record
        bound = serving.bound(INBOUND) if serving else None
        assert bound is not None
        role = self._role
        return Registration(
            role.service, role.version, bound.host, bound.port, record.id, record.pid, machine(), clock.wall()
        )

    async def _seen(self, revision: int, seconds: float) -> None:
        supervisor = self._supervisor
        try:
            others = [each for each in proxies(supervisor.store) if each.id != supervisor.record.id]
        except MeshError as error:
            supervisor.changing.store_failed(error)
            return
        own = supervisor.changing.synced(revision, seconds)
        late, _ = await asyncio.gather(until_seen(supervisor.store, revision, others, seconds), own)
        if late:
            self._events.warning("not_seen_by_all", proxies=", ".join(late), waited=f"{seconds:g}s")
