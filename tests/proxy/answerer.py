"""An endpoint for tests that send it many requests: it answers each at once with the status it is told, holds them, or
is not there at all, which can change at any time."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

from tests.conformance.wire import PATIENCE


class Answerer:
    """See the module. Its port stays its own while it is away: nobody else can be given it."""

    def __init__(self, status: int = 200, *lines: str) -> None:
        self.status = status
        self.lines = lines
        """Field lines of its answers."""
        self.requests = 0
        self.most_at_once = 0
        self._free = threading.Event()
        self._free.set()
        self._lock = threading.Lock()
        self._at_once = 0
        self._ends: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._place = socket.socket()
        self._place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._place.bind(("127.0.0.1", 0))
        self.port = int(self._place.getsockname()[1])
        self._listener: socket.socket | None = None
        self.come()

    def __repr__(self) -> str:
        return f"<Answerer {self.port} {self.status} after {self.requests} requests>"

    @property
    def address(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self.port}"

    def come(self) -> None:
        """Take connections."""
        listener = self._listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(128)
        self._run(self._accept, listener)

    def go(self) -> None:
        """Be gone: connections are refused, those that were open end."""
        listener, self._listener = self._listener, None
        if listener is not None:
            # A thread that waits in accept is woken by this alone.
            listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        for end in self._ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        self._ends.clear()

    def hold(self) -> None:
        """Answer nothing until `release`."""
        self._free.clear()

    def release(self) -> None:
        """Answer what is held, and what comes."""
        self._free.set()

    def close(self) -> None:
        """End it."""
        self.release()
        self.go()
        self._place.close()
        for thread in self._threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()

    def _run(self, what: object, end: socket.socket) -> None:
        assert callable(what)
        thread = threading.Thread(target=what, args=(end,), daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                end, _ = listener.accept()
                self._ends.append(end)
                self._run(self._serve, end)

    def _serve(self, end: socket.socket) -> None:
        waiting = b""
        with end, suppress(OSError):
            while data := end.recv(65_536):
                waiting += data
                while b"\r\n\r\n" in waiting:
                    _, _, waiting = waiting.partition(b"\r\n\r\n")
                    self._answer(end)

    def _answer(self, end: socket.socket) -> None:
        with self._lock:
            self.requests += 1
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        # Longer than a slow machine takes for the tests that count who waits.
        self._free.wait(60)
        with self._lock:
            self._at_once -= 1
        head = "\r\n".join([f"HTTP/1.1 {self.status} Said", "Content-Length: 2", *self.lines, "", ""])
        end.sendall(head.encode() + b"ok")
