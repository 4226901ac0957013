"""`routes explain` and `routes ls` against a running gateway: what they say is what happens."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from typing import Any

import pytest

from .gateway import Gateway
from .servers import Upstreams
from .waiting import until

ROUTES = """
gateway.listen = ["127.0.0.1:0"]

[[routes]]
name = "everything"
service = "one"

[[routes]]
name = "orders"
path = "/v1/orders"
service = "two"
rewrite = { prefix = "/orders", host = "orders.internal" }

[[routes]]
name = "orders-post"
path = "/v1/orders"
methods = ["POST"]
service = "one"

[[routes]]
name = "exact"
path = { exact = "/v1/orders/7" }
service = "one"
rewrite = { path = "/seven" }

[[routes]]
name = "pdf"
path = { regex = "/files/[0-9]+\\\\.pdf" }
service = "two"

[[routes]]
name = "api"
hosts = ["api.example.com"]
service = "two"

[[routes]]
name = "wild"
hosts = ["*.example.com"]
service = "three"

[[routes]]
name = "beta"
path = "/v1"
headers = { x-beta = { present = true } }
service = "three"

[[routes]]
name = "page"
path = "/v1"
query = { page = { regex = "[0-9]+" } }
service = "two"

[[routes]]
name = "old"
path = "/old"
redirect = { prefix = "/new", status = 308 }

[[routes]]
name = "robots"
path = { exact = "/robots.txt" }
respond = { body = "nothing here" }

[services]
one.endpoints = ["A"]
two.endpoints = ["B"]
three = { balance = { hash = { header = "x-user" } }, endpoints = ["A", "C"] }
"""

REQUESTS = [
    ("GET", "/", {}),
    ("GET", "/v1/orders", {}),
    ("GET", "/v1/orders/8?x=1", {}),
    ("GET", "/v1/orders/7", {}),
    ("POST", "/v1/orders/8", {}),
    ("GET", "/v1/orders-of-another", {}),
    ("GET", "/v1/./orders/../orders/%7e", {}),
    ("GET", "/files/12.pdf", {}),
    ("GET", "/files/12.pdfx", {}),
    ("GET", "/files/%31.pdf", {}),
    ("GET", "/x", {"Host": "api.example.com"}),
    ("GET", "/x", {"Host": "API.example.com:8080"}),
    ("GET", "/x", {"Host": "www.example.com", "x-user": "alice"}),
    ("GET", "/x", {"Host": "www.example.com", "x-user": "bob"}),
    ("GET", "/x", {"Host": "example.com"}),
    ("GET", "/v1/x", {"X-Beta": ""}),
    ("GET", "/v1/x?page=12", {}),
    ("GET", "/v1/x?page=twelve", {}),
    ("GET", "/v1/x?page=1", {"x-beta": "yes"}),
    ("GET", "/old/page?q=1", {}),
    ("GET", "/robots.txt", {}),
    ("HEAD", "/robots.txt", {}),
    ("GET", "/a%2Fb/../c", {}),
    ("GET", "/%zz", {}),
]


@pytest.fixture(scope="module")
def shop(upstreams: Upstreams, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway with the routes above, for all of the module's tests."""
    folder = tmp_path_factory.mktemp("shop")
    text = ROUTES
    for name in "abc":
        text = text.replace(f'"{name.upper()}"', f'"{upstreams.address(name)}"')
    (folder / "mesh.toml").write_text(text)
    made = Gateway(folder / "home", folder, ["-c", folder / "mesh.toml"])
    try:
        yield made.until_ready()
        made.check()
    finally:
        made.kill()


def send(gateway: Gateway, method: str, target: str, headers: dict[str, str]) -> tuple[int, str, Any]:
    """Send a request as it stands; the status, the gateway's own reason, and what the server saw of it."""
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=30)
    try:
        connection.putrequest(method, target, skip_host="Host" in headers, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.putheader("Content-Length", "0")
        connection.endheaders()
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    reason = answer.getheader("x-meshctl-reason") or ""
    return answer.status, reason, json.loads(body) if answer.getheader("x-served-by") else None


@pytest.mark.parametrize("at", range(len(REQUESTS)), ids=lambda at: " ".join(map(str, REQUESTS[at][:2])))
def test_explain_tells_what_happens(shop: Gateway, at: int) -> None:
    """Route, forwarded request line, endpoint and refusal are what `routes explain` said, for each of these."""
    method, target, headers = REQUESTS[at]
    words = [word for name, value in headers.items() for word in ("-H", f"{name}: {value}")]
    asked = shop.meshctl("routes", "explain", method, target, *words, "-o", "json")
    told = asked.json()
    lines = len(shop.log())
    status, reason, seen = send(shop, method, target, headers)
    line = until(lambda: shop.log()[lines:], "the log line")[0]
    assert line["route"] == told["route"]
    assert asked.status == (0 if told["route"] else 4)
    assert (line["reason"], line["status"]) == (reason, status)
    if seen is None:
        assert (told["forwarded"], told["endpoint"]) == ("", "")
        assert told["reason"].partition(":")[0] == (reason if not told["route"] else "")
    else:
        assert f"{seen['method']} {seen['target']}" in told["forwarded"]
        chances = told["endpoint"].removeprefix("one of ").partition(" (")[0].split(", ")
        assert line["endpoint"] in chances
    names = {loser["route"] for loser in told["losers"]}
    assert told["route"] not in names
    assert all(loser["reason"] for loser in told["losers"])


def test_routes_ls_counts_what_happened(shop: Gateway) -> None:
    """`routes ls` shows every route in the file's order, with requests, rates and latencies after traffic."""
    for _ in range(5):
        assert send(shop, "GET", "/v1/orders", {})[0] == 200
    (answer,) = shop.meshctl("routes", "ls", "-o", "json").json()
    routes = {route["name"]: route for route in answer["routes"]}
    assert list(routes) == [line.split('"')[1] for line in ROUTES.splitlines() if line.startswith("name")]
    orders = routes["orders"]
    assert orders["requests"] >= 5
    assert orders["rps"] > 0
    assert 0 < orders["p50"] <= orders["p99"]
    assert (orders["healthy"], orders["total"], orders["errors"]) == (1, 1, 0)
    assert routes["robots"]["total"] == 0
    table = shop.meshctl("routes", "ls").out
    assert all(name in table for name in routes)


def test_services_show_counts_what_happened(shop: Gateway) -> None:
    """`services ls` and `services show` name every service and endpoint, and count requests."""
    assert send(shop, "GET", "/v1/orders", {})[0] == 200
    (endpoint,) = shop.service("two")["endpoints"]
    assert endpoint["state"] == "healthy"
    assert endpoint["requests"] >= 1
    table = shop.meshctl("services", "ls").out
    assert all(name in table for name in ("one", "two", "three"))
    assert endpoint["address"] in shop.meshctl("services", "show", "two").out
    missing = shop.meshctl("services", "show", "tow")
    assert (missing.status, 'did you mean "two"?' in missing.err) == (4, True)
