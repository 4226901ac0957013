"""Limited services, in a proxy with real connections: who goes on, who waits for whom, who is refused and why."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest

from meshctl.core.gradient import FEWEST, FIRST
from meshctl.model.caching import Caching
from meshctl.model.mesh import Mesh
from meshctl.model.policy import Breaker, Limit, Retry
from meshctl.model.route import Match, Route, ValueMatch
from meshctl.model.service import Endpoint, Service, Version
from meshctl.model.views import LimitView, ServiceView
from tests.conformance.refusals import read_refusal
from tests.conformance.upstream import OK, Upstream
from tests.conformance.wire import PATIENCE, Message, Wire

from .lone_proxy import LoneProxy, mesh_of

LONG = 60.0
"""A wait that no test sees the end of."""


class Counter:
    """A proxy in front of one service, of which the test is the application, and its clients."""

    def __init__(self, folder: Path) -> None:
        self.app = Upstream("app")
        self.proxy = LoneProxy(folder, self._mesh(None), "gateway", "tcp:app")
        self._clients = ExitStack()

    def limit(self, limit: Limit | None, **route: Any) -> None:
        """Have the proxy keep to this limit."""
        self.proxy.apply(self._mesh(limit, **route))

    def _mesh(self, limit: Limit | None, **route: Any) -> Mesh:
        hosts = ("127.0.0.1", "localhost")[: route.pop("count", 1)]
        endpoints = tuple(Endpoint(host, self.app.port) for host in hosts)
        settings = {name: route.pop(name) for name in ("protocol", "breaker") if name in route}
        versions = tuple(Version(f"v{number + 1}", endpoints) for number in range(route.pop("versions", 1)))
        service = Service("app", versions, limit=limit, **settings)
        routes = [
            Route(priority, _asking(priority), service="app", priority=priority, **({"retry": Retry(0)} | route))
            for priority in ("high", "normal", "low")
        ]
        return mesh_of(service, routes=(*routes, Route("raw", service="app", entry="tcp:app")))

    def ask(self, target: bytes, priority: bytes = b"normal", *, body: bytes = b"", more: bytes = b"") -> Wire:
        """A client that has sent a request."""
        client = self._clients.enter_context(self.proxy.connect("gateway"))
        method, length = (b"POST", b"Content-Length: %d\r\n" % len(body)) if body else (b"GET", b"")
        head = b"%b %b HTTP/1.1\r\nHost: a\r\nx-priority: %b\r\n%b%b\r\n" % (method, target, priority, length, more)
        client.send(head + body)
        return client

    def serve(self, answer: bytes = OK) -> bytes:
        """Answer the next request at the service; its target."""
        wire, request = self.hear()
        wire.send(answer)
        return request.target

    def hear(self) -> tuple[Wire, Message]:
        """The next request at the service, which is not answered yet."""
        wire = self.app.hear()
        return wire, wire.read_request()

    def view(self) -> LimitView:
        """What the proxy shows of the limit."""
        views = msgspec.msgpack.decode(self.proxy.ask("services"), type=list[ServiceView])
        limit = views[0].limit
        assert limit is not None
        return limit

    def until(self, in_flight: int, waiting: int) -> None:
        """Wait until so many are under way and so many wait."""
        self.proxy.until(lambda: (self.view().in_flight, self.view().waiting) == (in_flight, waiting))

    def refused(self, why: str) -> int:
        """How many the proxy counted as refused for that."""
        return sum(service.limits.get(why, 0) for service in self.proxy.sample().services)

    def forget(self) -> None:
        """End all connections, and see that nobody keeps a place."""
        self._clients.close()
        self.app.forget()
        self.limit(Limit())
        self.until(0, 0)

    def close(self) -> None:
        """End all of it."""
        try:
            assert self.proxy.end() == []
        finally:
            self.app.forget()
            self.app.listener.close()


def _asking(priority: str) -> Match:
    return Match(headers=(ValueMatch("x-priority", "exact", priority),))


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Counter]:
    """The proxy that these tests share."""
    made = Counter(tmp_path_factory.mktemp("limits"))
    yield made
    made.close()


@pytest.fixture
def counter(shared: Counter) -> Iterator[Counter]:
    """The same, with nothing under way."""
    yield shared
    shared.forget()


def test_no_more_than_the_limit_at_a_time(counter: Counter) -> None:
    """Requests beyond the limit reach the service one by one, as those before them are answered; then all is as
    before."""
    counter.limit(Limit(2, 10, LONG))
    clients = [counter.ask(b"/%d" % number) for number in range(2)]
    first, second = counter.hear(), counter.hear()
    clients += [counter.ask(b"/2"), counter.ask(b"/3")]
    counter.until(2, 2)
    assert counter.app.is_silent()
    for wire, _ in (first, second):
        wire.send(OK)
    counter.serve()
    counter.serve()
    assert [client.read_response().status for client in clients] == [200] * 4
    counter.until(0, 0)
    assert counter.view().limit == 2


def test_who_goes_first(counter: Counter) -> None:
    """High priority goes before normal before low, and within one whoever came first."""
    counter.limit(Limit(1, 10, LONG))
    counter.ask(b"/now")
    wire, _ = counter.hear()
    for at, (name, priority) in enumerate(
        [(b"/l", b"low"), (b"/n1", b"normal"), (b"/h1", b"high"), (b"/n2", b"normal"), (b"/h2", b"high")]
    ):
        counter.ask(name, priority)
        counter.until(1, at + 1)
    wire.send(OK)
    assert [counter.serve() for _ in range(5)] == [b"/h1", b"/h2", b"/n1", b"/n2", b"/l"]


def test_a_full_line(counter: Counter) -> None:
    """Where the line is full a request is refused at once and told when to come again; one of higher priority takes the
    place of the newest of the lowest."""
    before = counter.refused("full"), counter.refused("displaced")
    counter.limit(Limit(1, 1, LONG))
    counter.ask(b"/now")
    wire, _ = counter.hear()
    waiting = counter.ask(b"/waiting", b"low")
    counter.until(1, 1)
    assert read_refusal(counter.ask(b"/more", b"low"), 503, "limit_reached").get("retry-after") == b"60"
    urgent = counter.ask(b"/urgent", b"high")
    assert b"room" in read_refusal(waiting, 503, "limit_reached").body
    read_refusal(counter.ask(b"/late"), 503, "limit_reached")
    wire.send(OK)
    assert counter.serve() == b"/urgent"
    assert urgent.read_response().status == 200
    assert (counter.refused("full"), counter.refused("displaced")) == (before[0] + 2, before[1] + 1)
    line = counter.proxy.line(lambda line: line["reason"] == "limit_reached")
    # No version is to blame, and no endpoint.
    assert (line["service"], line["version"], line["endpoint"]) == ("app", "", "")


def test_no_line_at_all(counter: Counter) -> None:
    """With queue = 0 nobody waits."""
    counter.limit(Limit(1, 0))
    counter.ask(b"/now")
    counter.hear()
    assert read_refusal(counter.ask(b"/more", b"high"), 503, "limit_reached").get("retry-after") == b"1"


def test_what_is_kept_is_limited_too(counter: Counter) -> None:
    """A request whose answer is to be kept takes a place as any other, also where its version was settled before."""
    counter.limit(Limit(1, 0), cache=Caching(), versions=2)
    first = counter.ask(b"/1")
    wire, _ = counter.hear()
    read_refusal(counter.ask(b"/2"), 503, "limit_reached")
    wire.send(OK)
    assert first.read_response().status == 200


def test_a_wait_ends(counter: Counter) -> None:
    """Who has waited for as long as one may is refused, is told so, and the others go on waiting."""
    counter.limit(Limit(1, 2, 0.3))
    counter.ask(b"/now")
    wire, _ = counter.hear()
    answer = read_refusal(counter.ask(b"/waiting"), 503, "limit_reached")
    waited = re.search(rb"waited ([0-9.]+)s", answer.body)
    assert waited is not None
    assert float(waited[1]) >= 0.3
    assert counter.refused("wait") > 0
    counter.until(1, 0)
    wire.send(OK)
    counter.until(0, 0)


def test_waiting_counts_towards_the_timeout(counter: Counter) -> None:
    """A route's timeout is for all of an exchange, also for the part that it waits."""
    # Longer than the machine may stand still before the first is at the service.
    counter.limit(Limit(1, 2, LONG), timeout=3.0)
    first = counter.ask(b"/now")
    counter.hear()
    second = counter.ask(b"/waiting")
    read_refusal(first, 504, "route_timeout")
    # Either it ran out in line, or right after its turn came with the end of the first.
    read_refusal(second, 504, "route_timeout")
    counter.until(0, 0)


def test_a_client_that_leaves(counter: Counter) -> None:
    """A client that goes away leaves the line, and one that is served gives its place to the next."""
    counter.limit(Limit(1, 5, LONG))
    first = counter.ask(b"/first")
    counter.hear()
    gone, last = counter.ask(b"/gone"), counter.ask(b"/last")
    counter.until(1, 2)
    gone.close()
    counter.until(1, 1)
    first.close()
    assert counter.serve() == b"/last"
    assert last.read_response().status == 200


def test_another_revision(counter: Counter) -> None:
    """A new revision loses neither who is under way nor who waits; a higher limit lets the next ones in, none at all
    everybody."""
    counter.limit(Limit(1, 5, LONG))
    clients = [counter.ask(b"/0")]
    wires = [counter.hear()[0]]
    clients += [counter.ask(b"/%d" % number) for number in range(1, 5)]
    counter.until(1, 4)
    counter.limit(Limit(1, 5, LONG), timeout=LONG)
    assert (counter.view().in_flight, counter.view().waiting) == (1, 4)
    counter.limit(Limit(2, 5, LONG))
    wires.append(counter.hear()[0])
    assert (counter.view().limit, counter.view().in_flight, counter.view().waiting) == (2, 2, 3)
    counter.limit(None)
    wires += [counter.hear()[0] for _ in range(3)]
    for wire in wires:
        wire.send(OK)
    assert [client.read_response().status for client in clients] == [200] * 5


def test_a_lower_limit(counter: Counter) -> None:
    """A lowered limit ends nobody, and lets nobody in until there are few enough."""
    counter.limit(Limit(3, 5, LONG))
    for number in range(3):
        counter.ask(b"/%d" % number)
    wires = [counter.hear()[0] for _ in range(3)]
    counter.limit(Limit(1, 5, LONG))
    counter.ask(b"/next")
    counter.until(3, 1)
    wires.pop().send(OK)
    wires.pop().send(OK)
    counter.until(1, 1)
    wires.pop().send(OK)
    assert counter.serve() == b"/next"


def test_bodies_wait_too(counter: Counter) -> None:
    """The body of a request that waits is not read on, however long it is, and arrives whole in its turn."""
    counter.limit(Limit(1, 5, LONG))
    counter.ask(b"/now")
    wire, _ = counter.hear()
    body = bytes(range(256)) * 65_536
    with counter.proxy.connect("gateway") as client:
        client.send(b"POST /big HTTP/1.1\r\nHost: a\r\nx-priority: normal\r\nContent-Length: %d\r\n\r\n" % len(body))
        counter.until(1, 1)
        client.socket.settimeout(0.3)
        sent = 0
        with pytest.raises(TimeoutError):
            while sent < len(body):
                sent += client.socket.send(body[sent : sent + 65_536])
        client.socket.settimeout(PATIENCE)
        wire.send(OK)
        taker = counter.app.hear()
        assert taker.read_head().target == b"/big"
        assert taker.read_exactly(sent) == body[:sent]
        rest = threading.Thread(target=client.send, args=(body[sent:],))
        rest.start()
        assert taker.read_exactly(len(body) - sent) == body[sent:]
        rest.join()
        taker.send(OK)
        assert client.read_response().status == 200


def test_an_upgrade_gives_its_place_back(counter: Counter) -> None:
    """The protocol that an upgrade opens takes no place, however long it lives."""
    counter.limit(Limit(1, 0))
    client = counter.ask(b"/ws", more=b"Connection: Upgrade\r\nUpgrade: websocket\r\n")
    wire, _ = counter.hear()
    assert counter.view().in_flight == 1
    wire.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    assert client.read_response().status == 101
    counter.until(0, 0)
    other = counter.ask(b"/other")
    counter.serve()
    assert other.read_response().status == 200
    client.send(b"hello")
    assert wire.read_exactly(5) == b"hello"


def test_raw_connections_keep_theirs(counter: Counter) -> None:
    """A connection of raw bytes has a place for as long as it lives; the next one waits without losing a byte."""
    counter.limit(Limit(1, 1, LONG), protocol="tcp")
    with counter.proxy.connect("tcp:app") as first, counter.proxy.connect("tcp:app") as second:
        first.send(b"one")
        far = counter.app.hear()
        assert far.read_exactly(3) == b"one"
        second.send(b"two")
        counter.until(1, 1)
        assert counter.app.is_silent()
        with counter.proxy.connect("tcp:app") as third:
            assert third.read_rest() == b""
        first.close()
        assert counter.app.hear().read_exactly(3) == b"two"
        counter.until(1, 0)


def test_a_retry_keeps_its_place(counter: Counter) -> None:
    """A request that is sent again has one place, not two, and nobody comes in between."""
    counter.limit(Limit(1, 5, LONG), retry=Retry(1, ("503",)), count=2)
    client = counter.ask(b"/again")
    wire, _ = counter.hear()
    counter.ask(b"/next")
    counter.until(1, 1)
    wire.send(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n")
    second, request = counter.hear()
    assert request.target == b"/again"
    assert (counter.view().in_flight, counter.view().waiting) == (1, 1)
    second.send(OK)
    assert client.read_response().status == 200


def test_who_waits_tries_nothing_out(counter: Counter) -> None:
    """A request that the breaker lets through as its one probe, and that then waits for a place, keeps nobody else from
    being that: the first to get a place is."""
    breaker = Breaker(failures=1, rate=0.0, open=0.05, probes=1, ramp=0.0)
    counter.limit(Limit(2, 5, LONG), breaker=breaker)
    slow, bad = counter.ask(b"/slow"), counter.ask(b"/bad")
    wires = {request.target: wire for wire, request in (counter.hear(), counter.hear())}
    counter.limit(Limit(1, 5, LONG), breaker=breaker)
    wires[b"/bad"].send(b"HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n")
    assert bad.read_response().status == 500
    counter.proxy.until(lambda: _waits(counter))
    second = counter.ask(b"/second")
    counter.until(1, 2)
    wires[b"/slow"].send(OK)
    assert slow.read_response().status == 200
    assert [counter.serve(), counter.serve()] == [b"/probe", b"/second"]
    assert second.read_response().status == 200


def test_nobody_waits_for_a_breaker(counter: Counter) -> None:
    """While all places are taken by requests to a service whose breaker is open, others are refused at once instead of
    waiting for that."""
    breaker = Breaker(failures=1, rate=0.0, open=LONG, probes=1, ramp=0.0)
    counter.limit(Limit(2, 5, LONG), breaker=breaker)
    hanging, bad = counter.ask(b"/hanging"), counter.ask(b"/bad")
    wires = {request.target: wire for wire, request in (counter.hear(), counter.hear())}
    counter.limit(Limit(1, 5, LONG), breaker=breaker)
    wires[b"/bad"].send(b"HTTP/1.1 500 Broken\r\nContent-Length: 0\r\n\r\n")
    assert bad.read_response().status == 500
    for _ in range(3):
        refused = counter.ask(b"/next").read_response()
        assert (refused.status, refused.get("x-meshctl-reason")) == (503, b"breaker_open")
    assert (counter.view().in_flight, counter.view().waiting) == (1, 0)
    wires[b"/hanging"].send(OK)
    assert hanging.read_response().status == 200


def _waits(counter: Counter) -> bool:
    """Whether a request waits now, rather than being refused by the breaker."""
    client = counter.ask(b"/probe")
    counter.proxy.until(lambda: counter.view().waiting == 1 or not client.is_silent())
    return counter.view().waiting == 1


def test_requests_behind_each_other(counter: Counter) -> None:
    """Pipelined requests of one client wait one after the other, and their answers keep their order."""
    counter.limit(Limit(1, 1, LONG))
    client = counter.ask(b"/0")
    client.send(b"".join(b"GET /%d HTTP/1.1\r\nHost: a\r\nx-priority: low\r\n\r\n" % number for number in (1, 2)))
    assert [counter.serve() for _ in range(3)] == [b"/0", b"/1", b"/2"]
    assert [client.read_response().status for _ in range(3)] == [200] * 3


def test_many_in_line_whose_service_is_gone(counter: Counter) -> None:
    """A long line behind a service that is gone goes through one by one, and each is told what is the matter."""
    counter.limit(Limit(1, 400, LONG))
    clients = [counter.ask(b"/first")]
    counter.hear()
    clients += [counter.ask(b"/%d" % number) for number in range(120)]
    counter.until(1, 120)
    counter.app.listener.close()
    for wire in list(counter.app._accepted):
        wire.close()
    counter.app = Upstream("app")
    reasons = {client.read_response().get("x-meshctl-reason") for client in clients}
    assert reasons <= {b"upstream_reset", b"upstream_connect", b"no_endpoint"}


def test_an_adaptive_limit(counter: Counter) -> None:
    """An adaptive limit begins with a few; a service that answers one after the other gets fewer at a time."""
    counter.limit(Limit(40, 100, LONG, adaptive=True))
    assert counter.view().limit == FIRST
    clients = [counter.ask(b"/") for _ in range(FIRST + 2)]
    for _ in range(2_000):
        for _ in clients:
            counter.serve()
        found = counter.view().limit
        if found < FIRST:
            break
        for client in clients:
            assert client.read_response().status == 200
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\nx-priority: low\r\n\r\n")
    # It may rise again at any time.
    assert FEWEST <= found < FIRST
