"""Answers made of parts, through a running gateway with real clients: three services, a change, and what is told."""

from __future__ import annotations

import subprocess
from pathlib import Path

import httpx

from .conftest import StartGateway
from .servers import Upstreams

TEXT = """\
[mesh]
name = "shop"
[gateway]
listen = ["127.0.0.1:0"]
[[routes]]
name = "page"
path = "/page/{{id}}"
timeout = "20s"
response_headers = {{ set = {{ x-page = "{{path.id}}" }} }}
parts = [
  {{ name = "user", service = "users", path = "/users/{{path.id}}", group = "", response_body.keep = ["$.name"] }},
  {{ name = "orders", service = "orders", path = "/of/{{part.user.name}}", response_body = {{ keep = ["$.target"] }} }},
  {{ name = "reviews", service = "reviews", path = "/reviews", need = {need} }},
]
[services.users]
endpoints = ["{users}"]
[services.orders]
endpoints = ["{orders}"]
[services.reviews]
endpoints = ["127.0.0.1:1"]
"""


def test_a_page(start_gateway: StartGateway, upstreams: Upstreams, tmp_path: Path, http: httpx.Client) -> None:
    """A page is made of what three services say, of which one is away; what that means changes with an apply."""
    file = tmp_path / "mesh.toml"

    def text(need: str) -> str:
        return TEXT.format(users=upstreams.address("a"), orders=upstreams.address("b"), need=need)

    file.write_text(text('"optional"'))
    gateway = start_gateway("-c", file)
    got = http.get(f"{gateway.url}/page/7")
    assert (got.status_code, got.json()) == (200, {"name": "a", "orders": {"target": "/of/a"}})
    assert got.headers["x-meshctl-missing"] == "reviews;reason=upstream_connect"
    assert (got.headers["content-type"], got.headers["x-page"]) == ("application/json", "7")
    assert http.post(f"{gateway.url}/page/7").headers["x-meshctl-reason"] == "no_route"
    told = gateway.meshctl("routes", "explain", "GET", "/page/7").out
    assert "GET /of/{part.user.name} of orders" in told.replace("\n", " ")
    assert "parts user, orders, reviews" in gateway.meshctl("routes", "ls").out
    gateway.apply(_written(file, text("{ default = [1] }")))
    curl = subprocess.run(["curl", "-sS", "-i", f"{gateway.url}/page/7"], capture_output=True, check=True, text=True)
    assert '"reviews":[1]' in curl.stdout
    assert "X-Meshctl-Missing: reviews;reason=upstream_connect;default" in curl.stdout
    gateway.apply(_written(file, text('"required"')))
    got = http.get(f"{gateway.url}/page/7")
    assert (got.status_code, got.headers["x-meshctl-reason"]) == (502, "part_failed:reviews")
    assert got.json()["part_reason"] == "upstream_connect"


def _written(file: Path, text: str) -> Path:
    file.write_text(text)
    return file
