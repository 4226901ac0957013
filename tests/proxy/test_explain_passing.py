"""What `routes explain` says of what changes messages on their way."""

from __future__ import annotations

from meshctl.model.passing import Compression, Cors, JsonEdits, SecurityHeaders
from meshctl.model.route import Match, Respond, Route, ValueMatch
from meshctl.proxy.explain import explain

from .lone_proxy import mesh_of

ASKED = (("Origin", "https://a.example"), ("Access-Control-Request-Method", "PUT"))


def policies(*headers: tuple[str, str], method: str = "GET", **settings: object) -> tuple[str, ...]:
    """What a request to a route with these settings meets."""
    return explain(mesh_of(routes=(Route("r", respond=Respond(), **settings),)), method, "/", headers).policies  # type: ignore[arg-type]


def test_cors() -> None:
    """Whether the page may read, what its preflight would get, and which route that is about."""
    cors = Cors(("https://a.example",))
    assert policies(cors=cors) == ("cors: pages of https://a.example may read the answer",)
    assert policies(("Origin", "https://b.example"), cors=cors) == (
        "cors: pages of https://b.example may not: they are told nothing",
    )
    routes = (
        Route("read", Match(methods=("GET",)), respond=Respond()),
        Route("write", Match(methods=("PUT",), headers=(ValueMatch("x", "present"),)), respond=Respond(), cors=cors),
    )
    found = explain(mesh_of(routes=routes), "OPTIONS", "/", ASKED)
    assert (found.route, found.policies) == (
        "write", ("cors: pages of https://a.example may, and the proxy answers that itself: 204",),
    )  # fmt: skip


def test_security_headers() -> None:
    """Their names."""
    assert policies(security_headers=SecurityHeaders(hsts=0.0, referrer="")) == (
        "security headers: x-frame-options, x-content-type-options",
    )


def test_compression() -> None:
    """The coding that this client would get."""
    settings = Compression()
    assert policies(("Accept-Encoding", "gzip"), compression=settings) == ("compression: gzip from 1KiB on",)
    assert policies(compression=settings) == ("compression: none that the client takes",)


def test_json_bodies() -> None:
    """Which edits there are, and up to where."""
    edits = JsonEdits(remove=("$.a",), set=(("$.b", "1"),))
    assert policies(request_body=edits, response_body=JsonEdits(keep=("$.a",), limit=2048)) == (
        "answer's body: keep in JSON of up to 2KiB",
        "request body: remove, set in JSON of up to 1MiB",
    )
