"""The services of `meshctl demo`: plain web servers that know nothing of any mesh.

Run as `python demo_services.py web` and `python demo_services.py orders v1`; they listen on $PORT. `web` asks
`http://orders/` as any program in Python asks, with urllib, which finds the way in $HTTP_PROXY. What a sidecar adds to
a request, who calls and the trace, is answered like any other header.
"""

from __future__ import annotations

import json
import os
import sys
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import Any, Final

_ORDERS: Final = ((1, "tea", 450), (2, "teapot", 3900))
_DEADLINE: Final = 5.0


class Shop(BaseHTTPRequestHandler):
    """One connection to the service `name`."""

    protocol_version = "HTTP/1.1"
    name = ""
    version = ""

    def do_GET(self) -> None:
        """Answer in JSON."""
        answer: dict[str, Any] = {"service": self.name, "caller": self.headers.get("x-meshctl-identity", "")}
        status = 200
        if self.path == "/healthz":
            answer = {"status": "well"}
        elif self.name == "orders":
            answer |= {"version": self.version, "orders": _orders(self.version)}
        else:
            status, orders = _ask("http://orders/orders")
            answer |= {"trace": self.headers.get("traceparent", ""), "asked": orders}
        body = json.dumps(answer, ensure_ascii=False).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as the base class has it
        """Say nothing: the sidecar has an access log."""


class Server(ThreadingTCPServer):
    """Listens, and has a thread for each connection."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128


def _orders(version: str) -> list[dict[str, Any]]:
    if version == "v1":
        return [{"id": number, "item": item, "cents": cents} for number, item, cents in _ORDERS]
    # What is new in v2: prices for people.
    return [{"id": number, "item": item, "price": f"€ {cents / 100:.2f}"} for number, item, cents in _ORDERS]


def _ask(url: str) -> tuple[int, Any]:
    """What another service answers, and with which status to pass that on."""
    try:
        with urllib.request.urlopen(url, timeout=_DEADLINE) as answer:  # noqa: S310 - always http
            return 200, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return 502, {"status": error.code, "reason": error.headers.get("x-meshctl-reason", "")}
    except OSError as error:
        return 502, {"reason": str(error)}


if __name__ == "__main__":
    Shop.name, Shop.version = [*sys.argv[1:], ""][:2]
    Server(("127.0.0.1", int(os.environ["PORT"])), Shop).serve_forever()
