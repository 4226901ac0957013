"""Another server that is asked about requests, at a proxy with real connections: what it is told, what passes, and what
becomes of its refusals."""

from __future__ import annotations

import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from meshctl.model.auth import ApiKey, Auth, ForwardAuth, Need
from meshctl.model.mesh import Mesh
from meshctl.model.route import Match, PathMatch, Require, Route
from meshctl.model.service import Endpoint, Service, Version
from meshctl.proxy.forward_auth import passed_on
from tests.conformance.conftest import free_port
from tests.conformance.wire import PATIENCE, Message

from .asked import HANG, Asked
from .echo import Echo
from .lone_proxy import LoneProxy, mesh_of
from .members import Authority, MemberUpstream, spiffe
from .passage import answer

ADA = answer("X-User: ada", "X-Groups: staff, ops", "X-Secret: s", "Set-Cookie: a=1")


class Edge:
    """A proxy whose routes ask another server, before one service."""

    def __init__(self, folder: Path) -> None:
        self.asked = Asked(lambda _: self.verdict)
        self.verdict = ADA
        self.gone = free_port()
        self.echo = Echo()
        self.proxy = LoneProxy(folder, self._mesh(), "gateway")

    def _mesh(self) -> Mesh:
        ways = (
            self._way("forward", self.asked.url, copy_headers=("x-user", "x-groups")),
            self._way("some", self.asked.url, send_headers=("cookie", "user-agent")),
            self._way("swap", self.asked.url, copy_headers=("authorization",)),
            msgspec.structs.replace(self._way("kept", self.asked.url), forward=False),
            self._way("gone", f"http://127.0.0.1:{self.gone}"),
            self._way("slow", self.asked.url, timeout=0.3),
            self._inside("meshed", "verifier", path="/verify/it", copy_headers=("x-user", "x-groups")),
            self._inside("lonely", "nobody"),
            self._inside("late", "verifier", timeout=0.3),
            Auth("keys", api_key=ApiKey()),
        )
        asks = {each.name: Need((each.name,)) for each in ways} | {
            "any": Need(("keys", "forward")),
            "all": Need(("keys", "forward"), every=True),
        }
        rules = (Require("ops", paths=(PathMatch("prefix", "/forward/ops"),), claims=(("x-groups", ("ops",)),)),)
        routes = tuple(
            Route(name, Match(path=PathMatch("prefix", "/" + name)), service="app", auth=need, require=rules)
            for name, need in asks.items()
        )
        open_route = Route("open", Match(path=PathMatch("prefix", "/open")), service="app")
        ports = {"app": self.echo.port, "verifier": self.asked.port, "nobody": self.gone}
        services = [Service(name, (Version("v1", (Endpoint("127.0.0.1", port),)),)) for name, port in ports.items()]
        return mesh_of(*services, routes=(*routes, open_route), auth=ways)

    @staticmethod
    def _way(name: str, url: str, **settings: Any) -> Auth:
        given = {"timeout": PATIENCE} | settings
        return Auth(name, forward_auth=ForwardAuth(url + "/verify?app=1", **given), forward=True)

    @staticmethod
    def _inside(name: str, service: str, **settings: Any) -> Auth:
        given = {"timeout": PATIENCE} | settings
        return Auth(name, forward_auth=ForwardAuth(service=service, **given), forward=True)

    def ask(self, target: str, *lines: bytes, method: str = "GET", body: bytes = b"") -> Message:
        """The answer to a request."""
        length = [b"Content-Length: %d" % len(body)] if body else []
        with self.proxy.connect("gateway") as client:
            head = [f"{method} {target} HTTP/1.1".encode(), b"Host: api.localhost:81", *lines, *length, b"", b""]
            client.send(b"\r\n".join(head) + body)
            return client.read_response(method=method)

    def told(self, target: str, *lines: bytes, **settings: Any) -> Message:
        """What the server was told of a request that went on."""
        found = self.ask(target, *lines, **settings)
        assert found.status == 200, found
        return self.asked.questions[-1]

    def close(self) -> None:
        """End it; it must have had nothing to complain of."""
        try:
            assert self.proxy.end() == []
        finally:
            self.asked.close()
            self.echo.close()


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    """The proxy that these tests share."""
    edge = Edge(tmp_path_factory.mktemp("edge"))
    yield edge
    edge.close()


@pytest.fixture
def edge(made: Edge) -> Edge:
    """The same, with a server that lets everybody in as Ada."""
    made.verdict = ADA
    return made


def reason(found: Message) -> tuple[int, str]:
    """Status and reason."""
    return found.status, (found.get("x-meshctl-reason") or b"").decode()


def test_what_it_is_told(edge: Edge) -> None:
    """It learns method, URI, host, scheme and client, and sees the client's headers, but for those of the body, of the
    connection and of the resource."""
    told = edge.told(
        "/forward/a%20b?x=1&y=%2F",
        b"Cookie: sid=1",
        b"Authorization: Bearer t",
        b"User-Agent: curl",
        b"Content-Type: text/plain",
        b"If-None-Match: *",
        b"Range: bytes=0-1",
        b"Connection: x-hop",
        b"X-Hop: 1",
        method="POST",
        body=b"hello",
    )
    assert told.line == b"GET /verify?app=1 HTTP/1.1"
    assert told.get("x-forwarded-method") == b"POST"
    assert told.get("x-forwarded-uri") == b"/forward/a%20b?x=1&y=%2F"
    assert told.get("x-forwarded-host") == b"api.localhost:81"
    assert told.get("x-forwarded-proto") == b"http"
    assert told.get("x-forwarded-for") == b"127.0.0.1"
    assert (told.get("cookie"), told.get("authorization"), told.get("user-agent")) == (b"sid=1", b"Bearer t", b"curl")
    assert told.names.isdisjoint({b"content-type", b"if-none-match", b"range", b"x-hop", b"content-length"})
    assert told.body == b""
    assert edge.echo.requests[-1].body == b"hello"


def test_nobody_invents_what_it_is_told(edge: Edge) -> None:
    """What a client says of such fields reaches neither the server nor, of those that are copied, the service, however
    it is spelt; and the path is the one that the service gets."""
    told = edge.told(
        "/open/../forward//x/./y",
        b"X-Forwarded-Method: GET",
        b"X-Forwarded-Uri: /public",
        b"x_forwarded_uri: /public",
        b"X-Forwarded-For: 10.0.0.1",
        b"X-Original-URL: /public",
        b"X-User: root",
        b"x_user: root",
        b"X-Groups: admins",
        b"Connection: X-User",
        method="DELETE",
    )
    assert told.all("x-forwarded-uri") == [edge.echo.requests[-1].target]
    assert told.all("x-forwarded-method") == [b"DELETE"]
    assert told.all("x-forwarded-for") == [b"127.0.0.1"]
    assert told.names.isdisjoint({b"x-user", b"x_user", b"x-groups", b"x-original-url", b"x_forwarded_uri"})
    seen = edge.echo.requests[-1]
    assert (seen.all("x-user"), seen.all("x-groups"), seen.all("x_user")) == ([b"ada"], [b"staff, ops"], [])
    assert b"x-secret" not in seen.names


def test_a_header_that_is_not_copied(edge: Edge) -> None:
    """Where the answer does not have a header that is copied, the service gets none; a route without auth to the same
    service passes none, either."""
    edge.verdict = answer("X-Groups: staff")
    assert edge.ask("/forward", b"X-User: root").status == 200
    assert b"x-user" not in edge.echo.requests[-1].names
    assert edge.ask("/open", b"X-User: root").status == 200
    assert b"x-user" not in edge.echo.requests[-1].names


def test_another_authorization(edge: Edge) -> None:
    """Where Authorization is copied, the server sees the client's, and the service the one that it answers with."""
    edge.verdict = answer("Authorization: Bearer inner")
    assert edge.told("/swap", b"Authorization: Bearer outer").get("authorization") == b"Bearer outer"
    assert edge.echo.requests[-1].all("authorization") == [b"Bearer inner"]
    edge.verdict = answer()
    assert edge.ask("/swap", b"Authorization: Bearer outer").status == 200
    assert b"authorization" not in edge.echo.requests[-1].names


def test_the_credential_is_kept(edge: Edge) -> None:
    """With forward = false the server sees Authorization, and the service does not."""
    assert edge.told("/kept", b"Authorization: Bearer t").get("authorization") == b"Bearer t"
    assert b"authorization" not in edge.echo.requests[-1].names


def test_some_headers(edge: Edge) -> None:
    """Where the configuration names headers, it sees those and no others."""
    told = edge.told("/some", b"Cookie: sid=1", b"Authorization: Bearer t", b"User-Agent: curl", b"Accept: text/html")
    assert (told.get("cookie"), told.get("user-agent")) == (b"sid=1", b"curl")
    assert b"authorization" not in told.names
    assert told.get("accept") != b"text/html"
    assert edge.echo.requests[-1].get("authorization") == b"Bearer t"


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_refusal(edge: Edge, method: str) -> None:
    """What it refuses is the client's answer: status, body and fields, but for those of the connection."""
    edge.verdict = answer(
        "Location: https://id.example.com/login?rd=%2F",
        "Set-Cookie: a=1; Path=/",
        "Set-Cookie: b=2",
        "WWW-Authenticate: Basic",
        "Content-Type: text/html",
        "Keep-Alive: timeout=5",
        "X-Request-Id: theirs",
        body=b"<a>sign in</a>",
        status=302,
    )
    before = len(edge.echo.requests)
    found = edge.ask("/forward", method=method)
    assert reason(found) == (302, "auth_refused")
    assert found.get("location") == b"https://id.example.com/login?rd=%2F"
    assert found.all("set-cookie") == [b"a=1; Path=/", b"b=2"]
    assert (found.get("www-authenticate"), found.get("content-type")) == (b"Basic", b"text/html")
    assert found.body == (b"<a>sign in</a>" if method == "GET" else b"")
    assert (found.get("content-length"), found.get("keep-alive")) == (b"14", None)
    assert len(found.all("x-request-id")) == 1
    assert b"theirs" not in found.all("x-request-id")
    assert len(edge.echo.requests) == before


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 503])
def test_other_statuses(edge: Edge, status: int) -> None:
    """Whatever is not 2xx lets nobody in, and is what the client gets."""
    edge.verdict = answer(status=status, body=b"no")
    found = edge.ask("/forward")
    assert (*reason(found), found.body) == (status, "auth_refused", b"no")


@pytest.mark.parametrize(
    "said",
    [
        answer(status=304, body=b""),
        answer(body=b"x" * 300_000),
        answer(status=403, body=b"x" * 300_000),
        b"nothing like HTTP\r\n\r\n",
    ],
)
def test_one_that_says_nothing(edge: Edge, said: bytes) -> None:
    """An answer that means nothing, or has no end, lets nobody in: 503."""
    edge.verdict = said
    assert reason(edge.ask("/forward")) == (503, "auth_unavailable")


def test_one_that_is_not_there(edge: Edge) -> None:
    """While nobody answers, or not in time, nobody is let in."""
    assert reason(edge.ask("/gone", b"Cookie: hush-hush")) == (503, "auth_unavailable")
    edge.verdict = HANG
    assert reason(edge.ask("/slow")) == (503, "auth_unavailable")
    edge.proxy.until(lambda: bool(edge.proxy.ask("commit")) or _has_complained(edge.proxy))
    assert "hush-hush" not in f"{edge.proxy.notices}{edge.proxy.lines(1)}"


def _has_complained(proxy: LoneProxy) -> bool:
    return any(each.event == "forward_auth_failed" for each in proxy.notices)


def test_each_request_is_asked_about(edge: Edge) -> None:
    """A connection that was let in is asked about again with its next request."""
    with edge.proxy.connect("gateway") as client:

        def status() -> int:
            client.send(b"GET /forward HTTP/1.1\r\nHost: a\r\nCookie: sid=1\r\n\r\n")
            return client.read_response().status

        assert [status(), status()] == [200, 200]
        edge.verdict = answer(status=401)
        assert status() == 401
        edge.verdict = ADA
        assert status() == 200


def test_rules_over_what_is_copied(edge: Edge) -> None:
    """What is copied are claims, a list where there are commas; the first names the caller."""
    assert edge.ask("/forward/ops").status == 200
    edge.proxy.line(lambda line: line.get("user") == "ada")
    edge.verdict = answer("X-User: bob", "X-Groups: staff")
    assert reason(edge.ask("/forward/ops")) == (403, "denied:ops")


def test_beside_other_ways(edge: Edge) -> None:
    """It is not asked in vain, and where it is one of several its refusal is the answer to who shows nothing else."""
    before = len(edge.asked.questions)
    assert reason(edge.ask("/all")) == (401, "unauthenticated")
    assert len(edge.asked.questions) == before
    assert edge.ask("/any").status == 200
    edge.verdict = answer(status=302)
    assert reason(edge.ask("/any")) == (302, "auth_refused")


def test_an_upgrade(edge: Edge) -> None:
    """A WebSocket's request is asked about like any other, and goes on as what it is."""
    lines = (
        b"Connection: Upgrade",
        b"Upgrade: websocket",
        b"Sec-WebSocket-Version: 13",
        b"Sec-WebSocket-Key: MDEyMw==",
    )
    told = edge.told("/forward", *lines)
    assert told.get("x-forwarded-method") == b"GET"
    assert b"upgrade" not in told.names
    assert edge.echo.requests[-1].get("upgrade") == b"websocket"


def test_trailers(edge: Edge) -> None:
    """Nobody says in a trailer who they are."""
    with edge.proxy.connect("gateway") as client:
        head = b"POST /forward HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\n\r\n"
        client.send(head + b"2\r\nhi\r\n0\r\nX-User: root\r\nx_groups: admins\r\nX-Sum: 1\r\n\r\n")
        assert client.read_response().status == 200
    seen = edge.echo.requests[-1]
    assert seen.body == b"hi"
    assert seen.all("x-user") == [b"ada"]
    assert [name.lower() for name, _ in seen.trailers] == [b"x-sum"]


# a service of the mesh


def test_a_service_is_asked(edge: Edge) -> None:
    """A service is told and shown the same, by way of the mesh: with the request's id, and counted under a name of its
    own."""
    before = edge.proxy.series("auth#meshed").requests
    told = edge.told(
        "/meshed/../meshed/x?y=1",
        b"Cookie: sid=1",
        b"X-User: root",
        b"X-Forwarded-Uri: /public",
        b"Content-Type: text/plain",
        b"Expect: 100-continue",
        method="POST",
        body=b"hello",
    )
    assert told.line == b"GET /verify/it HTTP/1.1"
    assert (told.all("x-forwarded-uri"), told.get("x-forwarded-method")) == ([b"/meshed/x?y=1"], b"POST")
    assert (told.get("x-forwarded-host"), told.get("x-forwarded-for")) == (b"api.localhost:81", b"127.0.0.1")
    assert told.get("cookie") == b"sid=1"
    assert told.names.isdisjoint({b"x-user", b"content-type", b"content-length", b"expect"})
    seen = edge.echo.requests[-1]
    assert (seen.all("x-user"), seen.body) == ([b"ada"], b"hello")
    assert seen.get("x-request-id") == told.get("x-request-id")
    edge.proxy.until(lambda: edge.proxy.series("auth#meshed").requests == before + 1)


def test_a_service_refuses(edge: Edge) -> None:
    """What a service refuses is the client's answer, as another server's is."""
    edge.verdict = answer("Location: /login", "Set-Cookie: a=1", status=302, body=b"to the door")
    found = edge.ask("/meshed")
    assert (*reason(found), found.body) == (302, "auth_refused", b"to the door")
    assert (found.get("location"), found.all("set-cookie")) == (b"/login", [b"a=1"])


def test_a_service_that_does_not_answer(edge: Edge) -> None:
    """While a service is away, says nothing in time or too much, nobody is let in, whatever it says of reasons."""
    assert reason(edge.ask("/lonely")) == (503, "auth_unavailable")
    edge.verdict = answer(status=403, body=b"x" * 300_000)
    assert reason(edge.ask("/meshed")) == (503, "auth_unavailable")
    edge.verdict = answer("X-Meshctl-Reason: overloaded", status=503)
    assert reason(edge.ask("/meshed")) == (503, "auth_refused")
    edge.verdict = HANG
    assert reason(edge.ask("/late")) == (503, "auth_unavailable")
    edge.verdict = ADA
    edge.proxy.until(lambda: edge.ask("/late").status == 200)


def test_a_member_is_asked(authority: Authority, tmp_path: Path) -> None:
    """A service with a sidecar is asked by mutual TLS: it sees that it is the gateway which asks."""
    verifier = MemberUpstream("verifier", authority.server(authority.service("verifier")))
    echo = Echo()
    way = Auth("inside", forward_auth=ForwardAuth(service="verifier", timeout=PATIENCE, copy_headers=("x-user",)))
    app = Service("app", (Version("v1", (Endpoint("127.0.0.1", echo.port),)),))
    mesh = mesh_of(
        app,
        Service("verifier", (Version("default"),)),
        routes=(Route("r", service="app", auth=Need(("inside",))),),
        auth=(way,),
    )
    proxy = LoneProxy(tmp_path, mesh, "gateway", identity=authority.identify("gateway"))
    try:
        proxy.apply(mesh, verifier.registered())
        with proxy.connect("gateway") as client:
            client.send(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n")
            wire, question = verifier.serve(ADA)
            assert client.read_response().status == 200
        assert isinstance(wire.socket, ssl.SSLSocket)
        assert ("URI", spiffe("gateway")) in (wire.socket.getpeercert() or {})["subjectAltName"]
        assert question.get("x-forwarded-uri") == b"/x"
        assert echo.requests[-1].all("x-user") == [b"ada"]
    finally:
        assert proxy.end() == []
        verifier.close()
        echo.close()


def test_what_may_not_pass() -> None:
    """Of an answer's fields none passes that is about its connection, that the proxy writes, or that is no field."""
    good = [b"Location: /", b"Set-Cookie: a=1", b"X-Text: \xc3\xa4\t."]
    connection = [b"Connection: close, X-Hop", b"X-Hop: 1", b"Transfer-Encoding: chunked", b"content-length: 9"]
    own = [b"Date: now", b"X-Request-Id: 1", b"X-Meshctl-Reason: no_route"]
    broken = [b"X Y: 1", b": 1", b"A: 1\r\n B: 2", b"A: \x00"]
    assert passed_on([*connection, *own, *broken, *good]) == good


def test_what_is_loaded() -> None:
    """Whoever asks a service of the mesh needs no other HTTP client than the proxy is."""
    program = (
        "import sys; from meshctl.proxy import forward_auth, outward, worker;"
        "sys.exit(bool({'aiohttp', 'yarl', 'multidict'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
