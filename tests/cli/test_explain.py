"""`routes explain -c FILE`: asked of a file, without a gateway."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from .conftest import Meshctl

MESH = """\
[[routes]]
name = "testers"
path = "/v1/orders"
headers = { x-beta = "yes" }
service = "orders"

[[routes]]
name = "orders"
hosts = ["api.localhost"]
path = "/v1/orders"
service = "orders"
rewrite = { prefix = "/o" }

[[routes]]
name = "old"
path = { exact = "/old" }
redirect = { path = "/v1/orders" }

[services.orders]
endpoints = ["127.0.0.1:9001"]
"""


@pytest.mark.parametrize(
    ("arguments", "route", "forwarded"),
    [
        (["GET", "http://api.localhost/v1/orders/7"], "orders", "GET /o/7"),
        (["GET", "/v1/orders", "-H", "x-beta: yes"], "testers", "GET /v1/orders"),
        (["GET", "/v1/orders", "-H", "Host: api.localhost"], "orders", "GET /o"),
        (["POST", "/v1/%6frders/../orders", "-H", "X-Beta:yes"], "testers", "POST /v1/orders"),
        (["GET", "http://any.example/old"], "old", ""),
        (["GET", "/v1/orders"], "", ""),
        (["GET", "/elsewhere"], "", ""),
    ],
)
def test_the_file_says_who_wins(
    arguments: list[str], route: str, forwarded: str, meshctl: Meshctl, folder: Path
) -> None:
    """The winner is the route that traffic would take, all others lose with a reason, and none at all is status 4."""
    (folder / "mesh.toml").write_text(MESH)
    ended = meshctl("routes", "explain", *arguments, "-c", "mesh.toml", "-o", "json")
    view = json.loads(ended.out)
    assert (view["route"], ended.status) == (route, 0 if route else 4)
    assert view["forwarded"].startswith(forwarded)
    assert len(view["losers"]) == (2 if route else 3)
    assert all(loser["reason"] for loser in view["losers"])


def test_the_table_for_people(meshctl: Meshctl, folder: Path) -> None:
    """As a table the answer names the winner, what the endpoint would see, and the losers with their reasons."""
    (folder / "mesh.toml").write_text(MESH)
    said = meshctl("routes", "explain", "GET", "http://api.localhost/v1/orders", "-c", "mesh.toml").out
    assert said.splitlines()[:2] == ["request    GET api.localhost /v1/orders", "route      orders"]
    assert "header x-beta is missing" in said


@pytest.mark.parametrize(
    ("method", "reason"),
    [
        ("FOO", "method_unknown: The request's method is not known"),
        ("DESCRIBE", "bad_request: The request is not valid HTTP"),
        ("G T", "method_unknown: The request's method is not known"),
        ("CONNECT", "method_unsupported: The gateway does not tunnel CONNECT"),
        ("PROPFIND", ""),
        ("M-SEARCH", ""),
        ("get", ""),
    ],
)
def test_methods_that_no_route_is_asked_for(method: str, reason: str, meshctl: Meshctl, folder: Path) -> None:
    """A method that the gateway refuses by itself is not said to go anywhere."""
    (folder / "mesh.toml").write_text(MESH)
    ended = meshctl("routes", "explain", method, "/old", "-c", "mesh.toml", "-o", "json")
    view = json.loads(ended.out)
    assert (view["reason"], view["route"], ended.status) == (reason, "" if reason else "old", 4 if reason else 0)
