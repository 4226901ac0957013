"""Whether the app takes requests yet: a TCP connection to its port, or its health check, tried until it passes.

An app may open its port late, or never: a job ends without having been asked anything. Must not know what follows.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from meshctl.model.policy import HealthCheck
from meshctl.model.service import Endpoint
from meshctl.proxy.inside import Inside
from meshctl.proxy.prober import probe
from meshctl.sidecar.ports import LOOPBACKS

FIRST_PAUSE: Final = 0.01
LONGEST_PAUSE: Final = 0.25
LATE_PAUSE: Final = 1.0
"""Seconds between two tries once the app is late."""
_GROWTH: Final = 1.3


class Gate:
    """The gate before one run of an app that is to listen on `port`. `on_late` is told what is wrong when it is still
    closed after `patience` seconds, and again when that changes; `inside` is the way to an app with a network of its
    own."""

    def __init__(
        self,
        port: int,
        check: HealthCheck | None,
        patience: float,
        on_late: Callable[[str], None] = lambda _why: None,
        inside: Inside | None = None,
    ) -> None:
        self._inside = inside
        self._port = port
        self._check = check or HealthCheck()
        self._patience = patience
        self._on_late = on_late
        self.problem = ""
        """What was wrong the last time."""

    def __repr__(self) -> str:
        return f"<Gate of port {self._port} {self.problem or 'open'}>"

    async def open(self) -> str:
        """Return when the app passes: the address on which it does. Tries for ever."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._patience
        pause, told = FIRST_PAUSE, ""
        while not (host := await self._passes()):
            if loop.time() >= deadline and told != self.problem:
                told = self.problem
                self._on_late(told)
            await asyncio.sleep(LATE_PAUSE if told else pause)
            pause = min(pause * _GROWTH, LONGEST_PAUSE)
        return host

    async def _passes(self) -> str:
        """The address on which the app passes; "" where there is none."""
        self.problem = f"nothing listens on port {self._port}"
        for _, host in LOOPBACKS:
            app = _App(host, self._port, self._inside)
            problem = await self._try(app)
            if not problem:
                self.problem = ""
                return host
            if app.was_reached:
                self.problem = problem
        return ""

    async def _try(self, app: _App) -> str:
        """What was wrong; "" where the app passes often enough in a row."""
        for _ in range(self._check.healthy):
            if problem := await probe(app, self._check):
                return problem
        return ""


class _App:
    """The app as something to probe."""

    def __init__(self, host: str, port: int, inside: Inside | None) -> None:
        self.config = Endpoint(host, port)
        self._inside = inside
        self.was_reached = False

    async def open_stream(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection. Raises OSError."""
        reader, writer = await self._connect()
        if writer.get_extra_info("sockname") == writer.get_extra_info("peername"):
            # TCP can connect a port to itself: nobody listens, and nobody could as long as this is open.
            writer.transport.abort()
            raise ConnectionRefusedError("nobody listens")
        self.was_reached = True
        return reader, writer

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, port = self.config.host, self.config.port
        if self._inside is None:
            return await asyncio.open_connection(host, port)
        return await asyncio.open_connection(sock=await self._inside.connect(host, port))
