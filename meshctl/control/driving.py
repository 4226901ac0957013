"""Which rollouts this proxy has an eye on: all that are unfinished, so that there is always somebody to drive them.

What that takes is loaded with the first rollout: an idle proxy does not pay for it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import msgspec

from meshctl.control.revisions import decode
from meshctl.model.rollout import ENDED, Phase
from meshctl.proxy.tasks import spawn
from meshctl.store.protocol import Store

if TYPE_CHECKING:
    from meshctl.control.rollouts import Driver

ROLLOUTS: Final = "traffic/rollouts/"


class _Standing(msgspec.Struct):
    """As much of a rollout's record as tells whether anything is to be done."""

    service: str
    phase: Phase
    due: str = ""


class Driving:
    """The drivers of one proxy, by service."""

    def __init__(self, store: Store, proxy: str, pid: int, home: str) -> None:
        self._store = store
        self._proxy = proxy
        self._pid = pid
        self._home = home
        self._drivers: dict[str, tuple[Driver, asyncio.Task[None]]] = {}
        self._read: dict[str, int] = {}
        """The store revision of each record as it was read last: most changes of the store are of other things."""
        self._has_stopped = False

    def __repr__(self) -> str:
        return f"<Driving {', '.join(self._drivers) or 'nothing'}>"

    def follow(self) -> None:
        """The store has changed. Raises MeshError where it cannot be read."""
        if self._has_stopped:
            return
        for driver, _ in self._drivers.values():
            driver.wake.set()
        changed = [entry for entry in self._store.list(ROLLOUTS) if self._read.get(entry.key) != entry.revision]
        for entry in changed:
            self._read[entry.key] = entry.revision
            found = decode(entry, _Standing)
            if found.phase not in ENDED or found.due:
                self._drive(found.service)

    def stop(self) -> None:
        """Drive nothing any more: others take over at once."""
        self._has_stopped = True
        for _, task in self._drivers.values():
            task.cancel()

    def _drive(self, service: str) -> None:
        from meshctl.control.rollouts import Driver

        if service in self._drivers and not self._drivers[service][1].done():
            return
        driver = Driver(self._store, service, self._proxy, self._pid, self._home)
        task = spawn(driver.run(), name=f"drive {service}")
        # One that failed is tried again with the next look.
        task.add_done_callback(lambda _task: self._read.pop(ROLLOUTS + service, None))
        self._drivers[service] = driver, task
