"""What `meshctl up` is told to run, and what it tells of that. Values only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal

import msgspec

from meshctl.model.names import GATEWAY
from meshctl.model.service import DIRECT, Command, Service

OWN: Final = "meshctl"
"""As whom a team speaks of all of its members."""


class Seat(msgspec.Struct, frozen=True):
    """A member's place in a team: the gateway, which has no `command`, or one version of a service."""

    service: str
    version: str = ""
    restart: Literal["no", "on-failure", "always"] = "on-failure"
    intercept: Literal["auto"] | bool = False
    command: Command | None = None

    @property
    def name(self) -> str:
        """What the member is called: "web", or "orders v1" where its service has versions."""
        return self.service if self.version in ("", DIRECT) else f"{self.service} {self.version}"


class Plan(msgspec.Struct, frozen=True):
    """The options of a team's process."""

    home: str
    folder: str
    """Where the commands run."""
    source: str
    """The configuration file, absolute."""
    services: tuple[Service, ...]
    """Those to run, and those they are after."""
    has_all: bool = False
    """Whether `services` are all there are, rather than those that were asked for."""
    revision: int = 0
    has_gateway: bool = True
    patience: float = 60.0
    """Seconds that each member has until it takes requests."""
    log: str = ""
    """The file a team in the background writes to."""
    is_coloured: bool = False
    is_quiet: bool = False
    lock: int = -1
    """The descriptor of the home's lock, which whoever starts the process has taken."""

    @property
    def seats(self) -> Iterator[Seat]:
        """Who is to be started, the gateway first."""
        if self.has_gateway:
            yield Seat(GATEWAY)
        for service in self.services:
            for each in service.commands:
                yield Seat(service.name, each.version, service.restart, service.intercept, each)


class Row(msgspec.Struct, frozen=True):
    """A member as people see it."""

    service: str
    version: str
    state: str
    """ready, late (it runs and takes no requests), ended, or another that `AppView` has."""
    pid: int
    app: int
    """The process of the wrapped command; 0 for a gateway."""
    address: str
    """A gateway's URL, or where the command listens."""


class TeamView(msgspec.Struct, frozen=True):
    """A team that is complete: everybody is ready, done or late."""

    revision: int
    rows: tuple[Row, ...]
    log: str = ""
    unready: tuple[str, ...] = ()
    """The members that take no requests, though their time is up; those whose work is done are none of them."""
