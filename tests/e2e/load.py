"""Steady traffic beside a test: some connections that are kept, others new for each request, every failure remembered.

Runs in a thread of its own until left, so that the test can change, kill and reload meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections import Counter
from collections.abc import Callable
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from .waiting import until

Answer = tuple[int, dict[str, str], bytes]
"""Status, headers by lower-case name, body."""
Judge = Callable[[Answer], str]
"""What is wrong with an answer; empty where nothing is."""


def is_200(answer: Answer) -> str:
    """Nothing but 200 will do."""
    return "" if answer[0] == 200 else f"status {answer[0]} {answer[1].get('x-meshctl-reason', '')}"


class Load:
    """Traffic to one URL while the context is open. `tls` speaks HTTPS without asking who answers."""

    def __init__(
        self,
        url: str,
        *,
        kept: int = 6,
        fresh: int = 3,
        judge: Judge = is_200,
        headers: str = "",
        tls: ssl.SSLContext | None = None,
    ) -> None:
        parts = urlsplit(url)
        self._host, self._port, self._tls = parts.hostname, parts.port, tls
        target = parts._replace(scheme="", netloc="").geturl() or "/"
        self._request = f"GET {target} HTTP/1.1\r\nHost: {parts.netloc}\r\n{headers}\r\n".encode()
        self._counts = (kept, fresh)
        self._judge = judge
        self.answers = 0
        self.served: Counter[str] = Counter()
        """Answers by the server's name."""
        self.failures: list[str] = []
        self._stopping = False
        self._thread = threading.Thread(target=lambda: asyncio.run(self._main()))

    def __enter__(self) -> Load:
        self._thread.start()
        self.more(1)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping = True
        self._thread.join(60)

    def more(self, count: int) -> None:
        """Return when `count` more requests were answered, or failed."""
        goal = self.answers + len(self.failures) + count
        until(lambda: self.answers + len(self.failures) >= goal, f"{count} more answers")

    async def _main(self) -> None:
        kept, fresh = self._counts
        await asyncio.gather(*(self._client(keep=number < kept) for number in range(kept + fresh)))

    async def _client(self, *, keep: bool) -> None:
        connection: Any = None
        while not self._stopping:
            try:
                async with asyncio.timeout(60):
                    if connection is None:
                        connection = await asyncio.open_connection(self._host, self._port, ssl=self._tls)
                    answer = await self._ask(*connection)
                wrong = self._judge(answer)
            except Exception as error:
                wrong = f"{type(error).__name__}: {error}"
                answer = (0, {}, b"")
            if wrong:
                self.failures.append(wrong)
            else:
                self.answers += 1
                self.served[answer[1].get("x-served-by", "")] += 1
            if connection is not None and (wrong or not keep or answer[1].get("connection") == "close"):
                await _close(connection[1])
                connection = None
        if connection is not None:
            await _close(connection[1])

    async def _ask(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Answer:
        writer.write(self._request)
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.rstrip("\r\n").split("\r\n")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        return int(first.split()[1]), headers, body


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError, ssl.SSLError, TimeoutError):
        async with asyncio.timeout(5):
            await writer.wait_closed()
