"""Endpoints that go at the worst moment: whoever waited for them is told so at once, and nothing stays behind."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from meshctl.model.mesh import Gateway, Mesh
from meshctl.model.policy import Ejection, Limits, Retry, UpstreamTimeouts
from meshctl.model.route import Route
from meshctl.model.service import Endpoint, Service, Version
from tests.conformance.upstream import OK
from tests.conformance.wire import PATIENCE

from .answerer import Answerer
from .lone_proxy import LoneProxy, mesh_of
from .members import Authority, MemberUpstream


@pytest.fixture
def answerer() -> Iterator[Answerer]:
    """The only endpoint."""
    made = Answerer()
    yield made
    made.close()


@pytest.fixture
def gateway(tmp_path: Path, answerer: Answerer) -> Iterator[LoneProxy]:
    """A gateway with one connection to it."""
    version = Version("v1", (Endpoint("127.0.0.1", answerer.port),))
    # Nobody waits that long: what takes so long is stuck.
    timeouts = UpstreamTimeouts(connect=300.0)
    service = Service("a", (version,), timeouts=timeouts, ejection=Ejection(enabled=False))
    limits = Limits(upstream_connections=1)
    mesh = Mesh(
        name="shop", trust_domain="shop.mesh", gateway=Gateway(admin="off", limits=limits), services=(service,),
        routes=(Route("sent", service="a", retry=Retry(0)),),
    )  # fmt: skip
    proxy = LoneProxy(tmp_path, mesh, "gateway")
    yield proxy
    assert proxy.end() == []


def test_those_in_line_hear_of_it(gateway: LoneProxy, answerer: Answerer) -> None:
    """Where an endpoint goes while many wait for its only connection, each of them hears of it, not only the first."""
    answerer.hold()
    with ExitStack() as stack:
        clients = [stack.enter_context(gateway.connect("gateway")) for _ in range(6)]
        for each in clients:
            each.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        gateway.until(lambda: gateway.sample().in_flight == len(clients))
        gateway.until(lambda: answerer.requests == 1)
        answerer.go()
        answers = [each.read_response().get("x-meshctl-reason") for each in clients]
        assert sorted(answers) == [b"upstream_connect"] * 5 + [b"upstream_reset"]
        assert gateway.sample().in_flight == 0
        answerer.come()
        answerer.release()
        for each in clients:
            each.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert [each.read_response().body for each in clients] == [b"ok"] * len(clients)


class Slammer:
    """An endpoint that accepts connections and closes them at once."""

    def __init__(self) -> None:
        self.accepted = 0
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = int(self._listener.getsockname()[1])
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        # Only its own end wakes a thread that waits in accept.
        with suppress(OSError):
            while True:
                end, _ = self._listener.accept()
                # Counted before anybody can hear of it.
                self.accepted += 1
                end.close()

    def close(self) -> None:
        """End it."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()
        self._listener.close()


@pytest.mark.parametrize("at_once", [1, 40])
def test_one_that_closes_connections_at_once_gets_one_for_each_request(tmp_path: Path, at_once: int) -> None:
    """An endpoint whose connections end before a request is on them fails those who wait, one for each; it is not asked
    for ever more."""
    slammer = Slammer()
    version = Version("v1", (Endpoint("127.0.0.1", slammer.port),))
    service = Service("a", (version,), ejection=Ejection(enabled=False))
    proxy = LoneProxy(tmp_path, mesh_of(service, routes=(Route("all", service="a", retry=Retry(0)),)), "gateway")
    for _ in range(400 // at_once):
        with ExitStack() as stack:
            clients = [stack.enter_context(proxy.connect("gateway")) for _ in range(at_once)]
            for each in clients:
                each.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            reasons = {each.read_response().get("x-meshctl-reason") for each in clients}
            assert reasons <= {b"upstream_connect", b"upstream_reset"}
    assert slammer.accepted == 400
    slammer.close()
    assert proxy.end() == []


def test_those_who_leave_take_no_connections(tmp_path: Path) -> None:
    """Clients that leave while a connection is made for them leave it to whoever comes next: as many are made as
    clients wait at once, so that nobody who leaves and comes again can have a proxy shake hands for nothing."""
    authority = Authority(tmp_path)
    orders = MemberUpstream("orders", authority.server(authority.service("orders")))
    mesh = mesh_of(
        Service("orders", (Version("default"),), timeouts=UpstreamTimeouts(connect=300.0)),
        routes=(Route("all", service="orders", retry=Retry(0)),),
    )
    proxy = LoneProxy(tmp_path, mesh, "gateway", identity=authority.identify("gateway"))
    proxy.apply(mesh, orders.registered())
    ask = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    # Its sidecar does not answer yet.
    for _ in range(20):
        with proxy.connect("gateway") as leaving:
            leaving.send(ask)
            proxy.until(lambda: proxy.sample().in_flight == 1)
        proxy.until(lambda: proxy.sample().in_flight == 0)
    with proxy.connect("gateway") as one, proxy.connect("gateway") as other:
        for each in (one, other):
            each.send(ask)
        proxy.until(lambda: proxy.sample().in_flight == 2)
        for wire in [orders.accept(), orders.accept()]:
            assert wire.read_request().target == b"/"
            wire.send(OK)
        assert [each.read_response().body for each in (one, other)] == [b"ok", b"ok"]
        assert orders.is_untouched()
    assert proxy.end() == []
    orders.close()
