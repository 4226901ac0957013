"""What `init --template api` writes does what its comments say: each feature of the edge, on one small API."""

from __future__ import annotations

import os
import re
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from meshctl.sidecar.ports import choose_port

from .gateway import meshctl
from .team import Team
from .waiting import until

PAGE = {"origin": "https://shop.example.com"}


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    """The template, as it is but for its port, run by `meshctl up`."""
    folder = tmp_path_factory.mktemp("api")
    (folder / "shop").mkdir()
    assert meshctl(folder / "home", "init", "--template", "api", folder / "shop").status == 0
    text = (folder / "shop" / "mesh.toml").read_text()
    text = text.replace('listen = ["127.0.0.1:8080"]', 'listen = ["127.0.0.1:0"]')
    started = Team(folder, text)
    try:
        yield started.until_ready()
        started.check()
        assert "Traceback" not in started.said()
    finally:
        started.kill()


@pytest.fixture(scope="module")
def client(team: Team) -> Iterator[httpx.Client]:
    """Asks the gateway, when it has seen both versions of the catalogue and the orders."""
    with httpx.Client(base_url=team.url, trust_env=False, timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
def key(team: Team, client: httpx.Client) -> dict[str, str]:
    """A key as the first lines have it made, once the gateway knows it and the services are found."""
    made = team.meshctl("keys", "create", "--owner", "acme", "--scope", "orders:read", "--scope", "orders:write",
                        "-o", "json").json()  # fmt: skip
    found = {"x-api-key": str(made["key"])}
    until(
        lambda: client.get("/overview/1", headers=found).status_code == 200, "key and services to be known", timeout=60
    )
    return found


@pytest.fixture(scope="module")
def token(team: Team, client: httpx.Client) -> Callable[..., dict[str, str]]:
    """A token made by `api.py token`, with the pair that it made the first time."""

    def made(*words: str) -> dict[str, str]:
        command = ["python3", "api.py", "token", *words]
        done = subprocess.run(command, cwd=team.folder, capture_output=True, text=True, check=True, timeout=60)
        return {"authorization": f"Bearer {done.stdout.strip()}"}

    first = made("ada", "admin")
    until(lambda: client.get("/admin/stock", headers=first).status_code == 200, "the new key to be known", timeout=60)
    return made


def reason(answer: httpx.Response) -> tuple[int, str]:
    """Why a request was refused."""
    return answer.status_code, answer.headers["x-meshctl-reason"]


def test_what_everybody_may_read(client: httpx.Client, key: dict[str, str]) -> None:
    """Products are kept, compressed, with headers for one site's pages and for browsers; / leads there."""
    first = client.get("/products?q=tea&debug=1", headers=PAGE)
    assert [each["name"] for each in first.json()["products"]] == ["green tea", "black tea"]
    assert first.headers["cache-status"].endswith("stored")
    assert (first.headers["x-served-by"], first.headers["x-frame-options"]) == ("products", "DENY")
    assert first.headers["access-control-allow-origin"] == PAGE["origin"]
    assert "server" not in first.headers
    until(lambda: "; hit;" in client.get("/products?q=tea").headers["cache-status"], "an answer from the cache")
    assert client.get("/products", headers={"accept-encoding": "gzip"}).headers["content-encoding"] == "gzip"
    asked = {"access-control-request-method": "GET"}
    assert client.options("/products", headers=PAGE | asked).status_code == 204
    evil = client.options("/products", headers={"origin": "https://evil.example.com"} | asked)
    assert reason(evil) == (403, "cors_refused")
    assert client.get("/", follow_redirects=True).url.path == "/products"
    assert client.get("/healthz").text == "ok\n"


def test_testers_get_the_other_version(client: httpx.Client, key: dict[str, str]) -> None:
    """Whoever says so gets version v2 of the catalogue, whatever the weights."""
    assert client.get("/products?q=mint", headers={"x-tester": "1"}).json()["version"] == "v2"


def test_who_may_order(client: httpx.Client, key: dict[str, str], token: Callable[..., dict[str, str]]) -> None:
    """401 without a key or token, or with one that nobody made; 403 with the rule that is not met."""
    nobody = client.get("/orders")
    assert reason(nobody) == (401, "unauthenticated")
    assert nobody.headers.get_list("www-authenticate") == [
        'ApiKey realm="shop", header="x-api-key"', 'Bearer realm="shop"',
    ]  # fmt: skip
    assert reason(client.get("/orders", headers={"x-api-key": "mk_00000000_guessed"})) == (401, "key_invalid")
    reader = token("bob", "guest", "orders:read")
    assert client.get("/orders", headers=reader).json() == {"orders": []}
    assert reason(client.post("/orders", headers=reader, json={"product": 1, "quantity": 1})) == (403, "denied:writers")
    assert reason(client.get("/orders", headers=token("bob", "guest"))) == (403, "denied:readers")
    assert reason(client.get("/admin/stock", headers=reader)) == (403, "denied:admins")
    assert reason(client.get("/admin/stock", headers=key)) == (401, "unauthenticated")


def test_orders(client: httpx.Client, key: dict[str, str]) -> None:
    """An order is as the document has it or 400 with where not; its body is edited both ways; it is the caller's."""
    given = {"product": 3, "quantity": 2, "price": 0}
    made = client.post("/orders", headers=key | {"x-user": "mallory"}, json=given)
    number = made.json()["id"]
    assert (made.status_code, made.json()) == (201, {"id": number, "product": 3, "quantity": 2, "source": "web"})
    assert client.get(f"/orders/{number}", headers=key).json() == made.json()
    assert '"daily";r=' in made.headers["ratelimit"]
    assert '"per-caller";r=' in made.headers["ratelimit"]
    wrong = client.post("/orders", headers=key, json={"product": "3", "quantity": 2})
    assert reason(wrong) == (400, "invalid_request")
    assert wrong.json()["errors"] == [{"in": "body", "pointer": "#/product", "detail": "is not an integer"}]
    assert reason(client.get("/orders?limit=0", headers=key)) == (400, "invalid_request")
    assert reason(client.get("/orders/1/2", headers=key)) == (404, "unknown_operation")
    assert reason(client.delete("/orders", headers=key)) == (405, "method_not_allowed")


def test_versions(team: Team, client: httpx.Client, key: dict[str, str]) -> None:
    """The old version answers in its own form and says when it ends; who calls it is known; another is 404."""
    old = client.get("/orders", headers=key | {"x-api-version": "v1"})
    assert set(old.json()) == {"count"}
    assert (old.headers["deprecation"], old.headers["sunset"]) == ("@1767225600", "Tue, 01 Jan 2036 00:00:00 GMT")
    other = client.get("/orders", headers=key | {"x-api-version": "v9"})
    assert (reason(other), other.json()["versions"]) == ((404, "unknown_api_version"), ["v1", "v2"])
    until(lambda: "acme" in team.meshctl("api", "callers", "orders", "v1").out, "the caller to be told")


def test_overview(client: httpx.Client, key: dict[str, str]) -> None:
    """One document is made of product and orders, names the part that is missing, and fails without the product."""
    made = client.post("/orders", headers=key, json={"product": 7, "quantity": 4})
    assert made.status_code == 201
    found = client.get("/overview/7", headers=key)
    assert (found.json()["name"], found.json()["orders"]) == ("sugar", {"orders": [{"quantity": 4}]})
    assert found.headers["x-meshctl-missing"] == "reviews;reason=status_404"
    assert reason(client.get("/overview/99", headers=key)) == (404, "part_failed:product")


def test_explained(team: Team, key: dict[str, str]) -> None:
    """`routes explain` asks the gateway, not one of the sidecars, and says what this caller would meet."""
    words = ["-H", f"x-api-key: {key['x-api-key']}", "-o", "json"]
    view = team.meshctl("routes", "explain", "POST", "/orders", *words).json()
    assert view["route"] == "orders.default"
    for said in (
        'auth partners (api_key): "acme"',
        "require writers: met",
        "openapi openapi.json: createOrder, POST /orders under /",
        "request body: remove, set in JSON of up to 1MiB",
    ):
        assert said in view["policies"]
    for said in (r"rate limit per-caller: 10/s, 20 at once, by caller; \d+ left", r"quota daily: 1000 .*; \d+ left"):
        assert any(re.fullmatch(said, each) for each in view["policies"]), view["policies"]
    parts = team.meshctl("routes", "explain", "GET", "/overview/1", *words).json()["policies"]
    assert [each.partition(":")[0] for each in parts if each.startswith("part ")] == [
        "part product", "part orders", "part reviews",
    ]  # fmt: skip


def test_too_many(client: httpx.Client, key: dict[str, str]) -> None:
    """Whoever asks for products too often is told when to come again, and nobody else: other routes go on."""
    refused = until(
        lambda: next((each for each in [client.get("/products?q=tea")] if each.status_code == 429), None),
        "the limit to be reached",
        timeout=60,
    )
    assert reason(refused) == (429, "rate_limited:per-client")
    assert int(refused.headers["retry-after"]) >= 1
    assert client.get("/overview/1", headers=key).status_code == 200


def test_those_who_leave(tmp_path: Path) -> None:
    """A client that is gone before its answer, as a gateway is whose own client has left, is no error of a service."""
    assert meshctl(tmp_path / "home", "init", "--template", "api", tmp_path).status == 0
    port = choose_port()
    command = [sys.executable, "api.py", "catalogue", "v1"]
    environment = {**os.environ, "PORT": str(port.number)}
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True) as service:
        try:
            url = f"http://127.0.0.1:{port.number}/healthz"
            with httpx.Client(trust_env=False, timeout=30) as client:
                until(lambda: is_up(client, url), "the service to listen")
                for _ in range(50):
                    with socket.create_connection(("127.0.0.1", port.number)) as end:
                        end.sendall(b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n")
                        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                assert client.get(url).status_code == 200
        finally:
            service.terminate()
            said = service.communicate(timeout=60)[1]
            port.release()
    assert "Traceback" not in said


def is_up(client: httpx.Client, url: str) -> bool:
    try:
        return client.get(url).is_success
    except httpx.TransportError:
        return False
