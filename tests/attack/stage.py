"""What is attacked: a gateway with a plain and an HTTPS listener, and a service behind it; and the honest client whose
requests must all succeed."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path
from typing import Final

import psutil

from tests.conformance.authority import Authority
from tests.conformance.running import Gateway
from tests.conformance.wire import PATIENCE

LONG: Final = 100_000_000
_PIECE: Final = bytes(65_536)


class Service:
    """A small answer, a long one, and a protocol of its own that swallows what comes."""

    def __init__(self) -> None:
        self.sent = 0
        """Bytes of long answers."""
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self.port = 0
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(PATIENCE)

    def __repr__(self) -> str:
        return f"<Service {self.port}>"

    def close(self) -> None:
        """End it."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=4096))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        server.close()
        tasks = asyncio.all_tasks(self._loop)
        for task in tasks:
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if head.startswith(b"GET /tunnel"):
                    writer.write(b"HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
                    while await reader.read(1 << 20):
                        pass
                elif head.startswith(b"GET /long"):
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % LONG)
                    for _ in range(LONG // len(_PIECE) + 1):
                        writer.write(_PIECE)
                        await writer.drain()
                        self.sent += len(_PIECE)
                elif b"ontent-Length: 100000" in head:
                    await reader.readexactly(100_000)
                else:
                    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            # Also where it is ended in the middle: a stream would tell of that at length.
            pass
        finally:
            writer.transport.abort()


class Stage:
    """See the module."""

    def __init__(self, folder: Path, connections: int) -> None:
        self.service = Service()
        authority = Authority(folder, "attack")
        chain, key = authority.issue("attacked", "localhost")
        self.gateway = Gateway(
            folder,
            f"""
            [gateway]
            listen = ["127.0.0.1:0", {{ address = "127.0.0.1:0", tls = {{ certificate = "{chain}", key = "{key}" }} }}]
            access_log = "off"
            limits = {{ connections = {connections} }}
            # A machine that is busy with other things must not look like a proxy that is.
            overload = {{ lag = "0s" }}
            [[routes]]
            path = "/"
            service = "a"
            [services.a]
            endpoints = ["127.0.0.1:{self.service.port}"]
            """,
        )

        self.port = self.gateway.ports[0]

    def ports(self, attack: str) -> tuple[int, int]:
        """What is attacked: a port in the clear and one for HTTPS."""
        port, https = self.gateway.ports
        return port, https

    def workers(self) -> list[psutil.Process]:
        """Those of the gateway."""
        return psutil.Process(self.gateway.process.pid).children(recursive=True)

    def memory(self) -> int:
        """The gateway's resident bytes."""
        return self.gateway.memory()

    def close(self) -> list[str]:
        """End it; what the gateway complained of."""
        self.gateway.end()
        self.service.close()
        return self.gateway.complaints()


async def honest(port: int, seconds: float, least: int) -> list[float]:
    """How long each request of a client took that opens a connection for every other one, for so long and at least so
    many. Raises where one does not succeed."""
    took: list[float] = []
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    until = time.monotonic() + seconds
    while time.monotonic() < until or len(took) < least:
        began = time.monotonic()
        if len(took) % 2:
            writer.close()
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /small HTTP/1.1\r\nHost: x\r\n\r\n")
        async with asyncio.timeout(4 * PATIENCE):
            head = await reader.readuntil(b"\r\n\r\n")
            body = await reader.readexactly(2)
        assert head.startswith(b"HTTP/1.1 200 "), head
        assert body == b"ok", body
        took.append(time.monotonic() - began)
        await asyncio.sleep(0.005)
    writer.close()
    return took
