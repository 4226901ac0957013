"""Servers that others wrote, each in a process of its own: they tell of each request how they understood it, in their
answers and when they are asked afterwards."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from typing import Final

from .wire import PATIENCE, Wire

KINDS: Final = ("h11", "aiohttp", "http.server", "node", "nginx")

_NODE: Final = """
const http = require('http'), crypto = require('crypto'), seen = [];
const server = http.createServer((request, response) => {
  const pieces = [];
  request.on('data', piece => pieces.push(piece));
  request.on('end', () => {
    const body = Buffer.concat(pieces);
    if (request.url === '/__seen') return response.end(JSON.stringify(seen));
    const said = [request.method, request.url, body.length, crypto.createHash('sha1').update(body).digest('hex')];
    seen.push(said);
    const text = JSON.stringify({seen: said, secret: 1});
    response.writeHead(200, {'X-Seen': said.join(' '), 'Content-Type': 'application/json',
      'Cache-Control': 'max-age=60', 'Content-Length': Buffer.byteLength(text)});
    response.end(request.method === 'HEAD' ? undefined : text);
  });
}).listen(process.argv[1]);
server.keepAliveTimeout = 600000;
"""
_NGINX: Final = """
{user}
daemon off; master_process off; pid nginx.pid; error_log stderr emerg;
events {{ worker_connections 256; }}
http {{
  access_log off; client_max_body_size 0; merge_slashes off; keepalive_requests 1000000; keepalive_timeout 600s;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s;
  upstream behind {{ server unix:{behind}; keepalive 4; }}
  server {{
    listen unix:{path};
    location / {{ proxy_pass http://behind; proxy_http_version 1.1; proxy_set_header Connection ""; }}
  }}
}}
"""


class Backend:
    """A running server of one kind, on a socket in `folder`. Behind nginx stands another one that answers."""

    def __init__(self, kind: str, folder: Path, name: str = "") -> None:
        self.kind = kind
        self.path = folder / f"{name or kind}.sock"
        self._processes: list[subprocess.Popen[bytes]] = []
        if kind == "nginx":
            behind = folder / "behind.sock"
            self._start("aiohttp", behind)
            user = "user root;" if os.geteuid() == 0 else ""
            (folder / "nginx.conf").write_text(_NGINX.format(user=user, behind=behind, path=self.path))
        self._start(kind, self.path)

    def __repr__(self) -> str:
        return f"<Backend {self.kind}>"

    @staticmethod
    def is_there(kind: str) -> bool:
        """Whether this machine has the program."""
        return kind not in {"node", "nginx"} or shutil.which(kind) is not None

    def seen(self) -> list[tuple[str, str, int, str]]:
        """Method, target, the body's length and its hash of each request, in order."""
        wire = Wire(self._connected(self.path))
        with wire:
            wire.send(b"GET /__seen HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            return [(said[0], said[1], said[2], said[3]) for said in json.loads(wire.read_response().body)]

    def close(self) -> None:
        """End it."""
        for each in self._processes:
            each.send_signal(signal.SIGTERM)
        for each in self._processes:
            try:
                each.wait(PATIENCE)
            finally:
                each.kill()

    def _start(self, kind: str, path: Path) -> None:
        command = {
            "node": ["node", "-e", _NODE, str(path)],
            "nginx": ["nginx", "-p", str(path.parent), "-e", "stderr", "-c", str(path.parent / "nginx.conf")],
        }.get(kind, [sys.executable, "-m", "tests.conformance.real_apps", kind, str(path)])
        quiet = subprocess.DEVNULL
        self._processes.append(subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet))
        self._connected(path).close()

    def _connected(self, path: Path) -> socket.socket:
        """A connection, once it listens."""
        for _ in range(int(2 * PATIENCE / 0.05)):
            end = socket.socket(socket.AF_UNIX)
            try:
                end.connect(str(path))
            except OSError:
                end.close()
                threading.Event().wait(0.05)
            else:
                return end
        raise AssertionError(f"{self.kind} does not listen on {path}")
