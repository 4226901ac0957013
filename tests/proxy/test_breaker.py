"""The circuit breaker and the ejection of a live proxy, in front of endpoints that fail as the test tells them."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest

from meshctl.model.policy import Balance, Breaker, Ejection, HealthCheck, Retry, UpstreamTimeouts
from meshctl.model.route import Match, Route
from meshctl.model.service import Endpoint, Service, Version
from meshctl.model.views import BreakerView, ServiceView
from tests.conformance.wire import Message, Wire

from .answerer import Answerer
from .lone_proxy import LoneProxy, mesh_of

GET = b"GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n"
EJECTION = Ejection(enabled=False)
QUICK = Breaker(failures=3, open=0.3, probes=2, ramp=0.4)
Start = Callable[..., LoneProxy]


@pytest.fixture
def endpoint() -> Iterator[Answerer]:
    """An endpoint."""
    made = Answerer()
    yield made
    made.close()


@pytest.fixture
def other() -> Iterator[Answerer]:
    """Another one."""
    made = Answerer()
    yield made
    made.close()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts a proxy whose service has these endpoints and policies; it must have nothing to complain of."""
    with ExitStack() as ends:

        def run(*endpoints: Answerer, retry: int = 0, **policies: Any) -> LoneProxy:
            mesh = mesh_of(shop(*endpoints, **policies), routes=routes(retry))
            proxy = LoneProxy(tmp_path, mesh, "gateway")
            ends.callback(lambda: check(proxy))
            return proxy

        yield run


def check(proxy: LoneProxy) -> None:
    assert proxy.end() == []


def shop(*endpoints: Answerer, **policies: Any) -> Service:
    """The service, whose endpoints are asked in turn: which is the faster must not matter."""
    version = Version("v1", tuple(Endpoint("127.0.0.1", each.port) for each in endpoints))
    return Service("shop", (version,), **{"ejection": EJECTION, "balance": Balance("round_robin")} | policies)


def routes(retry: int) -> tuple[Route, ...]:
    """All there is, and what leads to one version alone."""
    policy = Retry(retry, ("connect", "reset", "500"))
    return (
        Route("pinned", Match(hosts=("pinned.test",)), service="shop", version="v1", retry=policy),
        Route("all", service="shop", retry=policy),
    )


def ask(proxy: LoneProxy, count: int = 1, head: bytes = GET) -> list[Message]:
    """The answers to so many requests over one connection."""
    found = []
    with proxy.connect("gateway") as wire:
        for _ in range(count):
            wire.send(head)
            found.append(wire.read_response())
    return found


def statuses(proxy: LoneProxy, count: int) -> list[int]:
    """Their statuses."""
    return [each.status for each in ask(proxy, count)]


def seen(proxy: LoneProxy) -> ServiceView:
    """The service as the proxy sees it."""
    (service,) = msgspec.msgpack.decode(proxy.ask("services"), type=list[ServiceView])
    return service


def breaker(proxy: LoneProxy) -> BreakerView:
    """Its breaker."""
    found = seen(proxy).breaker
    assert found is not None
    return found


def until(proxy: LoneProxy, state: str) -> None:
    """Wait for a state of the breaker."""
    proxy.until(lambda: breaker(proxy).state == state)


def told(proxy: LoneProxy) -> list[str]:
    """What it told of breakers and endpoints so far."""
    proxy.ask("services")
    return [each.event for each in proxy.notices if each.event.startswith(("breaker", "endpoint"))]


# --- the breaker ------------------------------------------------------------------------------------------------------


def test_it_opens_answers_at_once_and_closes_again(start: Start, endpoint: Answerer) -> None:
    """After enough failures requests are refused without asking the endpoint, with the reason, since when and until
    when; once it is back probes find out, and traffic grows until all of it passes."""
    # So long that it does not try again while it is looked at, however long the machine stands still.
    proxy = start(endpoint, breaker=Breaker(failures=3, open=60.0, probes=2, ramp=0.3))
    assert statuses(proxy, 5) == [200] * 5
    endpoint.status = 500
    assert statuses(proxy, 2) == [500, 500]
    endpoint.status = 200
    assert statuses(proxy, 1) == [200]
    endpoint.status = 500
    answers = ask(proxy, 6)
    assert [each.status for each in answers] == [500] * 3 + [503] * 3
    refusal = answers[-1]
    assert refusal.get("x-meshctl-reason") == b"breaker_open"
    assert 30 <= int(refusal.get("retry-after") or b"0") <= 60
    assert b'the breaker of service \\"shop\\" is open since ' in refusal.body
    assert b"3 failures in a row: status 500; it is tried again in " in refusal.body
    assert endpoint.requests == 11
    view = breaker(proxy)
    assert (view.state, view.reason, view.opened) == ("open", "3 failures in a row: status 500", 1)
    assert view.since < view.until <= view.since + 60.0
    assert told(proxy) == ["breaker_opened"]
    (counted,) = [each for each in proxy.sample().services if each.service == "shop"]
    assert counted.breaks == 1
    assert proxy.series("all").reasons["breaker_open"][5] == 3
    # Another breaker, that rests for a moment.
    short = Breaker(failures=3, open=0.5, probes=2, ramp=0.3)
    proxy.apply(mesh_of(shop(endpoint, breaker=short), routes=routes(0)))
    proxy.notices.clear()
    assert statuses(proxy, 3) == [500] * 3
    endpoint.status = 200
    until(proxy, "half_open")
    assert statuses(proxy, 2) == [200, 200]
    assert breaker(proxy).state in ("ramping", "closed")
    until(proxy, "closed")
    assert statuses(proxy, 20) == [200] * 20
    assert told(proxy) == ["breaker_opened", "breaker_half_open", "breaker_closed"]


def test_a_share_of_failures_opens_it(start: Start, endpoint: Answerer, other: Answerer) -> None:
    """Half of the requests failing opens it after the minimum, though no two in a row do; what succeeds is counted
    without being told."""
    other.status = 502
    proxy = start(endpoint, other, breaker=Breaker(rate=0.4, minimum=20, open=60))
    found = Counter(statuses(proxy, 200))
    assert found[503] > 100
    assert found[200] + found[502] >= 20
    assert " requests failed in the last 10s: status 502" in breaker(proxy).reason


def test_few_failures_do_not(start: Start, endpoint: Answerer, other: Answerer) -> None:
    """A share of failures below the limit leaves it closed, for as long as it lasts."""
    proxy = start(endpoint, other, breaker=Breaker(rate=0.9, minimum=5))
    other.status = 500
    assert 503 not in statuses(proxy, 300)
    assert breaker(proxy).state == "closed"


def test_a_dead_service_is_not_asked_again_and_again(start: Start, endpoint: Answerer) -> None:
    """Connections that are refused open it, too; while it is open no retry is made, and each failed probe opens it for
    longer."""
    proxy = start(endpoint, retry=2, breaker=Breaker(failures=3, open=60.0, probes=2))
    endpoint.go()
    answers = ask(proxy, 4)
    assert [each.get("x-meshctl-reason") for each in answers] == [b"upstream_connect"] + [b"breaker_open"] * 3
    (counted,) = [each for each in proxy.sample().services if each.service == "shop"]
    assert (counted.connects["refused"], counted.retries["sent"]) == (3, 2)
    # Another breaker, that rests for a moment; after a probe that failed, for longer than the machine may stand still.
    short = Breaker(failures=3, open=2.0, probes=2)
    proxy.apply(mesh_of(shop(endpoint, breaker=short), routes=routes(2)))
    assert ask(proxy)[0].get("x-meshctl-reason") == b"upstream_connect"
    until(proxy, "half_open")
    assert ask(proxy)[0].get("x-meshctl-reason") == b"upstream_connect"
    view = breaker(proxy)
    assert (view.state, view.reason) == ("open", "a probe failed: upstream_connect")
    assert view.until - view.since > 3.9
    endpoint.come()
    until(proxy, "half_open")
    assert statuses(proxy, 2) == [200, 200]


def test_probes_are_limited_and_given_back(start: Start, endpoint: Answerer) -> None:
    """Half open, so many requests reach the endpoint and the others are refused; clients who leave make room for other
    probes, without a verdict."""
    proxy = start(endpoint, breaker=QUICK)
    endpoint.status = 500
    assert statuses(proxy, 3) == [500] * 3
    until(proxy, "half_open")
    endpoint.status = 200
    endpoint.hold()
    for asked in (5, 7):
        held = [send(proxy), send(proxy)]
        proxy.until(lambda asked=asked: endpoint.requests == asked)  # type: ignore[misc]
        assert ask(proxy)[0].get("x-meshctl-reason") == b"breaker_open"
        for wire in held:
            wire.close()
        proxy.until(lambda: proxy.sample().in_flight == 0)
    assert breaker(proxy).state == "half_open"
    endpoint.release()
    assert statuses(proxy, 2) == [200, 200]
    assert breaker(proxy).state in ("ramping", "closed")


def send(proxy: LoneProxy) -> Wire:
    """A request whose answer nobody has read yet."""
    wire = proxy.connect("gateway")
    wire.send(GET)
    return wire


def sent_to(proxy: LoneProxy, endpoint: Answerer) -> Wire:
    """The same, once such a request has reached `endpoint`, which holds it: it is chosen a moment after it may be."""
    before = endpoint.requests
    while True:
        wire = send(proxy)
        proxy.until(lambda wire=wire: endpoint.requests > before or not wire.is_silent())  # type: ignore[misc]
        if endpoint.requests > before:
            return wire
        wire.close()


def test_it_outlasts_other_changes(start: Start, endpoint: Answerer, other: Answerer) -> None:
    """A configuration that leaves the breaker as it is leaves it open; a pinned route is refused by the same one; other
    settings start it anew."""
    policy = Breaker(failures=1, open=60)
    proxy = start(endpoint, breaker=policy)
    endpoint.status = 500
    assert statuses(proxy, 2) == [500, 503]
    proxy.apply(mesh_of(shop(endpoint, other, breaker=policy), routes=routes(1)))
    assert statuses(proxy, 1) == [503]
    assert ask(proxy, 1, GET.replace(b"shop.test", b"pinned.test"))[0].get("x-meshctl-reason") == b"breaker_open"
    endpoint.status = 200
    proxy.apply(mesh_of(shop(endpoint, breaker=Breaker(failures=2)), routes=routes(1)))
    assert statuses(proxy, 1) == [200]
    assert breaker(proxy).state == "closed"


def test_what_it_counted_outlasts_other_changes(start: Start, endpoint: Answerer, other: Answerer) -> None:
    """Requests from before a configuration that leaves the breaker as it is count after it as before, once."""
    policy = Breaker(rate=0.5, minimum=20, window=60)
    proxy = start(endpoint, breaker=policy)
    assert statuses(proxy, 30) == [200] * 30
    proxy.apply(mesh_of(shop(endpoint, slow_start=1.0, breaker=policy), routes=routes(0)))
    endpoint.status = 500
    assert Counter(statuses(proxy, 60)) == {500: 30, 503: 30}
    assert breaker(proxy).reason == "30 of 60 requests failed in the last 1m: status 500"


# --- ejection ---------------------------------------------------------------------------------------------------------


def test_an_endpoint_comes_back_by_one_request(start: Start, endpoint: Answerer, other: Answerer) -> None:
    """After its rest an endpoint gets one request at a time, while the other serves the rest; the first answer lets it
    back, and its share grows."""
    proxy = start(endpoint, other, retry=1, ejection=Ejection(failures=2, base=4.0, ramp=600))
    endpoint.status = 500
    assert statuses(proxy, 30) == [200] * 30
    assert told(proxy)[0] == "endpoint_ejected"
    proxy.until(lambda: state(proxy, endpoint) == "half_open")
    asked = endpoint.requests
    endpoint.status = 200
    endpoint.hold()
    with sent_to(proxy, endpoint) as trial:
        assert endpoint.requests == asked + 1
        assert statuses(proxy, 30) == [200] * 30
        assert endpoint.requests == asked + 1
        endpoint.release()
        assert trial.read_response().status == 200
    assert state(proxy, endpoint) == "ramping"
    before = endpoint.requests
    assert statuses(proxy, 200) == [200] * 200
    assert 0 < endpoint.requests - before < 80
    events = told(proxy)
    assert (events[0], events[-1]) == ("endpoint_ejected", "endpoint_returned")


def test_a_failed_trial_ejects_again(start: Start, endpoint: Answerer, other: Answerer) -> None:
    """One failure after the rest is a rest of twice the time; a client who leaves proves nothing."""
    proxy = start(endpoint, other, ejection=Ejection(failures=1, base=3.0, longest=60))
    endpoint.status = 500
    proxy.until(lambda: 500 in statuses(proxy, 1))
    proxy.until(lambda: state(proxy, endpoint) == "half_open")
    asked = endpoint.requests
    endpoint.hold()
    with sent_to(proxy, endpoint):
        assert endpoint.requests == asked + 1
    proxy.until(lambda: proxy.sample().in_flight == 0)
    assert state(proxy, endpoint) == "half_open"
    endpoint.release()
    before = time.time()
    assert statuses(proxy, 1) == [500]
    view = next(each for each in seen(proxy).endpoints if each.address == endpoint.address)
    assert (view.state, view.reason) == ("ejected", "failed again after its rest: status 500")
    assert view.until >= before + 5.99
    assert statuses(proxy, 10) == [200] * 10


def test_the_one_left_takes_all_of_it(start: Start, endpoint: Answerer, other: Answerer) -> None:
    """An endpoint on trial whose only peer goes down is no longer limited to one request at a time."""
    check = HealthCheck(interval=0.05, timeout=60.0, unhealthy=1, healthy=1)
    proxy = start(endpoint, other, ejection=Ejection(failures=2, base=0.2), health=check)
    proxy.until(lambda: {each.state for each in seen(proxy).endpoints} == {"healthy"})
    endpoint.status = 500
    proxy.until(lambda: statuses(proxy, 4) != [] and state(proxy, endpoint) in ("ejected", "half_open"))
    endpoint.status = 200
    other.go()
    proxy.until(lambda: state(proxy, other) == "unhealthy")
    proxy.until(lambda: state(proxy, endpoint) != "ejected")
    endpoint.hold()
    held = [send(proxy) for _ in range(4)]
    proxy.until(lambda: endpoint.most_at_once >= 4)
    endpoint.release()
    for wire in held:
        with wire:
            assert wire.read_response().status == 200


def test_ejected_by_its_share_of_failures(start: Start, endpoint: Answerer, other: Answerer) -> None:
    """An endpoint of which every other answer is an error rests where a rate is set, though no two fail in a row."""
    ejection = Ejection(failures=1000, rate=0.4, minimum=10, window=60, base=60)
    proxy = start(endpoint, other, ejection=ejection)
    for _ in range(60):
        endpoint.status = 700 - endpoint.status
        statuses(proxy, 2)
    assert (state(proxy, endpoint), state(proxy, other)) == ("ejected", "healthy")


def state(proxy: LoneProxy, endpoint: Answerer) -> str:
    """An endpoint's state."""
    return next(each.state for each in seen(proxy).endpoints if each.address == endpoint.address)


def test_timeouts_open_it(start: Start, endpoint: Answerer) -> None:
    """Requests that are not answered in time are failures, for which nobody waits any more once it is open."""
    proxy = start(endpoint, breaker=Breaker(failures=2, open=60), timeouts=UpstreamTimeouts(response=0.1))
    endpoint.hold()
    answers = ask(proxy, 3)
    reasons = [each.get("x-meshctl-reason") for each in answers]
    assert reasons == [b"upstream_timeout", b"upstream_timeout", b"breaker_open"]
