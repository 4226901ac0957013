"""Services, their versions and endpoints, as configured."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from meshctl.model.policy import (
    Balance,
    Breaker,
    Ejection,
    HealthCheck,
    Key,
    Limit,
    Retry,
    RetryBudget,
    UpstreamTimeouts,
)
from meshctl.model.route import Match

DIRECT: Final = "default"
"""The version that endpoints without a version form."""


class Endpoint(msgspec.Struct, frozen=True):
    """Where a service listens: `host` and `port`, or `unix`, an absolute socket path. `tls` speaks HTTPS to it."""

    host: str = ""
    port: int = 0
    unix: str = ""
    tls: bool = False
    weight: float = 1.0
    mesh: bool = False
    """Whether a sidecar listens there: spoken to in mutual TLS, and it must prove to be the service."""

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
    command: str | None = None
    """What `meshctl up` runs for this version; None is the service's command."""
    port: int = 0
    """The port that command listens on; 0 is the service's."""
    match: Match | None = None
    """Requests that are for this version, whatever the weights: by header, query and cookie. Nothing else is asked."""


class Command(msgspec.Struct, frozen=True):
    """A command line that `meshctl up` runs, wrapped, for one version of a service. `port` 0 gives it a free one."""

    version: str
    line: str
    port: int = 0


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
    breaker: Breaker | None = None
    """None asks it whatever fails."""
    limit: Limit | None = None
    """None is as many requests at a time as there are."""
    slow_start: float = 0.0
    """Seconds over which a new endpoint's share grows from 10 % to its whole; 0 is at once."""
    tls: UpstreamTls = UpstreamTls()
    timeouts: UpstreamTimeouts = UpstreamTimeouts()
    timeout: float = 0.0
    """Seconds for a whole exchange, for routes without their own and for callers within the mesh; 0 is none."""
    retry: Retry | None = None
    """When requests may be sent again, for the same; None is as it is by default."""
    retry_budget: RetryBudget = RetryBudget()
    command: str | None = None
    """What `meshctl up` runs, wrapped, by the shell in the configuration's directory: for each version that has no
    command of its own."""
    after: tuple[str, ...] = ()
    """Services that `meshctl up` starts before this one and ends after it."""
    restart: Literal["no", "on-failure", "always"] = "on-failure"
    """When a wrapped command that ended is started again."""
    intercept: Literal["auto"] | bool = False
    """Whether the command gets a network of its own, in which all its connections go through its sidecar; "auto" only
    where the machine lets it."""
    port: int = 0
    """The port the command listens on; 0 gives it a free one in $PORT."""
    mtls: Literal["strict", "permissive"] = "strict"
    """Whether the service's sidecars take only mutual TLS, or plain HTTP as well."""
    protocol: Literal["http", "tcp"] = "http"
    trace_hook: bool = True
    """Whether the outgoing calls of its wrapped Python apps join the traces of their requests."""

    @property
    def has_endpoints(self) -> bool:
        """Whether the configuration lists any; sidecars' are beside these."""
        return any(version.endpoints for version in self.versions)

    @property
    def commands(self) -> tuple[Command, ...]:
        """What `meshctl up` runs: one command for each version, or for "default" where there are none."""
        lines = [(each, each.command or self.command) for each in self.versions or (Version(DIRECT),)]
        return tuple(Command(each.name, line, each.port or self.port) for each, line in lines if line)
