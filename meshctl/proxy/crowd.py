"""Who makes room when there are as many clients as there may be: whoever has waited for a request for longest, so that
ten thousand connections on which nothing happens keep nobody out who speaks. Must not know why there may be no more."""

from __future__ import annotations

from heapq import nsmallest
from typing import TYPE_CHECKING, Final

from meshctl import clock
from meshctl.proxy.downstream import Downstream

if TYPE_CHECKING:
    from meshctl.proxy.worker import Worker

GRACE: Final = 0.1
"""Seconds for which whoever has just come, or just been answered, is not sent away. Not more: who comes again at once
would have the rest look young for ever."""
AT_ONCE: Final = 64
"""Connections found by one look at all of them."""
LOOK_EVERY: Final = 0.1
"""Seconds between two looks that find nobody: to look at thousands for each who comes would be an attack's work."""


class Crowd:
    """The clients of one worker that rest, when that matters."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._line: list[tuple[float, Downstream]] = []
        """Those who go next, the last one first, and since when they rest."""
        self._again = 0.0

    def __repr__(self) -> str:
        return f"<Crowd {len(self._line)} in line>"

    def makes_room(self) -> bool:
        """Whether somebody had to go, so that one more may stay."""
        now = clock.monotonic()
        if not self._line and now >= self._again:
            self._look(now)
        while self._line:
            since, client = self._line.pop()
            if client.resting_since() == since:
                client.make_room()
                limit = self._worker.connection_limit
                self._worker.complaints.tell(
                    "connections_full", "", limit=str(limit), ended="those at rest for longest"
                )
                return True
        return False

    def _look(self, now: float) -> None:
        latest = now - GRACE
        rest = [
            (since, id(client), client)
            for client in self._worker.clients
            if isinstance(client, Downstream) and (since := client.resting_since()) <= latest
        ]
        self._line = [(since, client) for since, _, client in reversed(nsmallest(AT_ONCE, rest))]
        if not self._line:
            self._again = now + LOOK_EVERY
