"""Tokens that a server is asked about, at a proxy with real connections: what is accepted, how often it is asked, and
what becomes of requests while it hangs, lies or is gone."""

from __future__ import annotations

import os
import time
from base64 import b64decode
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from meshctl.model.api_key import StoredKey
from meshctl.model.auth import ApiKey, Auth, Introspection, Need
from meshctl.model.mesh import Mesh
from meshctl.model.route import Match, PathMatch, Require, Route
from meshctl.model.service import Endpoint, Service, Version
from meshctl.proxy.introspecting import BAD_LASTS
from meshctl.proxy.messages import Keyed
from tests.conformance.conftest import free_port
from tests.conformance.wire import PATIENCE, EndedEarly, Message

from .asked import HANG, Introspector
from .echo import Echo
from .lone_proxy import LoneProxy, mesh_of
from .passage import answer

SECRET = "s3cret: %ä"
KEY = b"mk_00000001_" + b"k" * 43


def private(path: Path, text: str) -> Path:
    """A file that nobody else may read, replaced as a whole."""
    beside = path.with_suffix(".new")
    end = os.open(beside, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    with open(end, "w", encoding="utf-8") as file:
        file.write(text)
    os.replace(beside, path)
    return path


class Edge:
    """A proxy whose routes ask about tokens, before one service."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server, self.slow = Introspector(), Introspector()
        self.echo = Echo()
        self.secret = private(folder / "secret", SECRET + "\n")
        self.mesh = self._mesh()
        self.proxy = LoneProxy(folder, self.mesh, "gateway")
        self.proxy.tell(Keyed((StoredKey("mk_00000001", sha256(KEY).digest(), "acme"),)))

    def _way(self, name: str, url: str, **settings: Any) -> Auth:
        given = {"timeout": PATIENCE} | settings
        asked = Introspection(url + "/introspect", "gate:way", str(self.secret), **given)
        return Auth(name, introspection=asked, headers=(("x-user", "sub"), ("x-tier", "tier")), forward=True)

    def _mesh(self) -> Mesh:
        ways = (
            self._way("tokens", self.server.url, token_type_hint="access_token"),
            self._way("strict", self.server.url, issuer="https://id", audience=("api",)),
            self._way("always", self.server.url, cache=0.0),
            self._way("short", self.server.url, cache=0.3),
            self._way("gone", f"http://127.0.0.1:{free_port()}"),
            self._way("slow", self.slow.url, timeout=0.4),
            Auth("partners", api_key=ApiKey(bearer=True)),
            Auth("headers", api_key=ApiKey()),
        )
        asked = {each.name: Need((each.name,)) for each in ways} | {
            "any": Need(("tokens", "partners")),
            "first": Need(("headers", "tokens")),
            "all": Need(("headers", "tokens"), every=True),
            "two": Need(("tokens", "always"), every=True),
        }
        writers = (Require("writers", methods=("POST",), scopes=("write",)), Require("staff", paths=(
            PathMatch("prefix", "/tokens/staff"),), roles=("admin",)))  # fmt: skip
        routes = tuple(
            Route(name, Match(path=PathMatch("prefix", "/" + name)), service="app", auth=need, require=writers)
            for name, need in asked.items()
        )
        app = Service("app", (Version("v1", (Endpoint("127.0.0.1", self.echo.port),)),))
        return mesh_of(app, routes=routes, auth=ways)

    def ask(self, path: str, token: str | None, *lines: bytes, method: bytes = b"GET") -> Message:
        """The answer to a request with a token."""
        shown = [] if token is None else [b"Authorization: Bearer " + token.encode()]
        with self.proxy.connect("gateway") as client:
            client.send(
                b"\r\n".join([method + b" " + path.encode() + b" HTTP/1.1", b"Host: api", *shown, *lines, b"", b""])
            )
            return client.read_response(method=method.decode())

    def close(self) -> None:
        """End it; it must have had nothing to complain of."""
        try:
            assert self.proxy.end() == []
        finally:
            for each in (self.echo, self.server, self.slow):
                each.close()


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    """The proxy that these tests share; each takes tokens of its own."""
    made = Edge(tmp_path_factory.mktemp("edge"))
    yield made
    made.close()


def refusal(answer: Message) -> tuple[int, str]:
    """Status and reason."""
    return answer.status, (answer.get("x-meshctl-reason") or b"").decode()


def test_a_token(edge: Edge) -> None:
    """A token that is active opens its route; the server is asked as RFC 7662 has it, once, and the service is told who
    calls."""
    edge.server.tokens["good"] = {
        "active": True,
        "sub": "ada",
        "tier": "gold",
        "scope": "read",
        "exp": time.time() + 99,
    }
    for _ in range(3):
        assert edge.ask("/tokens", "good", b"X-User: root", b"X_User: root").status == 200
    seen = edge.echo.requests[-1]
    assert (seen.all("x-user"), seen.get("x-tier"), seen.all("x_user")) == ([b"ada"], b"gold", [])
    assert seen.get("authorization") == b"Bearer good"
    assert edge.server.times("good") == 1
    question = edge.server.questions[-1]
    assert question.line == b"POST /introspect HTTP/1.1"
    assert question.body == b"token=good&token_type_hint=access_token"
    assert question.get("content-type") == b"application/x-www-form-urlencoded"
    assert (
        b64decode((question.get("authorization") or b"").removeprefix(b"Basic ")) == b"gate%3Away:s3cret%3A+%25%C3%A4"
    )


def test_scopes_and_roles(edge: Edge) -> None:
    """Rules hold for what the server says of the caller."""
    edge.server.tokens["reader"] = {"active": True, "sub": "ada", "scope": "read"}
    edge.server.tokens["writer"] = {"active": True, "username": "bob", "scope": "read write", "roles": ["admin"]}
    assert refusal(edge.ask("/tokens", "reader", method=b"POST")) == (403, "denied:writers")
    assert refusal(edge.ask("/tokens/staff", "reader")) == (403, "denied:staff")
    assert edge.ask("/tokens/staff", "writer", b"Content-Length: 0", method=b"POST").status == 200
    edge.proxy.line(lambda line: line["user"] == "bob" if "user" in line else False)


@pytest.mark.parametrize(
    ("path", "claims", "reason"),
    [
        ("/tokens", {"active": False, "sub": "ada"}, "token_invalid"),
        ("/tokens", {"active": True, "exp": 1}, "token_expired"),
        ("/tokens", {"active": True, "nbf": 99_999_999_999}, "token_invalid"),
        ("/strict", {"active": True, "aud": "api"}, "token_invalid"),
        ("/strict", {"active": True, "aud": "api", "iss": "https://other"}, "token_invalid"),
        ("/strict", {"active": True, "iss": "https://id"}, "token_invalid"),
        ("/strict", {"active": True, "aud": ["web"], "iss": "https://id"}, "token_invalid"),
        ("/strict", {"active": True, "aud": ["web", "api"], "iss": "https://id"}, ""),
    ],
)
def test_what_must_hold(edge: Edge, request: pytest.FixtureRequest, path: str, claims: Any, reason: str) -> None:
    """A token that does not hold here and now is refused with 401, remembered for a while, and never repeated."""
    token = f"judged{sha256(request.node.name.encode()).hexdigest()}"
    edge.server.tokens[token] = claims
    began = time.monotonic()
    found = edge.ask(path, token)
    assert refusal(found) == ((401, reason) if reason else (200, ""))
    if reason:
        assert (found.get("www-authenticate") or b"").startswith(b'Bearer realm="shop", error="invalid_token"')
        assert refusal(edge.ask(path, token)) == (401, reason)
        assert edge.server.times(token) == 1 or time.monotonic() - began > BAD_LASTS
    assert token.encode() not in found.body


@pytest.mark.parametrize("token", ["", "x" * 20_000, "a b", "ä", "a,b", "=", '"'])
def test_garbage(edge: Edge, token: str) -> None:
    """What can be no token is refused without asking anybody."""
    before = len(edge.server.questions)
    assert edge.ask("/tokens", token).status == 401
    assert len(edge.server.questions) == before


def test_a_token_of_a_megabyte(edge: Edge) -> None:
    """A head with a token of 1 MB is refused as any head of that size, and nobody is asked."""
    before = len(edge.server.questions)
    with edge.proxy.connect("gateway") as client:
        with suppress(ConnectionError):
            client.send(b"GET /tokens HTTP/1.1\r\nHost: api\r\nAuthorization: Bearer " + b"A" * 1_000_000 + b"\r\n\r\n")
        with suppress(ConnectionError, EndedEarly):
            assert client.read_head().status == 431
    assert len(edge.server.questions) == before


def test_nothing_shown(edge: Edge) -> None:
    """Without a token there is nothing to ask about."""
    before = len(edge.server.questions)
    assert refusal(edge.ask("/tokens", None)) == (401, "unauthenticated")
    assert refusal(edge.ask("/tokens", None, b"Authorization: Basic YTpi")) == (401, "unauthenticated")
    assert len(edge.server.questions) == before


def test_many_with_one_new_token(edge: Edge) -> None:
    """Fifty requests that come with the same new token at once cause one question, and all have its answer."""
    edge.server.tokens["many"] = {"active": True, "sub": "ada"}
    edge.server.open.clear()
    try:
        with ExitStack() as stack:
            clients = [stack.enter_context(edge.proxy.connect("gateway")) for _ in range(50)]
            for client in clients:
                client.send(b"GET /tokens HTTP/1.1\r\nHost: api\r\nAuthorization: Bearer many\r\n\r\n")
            edge.proxy.until(lambda: edge.server.times("many") == 1 and edge.proxy.sample().in_flight == 50)
            edge.server.open.set()
            assert {client.read_response().status for client in clients} == {200}
    finally:
        edge.server.open.set()
    assert edge.server.times("many") == 1


LIES = [
    answer("Content-Type: text/html", body=b"<html>Sign in</html>"),
    answer(body=b"[true]"),
    answer(body=b"{}"),
    answer(body=b'{"active": "true"}'),
    answer(body=b'{"active": true, "active": true}'),
    answer(body=b'{"active": true, "exp": "soon"}'),
    answer(body=b'{"active": true, "sub": 7}'),
    answer(body=b'{"active": true, "exp": NaN}'),
    answer(body=b"[" * 60_000),
    answer(body=b'{"active": true, "pad": "' + b"x" * 70_000 + b'"}'),
    answer(status=401),
    answer(status=500, body=b'{"active": true}'),
    answer("Location: /elsewhere", status=302),
    b"no HTTP at all\r\n\r\n",
]


@pytest.mark.parametrize("number", range(len(LIES)))
def test_one_that_lies(edge: Edge, number: int) -> None:
    """An answer that says nothing lets nobody in and blames nobody's token: 503, and the next request asks anew."""
    token = f"lie{number}"
    edge.server.tokens[token] = LIES[number]
    for _ in range(2):
        assert refusal(edge.ask("/tokens", token)) == (503, "introspection_unavailable")
    edge.server.tokens[token] = {"active": True, "sub": "ada"}
    assert edge.ask("/tokens", token).status == 200


def test_one_that_is_gone(edge: Edge) -> None:
    """Nobody is let in while nobody answers, and the log says why, without the token or the secret."""
    found = edge.ask("/gone", "hush-hush")
    assert refusal(found) == (503, "introspection_unavailable")
    edge.proxy.until(lambda: bool(edge.proxy.ask("commit")) or any(map(_is_complaint, edge.proxy.notices)))
    assert "hush-hush" not in f"{found}{edge.proxy.notices}{edge.proxy.lines(1)}"
    assert "s3cret" not in f"{found}{edge.proxy.notices}"


def _is_complaint(notice: Any) -> bool:
    return bool(notice.event == "introspection_failed")


def test_one_that_hangs(edge: Edge) -> None:
    """A server that says nothing is waited for no longer than the configuration has it; what it said before holds."""
    edge.slow.tokens |= {"known": {"active": True, "sub": "ada"}, "new": HANG}
    # It may be late on a busy machine.
    edge.proxy.until(lambda: edge.ask("/slow", "known").status == 200)
    asked = edge.slow.times("known")
    assert refusal(edge.ask("/slow", "new")) == (503, "introspection_unavailable")
    assert edge.ask("/slow", "known").status == 200
    assert edge.slow.times("known") == asked


def test_how_long_it_holds(edge: Edge) -> None:
    """With cache = 0 each request asks; else an answer is asked for anew once it is older."""
    edge.server.tokens["brief"] = {"active": True, "sub": "ada"}
    with edge.proxy.connect("gateway") as client:
        for path, expected in ((b"/always", 1), (b"/always", 2), (b"/short", 3)):
            client.send(b"GET %b HTTP/1.1\r\nHost: api\r\nAuthorization: Bearer brief\r\n\r\n" % path)
            assert client.read_response().status == 200
            assert edge.server.times("brief") == expected
        edge.server.tokens["brief"] = {"active": False}

        def is_refused() -> bool:
            client.send(b"GET /short HTTP/1.1\r\nHost: api\r\nAuthorization: Bearer brief\r\n\r\n")
            return client.read_response().status == 401

        edge.proxy.until(is_refused)


def test_beside_other_ways(edge: Edge) -> None:
    """With several ways an API key is no token to ask about, and nobody is asked where that changes nothing."""
    edge.server.tokens["beside"] = {"active": True, "sub": "ada"}
    before = len(edge.server.questions)
    assert edge.ask("/any", KEY.decode()).status == 200
    assert edge.ask("/first", "beside", b"X-API-Key: " + KEY).status == 200
    assert refusal(edge.ask("/all", "beside", b"X-API-Key: mk_wrong")) == (401, "key_invalid")
    assert len(edge.server.questions) == before
    assert edge.ask("/any", "beside").status == 200
    assert edge.ask("/all", "beside", b"X-API-Key: " + KEY).status == 200
    assert refusal(edge.ask("/all", "unknown", b"X-API-Key: " + KEY)) == (401, "token_invalid")


def test_two_questions(edge: Edge) -> None:
    """Where two ways ask, each asks once for a request."""
    edge.server.tokens["two"] = {"active": True, "sub": "ada"}
    assert edge.ask("/two", "two").status == 200
    assert edge.server.times("two") == 2


def test_the_secret_changes(edge: Edge) -> None:
    """Another secret in the file is sent from the next question on; a revision with one that others may read is
    refused."""
    try:
        private(edge.secret, "another")
        edge.server.tokens["after"] = {"active": True}
        assert edge.ask("/tokens", "after").status == 200
        shown = edge.server.questions[-1].get("authorization") or b""
        assert b64decode(shown.removeprefix(b"Basic ")) == b"gate%3Away:another"
        edge.secret.chmod(0o640)
        assert "others may read it" in edge.proxy.refusal("gateway2")
        edge.secret.unlink()
        edge.server.tokens["later"] = {"active": True}
        assert edge.ask("/tokens", "later").status == 200
    finally:
        private(edge.secret, SECRET)
