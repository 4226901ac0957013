"""A proxy with one route to a service that the test itself is: what passes is seen at both ends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from meshctl.model.policy import Retry
from meshctl.model.route import Route
from meshctl.model.service import Endpoint, Service, Version
from tests.conformance.upstream import OK, Upstream
from tests.conformance.wire import Message

from .lone_proxy import LoneProxy, mesh_of


class Passage:
    """See the module."""

    def __init__(self, folder: Path) -> None:
        self.app = Upstream("app")
        self.service = Service("app", (Version("v1", (Endpoint("127.0.0.1", self.app.port),)),))
        self.proxy = LoneProxy(folder, mesh_of(self.service, routes=()), "gateway")

    def __repr__(self) -> str:
        return f"<Passage {self.proxy!r}>"

    def serve(self, *routes: Route, **settings: Any) -> None:
        """Have it serve these routes, or the one to the service with these settings."""
        made = routes or (Route("r", service="app", retry=Retry(0), **settings),)
        self.app.forget()
        self.proxy.apply(mesh_of(self.service, routes=made))

    def pass_through(self, request: bytes, answer: bytes = OK) -> tuple[Message, Message]:
        """What the service got of `request`, and the client of `answer`."""
        self.app.forget()
        with self.proxy.connect("gateway") as client:
            client.send(request)
            _, seen = self.app.serve(answer)
            return seen, client.read_response(method=request.split(b" ")[0].decode())

    def refuse(self, request: bytes) -> Message:
        """The proxy's own answer to `request`, of which the service sees nothing."""
        self.app.forget()
        with self.proxy.connect("gateway") as client:
            client.send(request)
            found = client.read_response(method=request.split(b" ")[0].decode())
        assert self.app.is_untouched()
        return found

    def close(self) -> None:
        """End all of it; the proxy must have had nothing to complain of."""
        try:
            assert self.proxy.end() == []
        finally:
            self.app.forget()
            self.app.listener.close()


def request(target: str = "/", *lines: str, method: str = "GET", body: bytes = b"") -> bytes:
    """A request's bytes."""
    length = [f"Content-Length: {len(body)}"] if body else []
    return "\r\n".join([f"{method} {target} HTTP/1.1", "Host: a", *lines, *length, "", ""]).encode("latin-1") + body


def answer(*lines: str, body: bytes = b"ok", status: int = 200) -> bytes:
    """An answer's bytes."""
    return "\r\n".join([f"HTTP/1.1 {status} Said", *lines, f"Content-Length: {len(body)}", "", ""]).encode() + body
