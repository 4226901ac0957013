"""Which rollouts this proxy has an eye on: all that are unfinished, so that there is always somebody to drive them.

What that takes is loaded with the first rollout: an idle proxy does not pay for it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from meshctl.proxy.tasks import spawn
from meshctl.store.protocol import Store

if TYPE_CHECKING:
    from meshctl.control.rollouts import Driver


class Driving:
    """The drivers of one proxy, by service."""

    def __init__(self, store: Store, proxy: str, pid: int, home: str) -> None:
        self._store = store
        self._proxy = proxy
        self._pid = pid
        self._home = home
        self._drivers: dict[str, tuple[Driver, asyncio.Task[None]]] = {}
        self._has_stopped = False

    def __repr__(self) -> str:
        return f"<Driving {', '.join(self._drivers) or 'nothing'}>"

    def follow(self) -> None:
        """The store has changed. Raises MeshError where it cannot be read."""
        if self._has_stopped or not (self._drivers or self._store.list("traffic/rollouts/")):
            return
        from meshctl.control.rollout_state import unfinished
        from meshctl.control.rollouts import Driver

        for service in [name for name, (_, task) in self._drivers.items() if task.done()]:
            del self._drivers[service]
        for found in unfinished(self._store):
            if found.service not in self._drivers:
                driver = Driver(self._store, found.service, self._proxy, self._pid, self._home)
                self._drivers[found.service] = driver, spawn(driver.run(), name=f"drive {found.service}")
        for driver, _ in self._drivers.values():
            driver.wake.set()

    def stop(self) -> None:
        """Drive nothing any more: others take over at once."""
        self._has_stopped = True
        for _, task in self._drivers.values():
            task.cancel()
