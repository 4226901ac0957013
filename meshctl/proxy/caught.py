"""Who speaks to an app on a connection that was not meant for the proxy (`intercept`): requests to a service or to a
host outside, bytes to one of them, or bytes to this machine. Wherever the app meant to go, it goes: what a request says
of its host is said to whoever is there, and leads nowhere else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from meshctl.proxy.connect import Outbound
from meshctl.proxy.egress import the_way_out
from meshctl.proxy.relay import Near, Relay, wordless

if TYPE_CHECKING:
    from meshctl.proxy.intercept import Interception
    from meshctl.proxy.worker import Worker


class Destination(NamedTuple):
    """Where an app meant to connect to: a name or an address, and a port."""

    host: str
    port: int


class CaughtHttp(Outbound):
    """Requests. With `is_mesh` they are to a service, which may not be there."""

    def __init__(self, worker: Worker, interception: Interception, destination: Destination, *, is_mesh: bool) -> None:
        super().__init__(worker, interception)
        self.towards = destination
        self._service = destination.host
        self._is_fresh = is_mesh


class CaughtBytes(Near):
    """Bytes to a service, or out of the mesh."""

    def __init__(
        self, worker: Worker, interception: Interception, destination: Destination, server_name: str = ""
    ) -> None:
        super().__init__(worker, interception)
        self.towards = destination
        self.server_name = server_name
        """The host that the app says it means, where it was not told to us by the address."""

    def relay(self) -> Relay:
        """See `Near.relay`."""
        return _CaughtRelay(self.worker, self, wordless(*self.towards))


class _CaughtRelay(Relay):
    """Goes by the address, and is known by what the app says that this is."""

    stream: CaughtBytes

    def match(self) -> bool:
        """See `Exchange.match`."""
        is_matched = super().match()
        if is_matched and self.stream.server_name:
            self.request.host = self.stream.server_name
        return is_matched


class Local(CaughtBytes):
    """Bytes to this machine."""

    def relay(self) -> Relay:
        """See `Near.relay`."""
        return _LocalRelay(self.worker, self, wordless(*self.towards))


class _LocalRelay(Relay):
    """To whoever listens on this machine, which the app could reach as well without a proxy: no rule of the mesh is
    about it."""

    def match(self) -> bool:
        """See `Exchange.match`."""
        route = self.route = the_way_out(self.worker)
        self.path = self.request.path
        self.filters, self.service = route.filters, route.service
        return True
