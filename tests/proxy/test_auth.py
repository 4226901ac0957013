"""Who calls and who may, at a proxy with real connections: what is accepted, what is refused and why, and what of a
request then reaches the service."""

from __future__ import annotations

import re
import time
from base64 import b64encode
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import bcrypt
import msgspec
import pytest
from argon2 import PasswordHasher

from meshctl.model.api_key import StoredKey
from meshctl.model.auth import ApiKey, Auth, Basic, ClientCertificate, Jwt, Need
from meshctl.model.mesh import Mesh
from meshctl.model.policy import Key
from meshctl.model.route import Match, PathMatch, Require, Route
from meshctl.model.service import Endpoint, Service, Version
from meshctl.proxy.messages import Fetched, Keyed, Wanted
from meshctl.proxy.sources import PAUSE
from tests.conformance.wire import Message

from .echo import Echo
from .issuer import API_KEY as KEY
from .issuer import NAME, Issuer, bad_tokens, unsigned
from .lone_proxy import LoneProxy, mesh_of

OTHER_KEY = b"mk_00000002_" + b"l" * 43
URL = "http://127.0.0.1:1/jwks.json"
PASSWORD = b"correct horse"


def stored(key: bytes, owner: str = "acme", **settings: Any) -> StoredKey:
    """A key as the store has it."""
    return StoredKey(key.decode()[:11], sha256(key).digest(), owner, **settings)


def route(path: str, service: str = "orders", **settings: Any) -> Route:
    """A route from a path."""
    return Route(path.strip("/"), Match(path=PathMatch("prefix", path)), service=service, **settings)


class Edge:
    """A proxy whose routes ask who calls, in many ways, before one service."""

    def __init__(self, folder: Path) -> None:
        self.issuer = Issuer()
        self.remote = Issuer("r1")
        self.echo, self.other = Echo(), Echo()
        self.file = folder / "jwks.json"
        self.file.write_bytes(self.issuer.jwks)
        users = folder / "users"
        fast = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
        users.write_text(f"ada:{bcrypt.hashpw(PASSWORD, bcrypt.gensalt(4)).decode()}\nbob:{fast.hash(PASSWORD)}\n")
        self.mesh = self._mesh(str(self.file), str(users))
        self.proxy = LoneProxy(folder, self.mesh, "gateway")
        self.wanted: list[Wanted] = []

    def _mesh(self, keys: str, users: str) -> Mesh:
        ways = (
            Auth(
                "users",
                jwt=Jwt(NAME, ("api",), ("ES256",), keys=keys),
                headers=(("x-user", "sub"), ("x-groups", "groups")),
                forward=True,
            ),
            Auth("remote", jwt=Jwt(NAME, ("api",), ("ES256",), jwks=URL)),
            Auth("absent", jwt=Jwt(NAME, ("api",), ("ES256",), jwks=URL + "?absent")),
            Auth("partners", api_key=ApiKey(query="key", bearer=True), headers=(("x-owner", "owner"),)),
            Auth("headers", api_key=ApiKey()),
            Auth("passing", api_key=ApiKey(bearer=True), forward=True),
            Auth("staff", basic=Basic(users)),
            Auth("members", certificate=ClientCertificate()),
        )
        writers = Require("writers", methods=("POST",), scopes=("orders:write",))
        routes = (
            route("/users", auth=Need(("users",)), require=(writers,)),
            route("/remote", auth=Need(("remote",))),
            route("/absent", auth=Need(("absent",))),
            route("/hurried", auth=Need(("absent",)), timeout=0.3),
            route("/partners", auth=Need(("partners",)), require=(Require("acme", owners=("acme",)),)),
            route("/keys", auth=Need(("headers",))),
            route("/passing", auth=Need(("passing",))),
            route("/any", auth=Need(("users", "partners", "staff"))),
            route("/all", auth=Need(("users", "headers"), every=True)),
            route("/staff", auth=Need(("staff",))),
            route("/members", auth=Need(("members",))),
            route("/near", require=(Require("near", addresses=("127.0.0.0/8",)),)),
            route("/far", require=(Require("far", addresses=("10.0.0.0/8",)),)),
            route("/open"),
            route("/elsewhere", "other"),
            route("/sticky", "split", auth=Need(("users",))),
        )
        services = (
            Service("orders", (Version("v1", (Endpoint("127.0.0.1", self.echo.port),)),)),
            Service("other", (Version("v1", (Endpoint("127.0.0.1", self.other.port),)),)),
            Service(
                "split",
                (
                    Version("v1", (Endpoint("127.0.0.1", self.echo.port),)),
                    Version("v2", (Endpoint("127.0.0.1", self.other.port),)),
                ),
                sticky=Key("claim", "sub"),
            ),
        )
        return mesh_of(*services, routes=routes, auth=ways)

    def keys(self, *keys: StoredKey) -> None:
        """Have these API keys hold and no others."""
        self.proxy.tell(Keyed(keys))
        self.proxy.ask("commit")

    def ask(self, path: str, *lines: bytes, method: bytes = b"GET", times: int = 1) -> Message:
        """The last answer to the same request, sent so many times over one connection."""
        with self.proxy.connect("gateway") as client:
            for _ in range(times):
                head = b"\r\n".join([method + b" " + path.encode() + b" HTTP/1.1", b"Host: api", *lines, b"", b""])
                client.send(head)
                answer = client.read_response(method=method.decode())
        return answer

    def seen(self, path: str, *lines: bytes, **settings: Any) -> Message:
        """What the service was sent of a request that is accepted."""
        answer = self.ask(path, *lines, **settings)
        assert answer.status == 200, answer
        return self.echo.requests[-1]

    def close(self) -> None:
        """End it; it must have had nothing to complain of."""
        try:
            assert self.proxy.end() == []
        finally:
            self.echo.close()
            self.other.close()


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edge]:
    """The proxy that these tests share."""
    made = Edge(tmp_path_factory.mktemp("edge"))
    yield made
    made.close()


@pytest.fixture(autouse=True)
def _as_it_was(edge: Edge) -> Iterator[None]:
    edge.keys(stored(KEY), stored(OTHER_KEY, "globex"))
    yield
    edge.file.write_bytes(edge.issuer.jwks)


def bearer(token: bytes) -> bytes:
    """A field with a token."""
    return b"Authorization: Bearer " + token


def basic(name: str, password: bytes) -> bytes:
    """A field with a name and a password."""
    return b"Authorization: Basic " + b64encode(name.encode() + b":" + password)


def refusal(answer: Message) -> tuple[int, str]:
    """Status and reason."""
    return answer.status, (answer.get("x-meshctl-reason") or b"").decode()


# API keys


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("/partners", b"X-API-Key: " + KEY),
        ("/partners", b"x-api-key:" + KEY + b"  "),
        ("/partners", b"authorization: bearer " + KEY),
        ("/partners?a=1&key=" + KEY.decode() + "&b=2", b"Accept: */*"),
        ("/partners?%6bey=" + KEY.decode(), b"Accept: */*"),
    ],
)
def test_a_key(edge: Edge, path: str, line: bytes) -> None:
    """A key opens its route wherever the configuration has it looked for; the service learns whose it is, and nowhere
    the key itself."""
    seen = edge.seen(path, line)
    assert seen.get("x-owner") == b"acme"
    assert KEY not in seen.line + b"".join(value for _, value in seen.fields)
    assert seen.target in {b"/partners", b"/partners?a=1&b=2"}


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ([], "unauthenticated"),
        ([b"X-API-Key: "], "key_invalid"),
        ([b"X-API-Key: " + KEY[:-1]], "key_invalid"),
        ([b"X-API-Key: " + KEY + b"x"], "key_invalid"),
        ([b"X-API-Key: " + KEY, b"X-Api-Key: " + OTHER_KEY], "key_invalid"),
        ([b"X-API-Key: " + b"mk_" + b"x" * 20_000], "key_invalid"),
        ([b"X-API-Key: \xff\xfe"], "key_invalid"),
        ([b"X_API_Key: " + KEY], "unauthenticated"),
        ([b"Authorization: Bearer " + KEY[:-1]], "key_invalid"),
        ([b"Authorization: Basic " + KEY], "unauthenticated"),
        ([b"Authorization: " + KEY], "unauthenticated"),
    ],
)
def test_no_key(edge: Edge, lines: list[bytes], reason: str) -> None:
    """Without a key that holds a request is refused with 401 and what is asked for; the key is not repeated."""
    answer = edge.ask("/partners", *lines)
    assert refusal(answer) == (401, reason)
    assert (answer.get("www-authenticate") or b"").startswith(b'Bearer realm="shop"')
    assert b"mk_" not in answer.body


def test_a_key_in_the_query_twice(edge: Edge) -> None:
    """Of two keys none is meant."""
    query = f"key={KEY.decode()}&key={OTHER_KEY.decode()}"
    assert refusal(edge.ask(f"/partners?{query}")) == (401, "key_invalid")


def test_keys_come_and_go(edge: Edge) -> None:
    """A connection whose requests were accepted is refused from the moment that its key is revoked or gone, and
    accepted again when there is one that holds."""
    with edge.proxy.connect("gateway") as client:

        def ask() -> tuple[int, str]:
            client.send(b"GET /keys HTTP/1.1\r\nHost: api\r\nX-API-Key: " + KEY + b"\r\n\r\n")
            return refusal(client.read_response())

        assert [ask(), ask()] == [(200, ""), (200, "")]
        edge.keys(stored(KEY, revoked=1.0))
        assert ask() == (401, "key_invalid")
        edge.keys(stored(KEY))
        assert ask() == (200, "")
        edge.keys()
        assert ask() == (401, "key_invalid")
        edge.keys(stored(KEY, expires=time.time() - 1))
        assert ask() == (401, "key_expired")
        end = time.time() + 0.4
        edge.keys(stored(KEY, expires=end))
        assert ask() == (200, "") or time.time() >= end
        edge.proxy.until(lambda: time.time() > end)
        assert ask() == (401, "key_expired")


def test_another_owner(edge: Edge) -> None:
    """A key that holds is no key of somebody else: 403 with the rule's name."""
    answer = edge.ask("/partners", b"X-API-Key: " + OTHER_KEY)
    assert refusal(answer) == (403, "denied:acme")


# tokens


def test_a_token(edge: Edge) -> None:
    """A good token passes, goes on to the service, and tells it who calls."""
    token = edge.issuer.token(groups=["a", "b"])
    seen = edge.seen("/users", bearer(token), times=3)
    assert (seen.get("x-user"), seen.get("x-groups")) == (b"ada", b"a,b")
    assert seen.get("authorization") == b"Bearer " + token


@pytest.mark.parametrize("name", sorted(bad_tokens(Issuer())))
def test_bad_tokens(edge: Edge, name: str) -> None:
    """A token with anything wrong is refused with 401 and the error of RFC 6750; nothing of it is repeated."""
    token, reason = bad_tokens(edge.issuer)[name]
    answer = edge.ask("/users", bearer(token))
    assert refusal(answer) == (401, reason)
    assert b'error="invalid_token"' in (answer.get("www-authenticate") or b"")
    assert len(token) < 10 or token not in answer.body


def test_a_token_of_a_megabyte(edge: Edge) -> None:
    """A head with a token of 1 MB is refused as any head of that size."""
    with edge.proxy.connect("gateway") as client:
        with suppress(ConnectionError):
            client.send(b"GET /users HTTP/1.1\r\nHost: api\r\n" + bearer(b"A" * 1_000_000) + b"\r\n\r\n")
        answer = client.read_head()
    assert refusal(answer) == (431, "head_too_large")


@pytest.mark.parametrize(
    "line",
    [
        b"Authorization: Basic x",
        b"Authorization: Bearer",
        b"Authorization:",
        b"Cookie: token=x",
        b"X-Authorization: Bearer x",
    ],
)
def test_no_token(edge: Edge, line: bytes) -> None:
    """Where there is no bearer token, the challenge names no error (RFC 6750 §3.1), or one that says so."""
    answer = edge.ask("/users", line)
    assert answer.status == 401
    assert (answer.get("www-authenticate") or b"").startswith(b'Bearer realm="shop"')


def test_two_tokens(edge: Edge) -> None:
    """Of two Authorization fields none is believed, whichever is the good one: the service might take the other."""
    good = bearer(edge.issuer.token())
    for lines in ((good, good), (good, b"Authorization: Basic x"), (b"authorization: x", good)):
        assert refusal(edge.ask("/users", *lines)) == (401, "token_invalid")


def test_scopes(edge: Edge) -> None:
    """A token without the scope of a rule is refused with 403, the rule and the scope (RFC 6750 §3.1); one with it is
    not."""
    poor, rich = edge.issuer.token(), edge.issuer.token(scope="orders:read orders:write")
    answer = edge.ask("/users", bearer(poor), b"Content-Length: 0", method=b"POST")
    assert refusal(answer) == (403, "denied:writers")
    wanted = b'Bearer realm="shop", error="insufficient_scope", scope="orders:write"'
    assert answer.get("www-authenticate") == wanted
    assert edge.ask("/users", bearer(rich), b"Content-Length: 0", method=b"POST").status == 200


def test_the_key_file_changes(edge: Edge) -> None:
    """A token by a key that was added to the file is accepted without a reload, and those by a key that was taken out
    no more; a file that became garbage takes no key away."""
    added = Issuer("k2")
    edge.file.write_text(
        '{"keys": [' + ",".join(msgspec.json.encode(each.jwk).decode() for each in (edge.issuer, added)) + "]}"
    )
    edge.proxy.until(lambda: edge.ask("/users", bearer(added.token())).status == 200)
    edge.file.write_text("<html>")
    edge.ask("/users", bearer(Issuer("k3").token()))
    assert edge.ask("/users", bearer(edge.issuer.token())).status == 200
    edge.file.write_bytes(edge.issuer.jwks)
    edge.proxy.apply(edge.mesh)
    assert refusal(edge.ask("/users", bearer(added.token()))) == (401, "token_invalid")


def test_the_log_knows_who(edge: Edge) -> None:
    """The access log tells who called, and has no credential."""
    token = edge.issuer.token(sub='a "b"\n')
    edge.ask("/users", bearer(token))
    edge.ask(f"/partners?key={KEY.decode()}&log=1")
    edge.ask("/open?log=2")
    edge.ask(f"/partners?key={KEY.decode()[:-1]}&log=3")
    assert edge.proxy.line(lambda line: line.get("user") == 'a "b"\n')["status"] == 200
    assert edge.proxy.line(lambda line: line["path"] == "/partners?log=1")["user"] == "acme"
    assert "user" not in edge.proxy.line(lambda line: line["path"] == "/open?log=2")
    assert edge.proxy.line(lambda line: line["path"] == "/partners?log=3")["status"] == 401
    text = str(edge.proxy.lines(1))
    assert KEY.decode()[:-1] not in text
    assert token.decode() not in text


# what reaches the service


SPELLINGS = [b"x-user", b"X-User", b"X_USER", b"x_user", b"X-uSeR", b"X.User", b"x!user"]


@pytest.mark.parametrize("path", ["/users", "/partners", "/keys", "/open"])
@pytest.mark.parametrize("name", SPELLINGS)
def test_nobody_invents_a_name(edge: Edge, path: str, name: bytes) -> None:
    """What a client sends of a header that tells the service who calls never passes, on whatever route to that service
    and however it is spelt."""
    lines = {"/users": [bearer(edge.issuer.token())], "/open": []}.get(path, [b"X-API-Key: " + KEY])
    seen = edge.seen(path, name + b": eve", *lines, b"X-Other: eve", times=2)
    told = [value for key, value in seen.fields if re.sub(rb"\W|_", b"-", key.lower()) == b"x-user"]
    assert told == ([b"ada"] if path == "/users" else [])
    assert seen.get("x-other") == b"eve"


def test_no_name_is_left_out_by_connection(edge: Edge) -> None:
    """Connection cannot have the gateway drop what it says of the caller."""
    for line in (b"Connection: x-user", b"Connection: close, X_User"):
        assert edge.seen("/users", bearer(edge.issuer.token()), line).get("x-user") == b"ada"


def test_no_name_in_a_trailer(edge: Edge) -> None:
    """A trailer cannot say who calls, and others pass."""
    head = b"\r\n".join([b"POST /users HTTP/1.1", b"Host: api", bearer(edge.issuer.token(scope="orders:write"))])
    with edge.proxy.connect("gateway") as client:
        client.send(
            head, b"\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX-User: eve\r\nx_user: eve\r\nX-Sum: 1\r\n\r\n"
        )
        assert client.read_response().status == 200
    assert [name for name, _ in edge.echo.requests[-1].trailers] == [b"X-Sum"]


def test_no_name_in_a_trailer_before_its_turn(edge: Edge) -> None:
    """Nor can one of a request that comes while another is answered, when nobody knows its route yet."""
    head = b"\r\n".join([b"POST /users HTTP/1.1", b"Host: api", bearer(edge.issuer.token(scope="orders:write"))])
    whole = head + b"\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX-User: eve\r\nx_user: eve\r\n\r\n"
    with edge.proxy.connect("gateway") as client:
        client.send(whole * 2)
        assert [client.read_response().status for _ in range(2)] == [200, 200]
    assert [each.trailers for each in edge.echo.requests[-2:]] == [(), ()]


def test_no_line_breaks_in_a_name(edge: Edge) -> None:
    """A claim that could not stand in a header is left out: the request has no more fields than it should."""
    seen = edge.seen("/users", bearer(edge.issuer.token(sub="ada\r\nX-Admin: 1", groups=["é", "ü"])))
    assert seen.get("x-user") is None
    assert seen.get("x-admin") is None
    assert seen.get("x-groups") == "é,ü".encode()


def test_what_nobody_looked_at_does_not_pass(edge: Edge) -> None:
    """A token that was not what let a request in does not go on as if it had been looked at."""
    seen = edge.seen("/any", b"X-API-Key: " + KEY, bearer(unsigned({"alg": "none"}, {"sub": "eve"})))
    assert (seen.get("authorization"), seen.get("x-api-key"), seen.get("x-owner")) == (None, None, b"acme")
    seen = edge.seen("/passing", b"X-API-Key: " + KEY, bearer(unsigned({"alg": "none"}, {"sub": "eve"})))
    assert (seen.get("authorization"), seen.get("x-api-key")) == (None, KEY)
    assert edge.seen("/passing", bearer(KEY)).get("authorization") == b"Bearer " + KEY
    seen = edge.seen("/keys", b"X-API-Key: " + KEY, b"Authorization: Basic own")
    assert seen.get("authorization") == b"Basic own"


def test_one_connection_many_callers(edge: Edge) -> None:
    """Callers who share a connection, as behind a proxy, are told apart at every request."""
    with edge.proxy.connect("gateway") as client:
        for name in ("ada", "bob", "ada", "", "bob", "bob"):
            line = bearer(edge.issuer.token(sub=name)) if name else b"X-User: ada"
            client.send(b"GET /users HTTP/1.1\r\nHost: api\r\n" + line + b"\r\n\r\n")
            answer = client.read_response()
            assert answer.status == (200 if name else 401)
            if name:
                assert edge.echo.requests[-1].get("x-user") == name.encode()


def test_heads_that_differ_in_anything(edge: Edge) -> None:
    """Whatever differs from one head of a connection to the next, a value, a name, a line more or the order, the
    service is sent what it is sent of the same head on a connection of its own."""
    dice = Random(17)
    tokens = [bearer(edge.issuer.token(sub=name)) for name in ("ada", "bob")]
    said = [b"X-One: 1", b"X-One: 2", b"X-Two: 1", b"X_User: eve", b"X-User: eve", b"x-three: 3", b"Accept: */*"]
    heads: list[list[bytes]] = [[b"X-One: 1", tokens[0], b"X-Two: 1", b"x-three: 3"]]
    for _ in range(120):
        head = heads[-1].copy()
        match dice.randrange(6):
            case 0:
                dice.shuffle(head)
            case 1:
                head.insert(dice.randrange(len(head) + 1), dice.choice(said))
            case 2 if len(head) > 2:
                del head[dice.randrange(len(head))]
            case _:
                head[dice.randrange(len(head))] = dice.choice([*said, *tokens])
        heads.append(head)
    alone = {tuple(head): alone_seen(edge, head) for head in heads}
    with edge.proxy.connect("gateway") as client:
        for head in heads:
            client.send(b"\r\n".join([b"GET /users HTTP/1.1", b"Host: api", *head, b"", b""]))
            status = client.read_response().status
            assert (status, sent(edge) if status == 200 else []) == alone[tuple(head)]


def alone_seen(edge: Edge, head: list[bytes]) -> tuple[int, list[tuple[bytes, bytes]]]:
    """The status of this head on a connection of its own, and what the service was sent of it."""
    status = edge.ask("/users", *head).status
    return status, sent(edge) if status == 200 else []


def sent(edge: Edge) -> list[tuple[bytes, bytes]]:
    """What the service was last sent, without what differs each time."""
    fields = edge.echo.requests[-1].fields
    return [(name, value) for name, value in fields if name.lower() not in (b"x-request-id", b"traceparent")]


def test_other_routes_of_a_connection(edge: Edge) -> None:
    """Who was let in by one route is not therefore let in by another that asks otherwise."""
    with edge.proxy.connect("gateway") as client:
        for path, status in ((b"/keys", 200), (b"/users", 401), (b"/partners", 200), (b"/all", 401), (b"/keys", 200)):
            client.send(b"GET " + path + b" HTTP/1.1\r\nHost: api\r\nX-API-Key: " + KEY + b"\r\n\r\n")
            assert client.read_response().status == status


# several ways


def test_any(edge: Edge) -> None:
    """Where one of several ways is enough, each of them is; without any, all are asked for."""
    for line in (bearer(edge.issuer.token()), bearer(KEY), b"X-API-Key: " + KEY, basic("ada", PASSWORD)):
        assert edge.ask("/any", line).status == 200
    answer = edge.ask("/any")
    assert refusal(answer) == (401, "unauthenticated")
    assert [each.split(b" ")[0] for each in answer.all("www-authenticate")] == [b"Bearer", b"Basic"]
    assert refusal(edge.ask("/any", bearer(edge.issuer.token(aud="x")))) == (401, "token_invalid")


def test_all(edge: Edge) -> None:
    """Where all ways are asked for, each one that is missing or wrong refuses."""
    token, key = bearer(edge.issuer.token()), b"X-API-Key: " + KEY
    assert edge.ask("/all", token, key).status == 200
    assert refusal(edge.ask("/all", token)) == (401, "unauthenticated")
    assert refusal(edge.ask("/all", key)) == (401, "unauthenticated")
    assert refusal(edge.ask("/all", token, key + b"x")) == (401, "key_invalid")
    assert refusal(edge.ask("/all", bearer(edge.issuer.token(exp=1)), key)) == (401, "token_expired")


# passwords


@pytest.mark.parametrize("name", ["ada", "bob"])
def test_a_password(edge: Edge, name: str) -> None:
    """A name with its password is let in, by either kind of hash; the password does not go on."""
    seen = edge.seen("/staff", basic(name, PASSWORD), times=2)
    assert seen.get("authorization") is None


@pytest.mark.parametrize(
    "line",
    [
        basic("ada", b"wrong"),
        basic("nobody", PASSWORD),
        basic("", PASSWORD),
        basic("ada", b""),
        basic("ada", b"x" * 5_000),
        b"Authorization: Basic !!!",
        b"Authorization: Basic " + b64encode(b"ada"),
        b"Authorization: Basic " + b64encode(b"\xff\xfe:x"),
    ],
    ids=lambda line: repr(line[:40]),
)
def test_a_wrong_password(edge: Edge, line: bytes) -> None:
    """Anything else is refused, in the same words."""
    answer = edge.ask("/staff", line)
    assert refusal(answer) == (401, "password_invalid")
    assert answer.get("www-authenticate") == b'Basic realm="shop", charset="UTF-8"'


def test_many_passwords_at_once(edge: Edge) -> None:
    """Requests that wait for a password to be looked at hold up nobody, and each gets its answer."""
    clients = [edge.proxy.connect("gateway") for _ in range(20)]
    for number, client in enumerate(clients):
        line = basic("ada", PASSWORD if number % 2 else b"wrong %d" % number)
        client.send(b"POST /staff HTTP/1.1\r\nHost: api\r\nContent-Length: 3\r\n" + line + b"\r\n\r\n")
    assert edge.ask("/open").status == 200
    for client in clients:
        client.send(b"abc")
    assert [client.read_response().status for client in clients] == [401, 200] * 10
    for client in clients:
        client.close()


# certificates and addresses


def test_no_certificate(edge: Edge) -> None:
    """Who shows no certificate of the mesh is not let in where one is asked for."""
    assert refusal(edge.ask("/members", b"X-Meshctl-Identity: spiffe://shop.mesh/service/web")) == (
        401,
        "unauthenticated",
    )


def test_addresses(edge: Edge) -> None:
    """A rule about addresses goes by the connection's, whatever an untrusted client says of itself."""
    assert edge.ask("/near").status == 200
    assert refusal(edge.ask("/far", b"X-Forwarded-For: 10.0.0.1")) == (403, "denied:far")


def test_addresses_behind_a_proxy(edge: Edge) -> None:
    """Behind trusted proxies it goes by the last address that none of them has; what is none is nowhere near."""
    gateway = msgspec.structs.replace(edge.mesh.gateway, trusted_proxies=("127.0.0.0/8",))
    edge.proxy.apply(msgspec.structs.replace(edge.mesh, gateway=gateway))
    try:
        for value, status in (
            (b"10.0.0.1", 200),
            (b"9.9.9.9, 10.0.0.1, 127.0.0.2", 200),
            (b"10.0.0.1, 9.9.9.9", 403),
            (b"10.0.0.1, x", 403),
            (b"10.0.0.1:80", 403),
            (b",", 403),
        ):
            assert edge.ask("/far", b"X-Forwarded-For: " + value).status == status
    finally:
        edge.proxy.apply(edge.mesh)


def test_sticky_by_claim(edge: Edge) -> None:
    """A user stays on one version, whatever connection and token they come with, and users spread over versions."""
    homes = {}
    for number in range(12):
        name = f"user{number}"
        before = len(edge.echo.requests)
        for _ in range(3):
            edge.ask("/sticky", bearer(edge.issuer.token(sub=name)))
        homes[name] = len(edge.echo.requests) - before
    assert set(homes.values()) == {0, 3}


def test_what_no_route_asks_for(edge: Edge) -> None:
    """What no route asks for costs nothing: not even its files need be there, as in a sidecar elsewhere. What one does
    must be, or the revision is refused and nothing has changed."""
    gone = Auth("gone", basic=Basic("/nowhere/users"))
    idle = msgspec.structs.replace(edge.mesh, auth=(*edge.mesh.auth, gone))
    edge.proxy.apply(idle)
    asking = msgspec.structs.replace(idle, routes=(*idle.routes, route("/gone", auth=Need(("gone",)))))
    with pytest.raises(AssertionError, match='"/nowhere/users" cannot be read: no such file'):
        edge.proxy.apply(asking)
    assert edge.ask("/keys", b"X-API-Key: " + KEY).status == 200
    edge.keys()
    assert edge.ask("/keys", b"X-API-Key: " + KEY).status == 401
    edge.proxy.apply(edge.mesh)


# keys that have to be fetched


def test_keys_are_waited_for(edge: Edge) -> None:
    """Requests that come before the first keys wait for them, with their bodies, and then go on; a client that leaves
    meanwhile is forgotten."""
    token = bearer(edge.remote.token())
    left = edge.proxy.connect("gateway")
    with edge.proxy.connect("gateway") as client:
        left.send(b"GET /remote HTTP/1.1\r\nHost: api\r\n" + token + b"\r\n\r\n")
        client.send(b"POST /remote HTTP/1.1\r\nHost: api\r\nContent-Length: 3\r\n" + token + b"\r\n\r\nabc")
        edge.proxy.until(lambda: edge.proxy.sample().in_flight == 2)
        left.reset()
        edge.proxy.until(lambda: edge.proxy.sample().in_flight == 1)
        edge.proxy.tell(Fetched({URL: edge.remote.jwks}))
        assert client.read_response().status == 200
    assert edge.echo.requests[-1].body == b"abc"


def test_keys_that_never_come(edge: Edge) -> None:
    """Requests wait for keys no longer than their route allows, nor than is bearable; whoever is told that there are
    none is refused at once, and only who shows a token waits at all."""
    token = bearer(edge.remote.token())
    assert refusal(edge.ask("/hurried", token)) == (504, "route_timeout")
    assert refusal(edge.ask("/absent", token)) == (503, "keys_unavailable")
    assert refusal(edge.ask("/absent")) == (401, "unauthenticated")
    edge.proxy.tell(Fetched({URL + "?absent": b""}))
    with edge.proxy.connect("gateway") as client:
        before = edge.proxy.wants()
        client.send(b"GET /absent HTTP/1.1\r\nHost: api\r\n" + token + b"\r\n\r\n")
        edge.proxy.until(lambda: bool(edge.proxy.ask("sample")) and edge.proxy.wants() > before)
        edge.proxy.tell(Fetched({URL + "?absent": b""}))
        assert refusal(client.read_response()) == (503, "keys_unavailable")


def test_an_unknown_key_is_looked_for(edge: Edge) -> None:
    """A token by a key that is not known has the keys looked for, once; it is accepted if it is there then, and good
    keys are never replaced by none."""
    edge.proxy.tell(Fetched({URL: edge.remote.jwks}))
    rotated = Issuer("r2")
    edge.proxy.ask("commit")
    before = edge.proxy.wants()
    edge.proxy.until(lambda: _asks(edge, rotated, before))
    found = time.monotonic()
    for document in (b"", b"<html>", b'{"keys": []}'):
        edge.proxy.tell(Fetched({URL: document}))
        assert edge.ask("/remote", bearer(edge.remote.token())).status == 200
    edge.proxy.tell(Fetched({URL: rotated.jwks}))
    assert edge.ask("/remote", bearer(rotated.token())).status == 200
    assert refusal(edge.ask("/remote", bearer(edge.remote.token()))) == (401, "token_invalid")
    # After a while it would look again, for the last of them.
    assert edge.proxy.wants() == before + 1 or time.monotonic() - found > PAUSE - 1


def _asks(edge: Edge, issuer: Issuer, before: int) -> bool:
    """Have it look for a key; whether it has asked for it."""
    with edge.proxy.connect("gateway") as client:
        client.send(b"GET /remote HTTP/1.1\r\nHost: api\r\n" + bearer(issuer.token()) + b"\r\n\r\n")
        edge.proxy.ask("commit")
    return edge.proxy.wants() > before
