"""Who comes to the admin API first meets this: whether a change of the store is live is answered here and now, anything
else is for aiohttp.

That one question is put to every proxy whenever anything in the mesh changes, and aiohttp costs 17 MB and half a second
of a core in each: it is loaded for whoever asks anything else.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Awaitable, Callable
from typing import Final

from meshctl.observe.log import Events
from meshctl.proxy.tasks import spawn

PATIENCE: Final = 10.0
"""Seconds a client gets to say anything."""
_AGAIN_AFTER: Final = 1.0
_LONGEST: Final = 8_192
_SYNCED: Final = re.compile(rb"GET /v1/synced\?revision=([0-9]{1,18}) HTTP/1\.[01]\r\n(?:[^\r\n]+\r\n)*\r\n")
_HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"


class Reception:
    """Accepts the clients of an admin API. `synced` answers, with a JSON document, whether a revision of the store is
    live; `serve` takes all other clients, who have not been read from."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        synced: Callable[[int], Awaitable[bytes]],
        serve: Callable[[socket.socket], Awaitable[None]],
    ) -> None:
        self._loop = loop
        self._synced = synced
        self._serve = serve
        self._sockets: list[socket.socket] = []
        self._events = Events("admin")

    def __repr__(self) -> str:
        return f"<Reception at {len(self._sockets)} sockets>"

    def open(self, listening: socket.socket) -> None:
        """Accept clients at this socket, which is closed with the others."""
        listening.setblocking(False)
        self._sockets.append(listening)
        self._loop.add_reader(listening, self._on_client, listening)

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
        client.setblocking(False)
        spawn(self._greet(client), name="admin client")

    def _reopen(self, listening: socket.socket) -> None:
        if listening in self._sockets:
            self._loop.add_reader(listening, self._on_client, listening)

    async def _greet(self, client: socket.socket) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                await self._heard(client)
            found = _SYNCED.match(client.recv(_LONGEST, socket.MSG_PEEK))
            if found is None or client.family != socket.AF_UNIX:
                await self._serve(client)
                return
            client.recv(found.end())
            body = await self._synced(int(found[1]))
            head = (
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n"
            )
            await self._loop.sock_sendall(client, head % len(body) + body)
        except (OSError, TimeoutError):
            pass  # It has gone, or says nothing.
        client.close()

    async def _heard(self, client: socket.socket) -> None:
        """Return when the client has said something, or has gone."""
        heard = asyncio.Event()
        self._loop.add_reader(client, heard.set)
        try:
            await heard.wait()
        finally:
            self._loop.remove_reader(client)
