"""What a worker tells its supervisor of requests that were counted, a little later and many at once: the supervisor
writes quotas down and shares rates with other gateways. No request waits for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from meshctl.proxy.messages import Spent

if TYPE_CHECKING:
    from meshctl.proxy.worker import Worker

SOON: Final = 0.05
"""Seconds until what was counted is told."""
MOST: Final = 20_000
"""Keys told of at once. Requests of more in that time are counted here and nowhere else."""

Entry = tuple[str, str, str, int]
"""Route, limit, key and, of a quota, the number of its day or month."""


class Reports:
    """See the module."""

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self._spent: dict[Entry, int] = {}

    def __repr__(self) -> str:
        return f"<Reports {len(self._spent)} keys>"

    def add(self, entry: Entry) -> None:
        """A request was counted there."""
        spent = self._spent
        if not spent:
            self._worker.loop.call_later(SOON, self.tell)
        if entry in spent:
            spent[entry] += 1
        elif len(spent) < MOST:
            spent[entry] = 1

    def tell(self) -> None:
        """Tell what was not told yet."""
        spent, self._spent = self._spent, {}
        if spent:
            self._worker.orders.send(Spent(tuple((*entry, count) for entry, count in spent.items())))
