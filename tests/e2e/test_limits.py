"""Limits of a service in a whole gateway: shown, explained, divided over its workers and counted."""

from __future__ import annotations

import threading
from pathlib import Path

import httpx

from tests.conformance.upstream import OK, Upstream

from .conftest import StartGateway
from .gateway import meshctl
from .waiting import until

TEXT = """\
gateway = {{ listen = ["127.0.0.1:0"], workers = 2 }}
[[routes]]
name = "all"
service = "s"
priority = "high"
[services.s]
endpoints = ["{address}"]
limit = {{ requests = 3, queue = 2, wait = "250ms" }}
"""


def test_a_limit_from_outside(start_gateway: StartGateway, tmp_path: Path) -> None:
    """Two workers share the places and the line; commands tell of both, a refusal says when to come again, and metrics
    count it."""
    file = tmp_path / "mesh.toml"
    app = Upstream("app")
    file.write_text(TEXT.format(address=f"127.0.0.1:{app.port}"))
    gateway = start_gateway("-c", file, listen="")

    def shown() -> dict[str, int]:
        found: dict[str, int] = gateway.service("s")["limit"]
        return found

    assert shown() == {"limit": 3, "in_flight": 0, "waiting": 0}
    assert "0 of 3 under way" in meshctl(gateway.home, "services", "show", "s").out
    told = meshctl(gateway.home, "routes", "explain", "GET", "/x").out
    assert "limit: 3 at a time, 2 more wait up to 250ms; priority high" in told
    statuses: list[int] = []
    after: set[str] = set()

    def ask() -> None:
        with httpx.Client(timeout=30, trust_env=False) as client:
            answer = client.get(gateway.url)
        statuses.append(answer.status_code)
        if answer.status_code != 200:
            assert answer.headers["x-meshctl-reason"] == "limit_reached"
            after.add(answer.headers["retry-after"])

    threads = [threading.Thread(target=ask) for _ in range(12)]
    for thread in threads:
        thread.start()
    # Who got a place keeps it until everybody else has waited in vain; how many that are is for the kernel to say,
    # which chooses the worker of each connection.
    until(lambda: shown()["in_flight"] + len(statuses) == 12, "those without a place to be refused")
    for _ in range(12 - len(statuses)):
        wire = app.hear()
        wire.read_request()
        wire.send(OK)
    for thread in threads:
        thread.join()
    assert set(statuses) == {200, 503}
    assert 1 <= statuses.count(200) <= 3
    assert after == {"1"}

    def refused() -> float:
        lines = httpx.get(f"{gateway.admin}/metrics", trust_env=False, timeout=30).text.splitlines()
        found = [line for line in lines if line.startswith("meshctl_limit_refusals_total{")]
        return sum(float(line.rpartition(" ")[2]) for line in found)

    until(lambda: refused() == statuses.count(503), "the refusals to be counted")
    app.forget()
    app.listener.close()
