"""A small service for tests of parts: it answers each path as it is told, and notes what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from meshctl.model.service import Endpoint
from tests.conformance.wire import PATIENCE

Say = tuple[int, bytes]
Answer = Say | Callable[[], Say]


def said(document: Any, status: int = 200) -> Say:
    """A document with a status."""
    return status, json.dumps(document).encode()


class Piece(ThreadingHTTPServer):
    """See the module. What it is not told of it answers with its name and the target."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, name: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.name = name
        self.answers: dict[str, Answer] = {}
        self.seen: list[tuple[str, dict[str, str]]] = []
        """Targets and fields of all that was asked."""
        self.free = threading.Event()
        self.held = threading.Event()
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()

    def __repr__(self) -> str:
        return f"<Piece {self.name} after {len(self.seen)} requests>"

    @property
    def endpoint(self) -> Endpoint:
        """Where it is."""
        return Endpoint("127.0.0.1", self.server_port)

    def forget(self) -> None:
        """Begin anew."""
        self.free.set()
        self.free, self.held = threading.Event(), threading.Event()
        self.answers.clear()
        self.seen.clear()

    def hold(self) -> Say:
        """An answer that comes when it is let go, if ever."""
        self.held.set()
        self.free.wait(60)
        return said({"late": True})

    def handle_error(self, request: Any, client_address: Any) -> None:
        """The other end may leave at any time."""

    def close(self) -> None:
        """End it."""
        self.free.set()
        self.shutdown()
        self._thread.join(PATIENCE)
        self.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Piece

    def do_GET(self) -> None:
        """Answer."""
        piece = self.server
        piece.seen.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        answer = piece.answers.get(self.path.partition("?")[0], said({"name": piece.name, "target": self.path}))
        status, body = answer() if callable(answer) else answer
        if not status:
            self.close_connection = True
            return
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Retry-After", "7")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""
