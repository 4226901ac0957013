"""The taps of one proxy: clients of its admin socket who look on, and what workers show them.

A tap is as long as its client's connection: when that ends, however it does, the workers are told at once. What a
client does not take in time is counted and not shown. Knows what is shown as lines of bytes only.
"""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Final

import msgspec

from meshctl import clock
from meshctl.errors import MeshError
from meshctl.model.tap import Seen, TapFilter, TapOrder, Tapped, Taps

if TYPE_CHECKING:
    from meshctl.control.fleet import Fleet
    from meshctl.control.reception import Query

LIMIT: Final = 1 << 20
"""The bytes that may wait for a client."""
STALLED: Final = 30.0
"""Seconds that a client may take nothing before it is let go."""

_HEAD: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nConnection: close\r\n\r\n"


class Tapping:
    """See the module. `own` is the service as which the proxy calls others."""

    def __init__(self, loop: asyncio.AbstractEventLoop, fleet: Fleet, own: str) -> None:
        self._loop = loop
        self._fleet = fleet
        self._own = own
        self._last = 0
        self._viewers: dict[int, _Viewer] = {}
        fleet.on[Seen] = self._on_seen

    def __repr__(self) -> str:
        return f"<Tapping {list(self._viewers.values())}>"

    async def show(self, query: Query, client: socket.socket) -> None:
        """Show requests to `client` until it goes. Raises MeshError usage."""
        try:
            wanted = msgspec.json.decode(query.get("filter", "{}"), type=TapFilter)
        except msgspec.DecodeError as error:
            raise MeshError("usage", f"filter: {error}") from error
        await self._loop.sock_sendall(client, _HEAD)
        self._last += 1
        viewer = self._viewers[self._last] = _Viewer(self._loop, client, TapOrder(self._last, self._own, wanted))
        self._tell()
        try:
            # It has nothing to say: what comes is its end.
            while await self._loop.sock_recv(client, 4_096):
                pass
        finally:
            del self._viewers[viewer.order.number]
            viewer.close()
            self._tell()

    def _tell(self) -> None:
        orders = tuple(viewer.order for viewer in self._viewers.values())
        self._fleet.tell(Taps(orders), standing=True)

    def _on_seen(self, seen: Seen) -> None:
        viewer = self._viewers.get(seen.number)
        if viewer is not None:
            viewer.write(seen.lines)


class _Viewer:
    """A client who looks on."""

    def __init__(self, loop: asyncio.AbstractEventLoop, client: socket.socket, order: TapOrder) -> None:
        self.order = order
        self._loop = loop
        self._client = client
        self._waiting = bytearray()
        self._skipped = 0
        self._since = 0.0
        """Since when something waits for it."""

    def __repr__(self) -> str:
        return f"<viewer {self.order.number}, {len(self._waiting)} bytes waiting>"

    def write(self, lines: bytes) -> None:
        """Show whole lines."""
        if len(self._waiting) + len(lines) > LIMIT:
            self._skipped += lines.count(b"\n")
            if clock.monotonic() - self._since > STALLED:
                self._client.shutdown(socket.SHUT_RDWR)
            return
        if self._skipped:
            lines += msgspec.json.encode(Tapped(skipped=self._skipped)) + b"\n"
            self._skipped = 0
        if not self._waiting:
            self._since = clock.monotonic()
            self._loop.add_writer(self._client, self._drain)
        self._waiting += lines
        self._drain()

    def close(self) -> None:
        """It has gone."""
        self._loop.remove_writer(self._client)
        self._waiting.clear()

    def _drain(self) -> None:
        try:
            sent = self._client.send(self._waiting)
        except BlockingIOError:
            return
        except OSError:
            self.close()  # Who waits for its end will hear of it.
            return
        del self._waiting[:sent]
        self._since = clock.monotonic()
        if not self._waiting:
            self._loop.remove_writer(self._client)
