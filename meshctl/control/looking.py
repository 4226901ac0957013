"""When a proxy looks at the store: as soon as it is told of a change, though not all the time, and now and then even if
nothing tells it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

LOOK_EVERY: Final = 0.05
"""Seconds between two looks where nothing tells of changes, and the least between two where something does: a change is
live everywhere within 150 ms. To wake up for a look is what an idle proxy uses most of its time for."""
SELDOM: Final = 0.25
"""Seconds between two looks where changes are told of: whoever was to tell may have died before it could."""


class Looking:
    """Calls `look` in time; `descriptor` is readable while there is something new to see, or -1 (`store.Watch`). Every
    `SELDOM` seconds it calls `care` too, for what has to be done regularly and need not wake anybody of its own."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        descriptor: int,
        look: Callable[[], None],
        care: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._descriptor = descriptor
        self._look = look
        self._care = care
        self._looked = 0.0
        self._cared = 0.0

    def __repr__(self) -> str:
        return f"<Looking {'when told' if self._descriptor >= 0 else 'all the time'}>"

    def start(self) -> None:
        """Look from now on."""
        if self._descriptor >= 0:
            self._loop.add_reader(self._descriptor, self._on_told)
        self._tick()

    def _tick(self) -> None:
        self._loop.call_later(SELDOM if self._descriptor >= 0 else LOOK_EVERY, self._tick)
        now = self._loop.time()
        if now - self._cared > SELDOM - LOOK_EVERY / 2:
            self._cared = now
            self._care()
        self._look_now(now)

    def _on_told(self) -> None:
        now = self._loop.time()
        too_early = self._looked + LOOK_EVERY - now
        if too_early <= 0:
            self._look_now(now)
            return
        # Changes come in crowds: those that follow one closely are seen together.
        self._loop.remove_reader(self._descriptor)
        self._loop.call_later(too_early, self._listen)

    def _listen(self) -> None:
        self._loop.add_reader(self._descriptor, self._on_told)

    def _look_now(self, now: float) -> None:
        self._looked = now
        self._look()
