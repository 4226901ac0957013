"""The port an app listens on: one that is free and stays so until the app takes it, or the user's own, if that is."""

from __future__ import annotations

import errno
import socket
import sys
from pathlib import Path
from typing import Final

from meshctl import clock
from meshctl.control.sockets import holder_of
from meshctl.errors import MeshError
from meshctl.sidecar.environment import LOOPBACK

LOOPBACKS: Final = ((socket.AF_INET, LOOPBACK), (socket.AF_INET6, "::1"))
_RANGE: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")
_LOWEST: Final = 20_000
"""Below it are those that people choose."""
_ROOM: Final = 1_000
_TRIES: Final = 64


class Port:
    """A number for an app to listen on. It is ours among all wrappers of this machine until `release`."""

    def __init__(self, number: int, claim: socket.socket | None = None) -> None:
        self.number = number
        self._claim = claim

    def __repr__(self) -> str:
        return f"<Port {self.number}{' claimed' if self._claim else ''}>"

    def release(self) -> None:
        """Let others have it."""
        if self._claim is not None:
            self._claim.close()
            self._claim = None


def choose_port() -> Port:
    """A free port. Not one of those that the system gives to outgoing connections: between its choice and the moment
    the app listens any client on the machine could take it."""
    lowest = _lowest_outgoing()
    for _ in range(_TRIES if lowest - _LOWEST >= _ROOM else 0):
        number = _LOWEST + clock.bits(32) % (lowest - _LOWEST)
        claim = _claim(number)
        if claim is not None and is_free(number):
            return Port(number, claim)
        if claim is not None:
            claim.close()
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return Port(probe.getsockname()[1])


def check_port(number: int) -> None:
    """Raises MeshError address_in_use where somebody listens there already: they would get the app's requests."""
    if not is_free(number):
        hint = "stop it, or give the app another port with --port (without it, a free one is chosen)"
        raise MeshError("address_in_use", f"port {number} is taken by {holder_of(number)}", hint=hint)


def is_free(number: int) -> bool:
    """Whether nobody on this machine listens on the port."""
    for family, host in LOOPBACKS:
        try:
            with socket.socket(family) as probe:
                # Connections that ended lately are no hindrance to whoever listens next.
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind((host, number))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            # No IPv6, or a port for root alone: whether the app may use it is its own business.
    return True


def _claim(number: int) -> socket.socket | None:
    """A name that one process at a time can have, in the network namespace the port is in, until it ends; None where
    another has it. Linux alone has such names (unix(7), abstract sockets)."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    if sys.platform != "linux":
        return made
    try:
        made.bind(f"\0meshctl-port-{number}")
    except OSError:
        made.close()
        return None
    return made


def _lowest_outgoing() -> int:
    try:
        return int(_RANGE.read_text().split()[0])
    except (OSError, ValueError):
        return 32_768
