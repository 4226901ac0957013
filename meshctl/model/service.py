"""Services, their versions and endpoints, as configured."""

from __future__ import annotations

import msgspec

from meshctl.model.policy import Balance, Ejection, HealthCheck, Key, UpstreamTimeouts


class Endpoint(msgspec.Struct, frozen=True):
    """Where a service listens: `host` and `port`, or `unix`, an absolute socket path. `tls` speaks HTTPS to it."""

    host: str = ""
    port: int = 0
    unix: str = ""
    tls: bool = False
    weight: float = 1.0

    @property
    def address(self) -> str:
        """The endpoint in one word, unique within a version: "127.0.0.1:9001", "[::1]:9001", "unix:/run/app.sock"."""
        if self.unix:
            return f"unix:{self.unix}"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Version(msgspec.Struct, frozen=True):
    """One version of a service and its share of the traffic."""

    name: str
    endpoints: tuple[Endpoint, ...] = ()
    weight: float = 1.0


class UpstreamTls(msgspec.Struct, frozen=True):
    """How HTTPS endpoints are verified: against `ca` (a file) or the system's roots, for `server_name` or the
    endpoint's host."""

    ca: str | None = None
    server_name: str | None = None
    verify: bool = True


class Service(msgspec.Struct, frozen=True):
    """A service. Endpoints written directly under it form the one version "default"."""

    name: str
    versions: tuple[Version, ...] = ()
    balance: Balance = Balance()
    sticky: Key | None = None
    health: HealthCheck | None = None
    ejection: Ejection = Ejection()
    slow_start: float = 0.0
    """Seconds over which a new endpoint's share grows from 10 % to its whole; 0 is at once."""
    tls: UpstreamTls = UpstreamTls()
    timeouts: UpstreamTimeouts = UpstreamTimeouts()
    command: str | None = None
