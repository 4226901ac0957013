"""The connections of an app that has a network of its own: wherever the app connects to, it ends here, and the address
it meant is the socket's own.

    127.0.0.1, ::1        a port of ours for a service → whoever comes there; else this machine: bytes
    an alias              the name that it was given for (`names`)
    any other address     that address

Who speaks on a connection is decided by its destination as far as that will do, else by what the app says first
(`sniffing`): a service is called as it would be through the app's proxy; what is outside is a host like others
(`egress`).
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING, Final

from meshctl.core.aliases import OWN_V4, OWN_V6, Aliases
from meshctl.model.address import parse_address
from meshctl.proxy.acceptor import Accepting, Make
from meshctl.proxy.alias_journal import JournaledAliases
from meshctl.proxy.caught import CaughtBytes, CaughtHttp, Destination, Local
from meshctl.proxy.dialing import P, spoken
from meshctl.proxy.egress import service_meant
from meshctl.proxy.inside import Inside
from meshctl.proxy.listener import CLIENTS
from meshctl.proxy.names import PORT, LongQuestions, Names
from meshctl.proxy.relay import wordless
from meshctl.proxy.sniffing import Sniffing
from meshctl.proxy.tunnel_end import cut

if TYPE_CHECKING:
    from meshctl.proxy.listener import LiveListener
    from meshctl.proxy.worker import Worker

_OWN: Final = (OWN_V4, OWN_V6)
_TALK_FIRST: Final = frozenset((21, 22, 23, 25, 110, 119, 143, 465, 587, 990, 993, 995, 2525, 3306, 5900))
"""Ports whose services speak first, or over TLS: nothing is gained by waiting for what the app says."""


class Interception:
    """What one worker does for its app's network. `handles` are those of `inside.Enclosed`."""

    scheme = "http"
    entry = "outbound"
    address = "intercepted"
    """Of the listener, in the log: its connections have no address in common."""

    def __init__(self, worker: Worker, handles: dict[str, int]) -> None:
        self.worker = worker
        self.aliases: Aliases = JournaledAliases(handles.pop("aliases"))
        sockets = {name: socket.socket(fileno=handle) for name, handle in handles.items()}
        self.inside = Inside(worker.loop, sockets["asking"])
        self._names = Names(worker, self.aliases, [end for name, end in sockets.items() if name in ("dns4", "dns6")])
        self._doors = [_Door(self, end) for name, end in sockets.items() if name in ("tcp4", "tcp6")]
        self._is_open = False

    def __repr__(self) -> str:
        return f"<Interception {self.aliases!r}, {self.inside!r}>"

    def open(self) -> None:
        """There is something to serve: take connections and questions, unless that is done already."""
        if not self._is_open:
            self._is_open = True
            self._names.open()
            for each in self._doors:
                each.start()

    def close(self) -> None:
        """Take no more connections. Names may still be asked for: those who are connected may need them."""
        if self._is_open:
            for each in self._doors:
                each.close()

    async def reach(self, make: Callable[[], P], host: str, port: int) -> P:
        """A connection to the app, spoken to by the protocol that `make` makes. Raises OSError."""
        return await spoken(make, await self.inside.connect(host, port))

    def meant(self, end: socket.socket) -> Destination | None:
        """The destination of a connection; None where its address was given for a name and is so no more."""
        host, port = end.getsockname()[:2]
        host = host.partition("%")[0]
        if ip_address(host) in _OWN:
            return Destination(host, port)
        name = self.aliases.name(host)
        if name is None:
            return Destination(host, port)
        return Destination(name, port) if name else None

    def protocol(self, destination: Destination) -> Make | None:
        """Who is to speak on a connection to there; None where that depends on what the app says."""
        worker = self.worker
        host, port = destination
        address = _address(host)
        if address is not None and (address.is_loopback or address in _OWN):
            listener = self._listener(port)
            if listener is not None:
                make = CLIENTS[listener.entry.partition(":")[0]]
                return lambda: make(worker, listener)
            if address in _OWN:
                host = "127.0.0.1" if address.version == 4 else "::1"
            return lambda: Local(worker, self, Destination(host, port))
        if port == PORT:
            return lambda: LongQuestions(self._names)
        route = worker.snapshot.tables[self.entry].find(wordless(host))
        if route is not None and route.service is not None:
            return self.bytes(destination) if route.service.config.protocol == "tcp" else self.http(destination, True)
        if service_meant(host, worker.snapshot.mesh.trust_domain):
            return self.http(destination, True)
        return self.bytes(destination) if port in _TALK_FIRST else None

    def bytes(self, destination: Destination, server_name: str = "") -> Make:
        """Nobody reads what is said."""
        return lambda: CaughtBytes(self.worker, self, destination, server_name)

    def http(self, destination: Destination, is_mesh: bool = False) -> Make:
        """Requests are."""
        return lambda: CaughtHttp(self.worker, self, destination, is_mesh=is_mesh)

    def _listener(self, port: int) -> LiveListener | None:
        """The listener on this machine that the app was told of, at a port."""
        for each in self.worker.listeners.values():
            if each.entry.partition(":")[0] in ("upstream", "tcp") and parse_address(each.address)[1] == port:
                return each
        return None


class _Door(Accepting):
    """Where connections of one family come in."""

    def __init__(self, interception: Interception, end: socket.socket) -> None:
        super().__init__(interception.worker, interception.address, end)
        self._interception = interception

    def __repr__(self) -> str:
        return f"<Door of {self._interception!r}>"

    def welcome(self, end: socket.socket, client: str) -> None:
        """See `Accepting.welcome`."""
        destination = self._interception.meant(end)
        if destination is None:
            worker = self.worker
            worker.ledger.record_refusal(
                _Caller(client, self.address), "alias_forgotten", 0, worker.next_request_id(), 0
            )
            cut(end)
            return
        Sniffing(self, self._interception, end, destination).begin()


class _Caller:
    """See `ledger.Origin`."""

    def __init__(self, client: str, listener: str) -> None:
        self.client = client
        self.listener = listener


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        return ip_address(host)
    except ValueError:
        return None
