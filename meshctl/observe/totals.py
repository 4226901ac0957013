"""What a whole proxy has counted: the latest sample of each of its workers, and what those that ended have left.

Lives in the supervisor. A counter never goes back because a worker died: its last sample stays in the sum, without its
gauges, for a dead worker has no connections. What it counted after that sample is lost with it.
"""

from __future__ import annotations

from collections.abc import Collection

from msgspec.structs import replace

from meshctl.observe.counters import outdated
from meshctl.observe.sample import Key, Sample, merge


class Totals:
    """Samples by worker, for whatever key the supervisor knows its workers by."""

    __slots__ = ("_left", "_workers")

    def __init__(self) -> None:
        self._workers: dict[int, Sample] = {}
        self._left = Sample()

    def __repr__(self) -> str:
        return f"<Totals {len(self._workers)} workers, {self.merged().requests} requests>"

    def update(self, worker: int, sample: Sample) -> None:
        """Take a worker's newest sample."""
        self._workers[worker] = sample

    def lost(self, worker: int) -> None:
        """The worker ended; keep what it counted. Unknown workers are no error: one may die before its first sample."""
        last = self._workers.pop(worker, None)
        if last is not None:
            self._left = merge((self._left, replace(last, connections=0, in_flight=0)))

    def worker(self, worker: int) -> Sample:
        """The worker's latest sample, an empty one where none came yet."""
        return self._workers.get(worker, Sample())

    def merged(self) -> Sample:
        """Everything the proxy counted since it started."""
        return merge((self._left, *self._workers.values()))

    def retire(self, live: Collection[Key], services: Collection[str]) -> None:
        """After a revision was applied: forget what ended workers counted for series that are not in `live`, and for
        services and caches of none of these, the oldest first, beyond what a worker keeps of them."""
        left = self._left
        series = set(outdated([each.key for each in left.series], live))
        named = {service for _, service, _ in live} | set(services)
        gone = set(outdated([each.service for each in left.services], named))
        routes = set(outdated(left.cached, {route for route, _, _ in live}))
        if series or gone or routes:
            self._left = replace(
                left,
                series=tuple(each for each in left.series if each.key not in series),
                services=tuple(each for each in left.services if each.service not in gone),
                cached={route: counts for route, counts in left.cached.items() if route not in routes},
            )
