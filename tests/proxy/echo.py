"""An endpoint that answers every request with 200 and keeps what it was sent."""

from __future__ import annotations

import socket
import threading

from tests.conformance.upstream import OK
from tests.conformance.wire import EndedEarly, Message, Wire


class Echo:
    """See the module."""

    def __init__(self) -> None:
        self.requests: list[Message] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def __repr__(self) -> str:
        return f"<Echo {self.port} {len(self.requests)} requests>"

    def close(self) -> None:
        """Take no more connections."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                end, _ = self._listener.accept()
            except OSError:
                return
            wire = Wire(end)
            # A proxy may keep a connection for as long as it likes.
            wire.socket.settimeout(None)
            threading.Thread(target=self._serve, args=(wire,), daemon=True).start()

    def _serve(self, wire: Wire) -> None:
        with wire:
            while True:
                try:
                    self.requests.append(wire.read_request())
                    wire.send(OK)
                except (EndedEarly, OSError, AssertionError):
                    return
