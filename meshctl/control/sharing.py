"""Rates that several gateways share in a Redis.

Each decides by itself, at once, by the time of rest in its own memory; twenty times a second it adds what it let in to
the time of rest in Redis and takes that for its own where it is later. So together they keep a rate exactly over any
longer time, and are ahead of it by what they let in between two exchanges at most. Where Redis is away each goes on
alone; it is asked again every second, and one notice tells of either.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any, Final

from meshctl import clock
from meshctl.core.gcra import Rate
from meshctl.errors import install
from meshctl.model.limits import REDIS_PASSWORD, By
from meshctl.model.mesh import Mesh
from meshctl.observe.log import Events
from meshctl.proxy.counted import salt, shown
from meshctl.proxy.tasks import rest, spawn

if TYPE_CHECKING:
    from meshctl.core.cells import Cells

SOON: Final = 0.02
IDLE: Final = 2.0
"""Seconds without anything to share after which it is looked whether Redis is still there."""
AGAIN: Final = 1.0
"""Seconds until a Redis that is away is asked again."""
PATIENCE: Final = 0.5
"""Seconds that it may take to answer."""
MOST: Final = 1_000
"""Keys exchanged at once."""

# Redis' own clock: those of the gateways' machines may differ. The answer is how far ahead of now the rest lies.
_SCRIPT: Final = """
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local rest = tonumber(redis.call('GET', KEYS[1]) or '0')
if rest < now then rest = now end
rest = rest + tonumber(ARGV[1])
local ahead = rest - now
redis.call('SET', KEYS[1], string.format('%.0f', rest), 'PX', math.ceil(ahead / 1000) + 1000)
return string.format('%.0f', ahead)
"""

Key = tuple[str, str, str]
"""Route, limit and key."""


class Sharing:
    """See the module."""

    def __init__(self, rates: Cells) -> None:
        self.is_up = False
        """Whether Redis answered the last time."""
        self.url = ""
        self._rates = rates
        self._mesh = ""
        self._limits: dict[tuple[str, str], tuple[Rate, By]] = {}
        self._spent: dict[Key, int] = {}
        self._is_asked = False
        self._script = ""
        self._task: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._is_told = False
        self._events = Events("limits")

    def __repr__(self) -> str:
        return f"<Sharing {self.url} {'up' if self.is_up else 'down'}>"

    def adopt(self, mesh: Mesh) -> None:
        """Share the limits of what is served from now on."""
        self._mesh = mesh.name
        self._limits = {
            (route.written, each.name): (Rate(each.count, each.window, each.burst), each.by)
            for route in mesh.routes
            for each in route.rate_limits
        }
        url = mesh.gateway.rate_limit.backend
        if url != self.url:
            self.close()
            self.url = url
            if url:
                self._task = spawn(self._follow(url), name="share limits")

    def spend(self, route: str, limit: str, key: str, count: int) -> None:
        """A worker has let in so many."""
        if self.is_up and len(self._spent) < MOST * 20:
            where = (route, limit, key)
            self._spent[where] = self._spent.get(where, 0) + count
            self._wake.set()

    def close(self) -> None:
        """Share nothing more."""
        if self._task is not None:
            self._task.cancel()
            self._task = None
        self.is_up = False
        self._spent.clear()

    async def _follow(self, url: str) -> None:
        """Exchange what is spent with Redis, for good."""
        try:
            import redis.asyncio as library
            from redis.backoff import NoBackoff
            from redis.exceptions import RedisError
            from redis.retry import Retry
        except ImportError:
            self._events.warning("limits_backend_missing", backend=url, hint=install("redis"))
            return
        client: Any = library.Redis.from_url(
            url,
            password=os.environ.get(REDIS_PASSWORD) or None,
            socket_timeout=PATIENCE,
            socket_connect_timeout=PATIENCE,
            retry=Retry(NoBackoff(), 0),
        )
        try:
            while True:
                try:
                    await self._exchange(client)
                    await self._next()
                except (RedisError, OSError, TimeoutError) as error:
                    self._lost(url, error)
                    await asyncio.sleep(AGAIN)
        finally:
            await client.aclose()

    async def _exchange(self, client: Any) -> None:
        if not (self.is_up and self._is_asked):
            await client.ping()
            self._is_asked = True
            self._script = await client.script_load(_SCRIPT)
            self._found()
        self._wake.clear()
        while self._spent:
            now = [self._spent.popitem() for _ in range(min(MOST, len(self._spent)))]
            known = [(*each, *self._limits[each[0][:2]]) for each in now if each[0][:2] in self._limits]
            async with client.pipeline(transaction=False) as pipe:
                for (route, limit, key), count, rate, by in known:
                    name = f"meshctl:{self._mesh}:{route}:{limit}:{shown(key, by)}"
                    pipe.evalsha(self._script, 1, name, round(count * rate.interval * 1e6))
                answers = await pipe.execute()
            for ((route, limit, key), _, _, by), ahead in zip(known, answers, strict=True):
                self._raise(hash((salt(route, limit, by), key)), int(ahead) / 1e6)

    async def _next(self) -> None:
        """Return when something was spent, a little later so that more of it comes together, or when it is time to see
        whether Redis is still there."""
        if not await rest(self._wake, IDLE):
            self._is_asked = False
            return
        await asyncio.sleep(SOON)

    def _raise(self, key: int, ahead: float) -> None:
        """The time of rest of a key, where it is later than what is known here."""
        now = clock.monotonic()
        place = self._rates.find(key, now)
        self._rates.values[place] = max(self._rates.values[place], now + ahead)

    def _found(self) -> None:
        self.is_up = True
        if self._is_told:
            self._events.info("limits_backend_back", backend=self.url)
        self._is_told = False

    def _lost(self, url: str, error: Exception) -> None:
        self.is_up = False
        self._spent.clear()
        if not self._is_told:
            self._is_told = True
            self._events.warning(
                "limits_backend_lost", backend=url, error=str(error) or "no answer", hint="limits hold in each gateway"
            )
