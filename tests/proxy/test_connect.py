"""Tunnels that a wrapped app asks its proxy for: out of the mesh they carry bytes, within it requests."""

from __future__ import annotations

import json
import select
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.conftest import free_port
from tests.conformance.refusals import is_refused, read_refusal
from tests.conformance.test_pressure import PIECE, drain, finish, push
from tests.conformance.upstream import OK, Upstream
from tests.conformance.wire import PATIENCE, Wire

from .shop import Shop, opened

MB = 1 << 20


@pytest.fixture(autouse=True)
def _forgotten(shop: Shop) -> Iterator[None]:
    yield
    for each in (shop.orders, shop.web, shop.db):
        each.forget()


def connect(target: object, *lines: bytes) -> bytes:
    """A CONNECT."""
    return b"\r\n".join([f"CONNECT {target} HTTP/1.1".encode(), f"Host: {target}".encode(), *lines, b"", b""])


def tunnel(app: Wire, outside: Upstream) -> Wire:
    """A tunnel from `app` to the host's end of it, which is given."""
    app.send(connect(f"127.0.0.1:{outside.port}"))
    wire = outside.accept()
    is_open(app)
    return wire


def is_open(app: Wire) -> None:
    """The tunnel is granted, in the one way there is: without any body or length (RFC 9110 §9.3.6)."""
    answer = app.read_head()
    assert answer.status == 200
    assert answer.names <= {b"x-request-id"}


# out of the mesh


def test_bytes_pass_both_ways(app: Wire, outside: Upstream) -> None:
    """Whatever one side sends reaches the other as it is, whichever speaks first."""
    wire = tunnel(app, outside)
    wire.send(b"220 hello\r\n")
    assert app.read_exactly(11) == b"220 hello\r\n"
    for data in (b"\x16\x03\x01", b"GET / HTTP/1.1\r\n\r\n", bytes(range(256)), bytes(300_000)):
        app.send(data)
        assert wire.read_exactly(len(data)) == data
        wire.send(data)
        assert app.read_exactly(len(data)) == data


def test_bytes_that_come_with_the_request(app: Wire, outside: Upstream) -> None:
    """What the app sends before its tunnel is granted waits, and then goes first."""
    app.send(connect(f"127.0.0.1:{outside.port}") + b"early ", b"late")
    wire = outside.accept()
    assert wire.read_exactly(10) == b"early late"
    is_open(app)


def test_head_byte_by_byte(app: Wire, outside: Upstream) -> None:
    """A CONNECT that comes in pieces is one."""
    for byte in connect(f"127.0.0.1:{outside.port}"):
        app.send(bytes([byte]))
    wire = outside.accept()
    is_open(app)
    wire.send(b"x")
    assert app.read_exactly(1) == b"x"


def test_after_other_requests(app: Wire, shop: Shop, outside: Upstream) -> None:
    """A CONNECT behind other requests waits for their answers."""
    app.send(b"GET http://orders/1 HTTP/1.1\r\nHost: x\r\n\r\n" + connect(f"127.0.0.1:{outside.port}") + b"early")
    wire = shop.orders.hear()
    assert wire.read_request().target == b"/1"
    assert outside.is_untouched()
    wire.send(OK)
    assert app.read_response().body == b"ok"
    assert outside.accept().read_exactly(5) == b"early"
    is_open(app)


def test_app_ends_first(app: Wire, outside: Upstream) -> None:
    """When the app has said all, the host learns it and may go on answering."""
    wire = tunnel(app, outside)
    app.send(b"request")
    app.half_close()
    assert wire.read_to_end() == b"request"
    wire.send(b"long ", b"answer" * 50_000)
    wire.close()
    assert app.read_to_end() == b"long " + b"answer" * 50_000


def test_host_ends_first(app: Wire, outside: Upstream) -> None:
    """When the host has said all, the app learns it and may go on sending."""
    wire = tunnel(app, outside)
    wire.send(b"greeting")
    wire.half_close()
    assert app.read_to_end() == b"greeting"
    app.send(b"more" * 50_000)
    app.half_close()
    assert wire.read_to_end() == b"more" * 50_000


@pytest.mark.parametrize("side", ["app", "host"])
def test_reset_is_passed_on(app: Wire, outside: Upstream, side: str) -> None:
    """A side that breaks off breaks the other off: half a stream must not look like a whole one."""
    wire = tunnel(app, outside)
    first, second = (app, wire) if side == "app" else (wire, app)
    first.send(b"half")
    assert second.read_exactly(4) == b"half"
    first.reset()
    with pytest.raises(ConnectionResetError):
        second.read_to_end()


@pytest.mark.parametrize("direction", ["up", "down"])
def test_slow_reader_holds_the_sender_up(shop: Shop, direction: str) -> None:
    """Whoever reads slowly makes the other side wait, in either direction, and every byte arrives in the end."""
    narrow = Upstream("narrow", receive=4096)
    with shop.proxy.connect(receive=4096) as app:
        wire = tunnel(app, narrow)
        sender, reader = (app, wire) if direction == "up" else (wire, app)
        total = 48 * MB
        sent = push(sender, PIECE, total)
        assert sent < 24 * MB
        thread = finish(sender, sent, total)
        assert drain(reader, total) == 0
        thread.join()
    narrow.forget()
    narrow.listener.close()


def test_one_line_and_one_count_at_its_end(shop: Shop, outside: Upstream) -> None:
    """A tunnel is one request: counted and logged once, at its end, with all the bytes that went through."""
    shop.proxy.until(lambda: shop.proxy.sample().in_flight == 0)
    before = shop.proxy.series("egress")
    with shop.proxy.connect() as app:
        wire = tunnel(app, outside)
        app.send(b"x" * 1000)
        assert len(wire.read_exactly(1000)) == 1000
        wire.send(b"y" * 70_000)
        assert len(app.read_exactly(70_000)) == 70_000
        assert shop.proxy.sample().in_flight == 1
        assert shop.proxy.series("egress").requests == before.requests
        app.half_close()
        wire.close()
        assert app.read_to_end() == b""
    shop.proxy.until(lambda: shop.proxy.sample().in_flight == 0)
    after = shop.proxy.series("egress")
    assert (after.requests - before.requests, after.received - before.received) == (1, 1000)
    assert after.sent - before.sent == 70_000
    line = shop.proxy.line(lambda line: line["path"] == f"127.0.0.1:{outside.port}")
    assert (line["method"], line["status"], line["reason"], line["route"]) == ("CONNECT", 200, "", "egress")
    assert (line["bytes_in"], line["bytes_out"], line["host"]) == (1000, 70_000, "127.0.0.1")
    assert line["endpoint"] == f"127.0.0.1:{outside.port}"


@pytest.mark.parametrize(
    ("target", "status", "reason"),
    [
        ("nowhere.invalid:443", 502, "egress_resolve"),
        ("orderz.mesh:80", 404, "unknown_service"),
        ("{nobody}", 502, "upstream_connect"),
        ("127.0.0.1:{own}", 508, "loop"),
        ("localhost:{own}", 508, "loop"),
    ],
)
def test_tunnel_that_is_not_granted(app: Wire, shop: Shop, target: str, status: int, reason: str) -> None:
    """A tunnel that leads nowhere is refused with its reason, and the connection goes on with the next request."""
    told = target.format(own=shop.proxy.ports["outbound"], nobody=f"127.0.0.1:{free_port()}")
    app.send(connect(told))
    read_refusal(app, status, reason)
    app.send(b"GET http://orders/next HTTP/1.1\r\nHost: x\r\n\r\n")
    shop.orders.serve(OK)
    assert app.read_response().body == b"ok"


@pytest.mark.parametrize(
    "target",
    ["orders", "orders:", "orders:0", "u@orders:80", "[::1", "orders:80/x", "http://orders:80/", "*", "/", ":80"],
)
def test_target_that_is_none(app: Wire, target: str) -> None:
    """Anything but one host and one port is refused, and nobody is connected to."""
    app.send(f"CONNECT {target} HTTP/1.1\r\nHost: orders\r\n\r\n".encode())
    is_refused(app, 400, "bad_request")


@pytest.mark.parametrize("line", [b"Content-Length: 3", b"Transfer-Encoding: chunked"])
def test_connect_with_content(app: Wire, line: bytes) -> None:
    """A CONNECT with content would leave open whose bytes follow."""
    app.send(connect("orders:80", line) + b"abc")
    read_refusal(app, 400, "bad_request")


def test_app_leaves_before_the_host_answers(shop: Shop) -> None:
    """An app that does not wait for its tunnel is forgotten, as is the attempt to reach the host."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(0)
        knocking = [socket.socket() for _ in range(4)]
        for each in knocking:
            each.setblocking(False)
            each.connect_ex(silent.getsockname())
        with shop.proxy.connect() as app:
            app.send(connect(f"127.0.0.1:{silent.getsockname()[1]}"))
            shop.proxy.until(lambda: shop.proxy.sample().in_flight == 1)
        shop.proxy.until(lambda: shop.proxy.sample().in_flight == 0)
        for each in knocking:
            each.close()
    line = shop.proxy.line(lambda line: line["path"] == f"127.0.0.1:{line['endpoint'].rpartition(':')[2]}"
                           and line["status"] == 499)  # fmt: skip
    assert (line["method"], line["reason"]) == ("CONNECT", "client_gone")


def test_idle_tunnel_ends(tmp_path: Path) -> None:
    """A tunnel through which nothing passes ends after the stream timeout, and says so in the log."""
    with opened(tmp_path, stream=4.0) as shop, shop.proxy.connect() as app:
        app.send(connect("db:5432"))
        wire = shop.db.accept()
        is_open(app)
        app.send(b"x")
        assert wire.read_exactly(1) == b"x"
        assert select.select([app.socket], [], [], PATIENCE)[0]
        assert app.read_rest() == b""
        assert wire.read_rest() == b""
        (line,) = shop.proxy.lines(1)
        assert (line["status"], line["reason"], line["bytes_in"]) == (200, "stream_timeout", 1)


def test_tunnel_outlives_the_order_to_stop(tmp_path: Path) -> None:
    """A proxy that stops lets tunnels end by themselves, as long as it may take."""
    with opened(tmp_path) as shop, shop.proxy.connect() as app:
        app.send(connect(f"127.0.0.1:{shop.outside.port}"))
        wire = shop.outside.accept()
        is_open(app)
        shop.proxy.drain(10)
        app.send(b"still")
        assert wire.read_exactly(5) == b"still"
        wire.close()
        assert app.read_to_end() == b""
        app.close()
        assert shop.proxy.process.wait(60) == 0


# within the mesh


@pytest.mark.parametrize("target", ["orders:80", "orders.mesh:8080", "ORDERS:443", "orders.shop.mesh:1"])
def test_tunnel_to_a_service_carries_requests(app: Wire, shop: Shop, target: str) -> None:
    """A tunnel to a service of the mesh is granted, and what comes through are requests to that service, whatever their
    Host says, which goes on as it is."""
    app.send(connect(target))
    is_open(app)
    for number, host in enumerate((b"orders", b"shop.example", b"web")):
        app.send(b"GET /%d HTTP/1.1\r\nHost: %b\r\n\r\n" % (number, host))
        wire = shop.orders.hear()
        request = wire.read_request()
        assert (request.target, request.get("host")) == (b"/%d" % number, host)
        assert request.names == {b"host", b"via", b"x-request-id", b"traceparent"}
        wire.send(OK)
        assert app.read_response().body == b"ok"
    assert shop.web.is_untouched()


def test_requests_that_come_with_the_connect(app: Wire, shop: Shop) -> None:
    """Requests that do not wait for the tunnel are read as if they had."""
    app.send(connect("orders:80") + b"GET /1 HTTP/1.1\r\nHost: x\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n")
    is_open(app)
    for path in (b"/1", b"/2"):
        wire = shop.orders.hear()
        assert wire.read_request().target == path
        wire.send(OK)
        assert app.read_response().body == b"ok"


def test_behind_another_request(app: Wire, shop: Shop) -> None:
    """A tunnel to a service waits for its turn, and so do the requests in it."""
    app.send(
        b"GET http://web/1 HTTP/1.1\r\nHost: x\r\n\r\n" + connect("orders:80")
        + b"POST /2 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
    )  # fmt: skip
    wire = shop.web.hear()
    assert wire.read_request().target == b"/1"
    wire.send(OK)
    assert app.read_response().body == b"ok"
    is_open(app)
    wire = shop.orders.hear()
    request = wire.read_request()
    assert (request.target, request.body) == (b"/2", b"hello")
    wire.send(OK)
    assert app.read_response().body == b"ok"


def test_websocket_in_a_tunnel(app: Wire, shop: Shop) -> None:
    """A WebSocket opens in a tunnel to a service: browsers' libraries ask for one to speak ws:// through a proxy."""
    app.send(connect("orders:80"))
    is_open(app)
    app.send(b"GET /ws HTTP/1.1\r\nHost: orders\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    wire, _ = shop.orders.serve(b"HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    assert app.read_response().status == 101
    app.send(b"\x81\x02hi")
    assert wire.read_exactly(4) == b"\x81\x02hi"
    app.close()
    assert wire.read_to_end() == b""


def test_requests_in_a_tunnel_are_counted_and_the_tunnel_is_not(app: Wire, shop: Shop) -> None:
    """The requests in a tunnel to a service are counted and logged like others, and the tunnel adds nothing to that."""
    before = shop.proxy.series("to-orders").requests
    app.send(connect("orders:80"))
    is_open(app)
    app.send(b"GET /counted HTTP/1.1\r\nHost: x\r\n\r\n")
    shop.orders.serve(OK)
    assert app.read_response().body == b"ok"
    assert shop.proxy.series("to-orders").requests == before + 1
    line = shop.proxy.line(lambda line: line["path"] == "/counted")
    assert (line["host"], line["route"]) == ("orders", "to-orders")
    assert shop.proxy.sample().in_flight == 0


def test_no_tunnel_in_a_tunnel(app: Wire) -> None:
    """A tunnel to a service is no proxy."""
    app.send(connect("orders:80"))
    is_open(app)
    app.send(connect("web:80"))
    is_refused(app, 501, "method_unsupported")


@pytest.mark.parametrize("is_early", [False, True])
def test_tls_inside_the_mesh(shop: Shop, is_early: bool) -> None:
    """TLS to a service of the mesh, which encrypts by itself, ends with an alert, a notice that says how it is done and
    a line in the log; the service hears nothing of it."""
    hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(200)
    before = shop.proxy.sample().refusals.get("tls_inside_mesh", 0)
    with shop.proxy.connect() as app:
        if is_early:
            app.send(connect("orders.mesh:443") + hello)
            is_open(app)
        else:
            app.send(connect("orders.mesh:443"))
            is_open(app)
            app.send(hello)
        assert app.read_rest() == b"\x15\x03\x03\x00\x02\x02\x70"
    assert shop.proxy.refusals("tls_inside_mesh", before + 1) == before + 1
    line = shop.proxy.line(lambda line: line["reason"] == "tls_inside_mesh")
    assert line["host"] == "orders.mesh"
    notice = next(each for each in shop.proxy.notices if each.event == "tunnel_refused")
    assert notice.fields["reason"] == "tls_inside_mesh"
    assert "call http://orders.mesh" in notice.fields["hint"]
    assert shop.orders.is_untouched()


def test_tunnel_to_a_service_without_http(app: Wire, shop: Shop) -> None:
    """A tunnel to a service that speaks no HTTP carries its bytes, of either side first, and counts for its route."""
    before = shop.proxy.series("to-db").requests
    app.send(connect("db:5432"))
    wire = shop.db.accept()
    is_open(app)
    wire.send(b"5.7.0-db\x00")
    assert app.read_exactly(9) == b"5.7.0-db\x00"
    app.send(b"\x16\x03\x01")
    app.half_close()
    assert wire.read_to_end() == b"\x16\x03\x01"
    wire.close()
    assert app.read_to_end() == b""
    shop.proxy.until(lambda: shop.proxy.series("to-db").requests == before + 1)
    line = shop.proxy.line(lambda line: line["route"] == "to-db")
    assert (line["method"], line["service"], line["version"], line["bytes_in"]) == ("CONNECT", "db", "v1", 3)


def test_detail_of_a_refusal_names_the_nearest(app: Wire) -> None:
    """A tunnel to a misspelt service says which one may have been meant."""
    app.send(connect("ordres.mesh:80"))
    assert 'did you mean "orders"?' in json.loads(read_refusal(app, 404, "unknown_service").body)["detail"]
