"""What an endpoint said before its connection broke, and nobody has read.

Whoever refuses an upload answers and closes while it is still coming, which resets the connection. The loop that learns
of that by writing ends the connection without a look at what has come; the kernel still has it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from meshctl.proxy.upstream import UpstreamConnection

_MOST: Final = 262_144
"""Bytes that are still read, so that a client that takes nothing does not make the proxy keep more."""


def hear_out(connection: UpstreamConnection) -> None:
    """Give a connection in the clear, which the loop says is lost, what has come for its exchange. Only then: before,
    the loop reads, and later its descriptor may be somebody else's."""
    exchange, config = connection.exchange, connection.endpoint.config
    if exchange is None or exchange.tunnel or config.tls or config.mesh:
        return
    end = connection.transport.get_extra_info("socket").fileno()
    left = _MOST
    while connection.exchange is exchange and (data := _read(end, left)):
        left -= len(data)
        connection.data_received(data)


def _read(end: int, most: int) -> bytes:
    # It does not block; where there is no more, or never was any, the kernel says so by an error.
    try:
        return os.read(end, most)
    except OSError:
        return b""
