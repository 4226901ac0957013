"""Which kinds of requests there are most of, and how they fare: what `top` shows, out of what a tap sees.

Bounded: of more kinds than `MOST` the one that was seen longest ago is forgotten. Knows no time and no terminal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from meshctl.core.path_shape import path_shape
from meshctl.model.tap import TapEvent
from meshctl.wire.reasons import has_failed, is_given_up

MOST: Final = 1_000

Kind = tuple[str, str, str, str]
"""Who calls, who is called, the method and the kind of path."""


class Busy(msgspec.Struct):
    """One kind of request. Latencies are microseconds."""

    source: str
    destination: str
    method: str
    path: str
    count: int = 0
    best: int = 0
    worst: int = 0
    last: int = 0
    errors: int = 0
    """Those that failed."""
    given_up: int = 0
    """Those whose clients left before an answer."""

    @property
    def success(self) -> float:
        """The share of those that were not given up that did not fail."""
        judged = self.count - self.given_up
        return 1 - self.errors / judged if judged else 1.0


SORTS: Final[Mapping[str, Callable[[Busy], float]]] = {
    "count": lambda busy: -busy.count,
    "best": lambda busy: -busy.best,
    "worst": lambda busy: -busy.worst,
    "last": lambda busy: -busy.last,
    "success": lambda busy: busy.success,
}
"""The ways to sort, what matters most first."""


class Busiest:
    """All kinds seen so far."""

    def __init__(self) -> None:
        self._kinds: dict[Kind, Busy] = {}
        self.skipped = 0
        """Requests that are not among them, because there were too many to see all."""

    def __repr__(self) -> str:
        return f"<Busiest of {len(self._kinds)} kinds>"

    def __len__(self) -> int:
        return len(self._kinds)

    def add(self, event: TapEvent) -> None:
        """Count a request."""
        is_outside = event.proxy == "gateway" or not event.source
        source = event.client if is_outside else event.source
        kind = (source, event.destination, event.method, path_shape(event.path))
        busy = self._kinds.pop(kind, None)
        took = event.duration_us
        if busy is None:
            if len(self._kinds) >= MOST:
                del self._kinds[next(iter(self._kinds))]
            busy = Busy(*kind, best=took)
        busy.count += 1
        busy.best, busy.worst, busy.last = min(busy.best, took), max(busy.worst, took), took
        busy.errors += has_failed(event.status, event.reason)
        busy.given_up += is_given_up(event.status, event.reason)
        # The one seen last is the last in order.
        self._kinds[kind] = busy

    def clear(self) -> None:
        """Begin anew."""
        self._kinds.clear()
        self.skipped = 0

    def rows(self, sort: str, text: str = "") -> list[Busy]:
        """The kinds in which `text` stands anywhere, sorted."""
        low = text.lower()
        found = [
            busy
            for busy in self._kinds.values()
            if low in f"{busy.source} {busy.destination} {busy.method} {busy.path}".lower()
        ]
        return sorted(found, key=lambda busy: (SORTS[sort](busy), -busy.count, busy.destination, busy.path))
