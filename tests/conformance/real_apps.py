"""`python -m tests.conformance.real_apps KIND SOCKET`: a server written in Python whose answers tell how it understood
each request: "h11" (in uvicorn), "aiohttp", or "http.server" with the few lines that its users write for a body. The
last one listens on $PORT where no SOCKET is given."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Awaitable, Callable
from hashlib import sha1
from http.server import BaseHTTPRequestHandler
from socketserver import BaseServer, TCPServer, ThreadingMixIn, UnixStreamServer
from typing import Any

SEEN: list[tuple[str, str, int, str]] = []
IDLE = 600
"""Seconds for which connections are kept: a slow machine must not meet the end of one."""


def answered(method: str, target: str, body: bytes) -> tuple[dict[str, str], bytes]:
    """The fields and the body of the answer to a request."""
    if target == "/__seen":
        return {"Content-Type": "application/json"}, json.dumps(SEEN).encode()
    said = (method, target, len(body), sha1(body).hexdigest())
    SEEN.append(said)
    fields = {"X-Seen": " ".join(map(str, said)), "Content-Type": "application/json", "Cache-Control": "max-age=60"}
    return fields, json.dumps({"seen": said, "secret": 1}).encode()


async def asgi(
    scope: dict[str, Any],
    receive: Callable[[], Awaitable[dict[str, Any]]],
    send: Callable[[dict[str, Any]], Awaitable[None]],
) -> None:
    """The application behind h11."""
    body = b""
    while True:
        event = await receive()
        if event["type"] == "http.disconnect":
            return
        body += event.get("body", b"")
        if not event.get("more_body"):
            break
    query = b"?" + scope["query_string"] if scope["query_string"] else b""
    fields, text = answered(scope["method"], (scope["raw_path"] + query).decode("latin-1"), body)
    headers = [(name.encode(), value.encode("latin-1")) for name, value in fields.items()]
    headers.append((b"content-length", b"%d" % len(text)))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": text})


def serve_h11(path: str) -> None:
    """uvicorn."""
    import uvicorn

    config = {"http": "h11", "lifespan": "off", "log_level": "critical", "access_log": False}
    uvicorn.run(asgi, uds=path, timeout_keep_alive=IDLE, **config)


def serve_aiohttp(path: str) -> None:
    """aiohttp's own server, without an application around it."""
    from aiohttp import web

    async def answer(request: web.BaseRequest) -> web.Response:
        body = await request.read()
        fields, text = answered(request.method, request.raw_path, body)
        return web.Response(body=text, headers=fields)

    async def main() -> None:
        runner = web.ServerRunner(web.Server(answer, keepalive_timeout=IDLE))
        await runner.setup()
        await web.UnixSite(runner, path).start()
        await asyncio.Event().wait()

    import asyncio

    asyncio.run(main())


class Handler(BaseHTTPRequestHandler):
    """What people write who read bodies by hand: a length, or chunks as Python reads their sizes."""

    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        """Read the body and answer."""
        if "chunked" in self.headers.get("Transfer-Encoding", ""):
            body = self.chunks()
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fields, text = answered(self.command, self.path, body)
        self.send_response(200)
        for name, value in fields.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_TRACE = answer

    def chunks(self) -> bytes:
        """The data of a chunked body."""
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return body

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def address_string(self) -> str:
        """It has none."""
        return "unix"


class Quiet(ThreadingMixIn, BaseServer):
    """See `Handler`."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """The other end may leave at any time."""


class Server(Quiet, UnixStreamServer):
    """On a socket."""


class PortServer(Quiet, TCPServer):
    """On a port."""

    allow_reuse_address = True
    request_queue_size = 128


def serve_by_hand(path: str) -> None:
    """http.server."""
    made = Server(path, Handler) if path else PortServer(("127.0.0.1", int(os.environ["PORT"])), Handler)
    made.serve_forever()


if __name__ == "__main__":
    {"h11": serve_h11, "aiohttp": serve_aiohttp, "http.server": serve_by_hand}[sys.argv[1]]("".join(sys.argv[2:]))
