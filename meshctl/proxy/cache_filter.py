"""What becomes of a request at the cache of its route: the one place that decides between what is kept and the service.

Loaded with the first route that has a cache.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from meshctl import clock
from meshctl.core.caching import stands_in, use
from meshctl.proxy.cached_request import CachedRequest, Reader, target_of
from meshctl.proxy.caching import MOST_WAITS, Herd, LiveCaching, live_caching
from meshctl.proxy.filling import Filling
from meshctl.proxy.filters.reply import LATER, Reply, refusal
from meshctl.proxy.refreshing import refresh

if TYPE_CHECKING:
    from meshctl.model.caching import Caching
    from meshctl.model.route import Route
    from meshctl.proxy.exchange import Exchange
    from meshctl.proxy.kept_answer import KeptAnswer
    from meshctl.wire.message import Response

_READING: Final = frozenset(("GET", "HEAD"))
_SAFE: Final = frozenset(("OPTIONS", "TRACE"))


class CacheFilter:
    """See the module."""

    def __init__(self, route: Route, config: Caching) -> None:
        self._route = route.name
        self._config = config
        self._reader = Reader(route, config)

    def __repr__(self) -> str:
        return f"<CacheFilter of {self._route}>"

    def __call__(self, exchange: Exchange) -> Reply | None:
        """`LATER` where the request has had its answer, or waits for one."""
        method = exchange.request.method
        live = live_caching(exchange.worker)
        if method not in _READING:
            self._pass_by(exchange, live, b"fwd=method")
            return None
        request = self._reader.read(exchange)
        if request is None:
            self._pass_by(exchange, live, b"fwd=bypass")
            return None
        now = clock.monotonic()
        kept = live.shelves.find(request.target, request.owner, request.select)
        if kept is not None and self._given(exchange, live, request, kept, now):
            return LATER
        if request.control.only_if_cached:
            exchange.cached = "miss"
            live.note(self._route, exchange.cached)
            return refusal(exchange, "not_cached", "nothing is kept that may be given")
        if method == "HEAD":
            # What it brings is no answer to GET, which alone is kept.
            self._pass_by(exchange, live, b"fwd=miss")
            return None
        return self._asked(exchange, live, request, kept, now)

    def _given(
        self, exchange: Exchange, live: LiveCaching, request: CachedRequest, kept: KeptAnswer, now: float
    ) -> bool:
        """Give what is kept, where it may be."""
        age = kept.age + now - kept.at
        verdict = use(kept.keeping, age, request.control)
        if verdict == "ask":
            if kept.excused <= now or not stands_in(kept.keeping, age, request.control):
                return False
            # The service has failed just now: to ask it once more for each request would not help it.
            verdict = "stale"
        elif verdict == "refresh":
            refresh(exchange, live, self._config, request, kept)
        exchange.cached = "hit" if verdict == "fresh" else "stale"
        live.note(self._route, exchange.cached)
        kept.give(exchange, request.said, b"hit", now)
        return True

    def _asked(
        self, exchange: Exchange, live: LiveCaching, request: CachedRequest, kept: KeptAnswer | None, now: float
    ) -> Reply | None:
        """Have the service asked, or wait for what another request has asked it for."""
        herd = None
        if self._may_wait(exchange, request, kept):
            key = live.key(request)
            known = live.herds.get(key)
            if known is None:
                herd = Herd(key, self._config.coalesce)
            elif not live.passes_by(request, now):
                return known.hold(exchange)
        Filling(exchange, live, self._config, request, kept, herd).begin()
        return None

    def _may_wait(self, exchange: Exchange, request: CachedRequest, kept: KeptAnswer | None) -> bool:
        """Whether others may have the same answer. One with conditions of its own may get a 304 that nobody can use."""
        if not self._config.coalesce or exchange.waits >= MOST_WAITS or request.control.is_particular:
            return False
        return kept.keeping.is_shared if kept is not None else not request.said

    def _pass_by(self, exchange: Exchange, live: LiveCaching, status: bytes) -> None:
        """Have the service answer, and say so; what it changes is kept no longer."""
        live.note(self._route, "bypass")
        exchange.cached = "bypass"
        exchange.say(b"Cache-Status: meshctl; " + status)
        method = exchange.request.method
        if method not in _READING and method not in _SAFE:
            _Changing(exchange, live, target_of(exchange)).begin()


class _Changing:
    """A request that may change what is behind its target: what is kept of that is forgotten then (RFC 9111 §4.4)."""

    def __init__(self, exchange: Exchange, live: LiveCaching, target: str) -> None:
        self._exchange = exchange
        self._live = live
        self._target = target

    def begin(self) -> None:
        """Take the place of the exchange's own word on the answer."""
        exchange: Any = self._exchange
        exchange.answer = self.answer

    def answer(self, response: Response, body: bytes | memoryview | None = None) -> None:
        """See `Answering`."""
        exchange = self._exchange
        vars(exchange).pop("answer", None)
        if 200 <= response.status < 400:
            self._live.change(self._target)
        exchange.answer(response, body)
