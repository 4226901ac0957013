"""An answer that is fetched anew behind one that was given stale (stale-while-revalidate, RFC 5861 §3): an exchange
without a client, one at a time for each answer.

It is a request like others to its service, its log and its counters; nobody waits for it.
"""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Final

from meshctl import clock
from meshctl.proxy.exchange import Exchange
from meshctl.proxy.filling import Filling
from meshctl.proxy.silent import Silent

if TYPE_CHECKING:
    from meshctl.model.caching import Caching
    from meshctl.proxy.cached_request import CachedRequest
    from meshctl.proxy.caching import HerdKey, LiveCaching
    from meshctl.proxy.kept_answer import KeptAnswer

LONGEST: Final = 30.0
"""Seconds it may take where its route does not say."""
MOST: Final = 64
"""Under way at once in one worker; what is beyond is fetched when it is too old to be given."""


def refresh(original: Exchange, live: LiveCaching, config: Caching, request: CachedRequest, stale: KeptAnswer) -> None:
    """Have a stale answer fetched anew, unless it is already."""
    key = live.key(request)
    if key in live.refreshing or len(live.refreshing) >= MOST:
        return
    live.refreshing.add(key)
    made = Refreshing(original, live, key)
    # Not from within the answer to the original: its client comes first.
    live.worker.loop.call_soon(made.start, config, request, stale)


class Refreshing(Exchange):
    """See the module."""

    is_usual = False

    def __init__(self, original: Exchange, live: LiveCaching, key: HerdKey) -> None:
        request = copy(original.request)
        request.method = "GET"
        super().__init__(original.worker, Silent(original.stream), request)
        self._live = live
        self._key = key
        self.snapshot = original.snapshot
        self.route, self.service = original.route, original.service
        self.path, self.is_verbatim = original.path, original.is_verbatim
        self.principal, self.user = original.principal, original.user
        self.identify()

    def start(self, config: Caching, request: CachedRequest, stale: KeptAnswer) -> None:
        """Ask the service whether the answer still holds."""
        assert self.route is not None
        self.started = clock.monotonic()
        self.total_deadline = self.until = self.started + (self.route.timeout or LONGEST)
        self.worker.counters.in_flight += 1
        filling = Filling(self, self._live, config, request, stale, None)
        filling.label = "refresh"
        filling.begin()
        if self.split() and self.balance() and self.admit():
            self.forward()

    def finish(self, now: float) -> None:
        """See `Exchange`."""
        if not self.finished:
            self._live.refreshing.discard(self._key)
        super().finish(now)
