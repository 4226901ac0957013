"""An app that knows nothing of meshctl and does what it is told, wherever it is: python enclosed_app.py SOCKET

On the Unix socket SOCKET, which every network of this machine can reach, it takes commands as JSON, one for each
connection, runs them and tells how they ended. On $PORT it answers each request with the headers that it had.
"""

from __future__ import annotations

import json
import os
import socketserver
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Told(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = json.dumps({name.lower(): value for name, value in self.headers.items()}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Command(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        argv = json.loads(self.rfile.readline())
        ended = subprocess.run(argv, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
        self.wfile.write(json.dumps([ended.returncode, ended.stdout, ended.stderr]).encode() + b"\n")


class Commands(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


class Server(ThreadingHTTPServer):
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """See `Server` of the template "api"."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


threading.Thread(target=Commands(sys.argv[1], Command).serve_forever, daemon=True).start()
Server(("127.0.0.1", int(os.environ["PORT"])), Told).serve_forever()
