"""The way to an app that has a network of its own: sockets that were made in there come out by a channel, and connect
to where only it listens.

A few are kept ready, so that a connection need not wait for one. Whoever makes them knows nothing of what for.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from contextlib import suppress
from typing import Final

import msgspec

KEPT: Final = 8
"""Sockets that are asked for at once."""
FAMILIES: Final = {b"4": socket.AF_INET, b"6": socket.AF_INET6}
"""What is asked for, one letter for each socket."""


class Enclosed(msgspec.Struct, frozen=True, tag=True):
    """A message to a worker: the wrapped app has a network of its own. Descriptors come along, in the order of their
    names: "tcp4" and "tcp6" take its connections, "dns4" and "dns6" its questions for names; by "asking" more sockets
    are asked for; the file "aliases" has what names were told as."""

    names: tuple[str, ...]


class Inside:
    """See the module. `asking` is the channel to whoever makes sockets."""

    def __init__(self, loop: asyncio.AbstractEventLoop, asking: socket.socket) -> None:
        self._loop = loop
        self._asking = asking
        self._kept: dict[bytes, deque[socket.socket]] = {word: deque() for word in FAMILIES}
        self._waiting: dict[bytes, deque[asyncio.Future[socket.socket]]] = {word: deque() for word in FAMILIES}
        self._coming = dict.fromkeys(FAMILIES, 0)
        asking.setblocking(False)

    def __repr__(self) -> str:
        return f"<Inside, {sum(map(len, self._kept.values()))} sockets kept>"

    async def connect(self, host: str, port: int) -> socket.socket:
        """A connection to where the app listens. Raises OSError."""
        end = await self._take(b"6" if ":" in host else b"4")
        try:
            await self._loop.sock_connect(end, (host, port))
        except BaseException:
            end.close()
            raise
        return end

    def close(self) -> None:
        """Give back what is kept."""
        for kept in self._kept.values():
            while kept:
                kept.pop().close()
        self._asking.close()

    async def _take(self, word: bytes) -> socket.socket:
        kept = self._kept[word]
        if kept:
            return kept.popleft()
        waiting = self._waiting[word]
        if len(waiting) >= self._coming[word]:
            self._ask(word)
        future: asyncio.Future[socket.socket] = self._loop.create_future()
        waiting.append(future)
        try:
            return await future
        except asyncio.CancelledError:
            if future.done() and not future.cancelled() and future.exception() is None:
                kept.append(future.result())
            raise
        finally:
            with suppress(ValueError):
                waiting.remove(future)

    def _ask(self, word: bytes) -> None:
        """Ask for some more; they come by a channel of their own. Raises OSError."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                socket.send_fds(self._asking, [word * KEPT], [theirs.fileno()])
            except OSError:
                ours.close()
                raise
        self._coming[word] += KEPT
        ours.setblocking(False)
        self._loop.add_reader(ours, self._on_made, ours, word)

    def _on_made(self, ours: socket.socket, word: bytes) -> None:
        self._loop.remove_reader(ours)
        self._coming[word] -= KEPT
        with ours:
            try:
                _, handles, _, _ = socket.recv_fds(ours, 1, KEPT)
            except OSError:
                handles = []
        waiting = [each for each in self._waiting[word] if not each.done()]
        for handle in handles:
            end = socket.socket(fileno=handle)
            end.setblocking(False)
            if waiting:
                waiting.pop(0).set_result(end)
            else:
                self._kept[word].append(end)
        for each in waiting[self._coming[word] :]:
            each.set_exception(ConnectionError("there is no way into the app's network"))
