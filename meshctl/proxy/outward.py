"""How a worker asks an HTTP server outside of the mesh: one session for all who do, no cookies, no redirects, nobody's
proxy settings, certificates verified, answers bounded in size and time. Loads aiohttp, so only what needs an answer
from outside imports this, when it is made and not with the first request. Must not know what is asked, nor why; what
goes wrong is said without a word of what was sent or answered.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from meshctl.proxy.answers import Answered, Unreachable, origin
from meshctl.wire.fields import Fields, pairs

if TYPE_CHECKING:
    from meshctl.proxy.worker import Worker

__all__ = ["Answered", "Outward", "Unreachable", "outward"]

AT_ONCE: Final = 32
"""Questions under way to one host; others wait for their turn."""
MOST: Final = 1_024
"""Questions under way or waiting for their turn; one more is not asked."""
KEPT: Final = 10.0
"""Seconds for which a connection is kept that nobody uses."""
_LONGEST_FIELD: Final = 32_768
_CUT: Final = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)


class Outward:
    """A worker's way out."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None
        self._asking: set[asyncio.Task[object]] = set()
        self._authorities: dict[str, tuple[int, ssl.SSLContext]] = {}

    def __repr__(self) -> str:
        return f"<Outward {len(self._asking)} under way>"

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
            async with asyncio.timeout(timeout):
                try:
                    return await self._ask(method, url, fields, body, limit, ca)
                except _CUT:
                    if not may_repeat:
                        raise
                    return await self._ask(method, url, fields, body, limit, ca)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise Unreachable(f"{origin(url)} {_why(error, timeout)}") from None
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

    async def _ask(self, method: str, url: str, fields: Fields, body: bytes, limit: int, ca: str) -> Answered:
        session = self._session = self._session or _session()
        async with session.request(
            method,
            URL(url, encoded=True),
            headers=CIMultiDict(_texts(fields)),
            data=body or None,
            allow_redirects=False,
            ssl=self._authority(ca) if ca else True,
        ) as answer:
            found = bytearray()
            async for piece in answer.content.iter_chunked(65_536):
                found += piece
                if len(found) > limit:
                    raise Unreachable(f"{origin(url)} answers with more than {limit} bytes")
            lines = [b": ".join(pair) for pair in answer.raw_headers]
            return Answered(answer.status, lines, bytes(found))

    def _authority(self, ca: str) -> ssl.SSLContext:
        """Who is believed by a file, which is read again once it is another."""
        changed = Path(ca).stat().st_mtime_ns
        known = self._authorities.get(ca)
        if known is None or known[0] != changed:
            known = self._authorities[ca] = changed, ssl.create_default_context(cafile=ca)
        return known[1]


def outward(worker: Worker) -> Outward:
    """The worker's way out, made for the first who needs it and closed with the worker."""
    if worker.outward is None:
        worker.outward = Outward()
    return worker.outward


def _session() -> aiohttp.ClientSession:
    # One resolver whatever else is installed: the system's.
    connector = aiohttp.TCPConnector(
        limit=0, limit_per_host=AT_ONCE, keepalive_timeout=KEPT, resolver=aiohttp.ThreadedResolver()
    )
    return aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(),
        # A coding that nobody asked for could be a small answer that becomes a large one.
        auto_decompress=False,
        headers={"User-Agent": "meshctl", "Accept-Encoding": "identity"},
        skip_auto_headers=("Content-Type",),
        max_field_size=_LONGEST_FIELD,
        trust_env=False,
    )


def _texts(fields: Fields) -> Iterator[tuple[str, str]]:
    for name, value in pairs(fields):
        try:
            yield name.decode("ascii"), value.decode()
        except UnicodeDecodeError:
            # aiohttp writes UTF-8, whatever it was: better another spelling than a field that nobody sees.
            yield name.decode("latin-1"), value.decode("latin-1")


def _why(error: Exception, timeout: float) -> str:
    """What went wrong, in words of ours: those of libraries repeat what was sent."""
    if isinstance(error, TimeoutError) and not isinstance(error, aiohttp.ClientOSError):
        return f"gives no answer within {timeout:g}s"
    if isinstance(error, aiohttp.ClientSSLError | ssl.SSLError):
        return "has a certificate that is not accepted"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "has no address"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"cannot be connected to: {(error.os_error.strerror or 'refused').lower()}"
    if isinstance(error, _CUT):
        return "closed the connection before it answered"
    if isinstance(error, aiohttp.ClientResponseError | aiohttp.ClientPayloadError):
        return "answers with what is not valid HTTP"
    return "cannot be asked"
