"""Who looks at a gateway while it is measured: a receiver of its spans, or somebody who taps all that passes."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from .case import HOST


class _Receiver(BaseHTTPRequestHandler):
    """Takes what it is sent."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """Spans."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Nothing to tell."""


@contextmanager
def receiver() -> Iterator[int]:
    """A receiver of spans; its port."""
    with ThreadingHTTPServer((HOST, 0), _Receiver) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


@contextmanager
def tap(home: Path) -> Iterator[None]:
    """Somebody who looks at every request, and reads nothing of what is shown."""
    command = [sys.executable, "-m", "meshctl", "tap", "--home", str(home)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.terminate()
            process.wait()


def spans(kind: str, stack: ExitStack) -> int:
    """The port that spans go to, for a gateway that tells them; else 0."""
    return stack.enter_context(receiver()) if kind == "traced" else 0
