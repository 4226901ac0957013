"""What workers have counted, kept: quotas in the home, so that they outlive the proxy, and rates in Redis, if there is
one, so that gateways share them.

Workers count in memory that they share and tell of it twenty times a second; here it is written down once a second. So
whoever is killed loses about a second of counting. What others write (another gateway of the home, `limits reset`) is
read back into the shared memory within the same second. Nothing of this is loaded while no route asks for it.
"""

from __future__ import annotations

import asyncio
from heapq import nlargest
from typing import TYPE_CHECKING, Final

from meshctl import clock
from meshctl.core.calendar import Period, day, month
from meshctl.errors import MeshError
from meshctl.model.limits import By
from meshctl.model.mesh import Mesh
from meshctl.observe.log import Events
from meshctl.proxy.counted import salt
from meshctl.proxy.messages import Spent

if TYPE_CHECKING:
    from meshctl.control.fleet import Fleet
    from meshctl.control.sharing import Sharing
    from meshctl.core.cells import Cells
    from meshctl.store.home import Home
    from meshctl.store.usage import Usage

EVERY: Final = 1.0
"""Seconds between two looks at what was counted."""
SHARE: Final = 20.0
"""How much longer than it takes the next look is away, at least."""

Name = tuple[str, str]
"""Route and quota."""


class LiveLimits:
    """The counts of one proxy beyond its memory."""

    def __init__(self, loop: asyncio.AbstractEventLoop, home: Home, fleet: Fleet) -> None:
        self.sharing: Sharing | None = None
        self._loop = loop
        self._home = home
        self._fleet = fleet
        self._quotas: dict[Name, tuple[str, By]] = {}
        self._pending: dict[tuple[str, int, str, str, str], int] = {}
        self._known: set[tuple[str, int, str, str, str]] = set()
        self._periods: tuple[Period, Period] | None = None
        self._usage: Usage | None = None
        self._handle: asyncio.TimerHandle | None = None
        self._is_told = False
        self._events = Events("limits")
        fleet.on[Spent] = self.take

    def __repr__(self) -> str:
        return f"<LiveLimits {len(self._quotas)} quotas, {self.sharing!r}>"

    @property
    def is_shared(self) -> bool | None:
        """Whether rates are shared with other gateways now; None where that was not asked for."""
        return self.sharing.is_up if self.sharing is not None and self.sharing.url else None

    def adopt(self, mesh: Mesh) -> None:
        """Keep the limits of what is served from now on."""
        self._quotas = {
            (route.written, each.name): (each.per, each.by) for route in mesh.routes for each in route.quotas
        }
        if self._quotas:
            self._known.clear()
            self._periods = None
            self._look()
        backend = mesh.gateway.rate_limit.backend
        if self.sharing is None and backend:
            from meshctl.control.sharing import Sharing

            self.sharing = Sharing(self._fleet.meters.rates)
        if self.sharing is not None:
            self.sharing.adopt(mesh)

    def take(self, spent: Spent) -> None:
        """A worker has counted."""
        pending = self._pending
        for route, limit, key, number, count in spent.entries:
            if number:
                per, _ = self._quotas.get((route, limit), ("", By()))
                where = (per, number, route, limit, key)
                pending[where] = pending.get(where, 0) + count
            elif self.sharing is not None:
                self.sharing.spend(route, limit, key, count)

    def close(self) -> None:
        """Write what is left to write."""
        if self._handle is not None:
            self._handle.cancel()
        if self.sharing is not None:
            self.sharing.close()
        if self._usage is not None:
            self._write()
            self._usage.close()

    def _look(self) -> None:
        """Write what was counted, read what others wrote, begin a new day."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
        if not self._quotas and not self._pending:
            return
        began = clock.monotonic()
        self._write()
        took = clock.monotonic() - began
        self._handle = self._loop.call_later(max(EVERY, took * SHARE), self._look)

    def _write(self) -> None:
        try:
            usage, is_crowded = self._opened(), False
            if self._pending:
                from meshctl.store.usage import Used

                is_crowded = usage.add([Used(*where, count) for where, count in self._pending.items() if where[0]])
                self._known.update(self._pending)
                self._pending.clear()
            self._read(usage, is_crowded)
            self._is_told = False
        except MeshError as error:
            # What was counted stays in memory, where it holds, and is written when that is possible again.
            self._spare()
            if not self._is_told:
                self._is_told = True
                self._events.warning("usage_not_written", error=error.message, hint=error.hint)

    def _spare(self) -> None:
        """Wait with no more than could be written: those that were used least are given up."""
        from meshctl.store.usage import MOST

        if len(self._pending) > 2 * MOST:
            self._pending = dict(nlargest(MOST, self._pending.items(), key=lambda each: each[1]))

    def _opened(self) -> Usage:
        if self._usage is None:
            from meshctl.store.usage import Usage

            self._usage = Usage(self._home.path)
        return self._usage

    def _read(self, usage: Usage, is_crowded: bool) -> None:
        now = clock.wall()
        periods = (day(now), month(now))
        if self._periods is None or periods != self._periods:
            if self._periods is not None:
                self._begin_anew(usage, self._periods, periods)
            usage.has_changed()
        elif not usage.has_changed() and not is_crowded:
            return
        self._periods = periods
        rows = [*usage.of("day", periods[0].number), *usage.of("month", periods[1].number)]
        gone = self._known
        self._known = set()
        for row in rows:
            where = (row.per, row.number, row.route, row.quota, row.key)
            gone.discard(where)
            self._known.add(where)
            self._set(row.per, row.number, row.route, row.quota, row.key, row.count)
        for where in gone:
            self._set(*where, 0)

    def _begin_anew(self, usage: Usage, before: tuple[Period, Period], now: tuple[Period, Period]) -> None:
        meters = self._fleet.meters
        for per, cells, was, is_now in (("day", meters.days, *_pair(before, now, 0)),
                                        ("month", meters.months, *_pair(before, now, 1))):  # fmt: skip
            if was != is_now:
                cells.clear()
                usage.forget(per, is_now - 1)
        self._known.clear()

    def _set(self, per: str, number: int, route: str, quota: str, key: str, count: int) -> None:
        """Have the workers count on from `count`."""
        is_per, by = self._quotas.get((route, quota), ("", By()))
        if is_per != per:
            return
        cells: Cells = self._fleet.meters.days if per == "day" else self._fleet.meters.months
        cells.values[cells.find(hash((salt(route, quota, by), number, key)), 0.0)] = float(count)


def _pair(before: tuple[Period, Period], now: tuple[Period, Period], which: int) -> tuple[int, int]:
    return before[which].number, now[which].number
