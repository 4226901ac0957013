"""Callers for whom another server is asked, through a running gateway: from its file to the answers of real clients."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.proxy.asked import Asked, Introspector
from tests.proxy.passage import answer

from .conftest import StartGateway
from .gateway import Gateway
from .servers import Upstreams

SECRET = "s3cret-of-the-gateway"
TOKEN = "opaque-token-of-ada"


@pytest.fixture
def introspector() -> Iterator[Introspector]:
    """A server that knows tokens."""
    made = Introspector()
    yield made
    made.close()


@pytest.fixture
def verifier() -> Iterator[Asked]:
    """A server that lets everybody in who has a session."""
    bob = answer("Remote-User: bob")
    login = answer("Location: https://sso.example.com/?rd=%2F", "Set-Cookie: sso=1", status=302)
    made = Asked(lambda question: bob if question.get("cookie") == b"session=bob" else login)
    yield made
    made.close()


def ask(gateway: Gateway, path: str, **headers: str) -> httpx.Response:
    """An answer over a connection of its own, so that every worker is asked now and then."""
    # Without TLS there is nothing to verify, and to load the system's authorities would take most of the time.
    return httpx.get(gateway.url + path, headers=headers, verify=False, timeout=30)


def test_a_gateway_asks(
    start_gateway: StartGateway, upstreams: Upstreams, introspector: Introspector, verifier: Asked, tmp_path: Path
) -> None:
    """Tokens and sessions are asked about as the file says, explained and shown; what was known holds while the server
    is away, and nothing secret stands anywhere but in its file."""
    secret = tmp_path / "id.secret"
    with open(os.open(secret, os.O_CREAT | os.O_WRONLY, 0o600), "w", encoding="utf-8") as file:
        file.write(SECRET)
    (tmp_path / "mesh.toml").write_text(f"""
        [gateway]
        workers = 2
        admin = "off"
        [auth.opaque]
        introspection = {{ url = "{introspector.url}/introspect", client_id = "gw", client_secret_file = "id.secret" }}
        headers = {{ x-user = "sub" }}
        [auth.sso]
        forward_auth = {{ service = "sso", path = "/verify", copy_headers = ["remote-user"] }}
        [auth.url]
        forward_auth = {{ url = "{verifier.url}/verify", copy_headers = ["remote-user"] }}
        [[routes]]
        path = "/api"
        service = "a"
        auth = "opaque"
        require = {{ scopes = ["read"] }}
        [[routes]]
        path = "/web"
        service = "a"
        auth = "sso"
        [[routes]]
        path = "/old"
        service = "a"
        auth = "url"
        [services.a]
        endpoints = ["{upstreams.address("a")}"]
        [services.sso]
        endpoints = ["127.0.0.1:{verifier.port}"]
    """)
    gateway = start_gateway("-c", tmp_path / "mesh.toml")
    introspector.tokens[TOKEN] = {"active": True, "sub": "ada", "scope": "read write"}
    told = [ask(gateway, "/api", authorization=f"Bearer {TOKEN}").json()["headers"]["x-user"] for _ in range(8)]
    assert told == ["ada"] * 8
    assert introspector.times(TOKEN) <= 2  # once in each worker
    assert ask(gateway, "/api", authorization="Bearer bad").headers["x-meshctl-reason"] == "token_invalid"

    for path in ("/web", "/old"):
        let_in = ask(gateway, path, cookie="session=bob", **{"remote-user": "root"})
        assert let_in.json()["headers"]["remote-user"] == "bob"
        sent_away = ask(gateway, path)
        assert (sent_away.status_code, sent_away.headers["location"]) == (302, "https://sso.example.com/?rd=%2F")
        assert sent_away.headers["set-cookie"] == "sso=1"

    # Another connection might meet a worker that was never asked; httpx gives one up after five seconds by itself.
    stands = httpx.Limits(keepalive_expiry=600)
    known = {"authorization": f"Bearer {TOKEN}"}
    with httpx.Client(base_url=gateway.url, headers=known, verify=False, timeout=30, limits=stands) as client:
        assert client.get("/api").status_code == 200
        introspector.close()
        assert [client.get(f"/api/{number}").status_code for number in range(3)] == [200] * 3
    assert ask(gateway, "/api", authorization="Bearer new").headers["x-meshctl-reason"] == "introspection_unavailable"
    gateway.until_told("introspection_failed")

    explained = gateway.meshctl("routes", "explain", "GET", "/api", "-H", f"Authorization: Bearer {TOKEN}").out
    assert "auth opaque (introspection): there is a token; a running gateway asks about it: POST" in explained
    explained = gateway.meshctl("routes", "explain", "GET", "/web").out
    assert 'a running gateway asks about each request: GET /verify of service "sso"' in " ".join(explained.split())
    shown = gateway.meshctl("config", "show", "-c", tmp_path / "mesh.toml", "-o", "json")
    assert "auth.sso.forward_auth.service" in shown.out
    written = gateway.out.read_text() + gateway.events() + explained + shown.out
    kept = b"".join(path.read_bytes() for path in (tmp_path / "home").rglob("*") if path.is_file())
    for hidden in (SECRET, TOKEN):
        assert hidden not in written
        assert hidden.encode() not in kept
