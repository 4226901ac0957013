"""The floor under every proxy in this language: a uvloop TCP relay that copies bytes and reads none of them."""

from __future__ import annotations

import asyncio
import sys
from typing import cast

import uvloop

HOST = "127.0.0.1"


class _Upstream(asyncio.Protocol):
    def __init__(self, downstream: asyncio.Transport) -> None:
        self._downstream = downstream

    def data_received(self, data: bytes) -> None:
        self._downstream.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._downstream.close()


class _Downstream(asyncio.Protocol):
    def __init__(self, port: int) -> None:
        self._port = port
        self._waiting: list[bytes] = []
        self._upstream: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance
        self._opening = asyncio.get_running_loop().create_task(self._open())

    async def _open(self) -> None:
        loop = asyncio.get_running_loop()
        self._upstream, _ = await loop.create_connection(lambda: _Upstream(self._transport), HOST, self._port)
        self._upstream.writelines(self._waiting)

    def data_received(self, data: bytes) -> None:
        if self._upstream is None:
            self._waiting.append(data)
        else:
            self._upstream.write(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._upstream is not None:
            self._upstream.close()


async def _serve(port: int, upstream_port: int) -> None:
    server = await asyncio.get_running_loop().create_server(
        lambda: _Downstream(upstream_port), HOST, port, backlog=4096
    )
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1]), int(sys.argv[2])))
