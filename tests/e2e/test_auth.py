"""Who calls, through a running gateway: API keys from the day they are made to the day they are revoked, and tokens of
an issuer that changes its keys, dies, and comes back."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.proxy.issuer import Issuer, bad_tokens

from .conftest import StartGateway
from .gateway import Gateway
from .servers import Upstreams
from .waiting import until


def mesh_of(upstreams: Upstreams, issuer: str) -> str:
    """Routes for partners and for users of the issuer."""
    return f"""
        [mesh]
        name = "shop"
        [gateway]
        workers = 2
        admin = "off"
        [auth.partners]
        api_key = {{}}
        headers = {{ x-owner = "owner" }}
        [auth.users]
        jwt = {{ issuer = "{issuer}", audience = "api", algorithms = ["ES256"] }}
        headers = {{ x-user = "sub" }}
        [[routes]]
        path = "/partners"
        service = "a"
        auth = "partners"
        require = {{ name = "readers", scopes = ["read"] }}
        [[routes]]
        path = "/users"
        service = "a"
        auth = "users"
        [services.a]
        endpoints = ["{upstreams.address("a")}"]
    """


class IdentityProvider:
    """An issuer with its OpenID configuration and keys on loopback."""

    def __init__(self) -> None:
        self.asked = 0
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.asked += 1
                body = provider.issuer.jwks
                if self.path.endswith("openid-configuration"):
                    body = json.dumps({"issuer": provider.url, "jwks_uri": provider.url + "/keys"}).encode()
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.issuer = Issuer("k1", self.url)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self._thread.start()

    def end(self) -> None:
        """Be gone."""
        if self._thread.is_alive():
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()


@pytest.fixture
def provider() -> Iterator[IdentityProvider]:
    """An issuer."""
    made = IdentityProvider()
    yield made
    made.end()


@pytest.fixture
def file(upstreams: Upstreams, provider: IdentityProvider, tmp_path: Path) -> Path:
    """The mesh.toml."""
    path = tmp_path / "mesh.toml"
    path.write_text(mesh_of(upstreams, provider.url))
    return path


def ask(gateway: Gateway, path: str, **headers: str) -> httpx.Response:
    """An answer over a connection of its own, so that every worker is asked now and then."""
    # Without TLS there is nothing to verify, and to load the system's authorities would take most of the time.
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return httpx.get(gateway.url + path, headers=named, verify=False, timeout=30)


def told(gateway: Gateway, *arguments: object) -> Any:
    """What a command of `meshctl keys` says, which must be live in the gateway when it ends."""
    patient = () if arguments[0] == "ls" else ("--timeout", "60s")
    ended = gateway.meshctl("keys", *arguments, *patient, "-o", "json")
    assert ended.status == 0, ended.err
    document = ended.json()
    if isinstance(document, dict):
        assert [each["status"] for each in document["proxies"]] == ["live"]
    return document


def test_the_life_of_a_key(start_gateway: StartGateway, file: Path, tmp_path: Path) -> None:
    """A key that was made while the gateway ran opens its route in every worker at once, also after a restart; one that
    took its place does, too, and a revoked one no more, nor can it be replaced. Neither store nor log has a key."""
    gateway = start_gateway("-c", file)
    made = told(gateway, "create", "--owner", "acme", "--scope", "read", "--expires", "90d")
    key = made["key"]
    assert [ask(gateway, "/partners", x_api_key=key).status_code for _ in range(8)] == [200] * 8
    poor = told(gateway, "create", "--owner", "poor")["key"]
    answer = ask(gateway, "/partners", x_api_key=poor)
    assert (answer.status_code, answer.headers["x-meshctl-reason"]) == (403, "denied:readers")

    explained = gateway.meshctl("routes", "explain", "GET", "/partners", "-H", f"x-api-key: {key}")
    assert 'auth partners (api_key): "acme"' in explained.out
    assert "require readers: met" in explained.out
    explained = gateway.meshctl("routes", "explain", "GET", "/partners", "-H", "x-api-key: mk_x")
    assert "key_invalid" in explained.out

    replaced = told(gateway, "rotate", made["id"], "--overlap", "1h")
    assert [ask(gateway, "/partners", x_api_key=each).status_code for each in (key, replaced["key"])] == [200, 200]
    told(gateway, "revoke", made["id"])
    codes = {ask(gateway, "/partners", x_api_key=key).status_code for _ in range(8)}
    assert codes == {401}
    for verb in ("rotate", "revoke"):
        ended = gateway.meshctl("keys", verb, "mk_00000000")
        assert (ended.status, "keys ls" in ended.err) == (4, True)
    assert gateway.meshctl("keys", "rotate", made["id"]).status == 1
    for wrong in (("--owner", ""), ("--owner", "a", "--scope", "a b"), ("--owner", "a", "--expires", "soon")):
        assert gateway.meshctl("keys", "create", *wrong).status == 2
    listed = {each["id"]: each["state"] for each in told(gateway, "ls", "--owner", "acme")}
    assert listed == {made["id"]: "revoked", replaced["id"]: "active"}
    assert gateway.end() == 0

    again = start_gateway("-c", file)
    assert ask(again, "/partners", x_api_key=replaced["key"]).status_code == 200
    assert ask(again, "/partners", x_api_key=key).status_code == 401
    kept = b"".join(path.read_bytes() for path in (tmp_path / "home").rglob("*") if path.is_file())
    for secret in (key, poor, replaced["key"]):
        assert secret.encode() not in kept
        assert secret not in gateway.out.read_text() + gateway.events()


def test_tokens_of_an_issuer(start_gateway: StartGateway, file: Path, provider: IdentityProvider) -> None:
    """Keys are found by the issuer's configuration, and a token with anything wrong is refused with the reason. New
    keys are found as soon as a token has one; without the server those that were good stay good, also for a gateway
    that starts meanwhile."""

    def answers(gateway: Gateway, issuer: Issuer, **claims: Any) -> int:
        return ask(gateway, "/users", authorization=f"Bearer {issuer.token(**claims).decode()}").status_code

    gateway = start_gateway("-c", file)
    gateway.forgiven.add("keys_not_fetched")
    first = provider.issuer
    assert answers(gateway, first) == 200
    assert answers(gateway, first, aud="web") == 401
    assert answers(gateway, Issuer("k9", provider.url)) == 401
    for name, (bad, reason) in bad_tokens(first).items():
        answer = ask(gateway, "/users", authorization=f"Bearer {bad.decode()}")
        assert (name, answer.status_code, answer.headers["x-meshctl-reason"]) == (name, 401, reason)
    second = provider.issuer = Issuer("k2", provider.url)
    # A server is asked again after a pause.
    until(lambda: answers(gateway, second) == 200, "the new key to be known", every=0.5)
    until(lambda: {answers(gateway, first) for _ in range(6)} == {401}, "no worker to believe the old key")
    asked, began = provider.asked, time.monotonic()
    assert {answers(gateway, Issuer(f"k{number}", provider.url)) for number in range(20)} == {401}
    # Twice, each with two questions, and once more in every five seconds that a busy machine takes.
    assert provider.asked <= asked + 2 * (2 + (time.monotonic() - began) // 5)
    provider.end()
    assert answers(gateway, second) == 200
    assert gateway.end() == 0

    again = start_gateway("-c", file)
    again.forgiven.add("keys_not_fetched")
    assert answers(again, second) == 200
    assert answers(again, first) == 401
