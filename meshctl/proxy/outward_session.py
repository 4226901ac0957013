"""Questions to HTTP servers by aiohttp, one session for all who ask: no cookies, no redirects, nobody's proxy settings,
certificates verified, answers bounded in size. To load it takes a while, so `outward` alone imports it, and not on the
event loop. What goes wrong is said without a word of what was sent or answered.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from typing import Final

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from meshctl.proxy.answers import Answered, Unreachable, origin
from meshctl.proxy.tls import Stamp, stamp
from meshctl.wire.fields import Fields, pairs

AT_ONCE: Final = 32
"""Questions under way to one host; others wait for their turn."""
KEPT: Final = 10.0
"""Seconds for which a connection is kept that nobody uses."""
_LONGEST_FIELD: Final = 32_768
_CUT: Final = (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)


class Session:
    """See the module."""

    def __init__(self) -> None:
        # One resolver whatever else is installed: the system's.
        connector = aiohttp.TCPConnector(
            limit=0, limit_per_host=AT_ONCE, keepalive_timeout=KEPT, resolver=aiohttp.ThreadedResolver()
        )
        self._session = aiohttp.ClientSession(
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
        self._authorities: dict[str, tuple[Stamp, ssl.SSLContext]] = {}

    def __repr__(self) -> str:
        return f"<Session {len(self._authorities)} authorities>"

    async def ask(
        self, method: str, url: str, fields: Fields, body: bytes, limit: int, *, ca: str, may_repeat: bool
    ) -> Answered:
        """The answer to one request. Raises Unreachable, and TimeoutError where the caller has set a time."""
        try:
            try:
                return await self._ask(method, url, fields, body, limit, ca)
            except _CUT as error:
                if not may_repeat or isinstance(error, aiohttp.ClientConnectorError):
                    raise
                return await self._ask(method, url, fields, body, limit, ca)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            if isinstance(error, TimeoutError) and not isinstance(error, aiohttp.ClientError):
                raise
            raise Unreachable(f"{origin(url)} {_why(error)}") from None

    async def close(self) -> None:
        """Close what is open."""
        await self._session.close()

    async def _ask(self, method: str, url: str, fields: Fields, body: bytes, limit: int, ca: str) -> Answered:
        async with self._session.request(
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
        seen = stamp(ca)
        known = self._authorities.get(ca)
        if known is None or known[0] != seen:
            known = self._authorities[ca] = seen, ssl.create_default_context(cafile=ca)
        return known[1]


def _texts(fields: Fields) -> Iterator[tuple[str, str]]:
    for name, value in pairs(fields):
        try:
            yield name.decode("ascii"), value.decode()
        except UnicodeDecodeError:
            # aiohttp writes UTF-8, whatever it was: better another spelling than a field that nobody sees.
            yield name.decode("latin-1"), value.decode("latin-1")


def _why(error: Exception) -> str:
    """What went wrong, in words of ours: those of libraries repeat what was sent."""
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
