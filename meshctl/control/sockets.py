"""Listening sockets: bound once by the supervisor, one for each worker, and the name of whoever holds a port
already."""

from __future__ import annotations

import errno
import os
import socket
from typing import TYPE_CHECKING, Final

from meshctl.errors import MeshError
from meshctl.model.mesh import Listener

if TYPE_CHECKING:
    import psutil

_WHY: Final = {
    errno.EACCES: ("you may not use this port", "ports below 1024 need root, or CAP_NET_BIND_SERVICE"),
    errno.EADDRNOTAVAIL: ("this machine does not have the address", 'use "127.0.0.1", or ":PORT" for every address'),
}


_OURS: Final = {
    "meshctl.control.process": "a meshctl gateway, perhaps of another home",
    "meshctl.sidecar.process": "a meshctl sidecar",
}
"""What the modules are that our processes run."""


class Bound:
    """A listener's sockets, one for each worker, sharing one port (SO_REUSEPORT spreads connections over them)."""

    def __init__(self, host: str, port: int, workers: int) -> None:
        self.host = host
        self.sockets = _bind(Listener(host, port), workers)
        self.port: int = self.sockets[0].getsockname()[1]

    def __repr__(self) -> str:
        return f"<Bound {self.address} × {len(self.sockets)}>"

    @property
    def address(self) -> str:
        """Where it listens, with the port that was really taken."""
        return Listener(self.host, self.port).address

    def url(self, scheme: str) -> str:
        """What to type into a browser on this machine."""
        host = "localhost" if self.host in {"", "0.0.0.0", "::"} else self.host
        return f"{scheme}://{f'[{host}]' if ':' in host else host}:{self.port}"

    def renew(self, index: int) -> None:
        """A fresh socket in the place of the one of worker `index`, which is away: nobody waits in it until that worker
        listens on it. Raises OSError."""
        self.sockets[index].close()
        self.sockets[index] = _sharing(self.host, self.port)

    def close(self) -> None:
        """Give the port back."""
        for each in self.sockets:
            each.close()


def bind_one(host: str, port: int) -> socket.socket:
    """A socket bound to an address for one process alone. Raises MeshError address_in_use or address_unusable."""
    return _bind(Listener(host, port), 1)[0]


def _bind(listener: Listener, count: int) -> list[socket.socket]:
    family, address = _resolve(listener)
    sockets: list[socket.socket] = []
    try:
        # SO_REUSEPORT would let us share a port with any process of the same user, and split its traffic unseen: so
        # first take the port alone.
        with _socket(family, listener) as probe:
            probe.bind(address)
            port = probe.getsockname()[1]
        sockets.extend(_sharing(listener.host, port) for _ in range(count))
    except OSError as error:
        for each in sockets:
            each.close()
        raise _explain(listener, error) from error
    return sockets


def _sharing(host: str, port: int) -> socket.socket:
    """One of several sockets on a port. Raises OSError."""
    listener = Listener(host, port)
    family, address = _resolve(listener)
    made = _socket(family, listener)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        made.bind(address)
    except OSError:
        made.close()
        raise
    return made


def _resolve(listener: Listener) -> tuple[socket.AddressFamily, tuple[str, int] | tuple[str, int, int, int]]:
    host = listener.host or ("::" if socket.has_dualstack_ipv6() else "0.0.0.0")
    try:
        found = socket.getaddrinfo(host, listener.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError as error:
        raise MeshError(
            "address_unusable",
            f'"{listener.host}" cannot be listened on: {error.strerror}',
            hint="use an address, or localhost",
        ) from error
    family, _, _, _, address = found[0]
    return family, address  # type: ignore[return-value]  # AF_INET or AF_INET6, as asked for


def _socket(family: socket.AddressFamily, listener: Listener) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        # ":8080" means every address of both families; "[::]:8080" was asked for as IPv6.
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1 if listener.host else 0)
    return made


def _explain(listener: Listener, error: OSError) -> MeshError:
    shown = listener.address
    if error.errno == errno.EADDRINUSE:
        holder = holder_of(listener.port)
        hint = "stop it, or give another port: 0 takes a free one, as in `--listen 127.0.0.1:0`"
        return MeshError("address_in_use", f"{shown} is taken by {holder}", hint=hint)
    why, hint = _WHY.get(error.errno or 0, (os.strerror(error.errno or 0).lower(), "choose another address"))
    return MeshError("address_unusable", f"{shown} cannot be listened on: {why}", hint=hint)


def holder_of(port: int) -> str:
    """The process that listens on `port`, in words. Without root only the user's own processes can be named."""
    import psutil

    try:
        for connection in psutil.net_connections(kind="tcp"):
            if (
                connection.laddr
                and connection.laddr.port == port
                and connection.status == psutil.CONN_LISTEN
                and connection.pid
            ):
                process = _first(psutil.Process(connection.pid))
                words = process.cmdline()
                ours = next((name for module, name in _OURS.items() if module in words), "")
                return f"{ours or process.name()} (process {process.pid}{'' if ours else f': {_short(words)}'})"
    except (psutil.Error, OSError):
        pass
    return "another process"


def _first(process: psutil.Process) -> psutil.Process:
    """The process to end: not one that its parent, a supervisor, has forked and would start again."""
    import psutil

    try:
        while (parent := process.parent()) is not None and parent.cmdline() == process.cmdline():
            process = parent
    except psutil.Error:
        pass  # It is somebody else's, or has gone: what is known is named.
    return process


def _short(words: list[str]) -> str:
    line = " ".join(words)
    return line if len(line) <= 80 else f"{line[:79]}…"
