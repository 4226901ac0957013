"""What a worker does to services' requests beside splitting them: faults and mirrors, kept over revisions.

A service that has any carries a `ServiceSteering`, all others None: that is all the hot path asks. What injects and
copies is loaded once there is something to inject or copy. Must not know where steering comes from.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from meshctl import clock
from meshctl.model.steering import Fault, Mirror, MirrorCount, Steering

if TYPE_CHECKING:
    from meshctl.proxy.exchange import Exchange
    from meshctl.proxy.mirror import LiveMirror
    from meshctl.proxy.service import LiveService
    from meshctl.proxy.worker import Worker

SOONEST: Final = 0.02
LATEST: Final = 60.0
"""Seconds within which it is looked whether a fault has ended: the wall clock may be set meanwhile."""


class ServiceSteering:
    """What is done to the requests of one service."""

    def __init__(self, faults: tuple[Fault, ...], mirror: LiveMirror | None) -> None:
        self.faults = faults
        self.mirror = mirror

    def __repr__(self) -> str:
        return f"<ServiceSteering {len(self.faults)} faults, {self.mirror!r}>"

    def passes(self, exchange: Exchange) -> bool:
        """Do to a request what is to be done to it, once; whether it goes on now."""
        if exchange.is_steered:
            return True
        exchange.is_steered = True
        if self.mirror is not None:
            self.mirror.watch(exchange)
        if not self.faults:
            return True
        from meshctl.proxy.faults import inject

        return inject(self.faults, exchange)


class LiveSteering:
    """All of it, of one worker."""

    def __init__(self, worker: Worker) -> None:
        self.copies = 0
        """Copies in flight, of all mirrors."""
        self._worker = worker
        self._told = Steering()
        self._mirrors: dict[str, LiveMirror] = {}
        self._is_any = False
        self._turn = 0

    def __repr__(self) -> str:
        return f"<LiveSteering {len(self._told.faults)} faults, {len(self._told.mirrors)} mirrors>"

    def take(self, told: Steering) -> None:
        """These faults and mirrors hold from the next request on, in the place of those before."""
        if told != self._told:
            self._told = told
            self.apply()

    def apply(self) -> None:
        """Let the services that are served now have what is meant for them."""
        now = clock.wall()
        faults: dict[str, tuple[Fault, ...]] = {}
        for each in self._told.faults:
            if each.until > now:
                faults[each.service] = (*faults.get(each.service, ()), each)
        self._mirrors = {each.service: self._mirror(each) for each in self._told.mirrors}
        names = faults.keys() | self._mirrors.keys()
        if names or self._is_any:
            made = {name: ServiceSteering(faults.get(name, ()), self._mirrors.get(name)) for name in names}
            for service in self._services():
                service.steering = made.get(service.name)
        self._is_any = bool(names)
        self._turn += 1
        if faults:
            ends = min(each.until for those in faults.values() for each in those)
            self._worker.loop.call_later(min(max(ends - now, SOONEST), LATEST), self._look, self._turn)

    def counts(self) -> list[MirrorCount]:
        """What became of the requests that were mirrored."""
        return [each.count() for each in self._mirrors.values()]

    def _look(self, turn: int) -> None:
        if turn == self._turn:
            self.apply()

    def _services(self) -> Iterator[LiveService]:
        """The services of the snapshot, and those parts of them that routes to one version have."""
        snapshot = self._worker.snapshot
        yield from snapshot.services.values()
        for route in snapshot.routes:
            if route.service is not None and route.config.version:
                yield route.service
            if route.plan is not None:
                yield from route.plan.pinned

    def _mirror(self, config: Mirror) -> LiveMirror:
        known = self._mirrors.get(config.service)
        if known is not None and known.config == config:
            return known
        from meshctl.proxy.mirror import LiveMirror

        return LiveMirror(self._worker, config)
