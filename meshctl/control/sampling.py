"""Bringing the workers' counters together: when somebody asks, and regularly, so that there is a recent past."""

from __future__ import annotations

import asyncio
from typing import Final

from meshctl import clock
from meshctl.control.fleet import Fleet
from meshctl.observe.history import History
from meshctl.observe.sample import Sample
from meshctl.observe.window import Window
from meshctl.proxy.tasks import spawn

EVERY: Final = 1.0
"""Seconds between two samples."""
SELDOM: Final = 15.0
"""The most seconds between two samples."""
SHARE: Final = 0.003
"""The most of a core that sampling may take: with thousands of busy routes it is done less often."""


class Sampling:
    """The counters of a fleet, over the last ten seconds and the last quarter of an hour."""

    def __init__(self, loop: asyncio.AbstractEventLoop, fleet: Fleet) -> None:
        self.window = Window()
        self.history = History()
        self._loop = loop
        self._fleet = fleet

    def __repr__(self) -> str:
        return f"<Sampling {self.window!r}>"

    def start(self) -> None:
        """Sample regularly from now on. Until now nothing was counted: what is asked first is told from here."""
        self._add(Sample())
        self._loop.call_later(EVERY, self._begin)

    async def sample(self) -> None:
        """Bring the counters up to date."""
        self._add(await self._fleet.sample())

    def _add(self, sample: Sample) -> None:
        now = clock.monotonic()
        self.window.add(now, sample)
        self.history.add(now, {series.key: series for series in sample.series})

    def _begin(self) -> None:
        spawn(self._sample_regularly(), name="sample")

    async def _sample_regularly(self) -> None:
        began = clock.monotonic()
        try:
            await self.sample()
        finally:
            self._loop.call_later(min(max(EVERY, (clock.monotonic() - began) / SHARE), SELDOM), self._begin)
