"""Endpoints that fail: turned off and on by checks, ejected for their answers, never all of them by ejection."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest

from .conftest import StartGateway, StartUpstreams
from .gateway import Gateway
from .servers import Upstreams
from .waiting import until


@pytest.fixture
def servers(start_upstreams: StartUpstreams) -> Upstreams:
    """Two servers whose answers the test changes."""
    return start_upstreams("x", "y")


def started(start_gateway: StartGateway, tmp_path: Path, servers: Upstreams, names: str, policy: str) -> Gateway:
    """A gateway in front of some of the servers, with more lines for the service."""
    addresses = [servers.address(name) for name in names]
    file = tmp_path / "mesh.toml"
    file.write_text(
        'gateway.listen = ["127.0.0.1:0"]\nroutes = [{ service = "s", retry.attempts = 0 }]\n'
        f"[services.s]\nbalance = 'round_robin'\nendpoints = {addresses!r}\n{policy}\n"
    )
    return start_gateway("-c", file, listen="")


def state(gateway: Gateway, address: str) -> tuple[str, str]:
    """An endpoint's state and the reason for it."""
    seen = gateway.endpoint("s", address)
    return seen["state"], seen["reason"]


def served(http: httpx.Client, url: str, count: int) -> Counter[Any]:
    """Which servers took so many requests."""
    return Counter(http.get(url).headers.get("x-served-by") for _ in range(count))


def test_checks_turn_an_endpoint_off_and_on(
    start_gateway: StartGateway, tmp_path: Path, servers: Upstreams, http: httpx.Client
) -> None:
    """An endpoint whose check fails gets no traffic until it passes again; `services show` says why. With none left
    requests are refused with that as the reason."""
    policy = 'health = { path = "/healthz", interval = "100ms", timeout = "30s", unhealthy = 2, healthy = 2 }'
    gateway = started(start_gateway, tmp_path, servers, "xy", policy)
    until(lambda: {each["state"] for each in gateway.service("s")["endpoints"]} == {"healthy"}, "both to pass")
    assert served(http, gateway.url, 10) == {"x": 5, "y": 5}
    servers.control("x", health=503)
    _, reason = until(lambda: (found := state(gateway, servers.address("x")))[0] == "unhealthy" and found, "x to fail")
    assert "status 503" in reason
    assert served(http, gateway.url, 10) == {"y": 10}
    servers.control("y", health=500)
    until(lambda: state(gateway, servers.address("y"))[0] == "unhealthy", "y to fail")
    answer = http.get(gateway.url)
    assert (answer.status_code, answer.headers["x-meshctl-reason"]) == (503, "no_endpoint")
    servers.control("x", health=200)
    until(lambda: state(gateway, servers.address("x")) == ("healthy", ""), "x to pass")
    assert served(http, gateway.url, 10) == {"x": 10}
    before = servers.control("x")["checks"]
    until(lambda: servers.control("x")["checks"] > before + 2, "checks to go on")


def test_a_tcp_check_needs_no_path(
    start_gateway: StartGateway, tmp_path: Path, servers: Upstreams, start_upstreams: StartUpstreams, http: httpx.Client
) -> None:
    """With `health = {}` a server that is killed is found unhealthy and named with the reason."""
    dying = start_upstreams("z")
    gateway = started(
        start_gateway, tmp_path, dying, "z", 'health = { interval = "100ms", timeout = "30s", unhealthy = 1 }'
    )
    until(lambda: state(gateway, dying.address("z"))[0] == "healthy", "z to pass")
    dying.process.kill()
    dying.process.wait()
    _, reason = until(lambda: (found := state(gateway, dying.address("z")))[0] == "unhealthy" and found, "z to fail")
    assert reason.startswith("1 failed check: "), reason
    assert http.get(gateway.url).status_code == 503


def test_failures_eject_an_endpoint_for_a_while(
    start_gateway: StartGateway, tmp_path: Path, servers: Upstreams, http: httpx.Client
) -> None:
    """An endpoint that answers 500 three times in a row rests, its sibling takes all, and it comes back by itself; the
    sibling, failing too, is not ejected while it is the last one."""
    gateway = started(start_gateway, tmp_path, servers, "xy", 'ejection = { failures = 3, base = "10s" }')
    servers.control("x", status=500)
    assert served(http, gateway.url, 6) == {"x": 3, "y": 3}
    found, reason = state(gateway, servers.address("x"))
    assert (found, "3 failures in a row: status 500" in reason) == ("ejected", True)
    servers.control("y", status=500)
    assert served(http, gateway.url, 6) == {"y": 6}
    assert state(gateway, servers.address("y"))[0] == "healthy"
    servers.control("x", status=200)
    servers.control("y", status=200)
    until(lambda: state(gateway, servers.address("x"))[0] == "half_open", "the rest to end")
    until(lambda: served(http, gateway.url, 2)["x"], "x to be asked again")
    until(lambda: state(gateway, servers.address("x"))[0] == "ramping", "x to be back")
    gateway.until_told("endpoint_returned")


def test_the_only_endpoint_is_never_ejected(
    start_gateway: StartGateway, tmp_path: Path, servers: Upstreams, http: httpx.Client
) -> None:
    """However often the only endpoint fails, its own answers go on reaching the clients."""
    gateway = started(start_gateway, tmp_path, servers, "x", "ejection = { failures = 1 }")
    servers.control("x", status=500)
    answers = [http.get(gateway.url) for _ in range(20)]
    assert {answer.status_code for answer in answers} == {500}
    assert not any("x-meshctl-reason" in answer.headers for answer in answers)


def test_the_only_endpoint_is_dead(
    start_gateway: StartGateway, tmp_path: Path, servers: Upstreams, http: httpx.Client
) -> None:
    """An outage of the only endpoint, which never rests, is told by `status`, which fails, and by `services`; from
    its first success on all is well."""
    gateway = started(start_gateway, tmp_path, servers, "x", "")
    servers.control("x", status=500)
    for _ in range(5):
        http.get(gateway.url)
    ended = gateway.meshctl("status", "-o", "json")
    lines = [each for each in ended.json()["lines"] if each["area"] == "services"]
    address = servers.address("x")
    assert (ended.status, [(each["state"], each["name"], each["detail"], each["command"]) for each in lines]) == (
        1,
        [("fail", "s", f"{address} failed its last 5 requests: status 500", "meshctl services show s")],
    )
    assert "0/1" in gateway.meshctl("services", "ls").out
    assert "failing" in gateway.meshctl("services", "show", "s").out
    servers.control("x", status=200)
    assert http.get(gateway.url).status_code == 200
    assert "endpoint takes requests" in gateway.meshctl("status").out
    assert gateway.endpoint("s", address)["row"] == 0
