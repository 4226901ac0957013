"""A server that a test kills and starts again at the same place: python mortal.py PORT. It answers every request with
its process id, a hundredth of a second after it came, so that some are always under way."""

from __future__ import annotations

import asyncio
import os
import socket
import sys


class Answering(asyncio.Protocol):
    """One connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.read = b""

    def data_received(self, data: bytes) -> None:
        self.read += data
        while b"\r\n\r\n" in self.read:
            _, _, self.read = self.read.partition(b"\r\n\r\n")
            asyncio.get_running_loop().call_later(0.01, self.answer)

    def answer(self) -> None:
        """Answer one request."""
        assert isinstance(self.transport, asyncio.WriteTransport)
        self.transport.write(b"HTTP/1.1 200 OK\r\nX-Served-By: %d\r\nContent-Length: 2\r\n\r\nok" % os.getpid())


async def main(port: int) -> None:
    """Serve until killed, or until whoever started it is gone."""
    end = socket.socket()
    end.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    end.bind(("127.0.0.1", port))
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Answering, sock=end)
    print("ready", flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


asyncio.run(main(int(sys.argv[1])))
