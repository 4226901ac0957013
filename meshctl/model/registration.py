"""Endpoints that announced themselves: a sidecar's inbound address, kept in the store under its lease."""

from __future__ import annotations

import msgspec

from meshctl.model.service import Endpoint


class Registration(msgspec.Struct, frozen=True):
    """One wrapped app that takes traffic, under `endpoints/<service>/<proxy>` in the store. `host` and `port` are its
    sidecar's mutual TLS listener."""

    service: str
    version: str
    host: str
    port: int
    proxy: str
    """The id of the sidecar."""
    pid: int
    """The sidecar's process, on the machine called `machine`."""
    machine: str
    since: float
    weight: float = 1.0

    @property
    def endpoint(self) -> Endpoint:
        """The endpoint as the data plane takes it."""
        return Endpoint(self.host, self.port, weight=self.weight, mesh=True)


class Listed(msgspec.Struct, frozen=True, array_like=True):
    """The endpoints that are registered for one version of a service now, by proxy; none where the last has gone."""

    service: str
    version: str
    endpoints: tuple[Endpoint, ...]
