"""Answers that are kept, through a running gateway with real clients: whose they are, and when they go."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import httpx

from .conftest import StartGateway
from .servers import Upstreams
from .waiting import until

TEXT = """\
[mesh]
name = "shop"
[gateway]
listen = ["127.0.0.1:0"]
cache_bytes = "{most}"
[[routes]]
name = "open"
path = "/open"
service = "s"
cache = {{ default = "10m", stale_if_error = "1h" }}
compression = {{ codings = ["gzip"], minimum = "1B" }}
[[routes]]
name = "mine"
path = "/mine"
service = "s"
auth = "told"
cache = {{ callers = "each", default = "10m" }}
[[routes]]
name = "shared"
path = "/shared"
service = "s"
auth = "quiet"
cache = {{ callers = "all", default = "10m" }}
[[routes]]
name = "told"
path = "/told"
service = "s"
auth = "told"
cache = {{ callers = "all", default = "10m" }}
[[routes]]
name = "passed"
path = "/passed"
service = "s"
auth = "passed"
cache = {{ callers = "all", default = "10m" }}
[auth.passed]
api_key = {{ header = "x-passed-key" }}
forward = true
[auth.told]
api_key = {{ header = "x-api-key" }}
headers = {{ x-owner = "owner" }}
[auth.quiet]
api_key = {{ header = "x-quiet-key" }}
[services.s.versions.v1]
endpoints = ["{v1}"]
[services.s.versions.v2]
endpoints = ["{v2}"]
weight = 0
match = {{ headers = {{ x-version = "2" }} }}
"""


def key(gateway: Any, owner: str) -> str:
    """A new key of this owner."""
    ended = gateway.meshctl("keys", "create", "--owner", owner, "-o", "json")
    assert ended.status == 0, ended.err
    return str(ended.json()["key"])


def test_whose_they_are(start_gateway: StartGateway, upstreams: Upstreams, tmp_path: Path, http: httpx.Client) -> None:
    """Nobody gets what was kept for another caller or another version, nor anything at all whom the gateway does not
    know; and the metrics, the log and `routes explain` tell what the cache does."""
    file = tmp_path / "mesh.toml"
    file.write_text(TEXT.format(most="8MiB", v1=upstreams.address("a"), v2=upstreams.address("b")))
    gateway = start_gateway("-c", file)

    def seen(path: str, **headers: str) -> tuple[str, dict[str, Any]]:
        said = {name.replace("_", "-"): value for name, value in headers.items()}
        got = http.get(gateway.url + path, headers=said)
        assert got.status_code == 200, got.text
        return ("hit" if "hit" in got.headers["cache-status"] else "miss"), got.json()

    acme, zenith = key(gateway, "acme"), key(gateway, "zenith")
    for owner, secret in (("acme", acme), ("zenith", zenith)):
        for result in ("miss", "hit"):
            found, document = seen("/mine", x_api_key=secret)
            assert (found, document["headers"]["x-owner"]) == (result, owner)
    # A service that is told who calls must say itself that its answer is for others, too.
    assert [seen("/told", x_api_key=each)[1]["headers"]["x-owner"] for each in (acme, zenith)] == ["acme", "zenith"]
    assert [seen("/passed", x_passed_key=each)[1]["headers"]["x-passed-key"] for each in (acme, zenith)] == [
        acme,
        zenith,
    ]
    assert [seen("/shared", x_quiet_key=each)[0] for each in (acme, zenith)] == ["miss", "hit"]
    for path in ("/mine", "/shared"):
        assert http.get(gateway.url + path).status_code == 401
    for version, name in (("1", "a"), ("2", "b"), ("1", "a"), ("2", "b")):
        assert seen("/open", x_version=version)[1]["name"] == name
    assert seen("/open", x_version="2")[0] == "hit"

    compressed = subprocess.run(
        ["curl", "-sS", "--compressed", "-i", f"{gateway.url}/open"], capture_output=True, check=True
    ).stdout.decode()
    assert all(each in compressed.lower() for each in ("content-encoding: gzip", "age: ", "cache-status: meshctl; hit"))
    explained = gateway.meshctl("routes", "explain", "GET", "/open").out
    assert "cache: answered from it where it has a fresh answer" in " ".join(explained.split())

    def metrics() -> str:
        return http.get(gateway.admin + "/metrics").text

    until(lambda: 'meshctl_cache_requests_total{result="hit",route="mine"} 2.0' in metrics(), "the hits to be counted")
    assert "meshctl_cache_answers " in metrics()

    def logged() -> dict[str, Any] | None:
        return next((each for each in gateway.log() if each.get("cache") == "hit" and each["route"] == "mine"), None)

    line = until(logged, "the line of an answer that was kept")
    assert line is not None
    assert (line["user"], line["endpoint"]) == ("acme", "")

    # It outlives an apply that is about something else, not one that leads elsewhere.
    file.write_text(TEXT.format(most="7MiB", v1=upstreams.address("a"), v2=upstreams.address("b")))
    gateway.apply(file)
    assert seen("/open")[0] == "hit"
    file.write_text(TEXT.format(most="7MiB", v1=upstreams.address("b"), v2=upstreams.address("b")))
    gateway.apply(file)
    assert seen("/open")[0] == "miss"
