"""Faults on purpose, in a proxy with real connections: what is injected, into whose requests, and when it ends."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from meshctl.model.steering import Fault, Steering
from meshctl.proxy.messages import Steered
from tests.conformance.upstream import OK
from tests.conformance.wire import EndedEarly

from .shop import Shop

ASK = b"GET /a HTTP/1.1\r\nHost: orders\r\n\r\n"


@pytest.fixture(autouse=True)
def _cleared(shop: Shop) -> Iterator[None]:
    yield
    steer(shop)
    shop.orders.forget()
    shop.db.forget()


def steer(shop: Shop, *faults: Fault) -> None:
    """Have the proxy inject these faults and no others."""
    shop.proxy.tell(Steered(Steering(faults)))
    shop.proxy.ask("commit")


def fault(service: str = "orders", lasts: float = 600.0, **settings: Any) -> Fault:
    """A fault that holds from now on."""
    return Fault(service, until=time.time() + lasts, **settings)


def injected(shop: Shop, kind: str, service: str = "orders") -> int:
    """How often the proxy injected such a fault."""
    return sum(each.faults.get(kind, 0) for each in shop.proxy.sample().services if each.service == service)


def answering(shop: Shop, answer: bytes = OK, count: int = 1) -> threading.Thread:
    """Have "orders" answer so many requests, whichever connections they come by."""

    def answer_them() -> None:
        for _ in range(count):
            wire = shop.orders.hear()
            wire.read_request()
            wire.send(answer)

    made = threading.Thread(target=answer_them, daemon=True)
    made.start()
    return made


def test_abort(shop: Shop) -> None:
    """A request is answered with the fault's status and its reason, in the head, the body and the log; the service
    hears nothing of it, and the connection goes on."""
    steer(shop, fault(abort=418, abort_share=1.0))
    before = injected(shop, "abort")
    with shop.proxy.connect() as app:
        for _ in range(2):
            app.send(ASK)
            answer = app.read_response()
            problem = json.loads(answer.body)
            assert (answer.status, answer.get("x-meshctl-reason")) == (418, b"fault")
            assert (problem["status"], problem["reason"]) == (418, "fault")
    assert shop.orders.is_untouched()
    assert injected(shop, "abort") == before + 2
    line = shop.proxy.line(lambda each: each["status"] == 418)
    assert (line["reason"], line["service"], line["version"]) == ("fault", "orders", "")


def test_reset(shop: Shop) -> None:
    """A client's connection is cut without an answer."""
    steer(shop, fault(reset_share=1.0))
    with shop.proxy.connect() as app:
        app.send(ASK)
        assert app.read_rest() == b""
    assert shop.orders.is_untouched()
    assert shop.proxy.line(lambda each: each["reason"] == "fault" and each["status"] == 0)


def test_delay(shop: Shop) -> None:
    """A request waits before it goes on, body and all, and other requests do not wait with it."""
    steer(shop, fault(delay=0.4, delay_share=1.0))
    with shop.proxy.connect() as slow, shop.proxy.connect() as quick:
        began = time.monotonic()
        slow.send(b"POST /slow HTTP/1.1\r\nHost: orders\r\nContent-Length: 5\r\n\r\nhello")
        quick.send(b"GET / HTTP/1.1\r\nHost: web\r\n\r\n")
        wire = shop.web.accept()
        wire.read_request()
        wire.send(OK)
        assert quick.read_response().status == 200
        came_first = shop.orders.is_silent()
        wire = shop.orders.hear()
        waited = time.monotonic() - began
        request = wire.read_request()
        wire.send(OK)
        assert slow.read_response().body == b"ok"
    shop.web.forget()
    assert (request.body, waited >= 0.4) == (b"hello", True)
    assert came_first or waited < 10


def test_client_that_leaves_during_a_delay(shop: Shop) -> None:
    """Whoever does not wait for the end of a delay is gone: the service is never asked."""
    # Longer than the machine may stand still before the client is gone.
    steer(shop, fault(delay=6.0, delay_share=1.0))
    with shop.proxy.connect() as app:
        app.send(b"GET /leaves HTTP/1.1\r\nHost: orders\r\n\r\n")
        shop.proxy.until(lambda: shop.proxy.sample().in_flight == 1)
    assert shop.proxy.line(lambda each: each["path"] == "/leaves")["reason"] == "client_gone"
    with shop.proxy.connect() as app:
        done = answering(shop)
        app.send(b"GET /b HTTP/1.1\r\nHost: orders\r\n\r\n")
        assert app.read_response().status == 200
        done.join()
    # Had the first one been sent, it would have been heard first.
    assert shop.orders.is_silent()


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_throttle(shop: Shop, framing: str) -> None:
    """An answer comes whole, and its body no faster than the rate."""
    steer(shop, fault(throttle=100_000, throttle_share=1.0))
    body = bytes(range(200)) * 300
    if framing == "length":
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n" + body
    else:
        answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nEA60\r\n" + body + b"\r\n0\r\n\r\n"
    with shop.proxy.connect() as app:
        done = answering(shop, answer, 2)
        for _ in range(2):
            began = time.monotonic()
            app.send(ASK)
            got = app.read_response()
            assert (got.body, got.framing) == (body, framing)
            assert time.monotonic() - began >= 0.55
        done.join()


def test_throttled_whole_answer(shop: Shop) -> None:
    """An answer that comes in one piece is paced, too, and is over in the log when its last byte is."""
    steer(shop, fault(throttle=10, throttle_share=1.0))
    with shop.proxy.connect() as app:
        done = answering(shop, b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
        # Nor is it faster for those who ask for another protocol in vain.
        app.send(b"GET /paced HTTP/1.1\r\nHost: orders\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")
        assert app.read_response().body == b"hello"
        done.join()
    line = shop.proxy.line(lambda each: each["path"] == "/paced")
    assert (line["status"], line["reason"], line["duration_ms"] >= 450) == (200, "", True)


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
        ("GET", b"HTTP/1.1 204 No Content\r\n\r\n"),
        ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        ("GET", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Last: 1\r\n\r\n"),
    ],
    ids=["head", "no content", "empty", "only trailers"],
)
def test_throttled_answer_without_a_body(shop: Shop, method: str, answer: bytes) -> None:
    """Where there is nothing to pace the answer comes as ever, and the connection serves the next request."""
    steer(shop, fault(throttle=1, throttle_share=1.0))
    with shop.proxy.connect() as app:
        done = answering(shop, answer, 2)
        for _ in range(2):
            app.send(f"{method} /a HTTP/1.1\r\nHost: orders\r\n\r\n".encode())
            assert app.read_response(method=method).body == b""
        done.join()


def test_throttled_client_that_takes_nothing(shop: Shop) -> None:
    """A client that is slower than the rate gets all of the answer in its own time."""
    steer(shop, fault(throttle=20_000_000, throttle_share=1.0))
    body = bytes(4_000_000)
    with shop.proxy.connect(receive=4096) as app:
        done = answering(shop, b"HTTP/1.1 200 OK\r\nContent-Length: 4000000\r\n\r\n" + body)
        app.send(ASK)
        assert app.read_response().body == body
        done.join()


def test_throttled_upstream_waits(shop: Shop) -> None:
    """What a throttled client has not taken yet stays with the service: the proxy does not collect it."""
    steer(shop, fault(throttle=1000, throttle_share=1.0))
    with shop.proxy.connect() as app:
        app.send(ASK)
        wire = shop.orders.hear()
        wire.read_request()
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
        wire.socket.settimeout(0.5)
        sent = 0
        with pytest.raises(TimeoutError):
            while sent < 100_000_000:
                sent += wire.socket.send(bytes(1 << 16))
        assert sent < 30_000_000
    wire.socket.settimeout(15)
    with pytest.raises(ConnectionError):
        while True:
            wire.send(bytes(1 << 16))


def test_shares(shop: Shop) -> None:
    """A share of the requests is hit, each by its own draw, and the others pass."""
    steer(shop, fault(abort=503, abort_share=0.5))
    with shop.proxy.connect() as app:
        done = answering(shop, OK, 100)
        statuses = []
        for _ in range(100):
            app.send(ASK)
            statuses.append(app.read_response().status)
        steer(shop)
        for _ in range(statuses.count(503)):
            app.send(ASK)
            assert app.read_response().status == 200
        done.join()
    # Five standard deviations.
    assert 25 <= statuses.count(503) <= 75
    assert statuses.count(200) == 100 - statuses.count(503)


def test_callers(shop: Shop) -> None:
    """A fault for one caller leaves others alone; "gateway" is who comes from outside; the one for a caller goes before
    the one for all."""
    steer(shop, fault(caller="gateway", abort=503, abort_share=1.0), fault(abort=404, abort_share=1.0))

    def status(entry: str) -> int:
        with shop.proxy.connect(entry) as app:
            app.send(ASK)
            return app.read_response().status

    assert (status("gateway"), status("outbound"), status("upstream:orders")) == (503, 404, 404)
    steer(shop, fault(caller="gateway", abort=503, abort_share=1.0))
    done = answering(shop)
    assert (status("outbound"), status("gateway")) == (200, 503)
    done.join()


def test_end(shop: Shop) -> None:
    """A fault ends at its time although nobody clears it."""
    steer(shop, fault(lasts=4.0, abort=503, abort_share=1.0))
    ends = time.time() + 4.0
    with shop.proxy.connect() as app:
        app.send(ASK)
        assert app.read_response().status == 503
        shop.proxy.until(lambda: time.time() > ends)
        done = answering(shop)
        app.send(ASK)
        assert app.read_response().status == 200
        done.join()


def test_revision(shop: Shop) -> None:
    """A fault holds for what a change of the configuration makes of the service, and for its routes."""
    told = Steering((fault(abort=503, abort_share=1.0),))
    shop.proxy.apply(shop.made(stream=299.0), steering=told)
    with shop.proxy.connect() as app:
        app.send(ASK)
        assert app.read_response().status == 503


def test_raw_connections(shop: Shop) -> None:
    """Connections of a service that speaks no HTTP are delayed and cut."""
    steer(shop, fault("db", delay=0.3, delay_share=1.0))
    began = time.monotonic()
    with shop.proxy.connect("tcp:db") as app:
        app.send(b"hello")
        wire = shop.db.accept()
        assert wire.read_exactly(5) == b"hello"
        assert time.monotonic() - began >= 0.3
        wire.send(b"world")
        assert app.read_exactly(5) == b"world"
    steer(shop, fault("db", reset_share=1.0))
    # The reset may come before connecting is over.
    with pytest.raises((ConnectionResetError, EndedEarly)), shop.proxy.connect("tcp:db") as app:
        app.read_exactly(1)


def test_route_deadline(shop: Shop) -> None:
    """A delay counts in the route's time for the whole exchange."""
    mesh = shop.made()
    routes = tuple(msgspec.structs.replace(each, timeout=0.2) for each in mesh.routes)
    told = Steering((fault(delay=20.0, delay_share=1.0),))
    shop.proxy.apply(msgspec.structs.replace(mesh, routes=routes), steering=told)
    with shop.proxy.connect() as app:
        app.send(ASK)
        answer = app.read_response()
    shop.proxy.apply(shop.made())
    assert (answer.status, answer.get("x-meshctl-reason")) == (504, b"route_timeout")


def test_no_failure_of_the_endpoint(shop: Shop) -> None:
    """However many faults hit, the endpoint stays healthy and nothing is retried."""
    steer(shop, fault(abort=503, abort_share=1.0))
    with shop.proxy.connect() as app:
        for _ in range(20):
            app.send(ASK)
            assert app.read_response().status == 503
    (orders,) = (each for each in shop.proxy.sample().services if each.service == "orders")
    assert (orders.ejections, orders.retries) == (0, {})
