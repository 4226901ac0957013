"""A worker that cannot keep up: what it refuses, how soon, and that it stops when it can."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from meshctl.model.mesh import Gateway, Mesh
from meshctl.model.policy import Overload
from meshctl.model.route import Match, Respond, Route, ValueMatch
from meshctl.model.service import Endpoint, Service, Version
from meshctl.proxy.timers import FINE, NEVER, Deadlines
from tests.conformance.wire import Wire

from .lone_proxy import LoneProxy

PRIORITIES = (b"high", b"normal", b"low")


class Member:
    """Something in a set of deadlines that has none."""

    deadline = NEVER

    def on_deadline(self, now: float) -> None:
        """Never comes."""


def test_how_late_the_clock_is() -> None:
    """A loop that is kept from running tells by how much, once it runs again; one that is free is hardly late."""
    loop = asyncio.new_event_loop()
    told: list[float] = []
    deadlines: Deadlines[Member] = Deadlines(loop, FINE, lambda late, now: told.append(late))
    deadlines.watch(Member())
    loop.call_later(FINE / 2, time.sleep, 0.2)
    end = time.monotonic() + 60
    # On a busy machine many looks come late by chance; one in time is enough.
    while not (told and max(told) > 0.15 and min(told) < 0.05) and time.monotonic() < end:
        loop.call_later(0.2, loop.stop)
        loop.run_forever()
    deadlines.stop()
    loop.close()
    assert max(told) > 0.15
    assert min(told) < 0.05
    assert all(late >= 0.0 for late in told)


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoneProxy]:
    """A service that answers as quickly as the proxy before it."""
    mesh = Mesh(
        gateway=Gateway(admin="off", overload=Overload(0.0)), routes=(Route("own", respond=Respond(body="ok")),)
    )
    running = LoneProxy(tmp_path_factory.mktemp("app"), mesh, "gateway")
    yield running
    assert running.end() == []


@pytest.fixture(scope="module")
def proxy(app: LoneProxy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoneProxy]:
    """The proxy, which finds three milliseconds too much."""
    running = LoneProxy(Path(tmp_path_factory.mktemp("proxy")), mesh_before(app, 0.003), "gateway")
    yield running
    assert running.end() == []


def mesh_before(app: LoneProxy, lag: float) -> Mesh:
    """A route for each priority."""
    version = Version("v1", (Endpoint("127.0.0.1", app.ports["gateway"]),))
    routes = [
        Route(each, Match(headers=(ValueMatch("x-priority", "exact", each),)), service="app", priority=each)
        for each in ("high", "normal", "low")
    ]
    own = Route("own", Match(headers=(ValueMatch("x-priority", "exact", "own"),)), respond=Respond(body="own"))
    return Mesh(
        gateway=Gateway(admin="off", overload=Overload(lag)),
        routes=(*routes, own),
        services=(Service("app", (version,)),),
    )


def request(priority: bytes) -> bytes:
    """A request of this priority."""
    return b"GET / HTTP/1.1\r\nHost: a\r\nx-priority: %b\r\n\r\n" % priority


def flood(proxy: LoneProxy, clients: int, each: int) -> Counter[tuple[bytes, int]]:
    """Far more requests at once than one worker can keep up with; how those of each priority were answered."""
    order = [*PRIORITIES, b"own"]

    def ask(client: Wire, found: Counter[tuple[bytes, int]]) -> None:
        client.send(b"".join(request(order[number % 4]) for number in range(each)))
        for number in range(each):
            answer = client.read_response()
            found[order[number % 4], answer.status] += 1
            if answer.status != 200:
                assert (answer.get("x-meshctl-reason"), answer.get("retry-after")) == (b"overloaded", b"1")

    wires = [proxy.connect("gateway") for _ in range(clients)]
    answers: list[Counter[tuple[bytes, int]]] = [Counter() for _ in wires]
    threads = [threading.Thread(target=ask, args=pair) for pair in zip(wires, answers, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for wire in wires:
        wire.close()
    found = sum(answers, Counter())
    assert sum(found.values()) == clients * each
    return found


def is_served(client: Wire) -> bool:
    """Whether a request of low priority is served now."""
    client.send(request(b"low"))
    return client.read_response().status == 200


def test_a_flood(proxy: LoneProxy, app: LoneProxy) -> None:
    """Of far too many requests some are refused, more of those with a lower priority, none that costs nothing; all are
    counted; and afterwards everybody is served again."""
    proxy.apply(mesh_before(app, 0.003))
    found: Counter[tuple[bytes, int]] = Counter()
    for _ in range(20):
        found += flood(proxy, 60, 80)
        if found[b"low", 503] > 200:
            break
    refused = {priority: found[priority, 503] for priority in PRIORITIES}
    assert refused[b"low"] > 0
    # Where it is far behind, nearly all of each are refused, and the dice decide who is ahead.
    chance = found.total() / 4 * 0.05
    assert refused[b"high"] <= refused[b"normal"] + chance
    assert refused[b"normal"] <= refused[b"low"] + chance
    assert all(found[priority, 200] for priority in PRIORITIES)
    assert found[b"own", 503] == 0
    counted = proxy.sample().shed
    assert {priority.encode(): count for priority, count in counted.items() if count} == +Counter(refused)
    assert "overloaded" in {notice.event for notice in proxy.notices}
    # A machine that is busy with other things is behind by so little at any time: once is enough.
    with proxy.connect("gateway") as client:
        proxy.until(lambda: is_served(client))


def test_switched_off(proxy: LoneProxy, app: LoneProxy) -> None:
    """With lag = "0" nothing is refused, however far behind it is."""
    proxy.apply(mesh_before(app, 0.0))
    found = flood(proxy, 60, 80)
    assert {status for _, status in found} == {200}


def test_a_usual_load(proxy: LoneProxy, app: LoneProxy) -> None:
    """With the default nobody is refused of a load that is quick to serve."""
    proxy.apply(mesh_before(app, Overload().lag))
    assert {status for _, status in flood(proxy, 40, 80)} == {200}
