"""A service for tests that breaks its answers where it is told to: after so many bytes it ends the connection, resets
it or says nothing more. A request tells how in the header X-Break: what happens, and after how many bytes, for each
try."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
import threading
from collections import Counter
from typing import Final

from meshctl.model.service import Endpoint
from tests.conformance.wire import PATIENCE

DATA: Final = b'{"a":"' + b"0123456789" * 3 + b'"}'
JSON: Final = b"Content-Type: application/json\r\n"
ANSWERS: Final = {
    "length": b"HTTP/1.1 200 OK\r\n%bContent-Length: %d\r\n\r\n%b" % (JSON, len(DATA), DATA),
    "chunked": b"HTTP/1.1 200 OK\r\n%bTransfer-Encoding: chunked\r\n\r\n5;x=y\r\n%b\r\n%X\r\n%b\r\n0\r\nX-T: 1\r\n\r\n"
    % (JSON, DATA[:5], len(DATA) - 5, DATA[5:]),
    "close": b"HTTP/1.1 200 OK\r\n%bConnection: close\r\n\r\n%b" % (JSON, DATA),
    "hints": b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n%bContent-Length: %d\r\n\r\n%b"
    % (JSON, len(DATA), DATA),
}
"""Whole answers by the kind that the last part of a path names."""
BUSY: Final = b"HTTP/1.1 503 Busy\r\nRetry-After: 3\r\nContent-Length: 0\r\n\r\n"
"""What comes for the kind "busy": with the longest time that a proxy holds a request for."""

_BREAK: Final = re.compile(rb"\r\nX-Break: ([^\r]*)", re.IGNORECASE)
_ID: Final = re.compile(rb"\r\nX-Request-Id: ([^\r]*)", re.IGNORECASE)
_AT_ONCE: Final = struct.pack("ii", 1, 0)


def head_size(kind: str) -> int:
    """After how many bytes of an answer its final head is there."""
    whole = ANSWERS[kind]
    start = whole.index(b"HTTP/1.1 200")
    return whole.index(b"\r\n\r\n", start) + 4


class BreakingService:
    """See the module."""

    def __init__(self) -> None:
        self.tries: Counter[bytes] = Counter()
        """How often each request came, by its identifier."""
        self._loop = asyncio.new_event_loop()
        self._ends: set[asyncio.StreamWriter] = set()
        listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = int(listener.getsockname()[1])
        self._thread = threading.Thread(target=self._run, args=(listener,), daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        return f"<BreakingService {self.port} after {self.tries.total()} tries>"

    @property
    def endpoint(self) -> Endpoint:
        """Where it is."""
        return Endpoint("127.0.0.1", self.port)

    def leave(self) -> None:
        """End all connections."""

        async def end() -> None:
            for each in list(self._ends):
                each.transport.abort()

        asyncio.run_coroutine_threadsafe(end(), self._loop).result(PATIENCE)

    def close(self) -> None:
        """End it."""
        self.leave()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE)

    def _run(self, listener: socket.socket) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, sock=listener))
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._ends.add(writer)
        try:
            while await self._answer(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._ends.discard(writer)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection goes on."""
        head = await reader.readuntil(b"\r\n\r\n")
        kind = head.split(b" ", 2)[1].partition(b"?")[0].rpartition(b"/")[2].decode()
        told, name = _BREAK.search(head), _ID.search(head)
        assert name is not None
        turn = self.tries[name[1]]
        self.tries[name[1]] += 1
        steps = told[1].split(b",") if told is not None else []
        answer = ANSWERS.get(kind, BUSY)
        if turn >= len(steps):
            writer.write(answer)
            await writer.drain()
            return kind != "close"
        how, _, at = steps[turn].strip().partition(b" ")
        writer.write(answer[: int(at)])
        await writer.drain()
        if how == b"stall":
            await reader.read()
        elif how == b"reset":
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
            writer.transport.abort()
        return False
