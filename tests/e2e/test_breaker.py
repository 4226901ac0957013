"""A service whose endpoints die, seen from outside: what clients get, and what the commands and the metrics tell."""

from __future__ import annotations

from pathlib import Path

import httpx

from .conftest import StartGateway, StartUpstreams
from .gateway import Gateway
from .waiting import until

POLICIES = """
[services.s]
balance = "round_robin"
ejection = { failures = 1, base = "60s" }
breaker = { rate = "50%", minimum = 6, open = "15s", probes = 2, ramp = "1s" }
"""


def breaker(gateway: Gateway) -> str:
    """The state of the breaker."""
    return str(gateway.service("s")["breaker"]["state"])


def metrics(http: httpx.Client, gateway: Gateway) -> list[str]:
    """The lines of the metrics that are about the service's policies."""
    lines = http.get(f"{gateway.admin}/metrics").text.splitlines()
    return [line for line in lines if line.startswith(("meshctl_breaker", "meshctl_version_weight"))]


def test_a_service_whose_endpoints_die(
    start_gateway: StartGateway, start_upstreams: StartUpstreams, tmp_path: Path, http: httpx.Client
) -> None:
    """With one endpoint dead and the other failing the breaker opens: refusals come without asking anybody, and say
    why and until when, as do the commands and the metrics. When an endpoint is well again it closes by itself."""
    alive, dying = start_upstreams("alive"), start_upstreams("dying")
    addresses = [dying.address("dying"), alive.address("alive")]
    file = tmp_path / "mesh.toml"
    file.write_text(
        f'gateway.listen = ["127.0.0.1:0"]\nroutes = [{{ service = "s" }}]\n{POLICIES}endpoints = {addresses}'
    )
    gateway = start_gateway("-c", file, listen="")
    assert {http.get(gateway.url).status_code for _ in range(4)} == {200}
    assert 'meshctl_breaker_state{service="s",state="closed"} 1.0' in metrics(http, gateway)
    dying.process.kill()
    dying.process.wait()
    assert {http.get(gateway.url).status_code for _ in range(4)} == {200}
    assert gateway.endpoint("s", addresses[0])["state"] == "ejected"

    alive.control("alive", status=500)
    until(lambda: http.get(gateway.url).status_code == 503, "the breaker to open")
    answer = http.get(gateway.url)
    asked = alive.control("alive")["requests"]
    assert answer.headers["x-meshctl-reason"] == "breaker_open"
    assert 1 <= int(answer.headers["retry-after"]) <= 15
    assert "requests failed in the last 10s: status 500; it is tried again in " in answer.json()["detail"]
    assert [http.get(gateway.url).status_code for _ in range(10)] == [503] * 10
    assert alive.control("alive")["requests"] == asked
    shown = gateway.meshctl("services", "show", "s").out
    assert "open, " in shown
    assert " left: " in shown
    assert "requests failed in the last 10s: status 500" in gateway.meshctl("services", "ls").out
    assert 'meshctl_breaker_opened_total{service="s"} 1.0' in metrics(http, gateway)
    assert 'meshctl_breaker_state{service="s",state="open"} 1.0' in metrics(http, gateway)
    gateway.until_told("breaker_opened")

    alive.control("alive", status=200)
    until(lambda: breaker(gateway) == "half_open", "the breaker's time to be over")
    assert [http.get(gateway.url).status_code for _ in range(2)] == [200, 200]
    gateway.until_told("breaker_closed")
    until(lambda: breaker(gateway) == "closed", "the ramp to be over")
    assert {http.get(gateway.url).status_code for _ in range(10)} == {200}
    assert 'meshctl_version_weight{service="s",version="default"} 1.0' in metrics(http, gateway)
