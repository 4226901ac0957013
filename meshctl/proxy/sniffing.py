"""What an app says first on a connection to somewhere outside the mesh, where that decides who is to speak to it:

    a head of HTTP/1.1 that asks for a path → requests; anything else, and silence → bytes, as they are

It is only looked at and stays where it is. Nobody is made to wait: where the other side is to speak first an app says
nothing, so silence for a moment is an answer too.
"""

from __future__ import annotations

import re
import socket
from typing import TYPE_CHECKING, Final

from meshctl.proxy.tasks import spawn
from meshctl.wire.client_hello import server_name

if TYPE_CHECKING:
    import asyncio

    from meshctl.proxy.acceptor import Accepting, Make
    from meshctl.proxy.caught import Destination
    from meshctl.proxy.intercept import Interception

SILENCE: Final = 0.1
"""Seconds without a word after which it is the other side's turn."""
HTTP_SILENCE: Final = 5.0
"""The same on the port of HTTP, where a client that keeps connections in store may be silent for long."""

_HTTP: Final = 80
_LOOK: Final = 4_096
_REQUEST: Final = re.compile(rb"[A-Z]{3,16} [/*][^\r\n]*(?:$| HTTP/1\.[01]\r?\n)")
"""A method, a path and the version, as far as they have come. A whole URL is for a proxy, which the app has found by
itself."""
_BEGINNING: Final = re.compile(rb"[A-Z]{1,16} ?\Z")


class Sniffing:
    """One connection that nobody speaks on yet."""

    def __init__(
        self, door: Accepting, interception: Interception, end: socket.socket, destination: Destination
    ) -> None:
        self._door = door
        self._interception = interception
        self._socket = end
        self._destination = destination
        self._silence: asyncio.TimerHandle | None = None
        self._tries = 0

    def __repr__(self) -> str:
        return f"<Sniffing to {self._destination.host}:{self._destination.port}>"

    def begin(self) -> None:
        """Decide, or listen for what decides."""
        make = self._interception.protocol(self._destination)
        if make is not None:
            self._hand_over(make)
        elif not self._look():
            loop = self._interception.worker.loop
            seconds = HTTP_SILENCE if self._destination.port == _HTTP else SILENCE
            self._silence = loop.call_later(seconds, self._as_bytes)
            loop.add_reader(self._socket, self._look)

    def close(self) -> None:
        """Let it go."""
        self._stop()
        self._socket.close()

    def _look(self) -> bool:
        """Whether what has come is enough to decide, and then that is done."""
        try:
            said = self._socket.recv(_LOOK, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        except OSError:
            self.close()
            return True
        # One that ends without a word is passed on too: the other side may have something to say to that.
        if looks_like_http(said):
            self._hand_over(self._interception.http(self._destination))
        else:
            self._hand_over(self._interception.bytes(self._destination, server_name(said)))
        return True

    def _as_bytes(self) -> None:
        self._hand_over(self._interception.bytes(self._destination))

    def _stop(self) -> None:
        if self._silence is not None:
            self._silence.cancel()
            self._silence = None
            self._interception.worker.loop.remove_reader(self._socket)

    def _hand_over(self, make: Make) -> None:
        self._stop()
        spawn(self._door.serve(make, self._socket), name=f"intercepted to {self._destination.host}")


def looks_like_http(said: bytes) -> bool:
    """Whether this begins, as far as it has come, with a request that asks for a path."""
    return bool(_REQUEST.match(said) or _BEGINNING.match(said))
