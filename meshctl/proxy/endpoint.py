"""A live endpoint: its connections, kept and opened, and what is known of how it fares.

    exchange ──▶ idle connection ────────────────────▶ connected
              └▶ waiting (queue) ◀── opened or given back ┘

An exchange that finds no idle connection waits in line; whichever comes first, a new connection or one given back,
serves the first in line. Live endpoints outlast snapshots: a reload that does not touch one keeps its connections and
counts.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from typing import TYPE_CHECKING, Final

from meshctl import clock
from meshctl.core.outlier import EndpointHealth
from meshctl.model.policy import HealthCheck, UpstreamTimeouts
from meshctl.model.service import Endpoint, Service
from meshctl.observe.counters import ServiceCounters
from meshctl.proxy.tasks import spawn
from meshctl.proxy.upstream import UpstreamConnection

if TYPE_CHECKING:
    from meshctl.proxy.attempt import Attempt
    from meshctl.proxy.exchange import Exchange
    from meshctl.proxy.service import LiveVersion
    from meshctl.proxy.worker import Worker

LONGEST_LINE: Final = 1024
"""Exchanges that may wait for a connection to one endpoint; more are refused at once."""


class LiveEndpoint:
    """One address of a service's version."""

    def __init__(self, worker: Worker, service: Service, version: str, config: Endpoint, address: str) -> None:
        # Identity
        self.worker = worker
        self.service = service.name
        self.version = version
        self.config = config
        self.address = address
        # Settings, renewed by every snapshot
        self.weight = config.weight
        self.timeouts: UpstreamTimeouts = service.timeouts
        self.limit = 0
        self.tls: ssl.SSLContext | None = None
        self.server_name: str | None = None
        self.owner: LiveVersion | None = None
        self.check: HealthCheck | None = None
        self.check_changed = False
        # Live
        self.health = EndpointHealth(service.ejection, service.health)
        self.is_compared = True
        """Whether its latency is weighed against others'."""
        self.is_failing = False
        """Whether its last answer was a failure."""
        self.counters: ServiceCounters = worker.counters.service(service.name)
        self.appeared = clock.monotonic()
        self.in_flight = 0
        self.ewma = 0.0
        self.ewma_at = 0.0
        self.requests = 0
        self.failures = 0
        self.retired = False
        self.idle: list[UpstreamConnection] = []
        self.opened = 0
        self._line: deque[Exchange] = deque()

    def __repr__(self) -> str:
        state = "retired" if self.retired else f"{len(self.idle)} idle of {self.opened}"
        return f"<LiveEndpoint {self.service}/{self.version} {self.address} {state}, {self.in_flight} in flight>"

    def queue(self, exchange: Exchange) -> None:
        """There is no idle connection: `exchange` waits for `on_connected` or `on_connect_failed`."""
        if len(self._line) >= LONGEST_LINE:
            exchange.on_connect_failed("upstream_busy", f"{len(self._line)} requests already wait for a connection")
            return
        self._line.append(exchange)
        if self.opened < self.limit:
            self.opened += 1
            spawn(self._open(), name=f"connect {self.address}")

    def leave(self, exchange: Attempt) -> None:
        """Take an exchange that no longer waits out of the line."""
        for at, waiting in enumerate(self._line):
            if waiting is exchange:
                del self._line[at]
                return

    def give_back(self, connection: UpstreamConnection, now: float) -> None:
        """A connection is free again: the first in line takes it, or it is kept."""
        if self._line:
            # Also of a retired endpoint: those who wait chose it while it was there.
            self._line.popleft().on_connected(connection)
        elif self.retired:
            connection.close()
        else:
            connection.deadline = now + self.timeouts.idle
            self.idle.append(connection)

    def lost(self, connection: UpstreamConnection) -> None:
        """A connection has ended."""
        self.opened -= 1
        if connection in self.idle:
            self.idle.remove(connection)
        if self._line and self.opened < self.limit:
            self.opened += 1
            spawn(self._open(), name=f"connect {self.address}")

    def retire(self) -> None:
        """The configuration no longer has this endpoint: keep no connection; those in use end with their exchange."""
        self.retired = True
        for connection in list(self.idle):
            connection.close()

    def renew(self, version: LiveVersion) -> None:
        """Take the settings of a new snapshot's version."""
        service = version.config
        self.owner = version
        self.timeouts = service.timeouts
        self.limit = version.limit
        self.tls = version.tls if self.config.tls else None
        self.server_name = (service.tls.server_name or self.config.host or "localhost") if self.tls else None
        self.health.configure(service.ejection, service.health)
        if self.check != service.health:
            self.check_changed = self.check is not None
            self.check = service.health

    def checked(self, problem: str) -> None:
        """An active check passed ("") or failed with `problem`."""
        check, owner = self.check, self.owner
        if check is not None and owner is not None and self.health.checked(not problem, problem):
            owner.rebuild(clock.monotonic())
            event = "endpoint_unhealthy" if problem else "endpoint_healthy"
            self.worker.notice(
                event, is_trouble=bool(problem), service=self.service, endpoint=self.address, reason=problem
            )

    async def open_stream(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection of its own for a health check. Raises OSError."""
        if self.config.unix:
            return await asyncio.open_unix_connection(self.config.unix, ssl=self.tls, server_hostname=self.server_name)
        return await asyncio.open_connection(
            self._host(), self.config.port, ssl=self.tls, server_hostname=self.server_name
        )

    async def _open(self) -> None:
        try:
            async with asyncio.timeout(self.timeouts.connect):
                connection = await self._connect()
        except TimeoutError:
            self._failed(
                "connect_timeout", "timeout", f"no connection to {self.address} within {self.timeouts.connect:g}s"
            )
        except ssl.SSLError as error:
            self._failed("upstream_tls", "tls", f"{self.address}: {_tls_reason(error)}")
        except (OSError, ConnectionError) as error:
            self._failed("upstream_connect", "refused", f"{self.address}: {error.strerror or error}")
        else:
            self.counters.connect("ok")
            if connection.is_closing():
                return
            self.give_back(connection, clock.monotonic())

    async def _connect(self) -> UpstreamConnection:
        loop = self.worker.loop
        if self.config.unix:
            _, connection = await loop.create_unix_connection(
                lambda: UpstreamConnection(self), self.config.unix, ssl=self.tls, server_hostname=self.server_name
            )
            return connection
        _, connection = await loop.create_connection(
            lambda: UpstreamConnection(self),
            self._host(),
            self.config.port,
            ssl=self.tls,
            server_hostname=self.server_name,
        )
        return connection

    def _host(self) -> str:
        """Where to connect: the address this endpoint stands for, one of those its name has."""
        return self.address.rpartition(":")[0].strip("[]")

    def _failed(self, reason: str, result: str, detail: str) -> None:
        self.opened -= 1
        self.counters.connect(result)
        if self._line:
            self._line.popleft().on_connect_failed(reason, detail)


def _tls_reason(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate not accepted: {error.verify_message}"
    return (error.reason or str(error)).replace("_", " ").lower()
