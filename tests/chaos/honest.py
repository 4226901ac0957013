"""Honest clients: they ask for what may be asked twice, over connections that are kept and over new ones, plain and by
TLS, and remember each request that was accepted and not answered as it should be.

A connection that is refused was accepted by nobody: the client comes again, as clients do. All else is lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import time
from threading import Thread
from typing import Any

TARGETS = ("/orders/1", "/item", "/call?url=http://orders/from/web")


class Honest:
    """Clients at work until the end of the context: for each target one that keeps its connection, one that does not,
    and one that speaks TLS."""

    def __init__(self, plain: int, tls: int, pace: float = 0.1) -> None:
        self.ports = {"kept": plain, "fresh": plain, "tls": tls}
        self.pace = pace
        self.sent = self.refused = self.in_flight = 0
        self.answered: dict[str, int] = dict.fromkeys(TARGETS, 0)
        self.lost: list[tuple[float, str]] = []
        self._tls = ssl.create_default_context()
        self._tls.check_hostname, self._tls.verify_mode = False, ssl.CERT_NONE
        self._stopping = False
        self._thread = Thread(target=lambda: asyncio.run(self._main()))

    def __enter__(self) -> Honest:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping = True
        self._thread.join(120)

    @property
    def clients(self) -> int:
        """How many there are, and so the most requests that are ever in flight."""
        return len(TARGETS) * len(self.ports)

    async def _main(self) -> None:
        await asyncio.gather(*(self._client(target, kind) for target in TARGETS for kind in self.ports))

    async def _client(self, target: str, kind: str) -> None:
        opened: Any = None
        while not self._stopping:
            await asyncio.sleep(self.pace)
            if opened is not None and (opened[0].at_eof() or opened[0].exception()):
                # It was closed while nothing was asked: nobody's loss, as long as one looks.
                await _close(opened[1])
                opened = None
            if opened is None:
                try:
                    opened = await self._open(kind)
                except OSError:
                    self.refused += 1
                    continue
            self.sent += 1
            self.in_flight += 1
            try:
                async with asyncio.timeout(60):
                    wrong, is_last = await _ask(*opened, target)
            except (OSError, EOFError, ValueError, asyncio.IncompleteReadError, TimeoutError) as error:
                wrong, is_last = f"{type(error).__name__} {error}", True
            self.in_flight -= 1
            if wrong:
                self.lost.append((time.monotonic(), f"{target} {kind}: {wrong}"))
            else:
                self.answered[target] += 1
            if wrong or is_last or kind != "kept":
                await _close(opened[1])
                opened = None
        if opened is not None:
            await _close(opened[1])

    async def _open(self, kind: str) -> Any:
        async with asyncio.timeout(60):
            return await asyncio.open_connection(
                "127.0.0.1", self.ports[kind], ssl=self._tls if kind == "tls" else None
            )


async def _ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: str) -> tuple[str, bool]:
    """What was wrong with the answer, and whether the connection ends with it."""
    writer.write(f"GET {target} HTTP/1.1\r\nHost: town\r\n\r\n".encode())
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower()
    fields = dict(line.split(": ", 1) for line in head.rstrip().split("\r\n")[1:])
    body = await reader.readexactly(int(fields.get("content-length", "0")))
    status = int(head.split()[1])
    if status == 200 and target.startswith("/call"):
        status = json.loads(body)["status"]
    reason = fields.get("x-meshctl-reason", "")
    return "" if status == 200 else f"status {status} {reason}".strip(), fields.get("connection") == "close"


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(5):
            await writer.wait_closed()
