"""A scripted upstream: a listening socket whose connections the test itself answers, byte by byte."""

from __future__ import annotations

import select
import socket
from pathlib import Path

from .wire import PATIENCE, Message, Wire


class Upstream:
    """A service of which the test is the application. What it accepts is in the order of connecting."""

    def __init__(self, name: str, *, unix: Path | None = None, receive: int = 0) -> None:
        self.name = name
        self.host = f"{name}.test".encode()
        """The Host of a route that never sends a request twice."""
        self.retried = f"{name}.retry.test".encode()
        """The Host of a route with the default retries."""
        self.listener = socket.socket(socket.AF_UNIX if unix else socket.AF_INET)
        if receive:
            self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        self.listener.bind(str(unix) if unix else ("127.0.0.1", 0))
        self.listener.listen(64)
        self.listener.settimeout(PATIENCE)
        self._accepted: list[Wire] = []

    def __repr__(self) -> str:
        return f"<Upstream {self.name} {len(self._accepted)} accepted>"

    @property
    def port(self) -> int:
        """Its TCP port."""
        return int(self.listener.getsockname()[1])

    def accept(self) -> Wire:
        """The next connection of the gateway."""
        end, _ = self.listener.accept()
        wire = Wire(end)
        self._accepted.append(wire)
        return wire

    def is_untouched(self) -> bool:
        """Whether no connection waits to be accepted."""
        self.listener.setblocking(False)
        try:
            self.accept()
        except BlockingIOError:
            return True
        finally:
            self.listener.settimeout(PATIENCE)
        return False

    def hear(self) -> Wire:
        """The first of its connections, new ones included, that brings bytes."""
        while True:
            ready, _, _ = select.select([self.listener, *(wire.socket for wire in self._accepted)], [], [], PATIENCE)
            assert ready, "the gateway sends nothing"
            if self.listener in ready:
                self.accept()
            for wire in list(self._accepted):
                if wire.socket in ready:
                    if wire.has_bytes():
                        return wire
                    self._accepted.remove(wire)
                    wire.close()

    def is_silent(self) -> bool:
        """Whether no connection, new ones included, has brought anything that was not read."""
        self.collect()
        return all(wire.is_silent() for wire in self._accepted)

    def collect(self) -> None:
        """Accept what waits to be accepted."""
        while not self.is_untouched():
            pass

    def serve(self, answer: bytes) -> tuple[Wire, Message]:
        """Accept a connection, read a request, answer it."""
        wire = self.accept()
        request = wire.read_request()
        wire.send(answer)
        return wire, request

    def get(self, target: bytes = b"/", *lines: bytes, method: bytes = b"GET") -> bytes:
        """The bytes of a request for this service, with field `lines`."""
        return b"\r\n".join([b"%b %b HTTP/1.1" % (method, target), b"Host: " + self.host, *lines, b"", b""])

    def forget(self) -> None:
        """Close what was accepted, so that the gateway keeps no connection for another test."""
        self.collect()
        for wire in self._accepted:
            wire.close()
        self._accepted.clear()


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
"""The shortest answer with a body."""
