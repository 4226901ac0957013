"""The two roles of a proxy: what a gateway or a sidecar makes of the configuration that all of them share."""

from __future__ import annotations

from typing import Literal, Protocol

import msgspec

from meshctl.model.mesh import Listener, Mesh

GATEWAY = "gateway"
"""The gateway's service name, as which it calls others; no service may have it."""


class Role(Protocol):
    """What a supervisor asks of its role."""

    @property
    def name(self) -> Literal["gateway", "sidecar"]:
        """The role in one word."""

    @property
    def service(self) -> str:
        """The service whose identity the proxy has."""

    @property
    def workers(self) -> int | None:
        """Processes; 0 is one for each core, None what the configuration says."""

    @property
    def admin(self) -> str | None:
        """Where the admin API is served over TCP; None what the configuration says."""

    @property
    def may_begin_empty(self) -> bool:
        """Whether it can serve before anything was applied."""

    def listeners(self, mesh: Mesh) -> tuple[Listener, ...]:
        """Where to listen."""

    def effective(self, mesh: Mesh) -> Mesh:
        """What the workers compile: `mesh`, in which registered services stand already, as this role needs it."""


class GatewayRole(msgspec.Struct, frozen=True):
    """The entry to the mesh, as configured, but for what the command line says instead."""

    listen: tuple[Listener, ...] = ()
    workers: int | None = None
    admin: str | None = None

    @property
    def name(self) -> Literal["gateway"]:
        """See `Role`."""
        return "gateway"

    @property
    def service(self) -> str:
        """See `Role`."""
        return GATEWAY

    @property
    def may_begin_empty(self) -> bool:
        """See `Role`."""
        return False

    def listeners(self, mesh: Mesh) -> tuple[Listener, ...]:
        """See `Role`."""
        return self.listen or mesh.gateway.listeners

    def effective(self, mesh: Mesh) -> Mesh:
        """See `Role`."""
        return mesh
