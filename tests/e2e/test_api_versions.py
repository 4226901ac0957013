"""Versions of an API in a whole gateway, with real clients: served, told, explained and counted, and who calls them."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import httpx

from .conftest import StartGateway
from .gateway import Gateway
from .servers import Upstreams
from .waiting import until

TEXT = """\
[mesh]
name = "shop"
[gateway]
listen = ["127.0.0.1:0"]
workers = 2
[[routes]]
name = "orders"
path = "/orders"
api = "orders"
[[routes]]
name = "partners"
path = "/partners"
api = "orders"
auth = "keys"
rate_limits = {{ limit = "2/h", by = "key" }}
[auth.keys]
api_key = {{}}
[api.orders]
by = {{ header = "x-api-version" }}
default = "v2"
{enforced}
[api.orders.versions.v1]
service = "old"
aliases = ["1"]
deprecated = 2020-01-01
sunset = {sunset}
[api.orders.versions.v2]
service = "new"
[services.old]
endpoints = ["{old}"]
[services.new]
endpoints = ["{new}"]
"""


def test_the_life_of_a_version(
    start_gateway: StartGateway, upstreams: Upstreams, tmp_path: Path, http: httpx.Client
) -> None:
    """Requests go to the version they ask for; commands and metrics tell how much each is asked for and who still calls
    the old one; an apply ends it."""
    file = tmp_path / "mesh.toml"
    services = {"old": upstreams.address("a"), "new": upstreams.address("b")}
    file.write_text(TEXT.format(enforced="", sunset="2020-06-30", **services))
    gateway = start_gateway("-c", file, listen="")
    key = gateway.meshctl("keys", "create", "--owner", "acme", "-o", "json").json()["key"]

    def ask(path: str, version: str = "", **headers: str) -> httpx.Response:
        said = {"x-api-version": version} if version else {}
        return http.get(gateway.url + path, headers={**said, **{k.replace("_", "-"): v for k, v in headers.items()}})

    # Which worker takes a connection is for the kernel to say.
    assert [ask("/orders", "v1").json()["name"] for _ in range(3)] == ["a"] * 3
    assert ask("/orders").json()["name"] == "b"
    assert ask("/orders", "v9").status_code == 404
    assert ask("/partners", "1", x_api_key=key).headers["deprecation"] == "@1577836800"
    # A limit of a route is one for all of its versions.
    assert ask("/partners", "v2", x_api_key=key).status_code == 200
    assert ask("/partners", "v2", x_api_key=key).headers["x-meshctl-reason"].startswith("rate_limited:")
    curl = subprocess.run(
        ["curl", "-sS", "-H", "X-Api-Version: v9", f"{gateway.url}/orders"], capture_output=True, check=True
    )
    assert json.loads(curl.stdout)["versions"] == ["v1", "v2"]

    found = until(lambda: _complete(gateway), "all requests to be counted", timeout=30)
    assert {(each["via"], each["caller"]): each["count"] for each in found} == {
        ("address", "127.0.0.1"): 3,
        ("keys", "acme"): 1,
    }
    assert "acme" in gateway.meshctl("api", "callers", "orders", "1").out
    assert gateway.meshctl("api", "callers", "orders", "v2").status == 2
    assert gateway.meshctl("api", "callers", "orders", "v7").status == 4
    used = until(lambda: _used(gateway), "the gateway to tell of all requests", timeout=30)
    assert (used["v1"]["state"], used["v1"]["is_default"], used["v2"]["is_default"]) == ("sunset", False, True)
    assert " ago " in gateway.meshctl("api", "ls").out
    until(lambda: _doctor(gateway) == "warn", "doctor to hear of the callers", timeout=30)
    metrics = http.get(f"{gateway.admin}/metrics").text
    assert 'meshctl_api_requests_total{api="orders",version="v1"} 4.0' in metrics
    assert 'meshctl_api_requests_total{api="orders",version=""} 2.0' in metrics
    told = gateway.meshctl("routes", "explain", "GET", "/orders", "-H", "x-api-version: 1").out
    assert "orders.v1" in told
    assert "version v1 of orders, deprecated from 2020-01-01 on, sunset 2020-06-30" in told

    file.write_text(TEXT.format(enforced="enforce_sunset = true", sunset="2020-06-30", **services))
    diff = gateway.meshctl("diff", "-c", file).out
    assert "api.orders.enforce_sunset: false → true" in diff
    assert "routes" not in diff
    gateway.apply(file)
    assert (ask("/orders", "v1").status_code, ask("/orders", "v2").status_code) == (410, 200)
    assert "gone" in gateway.meshctl("api", "ls").out
    gateway.end()
    assert gateway.meshctl("api", "ls", "-o", "json").json()[0]["requests"] is None


def _complete(gateway: Gateway) -> list[dict[str, Any]]:
    """Who called v1, once all is counted that was asked."""
    ended = gateway.meshctl("api", "callers", "orders", "v1", "-o", "json")
    found: list[dict[str, Any]] = ended.json() if ended.status == 0 else []
    return found if sum(each["count"] for each in found) == 4 else []


def _used(gateway: Gateway) -> dict[str, dict[str, Any]]:
    """The versions, once all is counted that was asked."""
    found = {each["version"]: each for each in gateway.meshctl("api", "ls", "-o", "json").json()}
    return found if [each["requests"] for each in found.values()] == [4, 3] else {}


def _doctor(gateway: Gateway) -> str:
    """What doctor makes of versions past their sunset; on a busy machine a proxy may not answer at once."""
    (found,) = [each for each in gateway.meshctl("doctor", "-o", "json").json() if each["name"] == "sunsets"]
    return str(found["status"])
