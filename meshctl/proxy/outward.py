"""How a worker asks an HTTP server outside of the mesh: a bounded number at once, each within its time. What it is done
with is loaded in a thread, as soon as somebody is there who will ask: traffic does not wait for it, and who never asks
never pays for it. Must not know what is asked, nor why.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from meshctl.proxy.answers import Answered, Unreachable, origin
from meshctl.wire.fields import Fields

if TYPE_CHECKING:
    from meshctl.proxy.outward_session import Session
    from meshctl.proxy.worker import Worker

__all__ = ["Answered", "Outward", "Unreachable", "outward"]

MOST: Final = 1_024
"""Questions under way or waiting for their turn; one more is not asked."""


class Outward:
    """A worker's way out."""

    def __init__(self) -> None:
        self._loading: asyncio.Future[type[Session]] | None = None
        self._session: Session | None = None
        self._asking: set[asyncio.Task[object]] = set()

    def __repr__(self) -> str:
        return f"<Outward {len(self._asking)} under way>"

    def load(self, loop: asyncio.AbstractEventLoop) -> asyncio.Future[type[Session]]:
        """Begin to load what it is done with, unless that has begun."""
        if self._loading is None:
            self._loading = loop.run_in_executor(None, _load)
        return self._loading

    async def ask(
        self,
        method: str,
        url: str,
        *,
        fields: Fields,
        body: bytes = b"",
        timeout: float,
        limit: int,
        ca: str = "",
        may_repeat: bool = False,
    ) -> Answered:
        """The answer to one request, its body of at most `limit` bytes, within `timeout` seconds. `ca` is a PEM file
        of authorities to believe in the place of the system's. Where it `may_repeat`, a request that a kept connection
        lost is sent once more. Raises Unreachable."""
        task = asyncio.current_task()
        assert task is not None
        if len(self._asking) >= MOST:
            raise Unreachable(f"{origin(url)} is not asked: too many others wait for their answers")
        self._asking.add(task)
        try:
            # Not a part of the time that the server has.
            session = await self._opened()
            async with asyncio.timeout(timeout):
                return await session.ask(method, url, fields, body, limit, ca=ca, may_repeat=may_repeat)
        except TimeoutError:
            raise Unreachable(f"{origin(url)} gives no answer within {timeout:g}s") from None
        finally:
            self._asking.discard(task)

    async def close(self) -> None:
        """Have nobody wait any more, and close what is open."""
        tasks = list(self._asking)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _opened(self) -> Session:
        # Whoever is called off while it loads must not call it off for the others.
        kind = await asyncio.shield(self.load(asyncio.get_running_loop()))
        if self._session is None:
            self._session = kind()
        return self._session


def outward(worker: Worker) -> Outward:
    """The worker's way out, made for the first who needs it and closed with the worker."""
    if worker.outward is None:
        worker.outward = Outward()
        worker.outward.load(worker.loop)
    return worker.outward


def _load() -> type[Session]:
    from meshctl.proxy.outward_session import Session

    return Session
