"""Clients known by their certificates through a running gateway, with real clients: those of the mesh's authority and
those of one of the user's own, which is made as people make one, with openssl."""

from __future__ import annotations

import asyncio
import os
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import pytest

from tests.proxy.issuer import Issuer
from tests.proxy.members import Authority

from .conftest import StartGateway
from .gateway import Gateway
from .servers import Upstreams
from .waiting import until

Pair = tuple[Path, Path]
ISSUER = "https://id.example.com"


def openssl(*words: object) -> None:
    """Run openssl."""
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True, stdin=subprocess.DEVNULL)


class OwnAuthority:
    """An authority that somebody made with two lines of openssl."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        self.file, self._key = folder / f"{name}.pem", folder / f"{name}.key"
        openssl("req", "-x509", *self._new(self._key), "-subj", f"/CN={name}", "-days", 2, "-out", self.file)

    def issue(self, name: str, extensions: str = "") -> Pair:
        """A client's certificate and its key."""
        asked, made, key = (self.folder / f"{self.name}-{name}.{end}" for end in ("csr", "crt", "pkey"))
        openssl("req", *self._new(key), "-subj", f"/O=Acme/CN={name}", "-out", asked)
        more = self.folder / "extensions"
        more.write_text(extensions)
        by = ("-CA", self.file, "-CAkey", self._key, "-CAcreateserial", "-days", 2)
        openssl("x509", "-req", "-in", asked, *by, "-extfile", more, "-out", made)
        return made, key

    @staticmethod
    def _new(key: Path) -> tuple[object, ...]:
        return "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key


class Edge:
    """A running gateway that asks for certificates at two listeners, and what its clients need."""

    def __init__(self, folder: Path, gateway: Gateway, own: OwnAuthority, issuer: Issuer) -> None:
        self.folder, self.gateway, self.own, self.issuer = folder, gateway, own, issuer
        self.trusted = folder / "trusted.pem"
        self.trusted.write_text(gateway.meshctl("certs", "bundle").out + own.file.read_text())
        self.mesh_url, self.own_url, self.plain_url = gateway.urls

    def get(self, url: str, pair: Pair | None = None, **headers: str) -> httpx.Response:
        """What a client is answered that shows a certificate, if any, on a connection of its own."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        with httpx.Client(verify=self.context(pair), trust_env=False, timeout=30) as client:
            return client.get(url, headers=named)

    def context(self, pair: Pair | None) -> ssl.SSLContext:
        """The TLS of such a client."""
        context = ssl.create_default_context(cafile=str(self.trusted))
        if pair is not None:
            context.load_cert_chain(*pair)
        return context

    def issue(self, name: str) -> Pair:
        """A certificate of the mesh for a client outside of it."""
        ended = self.gateway.meshctl("certs", "issue", name, "--client", "--out", self.folder, "--force")
        assert ended.status == 0, ended.err
        return self.folder / f"{name}.crt", self.folder / f"{name}.key"


def mesh_toml(upstreams: Upstreams, ca: str = "clients.pem") -> str:
    """Routes for clients of the mesh's authority, of an own one, of either, and with a key or a token beside it."""
    ways = {
        "members": '"members"',
        "clients": '"clients"',
        "either": '{ any = ["members", "clients", "partners"] }',
        "both": '{ all = ["clients", "partners", "users"] }',
    }
    routes = "".join(
        f"""
        [[routes]]
        path = "/{path}"
        hosts = ["localhost", "127.0.0.1"]
        service = "a"
        auth = {auth}
        """
        for path, auth in ways.items()
    )
    return f"""
        [mesh]
        name = "shop"
        [gateway]
        admin = "off"
        workers = 2
        listen = [
          {{ address = "127.0.0.1:0", tls = {{ certificate = "mesh" }} }},
          {{ address = "127.0.0.1:0", tls = {{ certificate = "server.crt", key = "server.key" }} }},
          "127.0.0.1:0",
        ]
        [auth.members]
        certificate = {{}}
        headers = {{ x-client = "sub" }}
        [auth.clients]
        certificate = {{ ca = "{ca}" }}
        headers = {{ x-client = "sub", x-org = "o" }}
        [auth.partners]
        api_key = {{}}
        headers = {{ x-owner = "owner" }}
        [auth.users]
        jwt = {{ issuer = "{ISSUER}", audience = "api", algorithms = ["ES256"], keys = "jwks.json" }}
        headers = {{ x-user = "sub" }}
        [[routes]]
        path = "/open"
        hosts = ["localhost", "127.0.0.1"]
        service = "a"
        [[routes]]
        path = "/own"
        hosts = ["localhost", "127.0.0.1"]
        service = "a"
        require = {{ identities = ["a", "spiffe://shop.mesh/service/a"] }}
        [[routes]]
        path = "/clients/ada"
        hosts = ["localhost", "127.0.0.1"]
        service = "a"
        auth = "clients"
        require = {{ name = "ada", subjects = ["ada@example.com"], claims = {{ o = "Acme" }} }}
        {routes}
        [services.a]
        endpoints = ["{upstreams.address("a")}"]
    """


def written(folder: Path, upstreams: Upstreams) -> tuple[OwnAuthority, Issuer]:
    """The files of such a gateway; who signs for its clients."""
    own, issuer = OwnAuthority(folder, "clients"), Issuer(name=ISSUER)
    # Another one in the same file, whose only certificate has ended.
    late = Authority(folder, "late")
    leaf = late.issue(dns=("late",), days=(-2, -1))
    (folder / "late.crt").write_bytes(leaf.chain)
    (folder / "late.key").write_bytes(leaf.key)
    with own.file.open("ab") as file:
        file.write(late.bundle)
    server = own.issue("localhost", "subjectAltName=DNS:localhost,IP:127.0.0.1")
    for path, name in zip(server, ("server.crt", "server.key"), strict=True):
        path.rename(folder / name)
    (folder / "jwks.json").write_bytes(issuer.jwks)
    (folder / "mesh.toml").write_text(mesh_toml(upstreams))
    return own, issuer


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory, upstreams: Upstreams) -> Iterator[Edge]:
    """A gateway that nobody changes but for adding authorities."""
    folder = tmp_path_factory.mktemp("edge")
    own, issuer = written(folder, upstreams)
    gateway = Gateway(folder / "home", folder / "gateway", ["-c", folder / "mesh.toml"])
    try:
        yield Edge(folder, gateway.until_ready(), own, issuer)
        gateway.check()
    finally:
        gateway.kill()


def why(answer: httpx.Response) -> tuple[int, str]:
    """The status and the reason of a refusal."""
    return answer.status_code, answer.headers.get("x-meshctl-reason", "")


def is_known(edge: Edge, url: str, pair: Pair) -> bool:
    """Whether every worker knows a client by its certificate, as far as a few connections tell."""
    try:
        return all(edge.get(url, pair).status_code == 200 for _ in range(6))
    except httpx.TransportError:
        return False


def seen(answer: httpx.Response, *names: str) -> list[Any]:
    """What the service was told."""
    assert answer.status_code == 200, answer.text
    headers = {name.lower(): value for name, value in dict(answer.json()["headers"]).items()}
    return [headers.get(name) for name in names]


def test_who_is_let_in(edge: Edge) -> None:
    """Who shows a certificate of the authority that a route asks for is known by its name, which the service is told
    and nobody can say for himself; every other one is not known there: no handshake where it does not hold."""
    laptop = edge.issue("laptop")
    ada = edge.own.issue("Ada", "subjectAltName=email:ada@example.com\nextendedKeyUsage=clientAuth")
    bob = edge.own.issue("Bob")
    assert seen(edge.get(f"{edge.mesh_url}/members", laptop, x_client="root", X_Client="root"), "x-client") == [
        "laptop"
    ]
    for url in (edge.mesh_url, edge.own_url):
        assert seen(edge.get(f"{url}/clients", ada, x_org="Evil"), "x-client", "x-org") == ["ada@example.com", "Acme"]
        assert seen(edge.get(f"{url}/clients", bob), "x-client") == ["Bob"]
        assert why(edge.get(f"{url}/clients/ada", ada)) == (200, "")
        assert why(edge.get(f"{url}/clients/ada", bob)) == (403, "denied:ada")
        # A certificate of one authority is none of the other.
        assert why(edge.get(f"{url}/members", ada)) == (401, "unauthenticated")
        for pair in (None, ada):
            assert seen(edge.get(f"{url}/open", pair, x_client="root"), "x-client") == [None]
        assert why(edge.get(f"{url}/clients")) == (401, "unauthenticated")
    assert why(edge.get(f"{edge.mesh_url}/clients", laptop)) == (401, "unauthenticated")
    assert why(edge.get(f"{edge.plain_url}/clients", ada)) == (401, "unauthenticated")

    # Nor does it make anybody a member of the mesh, whatever is written in it.
    forged = edge.own.issue("Eve", "subjectAltName=URI:spiffe://shop.mesh/service/a")
    for url in (edge.mesh_url, edge.own_url):
        assert why(edge.get(f"{url}/members", forged)) == (401, "unauthenticated")
        assert seen(edge.get(f"{url}/clients", forged), "x-client") == ["spiffe://shop.mesh/service/a"]
        assert why(edge.get(f"{url}/own", forged)) == (403, "denied:identities")

    stranger = OwnAuthority(edge.folder, "stranger").issue("Ada", "subjectAltName=email:ada@example.com")
    server = edge.own.issue("server", "extendedKeyUsage=serverAuth")
    for pair in (stranger, (edge.folder / "late.crt", edge.folder / "late.key"), server):
        for url in (edge.mesh_url, edge.own_url):
            with pytest.raises(httpx.TransportError):
                edge.get(f"{url}/clients", pair)
    for reason in ("peer_unknown_authority", "peer_expired", "peer_unfit"):
        until(lambda reason=reason: f"reason={reason} " in edge.gateway.events(), f"word of {reason}")  # type: ignore[misc]


def test_beside_others(edge: Edge) -> None:
    """With `any` a certificate is one of several ways in, with `all` one of those that are needed; what each tells the
    service comes from who was asked."""
    key = edge.gateway.meshctl("keys", "create", "--owner", "acme", "-o", "json").json()["key"]
    token = f"Bearer {edge.issuer.token(sub='eve').decode()}"
    laptop, bob = edge.issue("laptop"), edge.own.issue("Bob")
    either, both = f"{edge.mesh_url}/either", f"{edge.mesh_url}/both"
    assert seen(edge.get(either, laptop), "x-client", "x-org") == ["laptop", None]
    assert seen(edge.get(either, bob, x_owner="root"), "x-client", "x-org", "x-owner") == ["Bob", "Acme", None]
    assert seen(edge.get(either, None, x_api_key=key), "x-client", "x-owner") == [None, "acme"]
    assert why(edge.get(either)) == (401, "unauthenticated")
    answer = edge.get(both, bob, x_api_key=key, authorization=token)
    assert seen(answer, "x-client", "x-owner", "x-user") == ["Bob", "acme", "eve"]
    assert why(edge.get(both, laptop, x_api_key=key, authorization=token)) == (401, "unauthenticated")
    assert why(edge.get(both, bob, authorization=token)) == (401, "unauthenticated")
    assert why(edge.get(both, bob, x_api_key=key, authorization=token[:-8])) == (401, "token_invalid")
    # curl asks twice over one connection, with what else is needed and without.
    shown = ["-sS", "-o", os.devnull, "-w", "%{http_code} "]
    shown += ["--cacert", str(edge.trusted), "--cert", str(bob[0]), "--key", str(bob[1]), both]
    words = ["curl", *shown, "-H", f"x-api-key: {key}", "-H", f"authorization: {token}", "--next", *shown]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["200", "401"]


def test_explained(edge: Edge) -> None:
    """`routes explain` says which certificate would be asked for, beside what the others would say."""
    said = edge.gateway.meshctl("routes", "explain", "GET", "https://localhost/both", "-H", "x-api-key: mk_x").out
    assert 'clients.pem" is needed, which is shown when it connects' in said
    assert "auth partners (api_key): the API key is unknown or revoked: key_invalid" in said
    assert "auth: all are needed: refused" in said
    said = edge.gateway.meshctl("routes", "explain", "GET", "https://localhost/members").out
    assert "auth members (certificate): a certificate of the mesh is needed" in said


def test_what_changes(tmp_path: Path, start_gateway: StartGateway, upstreams: Upstreams) -> None:
    """A renewed certificate is one like the first. An authority that is changed in its file, or by `apply`, vouches for
    nobody any more, on connections that stand as well; nor does the mesh for what it has revoked."""
    own_authority, issuer = written(tmp_path, upstreams)
    edge = Edge(tmp_path, start_gateway("-c", tmp_path / "mesh.toml", listen=""), own_authority, issuer)
    first = edge.own.issue("Bob")
    url = f"{edge.own_url}/clients"
    # What counts is one connection that stands; httpx gives it up after five seconds unless it is told not to.
    stands = httpx.Limits(keepalive_expiry=600)
    with httpx.Client(verify=edge.context(first), trust_env=False, timeout=30, limits=stands) as bob:
        assert why(bob.get(url)) == (200, "")
        again = edge.own.issue("Bob")
        assert first == again
        assert why(edge.get(url, again)) == (200, "")
        other = OwnAuthority(edge.folder, "others")
        carol = other.issue("Carol")
        kept, own = edge.own.file.read_bytes(), edge.own.file
        own.write_text("nothing of the kind")
        edge.gateway.until_told("authority_refused")
        assert why(bob.get(url)) == (200, "")
        own.write_bytes(other.file.read_bytes())
        edge.gateway.until_told("authority_reloaded")
        until(lambda: bob.get(url).status_code == 401, "no worker to believe the old authority")
        until(lambda: is_known(edge, url, carol), "all workers to believe the new one")
        own.write_bytes(kept)
        until(lambda: bob.get(url).status_code == 200, "the old one to be believed again")
        (edge.folder / "mesh.toml").write_text(mesh_toml(upstreams, "others.pem"))
        edge.gateway.apply(edge.folder / "mesh.toml")
        assert why(bob.get(url)) == (401, "unauthenticated")
    assert seen(edge.get(url, carol), "x-client") == ["Carol"]
    with pytest.raises(httpx.TransportError):
        edge.get(url, first)
    (edge.folder / "mesh.toml").write_text(mesh_toml(upstreams, "none.pem"))
    assert "none.pem" in edge.gateway.apply(edge.folder / "mesh.toml", status=3).err
    assert seen(edge.get(url, carol), "x-client") == ["Carol"]

    laptop = edge.issue("laptop")
    assert why(edge.get(f"{edge.mesh_url}/members", laptop)) == (200, "")
    assert edge.gateway.meshctl("certs", "revoke", "laptop").status == 0
    until(lambda: edge.get(f"{edge.mesh_url}/members", laptop).status_code == 401, "it to be revoked")
    assert why(edge.get(f"{edge.mesh_url}/open", laptop)) == (200, "")


def test_sessions_are_not_resumed(edge: Edge) -> None:
    """No session of TLS outlives the trust that admitted it: clients are given none, and a handshake by a version that
    could resume one is refused."""
    certificate, key = edge.own.issue("Bob")
    asked = b"GET /clients HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    shown = ["-CAfile", edge.trusted, "-cert", certificate, "-key", key, "-ign_eof"]
    for url in (edge.mesh_url, edge.own_url):
        place = url.removeprefix("https://")
        words = ["openssl", "s_client", "-connect", place, *shown]
        done = subprocess.run([*map(str, words)], input=asked, capture_output=True, check=False, timeout=60)
        assert b"HTTP/1.1 200" in done.stdout
        assert b"New Session Ticket" not in done.stdout
        done = subprocess.run([*map(str, words), "-tls1_2"], input=asked, capture_output=True, check=False, timeout=60)
        assert b"HTTP/1.1" not in done.stdout


def test_another_client(edge: Edge) -> None:
    """aiohttp is known as others are, over connections that it keeps."""
    context = edge.context(edge.own.issue("Bob"))

    async def ask() -> list[str]:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
            found = []
            for _ in range(4):
                async with session.get(f"{edge.own_url}/clients") as answer:
                    found.append(dict((await answer.json())["headers"])["x-client"])
            return found

    assert asyncio.run(ask()) == ["Bob"] * 4
