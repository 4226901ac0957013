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
from collections.abc import Callable
from errno import errorcode
from typing import TYPE_CHECKING, Final, TypeVar

from meshctl import clock
from meshctl.core.outlier import EndpointHealth
from meshctl.model.names import LOCAL
from meshctl.model.policy import HealthCheck, UpstreamTimeouts
from meshctl.model.service import Endpoint, Service
from meshctl.observe.counters import ServiceCounters
from meshctl.proxy.descriptors import EXHAUSTED
from meshctl.proxy.dialing import Unreached
from meshctl.proxy.meeting import MemberConnection, meet, open_stream
from meshctl.proxy.tasks import spawn
from meshctl.proxy.upstream import UpstreamConnection

if TYPE_CHECKING:
    from meshctl.proxy.attempt import Attempt
    from meshctl.proxy.exchange import Exchange
    from meshctl.proxy.service import LiveVersion
    from meshctl.proxy.worker import Worker

P = TypeVar("P", bound=asyncio.BaseProtocol)

Name = tuple[str, str, Endpoint, str]
"""Service, version, the endpoint as configured (its weight apart) and the address it stands for."""

_LOCAL: Final = f"{LOCAL}:"

LONGEST_LINE: Final = 1024
"""Exchanges that may wait for a connection to one endpoint; more are refused at once."""


class LiveEndpoint:
    """One address of a service's version."""

    def __init__(self, worker: Worker, service: Service, name: Name, config: Endpoint) -> None:
        # Identity
        self.worker = worker
        self.name = name
        self.service, self.version, _, self.address = name
        self.config = config
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
        """Whether its next success is to be told: the last answer was a failure, or much depends on one."""
        self.trials = 0
        """Attempts under way by which it is decided whether it, or its service, is back."""
        self.counters: ServiceCounters = worker.counters.service(service.name)
        self.appeared = clock.monotonic()
        self.in_flight = 0
        self.ewma = 0.0
        self.ewma_at = 0.0
        self.requests = 0
        self.failures = 0
        self._counted = 0
        self.retired = False
        self.idle: list[UpstreamConnection] = []
        self.opened = 0
        self._opening = 0
        """Connections being opened for those who wait."""
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
        self._open_for_line()

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

    def forget(self, connection: UpstreamConnection) -> None:
        """A connection is ending: no request may take it any more."""
        if connection in self.idle:
            self.idle.remove(connection)

    def lost(self, connection: UpstreamConnection | None = None) -> None:
        """A connection has ended: `connection`, or one that carried bytes."""
        if connection is not None:
            if connection not in self.worker.kept:
                return  # It was given up before.
            self.worker.kept.discard(connection)
            self.forget(connection)
        self.opened -= 1
        self._open_for_line()

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
        if service.ejection.rate:
            # What ended before a share of failures counted is not part of it.
            self.settle(clock.monotonic())
        self.health.configure(service.ejection, service.health)
        if self.check != service.health:
            self.check_changed = self.check is not None
            self.check = service.health

    def settle(self, now: float, failed: int = 0) -> None:
        """Tell its health how many requests have ended, where a share of failures counts; `failed` are ending now."""
        ended = self.requests - self.in_flight + failed
        if ended > self._counted:
            self.health.count(now, ended - self._counted)
            self._counted = ended

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
        if self.config.mesh:
            return await open_stream(self, self._host())
        if self.config.unix:
            return await asyncio.open_unix_connection(self.config.unix, ssl=self.tls, server_hostname=self.server_name)
        return await asyncio.open_connection(
            self._host(), self.config.port, ssl=self.tls, server_hostname=self.server_name
        )

    async def connect(self, make: Callable[[], P], *, is_raw: bool = False) -> P:
        """A connection to it, spoken to by the protocol that `make` makes; `is_raw` for bytes instead of HTTP. Raises
        Unreached; counted either way."""
        try:
            async with asyncio.timeout(self.timeouts.connect):
                made = await self._connect(make, is_raw=is_raw)
        except TimeoutError:
            detail = f"no connection to {self.address} within {self.timeouts.connect:g}s"
            raise self._unreached("connect_timeout", "timeout", detail) from None
        except ssl.SSLError as error:
            raise self._unreached("upstream_tls", "tls", f"{self.address}: {_tls_reason(error)}") from error
        except OSError as error:
            detail = f"{self.address}: {error.strerror or error}"
            if error.errno in EXHAUSTED:
                self.worker.complaints.tell("connect_failed", errorcode[error.errno], error=detail)
                raise self._unreached("overloaded", "exhausted", "the proxy can open no more connections") from error
            raise self._unreached("upstream_connect", "refused", detail) from error
        self.counters.connect("ok")
        return made

    def _open_for_line(self) -> None:
        """Open one more, where fewer are being opened than wait: who leaves the line leaves its connection to the next,
        so that no client can have one made after the other by coming and going."""
        if self._opening < len(self._line) and self.opened < self.limit:
            self._open_another()

    def _open_another(self) -> None:
        self.opened += 1
        self._opening += 1
        spawn(self._open(), name=f"connect {self.address}")

    async def _open(self) -> None:
        connection = (MemberConnection if self.config.mesh else UpstreamConnection)(self)
        try:
            await self.connect(lambda: connection)
        except Unreached as problem:
            if not self._give_up(connection):
                self.opened -= 1
            if self._line:
                self._line.popleft().on_connect_failed(problem.reason, problem.detail)
            # Those for whom there was no room wait for this one, and would do so in vain.
            if len(self._line) >= self._opening and self.opened < self.limit:
                self._open_another()
            return
        finally:
            self._opening -= 1
        if not connection.is_closing():
            self.give_back(connection, clock.monotonic())
        elif self._line:
            # It has ended already. Were nobody told, one would be opened after the other for as long as that goes on.
            self._line.popleft().on_connect_failed("upstream_connect", f"{self.address} closed the connection at once")

    def _give_up(self, connection: UpstreamConnection) -> bool:
        """It took too long to come about: whether it has done so just then. The loop may tell of its end or not."""
        if connection not in self.worker.kept:
            return False
        connection.transport.abort()
        self.lost(connection)
        return True

    async def _connect(self, make: Callable[[], P], *, is_raw: bool) -> P:
        loop, tls, name = self.worker.loop, self.tls, self.server_name
        if self.config.mesh:
            return (await meet(self, self._host(), make, is_raw=is_raw)).made
        interception = self.worker.interception
        if interception is not None and self.service.startswith(_LOCAL):
            return await interception.reach(make, self._host(), self.config.port)
        if self.config.unix:
            _, made = await loop.create_unix_connection(make, self.config.unix, ssl=tls, server_hostname=name)
        else:
            host, port = self._host(), self.config.port
            _, made = await loop.create_connection(make, host, port, ssl=tls, server_hostname=name)
        return made

    def _host(self) -> str:
        """Where to connect: the address this endpoint stands for, one of those its name has."""
        return self.address.rpartition(":")[0].strip("[]")

    def _unreached(self, reason: str, result: str, detail: str) -> Unreached:
        self.counters.connect(result)
        return Unreached(reason, detail)


def _tls_reason(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"certificate not accepted: {error.verify_message}"
    return (error.reason or str(error)).replace("_", " ").lower()
