"""The plainer guards of the edge through a running gateway, with a real client: passwords, certificates, addresses,
sizes, shapes and paces."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import bcrypt
import httpx
import pytest

from .conftest import StartGateway
from .gateway import Gateway
from .servers import Upstreams

SCHEMA = {
    "type": "object",
    "required": ["name"],
    "properties": {"name": {"type": "string"}, "count": {"type": "integer", "minimum": 1}},
}
PACE = 65_536


@pytest.fixture
def gateway(tmp_path: Path, upstreams: Upstreams, start_gateway: StartGateway) -> Gateway:
    """A gateway whose routes guard themselves, each in its own way."""
    hashed = bcrypt.hashpw(b"correct horse", bcrypt.gensalt(4)).decode()
    (tmp_path / "users").write_text(f"ada:{hashed}\n")
    (tmp_path / "users").chmod(0o600)
    (tmp_path / "order.json").write_text(json.dumps(SCHEMA))
    file = tmp_path / "mesh.toml"
    file.write_text(f"""
        [mesh]
        name = "shop"
        [gateway]
        listen = ["127.0.0.1:0", {{ address = "127.0.0.1:0", tls = {{ certificate = "mesh" }} }}]
        workers = 2
        [auth.staff]
        basic = {{ users = "users", realm = "the back office" }}
        [auth.members]
        certificate = {{}}
        headers = {{ x-member = "sub" }}
        [[routes]]
        path = "/staff"
        hosts = ["localhost", "127.0.0.1"]
        service = "a"
        auth = "staff"
        [[routes]]
        path = "/members"
        hosts = ["localhost", "127.0.0.1"]
        service = "a"
        auth = "members"
        [[routes]]
        path = "/near"
        service = "a"
        allow_addresses = ["127.0.0.0/8"]
        [[routes]]
        path = "/far"
        service = "a"
        allow_addresses = ["10.0.0.0/8"]
        [[routes]]
        path = "/barred"
        service = "a"
        deny_addresses = ["127.0.0.1"]
        [[routes]]
        path = "/small"
        service = "a"
        body_bytes = "1KiB"
        [[routes]]
        path = "/short"
        rewrite.prefix = "/bytes"
        service = "a"
        response_bytes = "64KiB"
        [[routes]]
        path = "/slow"
        rewrite.prefix = "/bytes"
        service = "a"
        bandwidth = "64KiB/s"
        [[routes]]
        path = "/orders"
        service = "a"
        request_schema = "order.json"
        [services.a]
        endpoints = ["{upstreams.address("a")}"]
    """)
    return start_gateway("-c", file, listen="")


@pytest.fixture
def client(gateway: Gateway) -> Iterator[httpx.Client]:
    """A client of the plain listener."""
    with httpx.Client(base_url=gateway.urls[0], trust_env=False, timeout=30) as made:
        yield made


def why(answer: httpx.Response) -> tuple[int, str]:
    """The status and the reason of a refusal."""
    return answer.status_code, answer.headers.get("x-meshctl-reason", "")


def test_passwords(client: httpx.Client) -> None:
    """Who has the password gets in, and the service does not see it; others are asked for one."""
    answer = client.get("/staff", auth=("ada", "correct horse"))
    assert answer.status_code == 200
    assert "authorization" not in answer.json()["headers"]
    refused = client.get("/staff")
    assert refused.headers["www-authenticate"].startswith('Basic realm="the back office"')
    assert [why(each) for each in (refused, client.get("/staff", auth=("ada", "wrong")))] == [
        (401, "unauthenticated"),
        (401, "password_invalid"),
    ]


def test_certificates(gateway: Gateway) -> None:
    """Who has no certificate of the mesh is served over TLS, but not where one is asked for."""
    context = ssl.create_default_context(cadata=gateway.meshctl("certs", "bundle").out)
    with httpx.Client(base_url=gateway.urls[1], verify=context, trust_env=False, timeout=30) as stranger:
        assert stranger.get("/near").status_code == 200
        assert why(stranger.get("/members")) == (401, "unauthenticated")


def test_addresses(client: httpx.Client) -> None:
    """Only addresses on the list, and none on the other one."""
    found = [why(client.get(path)) for path in ("/near", "/far", "/barred")]
    assert [status for status, _ in found] == [200, 403, 403]
    assert all(reason.startswith("denied:") for _, reason in found[1:])


def test_sizes(client: httpx.Client) -> None:
    """Bodies up to what the route takes, and answers up to what it gives: longer ones are refused, or cut where their
    length was not told."""
    assert [why(client.post("/small", content=b"x" * size)) for size in (1024, 1025)] == [
        (200, ""),
        (413, "body_too_large"),
    ]
    assert len(client.get("/short/65536").content) == 65_536
    assert why(client.get("/short/65537")) == (502, "response_too_large")
    with pytest.raises(httpx.RemoteProtocolError):
        client.get("/short/200000?chunked")


def test_shapes(client: httpx.Client) -> None:
    """A body that is not what the schema asks for is refused, and told where."""
    assert client.post("/orders", json={"name": "ada", "count": 1}).status_code == 200
    refused = client.post("/orders", json={"name": "ada", "count": 0})
    assert why(refused) == (400, "invalid_request")
    assert [each["pointer"] for each in refused.json()["errors"]] == ["#/count"]


def test_paces(client: httpx.Client) -> None:
    """An answer comes no faster than the route gives, all of it."""
    began = time.monotonic()
    answer = client.get(f"/slow/{3 * PACE}")
    took = time.monotonic() - began
    assert len(answer.content) == 3 * PACE
    assert took >= 1.0
