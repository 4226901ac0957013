"""Who may go on when only so many may be under way: places, and the lines of those who wait for one.

Each waiter has a rank; the first rank goes before the second, and within a rank whoever came first. The lines together
are bounded: where they are full, a newcomer takes the place of the last one in the lowest rank below its own. Knows
neither what is waited for nor the time: who waited too long leaves by itself.
"""

from __future__ import annotations

from math import ceil
from typing import Final, Generic, TypeVar

W = TypeVar("W")

RANKS: Final = ("high", "normal", "low")
"""The lines by their names, in the order in which they are served."""


def portion(whole: int, index: int, parts: int) -> int:
    """What part number `index` of `parts` gets of `whole`: together they have all of it, and each has at least one
    where there is any."""
    return max((whole + parts - 1 - index % parts) // parts, min(whole, 1))


def whole_seconds(seconds: float) -> int:
    """`seconds` for a Retry-After, which knows only whole ones: rounded up, at least one."""
    return max(1, ceil(seconds))


class Places(Generic[W]):
    """At most `limit` under way, at most `room` waiting. Numbers are plain attributes, read by whoever shows them.

    Nobody waits while there is a place: whoever raises `limit` or gives a place back asks `next` until it has nobody.
    """

    __slots__ = ("_lines", "in_flight", "limit", "room", "waiting")

    def __init__(self, limit: int, room: int) -> None:
        self.limit = limit
        self.room = room
        self.in_flight = 0
        self.waiting = 0
        # A dict keeps the order and forgets anyone at once, wherever in the line it stands.
        self._lines: tuple[dict[W, None], ...] = tuple({} for _ in RANKS)

    def __repr__(self) -> str:
        return f"<Places {self.in_flight} of {self.limit}, {self.waiting} waiting>"

    def take(self) -> bool:
        """Whether there was a place, which is then taken."""
        if self.in_flight >= self.limit:
            return False
        self.in_flight += 1
        return True

    def join(self, waiter: W, rank: int) -> W | None:
        """Wait in line. Who has to go for that: nobody (None), the waiter itself, or another."""
        gone: W | None = None
        if self.waiting >= self.room:
            gone = self._last_below(rank)
            if gone is None:
                return waiter
            self.leave(gone)
        self._lines[rank][waiter] = None
        self.waiting += 1
        return gone

    def leave(self, waiter: W) -> bool:
        """Whether it waited, which it no longer does."""
        for line in self._lines:
            if waiter in line:
                del line[waiter]
                self.waiting -= 1
                return True
        return False

    def give_back(self) -> None:
        """Whoever had a place needs it no more."""
        self.in_flight -= 1

    def next(self) -> W | None:
        """The first in line, who has a place from now on; None where nobody waits or there is none."""
        if not self.waiting or self.in_flight >= self.limit:
            return None
        line = next(filter(None, self._lines))
        waiter = next(iter(line))
        del line[waiter]
        self.waiting -= 1
        self.in_flight += 1
        return waiter

    def _last_below(self, rank: int) -> W | None:
        for line in reversed(self._lines[rank + 1 :]):
            if line:
                return next(reversed(line))
        return None
