"""What a worker does beside traffic: write the log, look at certificate files, look names up, check endpoints' health,
let ejected ones return and new ones warm up."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Final

from meshctl import clock
from meshctl.observe.access_log import FLUSH_EVERY
from meshctl.proxy import descriptors
from meshctl.proxy.prober import probe_forever
from meshctl.proxy.tasks import spawn

if TYPE_CHECKING:
    from meshctl.proxy.endpoint import LiveEndpoint
    from meshctl.proxy.snapshot import Snapshot
    from meshctl.proxy.worker import Worker

LOOK_UP_EVERY: Final = 30.0
"""Seconds between two look-ups of a name. The system's resolver does not tell a record's TTL; its cache honours it."""
CERTIFICATES_EVERY: Final = 1.0
"""Seconds between two looks at certificate files."""
LOOK_UP_LIMIT: Final = 5.0
FORGET_EVERY: Final = 60.0
"""Seconds between two times that callers are forgotten who are known no more."""


class Housekeeping:
    """See the module."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._probes: dict[LiveEndpoint, asyncio.Task[None]] = {}
        self._look_ups: dict[tuple[str, int], asyncio.Task[None]] = {}
        self._ticks = 0
        self._handle: asyncio.TimerHandle | None = worker.loop.call_later(FLUSH_EVERY, self._tick)

    def __repr__(self) -> str:
        return f"<Housekeeping {len(self._probes)} probes, {len(self._look_ups)} names>"

    def adopt(self, snapshot: Snapshot) -> None:
        """Look after what `snapshot` has, and no longer after what it has not."""
        names = self._worker.registry.names(snapshot)
        for name in [each for each in self._look_ups if each not in names]:
            self._look_ups.pop(name).cancel()
            self._worker.registry.release(*name)
        for host, port in names - self._look_ups.keys():
            self._look_ups[host, port] = spawn(self._look_up(host, port), name=f"resolve {host}")
        self.match_probes()

    def match_probes(self) -> None:
        """One probe for each endpoint that has a check."""
        wanted = {each for each in self._worker.registry.endpoints() if each.check is not None}
        for endpoint in [each for each in self._probes if each not in wanted or each.check_changed]:
            self._probes.pop(endpoint).cancel()
        for endpoint in wanted - self._probes.keys():
            endpoint.check_changed = False
            self._probes[endpoint] = spawn(probe_forever(endpoint), name=f"probe {endpoint.address}")

    def stop(self) -> None:
        """Look after nothing any more."""
        for task in (*self._probes.values(), *self._look_ups.values()):
            task.cancel()
        if self._handle is not None:
            self._handle.cancel()

    def _tick(self) -> None:
        worker = self._worker
        self._handle = worker.loop.call_later(FLUSH_EVERY, self._tick)
        worker.ledger.set_clock()
        worker.ledger.flush()
        now = clock.monotonic()
        for service in worker.snapshot.services.values():
            service.settle(now)
        self._look_at_files()
        self._ticks += 1
        if self._ticks % round(CERTIFICATES_EVERY / FLUSH_EVERY) == 0:
            self._refresh_certificates()
            self._age()
        if self._ticks % round(FORGET_EVERY / FLUSH_EVERY) == 0:
            worker.vouching.forget()

    def _look_at_files(self) -> None:
        are_left = descriptors.are_left()
        for listener in self._worker.listeners.values():
            listener.wake() if are_left else listener.rest()

    def _refresh_certificates(self) -> None:
        for listener in self._worker.listeners.values():
            outcome = listener.tls.refresh() if listener.tls else None
            if outcome is not None:
                event = "certificate_refused" if outcome else "certificate_reloaded"
                self._worker.notice(event, is_trouble=bool(outcome), listener=listener.address, error=outcome)
        looks = [authority.look() for authority in self._worker.snapshot.authorities]
        for outcome in (*looks, *self._worker.registry.look()):
            if outcome is not None:
                event = "authority_refused" if outcome else "authority_reloaded"
                self._worker.notice(event, is_trouble=bool(outcome), error=outcome)

    def _age(self) -> None:
        now = clock.monotonic()
        for service in self._worker.snapshot.services.values():
            for version in service.versions:
                version.age(now)

    async def _look_up(self, host: str, port: int) -> None:
        worker = self._worker
        while True:
            try:
                async with asyncio.timeout(LOOK_UP_LIMIT):
                    found = await worker.loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            except (OSError, TimeoutError) as error:
                # What was known stays: a name server that is down says nothing about the service.
                worker.notice("resolve_failed", host=host, error=str(error) or "timeout")
            else:
                addresses = tuple(dict.fromkeys(_shown(each[4]) for each in found))
                worker.registry.resolved(host, port, addresses)
                self.match_probes()
            await asyncio.sleep(LOOK_UP_EVERY)


def _shown(address: tuple[object, ...]) -> str:
    host, port = str(address[0]), address[1]
    return f"[{host}]:{port!s}" if ":" in host else f"{host}:{port!s}"
