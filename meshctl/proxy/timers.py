"""Deadlines without a timer for each: two sets that one tick walks through.

A loop timer for each request costs microseconds; an attribute costs nothing. Exchanges are looked at every 20 ms while
there are any, connections every half second, so a timeout is late by at most that much and an idle worker wakes twice
a second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, Protocol, TypeVar

from meshctl import clock

FINE: Final = 0.02
"""Seconds between two looks at exchanges."""
COARSE: Final = 0.5
"""Seconds between two looks at connections."""
NEVER: Final = float("inf")


class Timed(Protocol):
    """Something with a deadline on the monotonic clock, `NEVER` for none."""

    deadline: float

    def on_deadline(self, now: float) -> None:
        """The deadline has passed."""


T = TypeVar("T", bound=Timed)


class Deadlines(set[T]):
    """A set whose members' deadlines are watched, every `period` seconds while it has members."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, period: float, on_tick: Callable[[float, float], None] | None = None
    ) -> None:
        super().__init__()
        self._on_tick = on_tick
        """Is told by how much each look came late, and the time."""
        self._due = 0.0
        self._loop = loop
        self._period = period
        self._handle: asyncio.TimerHandle | None = None
        self.is_ticking = False

    def watch(self, member: T) -> None:
        """Add a member and see to it that the set is looked at."""
        self.add(member)
        if not self.is_ticking:
            self.start()

    def start(self) -> None:
        """Look at the set until it is empty. Whoever adds without `watch`, to save the call, asks `is_ticking`
        itself."""
        self.is_ticking = True
        self._due = clock.monotonic() + self._period
        self._handle = self._loop.call_later(self._period, self._tick)

    def _tick(self) -> None:
        self.is_ticking = False
        now = clock.monotonic()
        late = now - self._due
        if self:
            self.start()
        if self._on_tick is not None:
            self._on_tick(late if late > 0.0 else 0.0, now)
        for member in [one for one in self if one.deadline <= now]:
            member.on_deadline(now)

    def stop(self) -> None:
        """Look no more."""
        if self._handle:
            self._handle.cancel()
            self._handle = None
            self.is_ticking = False
