"""What one worker keeps of its services' answers, who waits for one that is under way, and which are not worth waiting
for. Without `cache` in the configuration there is none of it.

    request ─▶ fresh? ────────────────▶ given
           ├─▶ stale, may be given ───▶ given, and a new one is fetched behind it (`refreshing`)
           ├─▶ under way already ─────▶ waits (`Herd`) and asks again
           └─▶ else ──────────────────▶ the service; what it says is kept as it passes (`filling`)

An answer that was asked for under a configuration which has gone, or before its target was changed, is not kept.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from meshctl import clock
from meshctl.core.shelves import Shelves
from meshctl.observe.sample import CacheSample
from meshctl.proxy.filtering import Filtering, Waiting
from meshctl.proxy.filters.reply import Reply

if TYPE_CHECKING:
    import asyncio

    from meshctl.model.route import Route
    from meshctl.model.service import Service
    from meshctl.proxy.cached_request import CachedRequest, Owner
    from meshctl.proxy.kept_answer import KeptAnswer
    from meshctl.proxy.snapshot import Snapshot
    from meshctl.proxy.worker import Worker

MOST_WAITS: Final = 2
"""How often a request waits for another one's answer; then it goes on by itself."""
MOST_KNOWN: Final = 4_096
"""What is remembered of requests beside answers; of more the oldest is forgotten."""
NOT_KEPT_FOR: Final = 30.0
"""Seconds for which nobody waits for an answer again that turned out not to be one to keep."""

HerdKey = tuple[str, "Owner", tuple[bytes, ...]]


class Herd(Waiting):
    """Requests that wait for the answer to the first of them. `key` is what they have in common."""

    def __init__(self, key: HerdKey, patience: float) -> None:
        super().__init__("upstream_timeout", patience)
        self.key = key

    def hold(self, exchange: Filtering) -> Reply:
        """See `Waiting`. Thousands may wait: those that have gone are told from the others in the end."""
        exchange.waits += 1
        return self.take(exchange)

    def give_up(self, exchange: Filtering, now: float) -> None:
        """It takes too long: the request goes on by itself."""
        exchange.waits = MOST_WAITS
        exchange.ask_again()

    def disperse(self, loop: asyncio.AbstractEventLoop) -> None:
        """There is nothing to wait for: all go on by themselves."""
        for each in self.waiting:
            each.waits = MOST_WAITS
        self.over(loop)


class LiveCaching:
    """See the module."""

    def __init__(self, worker: Worker) -> None:
        self.worker = worker
        snapshot = worker.snapshot
        self.shelves: Shelves[KeptAnswer] = Shelves(snapshot.mesh.gateway.cache_bytes)
        self.herds: dict[HerdKey, Herd] = {}
        self.refreshing: set[HerdKey] = set()
        """What is fetched anew behind stale answers."""
        self._marks = _marks(snapshot)
        # By hashes: targets may be long, and one that is mistaken for another one costs no more than an answer.
        self._passed: dict[int, float] = {}
        self._changed: dict[int, float] = {}

    def __repr__(self) -> str:
        return f"<LiveCaching {self.shelves!r}, {len(self.herds)} under way>"

    def adopt(self, snapshot: Snapshot) -> None:
        """Serve another configuration: what routes keep that lead elsewhere now, or keep otherwise, is forgotten."""
        before, marks = self._marks, _marks(snapshot)
        # The very object stays where nothing has changed.
        self._marks = {name: before[name] if before.get(name) == mark else mark for name, mark in marks.items()}
        self.shelves.resize(snapshot.mesh.gateway.cache_bytes)
        gone = {name for name, mark in before.items() if self._marks.get(name) is not mark}
        if gone:
            self.shelves.forget_owners(lambda owner: owner[0] in gone)
            self._passed.clear()

    def mark(self, route: str) -> object:
        """What stays the same as long as a route's answers do."""
        return self._marks.get(route)

    def pass_by(self, request: CachedRequest) -> None:
        """Nobody need wait for an answer to this."""
        _remember(self._passed, hash((request.target, request.owner)), clock.monotonic() + NOT_KEPT_FOR)

    def passes_by(self, request: CachedRequest, now: float) -> bool:
        """Whether that was found out of late."""
        return self._passed.get(hash((request.target, request.owner)), 0.0) > now

    def change(self, target: str) -> None:
        """What is behind a target was changed: what is kept of it, or on its way, holds no more (RFC 9111 §4.4)."""
        self.shelves.forget(target)
        _remember(self._changed, hash(target), clock.monotonic())

    def keep(
        self, request: CachedRequest, owner: Owner, mark: object, since: float, names: tuple[bytes, ...],
        answer: KeptAnswer,
    ) -> bool:  # fmt: skip
        """Keep the answer to a request that went to its service at `since`, where nothing has changed since."""
        if self.mark(owner[0]) is not mark or self._changed.get(hash(request.target), 0.0) >= since:
            return False
        self._passed.pop(hash((request.target, request.owner)), None)
        return self.shelves.put(request.target, owner, names, request.select(names), answer)

    def key(self, request: CachedRequest) -> HerdKey:
        """By what requests are told apart that wait for each other."""
        names = self.shelves.names(request.target, request.owner)
        return request.target, request.owner, request.select(names) if names else ()

    def count(self) -> CacheSample:
        """What is kept."""
        return CacheSample(len(self.shelves), self.shelves.size, self.shelves.evicted)

    def note(self, route: str, result: str) -> None:
        """Count what became of a request."""
        self.worker.counters.cached(route, result)


def live_caching(worker: Worker) -> LiveCaching:
    """The worker's; made with the first request that needs it."""
    found = worker.caching
    if found is None:
        found = worker.caching = LiveCaching(worker)
    return found


def _marks(snapshot: Snapshot) -> dict[str, object]:
    """For each route that keeps answers, all that their content depends on."""
    services = {each.name: each for each in snapshot.mesh.services}
    return {
        route.name: _said(route, services.get(route.service or ""))
        for route in snapshot.mesh.routes
        if route.cache is not None
    }


def _said(route: Route, service: Service | None) -> object:
    where = [(each.name, each.endpoints) for each in service.versions] if service is not None else None
    return (route.cache, route.match, route.service, route.version, route.rewrite, route.request_headers,
            route.request_query, route.auth, where)  # fmt: skip


def _remember(known: dict[int, float], key: int, value: float) -> None:
    known.pop(key, None)
    if len(known) >= MOST_KNOWN:
        del known[next(iter(known))]
    known[key] = value
