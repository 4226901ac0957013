"""A version that nobody can serve any more, where another one is there: requests go to that one, and come back."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from meshctl.model.policy import Ejection, HealthCheck, Retry
from meshctl.model.route import Match, Route, ValueMatch
from meshctl.model.service import Endpoint, Service, Version
from meshctl.model.views import EndpointView, ServiceView
from tests.conformance.wire import Message, Wire

from .answerer import Answerer
from .lone_proxy import LoneProxy, mesh_of

EJECTION = Ejection(failures=3, base=60)
REFUSED = ("X-Meshctl-Reason: no_endpoint",)
ROUTES = (
    Route("pinned", Match(hosts=("pinned.test",)), service="shop", version="v2", retry=Retry(2, ("connect", "503"))),
    Route("all", service="shop", retry=Retry(2)),
)


@pytest.fixture
def v1() -> Iterator[Answerer]:
    """The version that is there."""
    made = Answerer()
    yield made
    made.close()


@pytest.fixture
def v2() -> Iterator[Answerer]:
    """The one that comes and goes."""
    made = Answerer()
    yield made
    made.close()


@pytest.fixture
def running(tmp_path: Path, v1: Answerer, v2: Answerer) -> Iterator[LoneProxy]:
    """A proxy in front of both."""
    proxy = LoneProxy(tmp_path, mesh_of(shop(v1, v2), routes=ROUTES), "gateway")
    yield proxy
    assert proxy.end() == []


def shop(v1: Answerer, v2: Answerer, **settings: Any) -> Service:
    """The service, half of which is either's."""
    versions = (
        Version("v1", (Endpoint("127.0.0.1", v1.port),), 50),
        Version("v2", (Endpoint("127.0.0.1", v2.port),), 50, match=Match(headers=(ValueMatch("x-tester"),))),
    )
    return Service("shop", versions, **{"ejection": EJECTION} | settings)


def ask(proxy: LoneProxy, count: int = 1, host: str = "shop.test", *lines: str) -> list[Message]:
    """The answers to so many requests over one connection."""
    text = "\r\n".join(["GET / HTTP/1.1", f"Host: {host}", *lines, "", ""]).encode()
    found = []
    with proxy.connect("gateway") as wire:
        for _ in range(count):
            wire.send(text)
            found.append(wire.read_response())
    return found


def endpoint(proxy: LoneProxy, version: str) -> EndpointView:
    """The endpoint of a version as the proxy sees it."""
    (service,) = msgspec.msgpack.decode(proxy.ask("services"), type=list[ServiceView])
    (found,) = [each for each in service.endpoints if each.version == version]
    return found


def test_the_last_endpoint_rests_where_another_version_serves(running: LoneProxy, v1: Answerer, v2: Answerer) -> None:
    """A version whose only endpoint is not there costs as many retries as eject it, and none afterwards; a route that
    leads to it alone asks it nevertheless, and nobody else."""
    v2.go()
    assert {each.status for each in ask(running, 60)} == {200}
    assert (v1.requests, endpoint(running, "v2").failures, endpoint(running, "v2").state) == (60, 3, "ejected")
    assert {each.status for each in ask(running, 5, "shop.test", "X-Tester: 1")} == {200}
    assert v1.requests == 65
    (answer,) = ask(running, 1, "pinned.test")
    assert (answer.status, answer.get("x-meshctl-reason")) == (502, b"upstream_connect")
    assert v1.requests == 65


def test_errors_of_the_application_do_not_send_the_last_one_away(
    running: LoneProxy, v1: Answerer, v2: Answerer
) -> None:
    """However often the only endpoint of a version answers 500, it is asked again: who compares versions must see
    it."""
    v2.status = 500
    answers = [each.status for each in ask(running, 60)]
    assert (answers.count(500), endpoint(running, "v2").state) == (v2.requests, "healthy")
    assert v1.requests + v2.requests == 60
    assert v2.requests > 10


def test_both_versions_gone(running: LoneProxy, v1: Answerer, v2: Answerer) -> None:
    """Where no version is there, none rests for the other: both are asked, and serve at once when they are back."""
    v1.go()
    v2.go()
    assert {each.status for each in ask(running, 30)} == {502}
    states = [endpoint(running, name).state for name in ("v1", "v2")]
    assert sorted(states) != ["ejected", "ejected"]
    v1.come()
    v2.come()
    assert {each.status for each in ask(running, 10)} == {200}


def test_a_version_whose_checks_fail_leaves_its_share(tmp_path: Path, v1: Answerer, v2: Answerer) -> None:
    """Requests for a version that is down by its checks are served by the other one, until the checks pass again."""
    checked = shop(v1, v2, health=HealthCheck(interval=0.05, timeout=60.0, unhealthy=1, healthy=1))
    proxy = LoneProxy(tmp_path, mesh_of(checked, routes=ROUTES), "gateway")
    try:
        v2.go()
        proxy.until(lambda: endpoint(proxy, "v2").state == "unhealthy")
        assert {each.status for each in ask(proxy, 40)} == {200}
        assert endpoint(proxy, "v2").failures == 0
        v2.come()
        proxy.until(lambda: endpoint(proxy, "v2").state == "healthy")
        before = v2.requests
        assert {each.status for each in ask(proxy, 40)} == {200}
        assert v2.requests > before + 5
    finally:
        assert proxy.end() == []


def test_a_version_comes_back_by_one_request(tmp_path: Path, v1: Answerer, v2: Answerer) -> None:
    """While the only endpoint of a version is on trial with one request, the others that are for the version are served
    by another one; a pinned route's are not, and wait for the endpoint."""
    made = shop(v1, v2, ejection=Ejection(failures=3, base=0.3))
    proxy = LoneProxy(tmp_path, mesh_of(made, routes=ROUTES), "gateway")
    try:
        v2.go()
        proxy.until(lambda: {each.status for each in ask(proxy, 10)} == {200} and endpoint(proxy, "v2").failures >= 3)
        v2.come()
        v2.hold()
        proxy.until(lambda: endpoint(proxy, "v2").state == "half_open")
        held: list[Wire] = []

        def send() -> bool:
            held.append(proxy.connect("gateway"))
            held[-1].send(b"GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n")
            return v2.requests == 1

        proxy.until(send)
        for _ in range(20):
            send()
        proxy.until(lambda: sum(wire.is_silent() for wire in held) == 1)
        assert v2.requests == 1
        with proxy.connect("gateway") as pinned:
            pinned.send(b"GET / HTTP/1.1\r\nHost: pinned.test\r\n\r\n")
            proxy.until(lambda: v2.requests == 2)
            v2.release()
            assert pinned.read_response().status == 200
        for wire in held:
            with wire:
                assert wire.read_response().status == 200
        assert endpoint(proxy, "v2").state == "ramping"
    finally:
        v2.release()
        assert proxy.end() == []


def test_a_pinned_route_counts_for_the_budget_once(running: LoneProxy, v2: Answerer) -> None:
    """Requests of a route that leads to one version allow as many retries as any others, not twice as many."""
    ask(running, 200, "pinned.test")
    v2.status = 503
    began = time.monotonic()
    ask(running, 300, "pinned.test")
    took = time.monotonic() - began
    (counted,) = [each for each in running.sample().services if each.service == "shop"]
    # 10/s for ten seconds and for as long as it took, and a fifth of what was asked.
    assert counted.retries["sent"] <= 100 + 10 * took + (200 + 300 + 300) / 5
    assert counted.retries["budget"] > 0
