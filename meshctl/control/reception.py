"""Who comes to the admin API first meets this: whether a change of the store is live is answered here and now, and so
is what commands ask every proxy at once; anything else is for aiohttp.

The first question is put to every proxy whenever anything in the mesh changes, and aiohttp costs 17 MB and half a
second of a core in each: fifty proxies could not tell within a second how they fare.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Final

import msgspec

from meshctl.control.strangers import MOST, VISIT, is_this_user
from meshctl.errors import MeshError
from meshctl.observe.log import Events
from meshctl.proxy.tasks import spawn

PATIENCE: Final = 10.0
"""Seconds a client gets to say anything."""
_AGAIN_AFTER: Final = 1.0
_LONGEST: Final = 8_192
_SYNCED: Final = re.compile(rb"GET /v1/synced\?revision=([0-9]{1,18}) HTTP/1\.[01]\r\n(?:[^\r\n]+\r\n)*\r\n")
_PATH: Final = re.compile(rb"GET (?P<path>/v1/[a-z]+)(?:\?(?P<query>[!-~]*))? HTTP/1\.[01]\r\n(?:[^\r\n]+\r\n)*\r\n")
_HEAD: Final = b"HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"

Query = Mapping[str, str]
Told = Callable[[Query], Awaitable[bytes]]
"""Answers a question with a JSON document. Raises MeshError."""
Shown = Callable[[Query, socket.socket], Awaitable[None]]
"""Speaks to a client for as long as either likes. Raises MeshError before it has said anything."""


class Reception:
    """Accepts the clients of an admin API. `synced` answers, with a JSON document, whether a revision of the store is
    live; `told` and `shown` have what else is answered here, by path; `serve` takes all others, who have not been read
    from."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        synced: Callable[[int], Awaitable[bytes]],
        serve: Callable[[socket.socket], Awaitable[None]],
        told: Mapping[str, Told] | None = None,
        shown: Mapping[str, Shown] | None = None,
    ) -> None:
        self._loop = loop
        self._told = told or {}
        self._shown = shown or {}
        self._synced = synced
        self._serve = serve
        self._sockets: list[socket.socket] = []
        self._strangers: list[tuple[socket.socket, asyncio.TimerHandle]] = []
        self._events = Events("admin")

    def __repr__(self) -> str:
        return f"<Reception at {len(self._sockets)} sockets>"

    def open(self, listening: socket.socket) -> None:
        """Accept clients at this socket, which is closed with the others."""
        listening.setblocking(False)
        self._sockets.append(listening)
        self._loop.add_reader(listening, self._on_client, listening)

    def leave(self, listening: socket.socket) -> None:
        """Accept no more clients at this socket."""
        self._sockets.remove(listening)
        self._loop.remove_reader(listening)
        listening.close()

    def close(self) -> None:
        """Accept no more."""
        for each in self._sockets:
            self._loop.remove_reader(each)
            each.close()
        self._sockets.clear()

    def _on_client(self, listening: socket.socket) -> None:
        try:
            client, _ = listening.accept()
        except (BlockingIOError, ConnectionError):
            return  # It has gone again.
        except OSError as error:
            # No descriptors are left: whoever waits goes on waiting, and so do we.
            self._events.error("admin_failed", error=error)
            self._loop.remove_reader(listening)
            self._loop.call_later(_AGAIN_AFTER, self._reopen, listening)
            return
        if not self._is_let_in(client):
            client.close()
            return
        client.setblocking(False)
        spawn(self._greet(client), name="admin client")

    def _is_let_in(self, client: socket.socket) -> bool:
        if client.family == socket.AF_UNIX:
            return is_this_user(client)
        for visit in [each for each in self._strangers if each[0].fileno() < 0]:
            visit[1].cancel()
            self._strangers.remove(visit)
        if len(self._strangers) >= MOST:
            return False
        self._strangers.append((client, self._loop.call_later(VISIT, _see_off, client)))
        return True

    def _reopen(self, listening: socket.socket) -> None:
        if listening in self._sockets:
            self._loop.add_reader(listening, self._on_client, listening)

    async def _greet(self, client: socket.socket) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                await self._heard(client)
            said = client.recv(_LONGEST, socket.MSG_PEEK)
            synced, asked = _SYNCED.match(said), _PATH.match(said)
            path = asked["path"].decode() if asked else ""
            if client.family != socket.AF_UNIX or not (synced or path in self._told or path in self._shown):
                await self._serve(client)
                return
            client.recv(len(said))
            if synced:
                await self._send(client, b"200 OK", await self._synced(int(synced[1])))
            elif asked:
                await self._answer(client, path, asked["query"] or b"")
        except (OSError, TimeoutError):
            pass  # It has gone, or says nothing.
        except BaseException:
            client.close()
            raise
        client.close()

    async def _answer(self, client: socket.socket, path: str, text: bytes) -> None:
        from urllib.parse import parse_qsl

        query = dict(parse_qsl(text.decode("ascii")))
        try:
            if path in self._shown:
                await self._shown[path](query, client)
            else:
                await self._send(client, b"200 OK", await self._told[path](query))
        except MeshError as error:
            problem = {"title": error.code, "detail": error.message, "hint": error.hint, "code": error.code}
            await self._send(client, b"400 Bad Request", msgspec.json.encode(problem))

    async def _send(self, client: socket.socket, status: bytes, body: bytes) -> None:
        await self._loop.sock_sendall(client, _HEAD % (status, len(body)) + body)

    async def _heard(self, client: socket.socket) -> None:
        """Return when the client has said something, or has gone."""
        heard = asyncio.Event()
        self._loop.add_reader(client, heard.set)
        try:
            await heard.wait()
        finally:
            self._loop.remove_reader(client)


def _see_off(client: socket.socket) -> None:
    """End a visit that is too long; whoever serves the client closes it."""
    with suppress(OSError):  # it has gone long since
        client.shutdown(socket.SHUT_RDWR)
