"""What a wrapped app sends to services of the mesh, through its proxy setting or on a port for one service."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.conformance.refusals import is_refused, read_refusal
from tests.conformance.upstream import OK
from tests.conformance.wire import Message, Wire

from .shop import Shop


@pytest.fixture(autouse=True)
def _forgotten(shop: Shop) -> Iterator[None]:
    yield
    shop.orders.forget()
    shop.web.forget()


def seen(app: Wire, shop: Shop, *lines: bytes) -> Message:
    """What "orders" sees of the request with these lines."""
    app.send(b"\r\n".join([*lines, b"", b""]))
    wire = shop.orders.hear()
    request = wire.read_request()
    wire.send(OK)
    assert app.read_response().body == b"ok"
    return request


@pytest.mark.parametrize(
    "host", [b"orders", b"orders.mesh", b"orders.shop.mesh", b"ORDERS", b"Orders.Mesh:80", b"orders:8080", b"orders."]
)
@pytest.mark.parametrize("form", ["absolute", "origin"])
def test_names_of_a_service(app: Wire, shop: Shop, host: bytes, form: str) -> None:
    """Every name of a service finds it, in both forms of a target and whatever the port, which means nothing in a mesh;
    the service sees a path, and the Host as the app wrote it."""
    line = b"GET http://%b/a?b=c HTTP/1.1" % host if form == "absolute" else b"GET /a?b=c HTTP/1.1"
    request = seen(app, shop, line, b"Host: " + host)
    assert request.target == b"/a?b=c"
    assert request.get("host") == host


def test_url_decides_against_the_host(app: Wire, shop: Shop) -> None:
    """The URL says which service is meant, and replaces a Host that says otherwise (RFC 9112 §3.2.2)."""
    request = seen(app, shop, b"GET http://orders/a HTTP/1.1", b"Host: web")
    assert (request.target, request.get("host")) == (b"/a", b"orders")


@pytest.mark.parametrize(
    ("target", "path"),
    [(b"http://orders", b"/"), (b"http://orders?x=/y", b"/?x=/y"), (b"http://orders/%7Ea/../b", b"/b")],
)
def test_path_of_a_url(app: Wire, shop: Shop, target: bytes, path: bytes) -> None:
    """A URL without a path asks for the root, and its path goes on in its normal form."""
    assert seen(app, shop, b"GET %b HTTP/1.1" % target, b"Host: orders").target == path


def test_nothing_is_said_of_the_app(app: Wire, shop: Shop) -> None:
    """The proxy is the app's own: it says who passed the request on, and by which identifiers to follow it, and invents
    no client that the app speaks for; what is for the proxy alone does not pass."""
    request = seen(
        app, shop, b"GET http://orders/ HTTP/1.1", b"Host: orders", b"Proxy-Connection: Keep-Alive",
        b"Proxy-Authorization: Basic x", b"Accept: */*",
    )  # fmt: skip
    assert request.names == {b"host", b"accept", b"via", b"x-request-id", b"traceparent"}
    assert request.get("via") == b"1.1 meshctl"


def test_what_the_app_says_of_its_clients_goes_on(app: Wire, shop: Shop) -> None:
    """Forwarding fields that the app wrote go on as they are, with its trace and its request's identifier."""
    trace = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    request = seen(
        app, shop, b"GET http://orders/ HTTP/1.1", b"Host: orders", b"X-Forwarded-For: 203.0.113.7",
        b"x-forwarded-for: 10.0.0.1", b"X-Forwarded-Proto: https", b"X-Forwarded-Host: shop.example",
        b"Forwarded: for=203.0.113.7;proto=https", b"Via: 1.1 edge", b"X-Request-Id: abc-7", b"traceparent: " + trace,
    )  # fmt: skip
    assert request.get("x-forwarded-for") == b"203.0.113.7, 10.0.0.1"
    assert request.get("x-forwarded-proto") == b"https"
    assert request.get("x-forwarded-host") == b"shop.example"
    assert request.get("forwarded") == b"for=203.0.113.7;proto=https"
    assert request.get("via") == b"1.1 edge, 1.1 meshctl"
    assert (request.get("x-request-id"), request.get("traceparent")) == (b"abc-7", trace)


@pytest.mark.parametrize("target", [b"https://orders/a", b"HTTPS://orders.mesh:443/", b"https://example.com/"])
def test_https_in_the_clear(app: Wire, target: bytes) -> None:
    """An https URL is no request for a proxy; the refusal says how it is done."""
    app.send(b"GET %b HTTP/1.1\r\nHost: orders\r\n\r\n" % target)
    answer = read_refusal(app, 400, "https_in_clear")
    assert "http://" in json.loads(answer.body)["detail"]
    assert app.read_to_end() == b""


@pytest.mark.parametrize(
    ("host", "hint"),
    [
        (b"orderz.mesh", 'the mesh has no service "orderz"; did you mean "orders"?'),
        (b"orderz.shop.mesh:80", 'the mesh has no service "orderz"; did you mean "orders"?'),
        (b"unlike.any.mesh", 'the mesh has no service "unlike.any"'),
    ],
)
def test_name_that_no_service_has(app: Wire, host: bytes, hint: str) -> None:
    """A name that only a service could have is refused with the one that is nearest, and does not leave the mesh."""
    app.send(b"GET http://%b/ HTTP/1.1\r\nHost: x\r\n\r\n" % host)
    answer = read_refusal(app, 404, "unknown_service")
    assert json.loads(answer.body)["detail"] == hint
    app.send(b"GET / HTTP/1.1\r\nHost: %b\r\n\r\n" % host)
    read_refusal(app, 404, "unknown_service")


def test_request_that_names_nobody(app: Wire) -> None:
    """A request that says neither in its target nor in a Host where to has nowhere to go."""
    app.send(b"GET /a HTTP/1.0\r\n\r\n")
    is_refused(app, 400, "bad_host")


def test_url_in_http10(app: Wire, shop: Shop) -> None:
    """A client of HTTP/1.0 need not send a Host beside its URL."""
    app.send(b"GET http://orders/a HTTP/1.0\r\n\r\n")
    _, request = shop.orders.serve(OK)
    assert (request.target, request.get("host")) == (b"/a", b"orders")
    assert app.read_response().body == b"ok"


def test_services_by_turns_on_one_connection(app: Wire, shop: Shop) -> None:
    """One connection to the proxy asks for different services, also pipelined, and gets the answers in order."""
    app.send(
        b"GET http://orders/1 HTTP/1.1\r\nHost: x\r\n\r\nGET http://web/2 HTTP/1.1\r\nHost: x\r\n\r\n"
        b"GET http://orders/3 HTTP/1.1\r\nHost: x\r\n\r\n"
    )
    for service, path in ((shop.orders, b"/1"), (shop.web, b"/2"), (shop.orders, b"/3")):
        wire = service.hear()
        assert wire.read_request().target == path
        wire.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" + path)
        assert app.read_response().body == path


def test_body_in_both_directions(app: Wire, shop: Shop) -> None:
    """Bodies of any size and framing pass, both ways."""
    body = bytes(range(256)) * 8192
    app.send(b"POST http://orders/up HTTP/1.1\r\nHost: orders\r\nContent-Length: %d\r\n\r\n" % len(body), body)
    wire, request = shop.orders.serve(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert request.body == body
    for at in range(0, len(body), 65536):
        wire.send(b"10000\r\n", body[at : at + 65536], b"\r\n")
    wire.send(b"0\r\n\r\n")
    assert app.read_response().body == body


def test_events_come_as_they_are_sent(app: Wire, shop: Shop) -> None:
    """A stream of events reaches the app event by event, not at its end."""
    app.send(b"GET http://orders/events HTTP/1.1\r\nHost: orders\r\nAccept: text/event-stream\r\n\r\n")
    wire, _ = shop.orders.serve(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    assert app.read_head().get("content-type") == b"text/event-stream"
    for number in range(3):
        event = b"data: %d\n\n" % number
        wire.send(b"%x\r\n%b\r\n" % (len(event), event))
        assert app.read_until(b"\n\n\r\n").endswith(event + b"\r\n")


@pytest.mark.parametrize("form", [b"http://orders/ws", b"/ws"])
def test_websocket(app: Wire, shop: Shop, form: bytes) -> None:
    """A WebSocket opens through the proxy setting, and bytes pass both ways."""
    app.send(
        b"GET %b HTTP/1.1\r\nHost: orders\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Key: x\r\n\r\n" % form
    )
    wire, request = shop.orders.serve(
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    )
    assert (request.target, request.get("upgrade")) == (b"/ws", b"websocket")
    assert app.read_response().status == 101
    app.send(b"\x81\x02hi")
    assert wire.read_exactly(4) == b"\x81\x02hi"
    wire.send(b"\x81\x02ho")
    assert app.read_exactly(4) == b"\x81\x02ho"


# a port for one service


@pytest.mark.parametrize(
    "lines",
    [
        (b"GET /a?b HTTP/1.1", b"Host: 127.0.0.1:9999"),
        (b"GET /a?b HTTP/1.1", b"Host: web"),
        (b"GET /a?b HTTP/1.1", b"Host: anything.example"),
        (b"GET http://anything.example/a?b HTTP/1.1", b"Host: x"),
    ],
)
def test_port_for_one_service(shop: Shop, lines: tuple[bytes, ...]) -> None:
    """Whatever host is asked for on it, a port for one service leads there, under the service's own name; and nothing
    is said of the app there, either."""
    with shop.proxy.connect("upstream:orders") as wire:
        request = seen(wire, shop, *lines, b"X-Forwarded-For: 203.0.113.7")
        assert (request.target, request.get("host")) == (b"/a?b", b"orders")
        assert request.get("x-forwarded-for") == b"203.0.113.7"
        assert request.get("x-forwarded-host") is None


@pytest.mark.parametrize("entry", ["upstream:orders", "gateway"])
def test_no_tunnels_elsewhere(shop: Shop, entry: str) -> None:
    """Only the proxy setting's port has tunnels."""
    with shop.proxy.connect(entry) as wire:
        wire.send(b"CONNECT orders:80 HTTP/1.1\r\nHost: orders:80\r\n\r\n")
        is_refused(wire, 501, "method_unsupported")


def test_gateway_says_who_its_client_is(shop: Shop) -> None:
    """On a gateway's listener of the same proxy all is as ever: its clients are spoken of, and not believed."""
    with shop.proxy.connect("gateway") as wire:
        request = seen(wire, shop, b"GET / HTTP/1.1", b"Host: orders", b"X-Forwarded-For: 203.0.113.7")
        assert request.get("x-forwarded-for") == b"127.0.0.1"
        assert request.get("x-forwarded-host") == b"orders"


def test_routes_are_counted_by_name(shop: Shop, app: Wire) -> None:
    """Requests are counted under the route of their service, whichever name and port they came by."""
    before = shop.proxy.series("to-orders").requests, shop.proxy.series("port-orders").requests
    for host in (b"orders", b"orders.mesh:1"):
        seen(app, shop, b"GET http://%b/ HTTP/1.1" % host, b"Host: x")
    with shop.proxy.connect("upstream:orders") as wire:
        seen(wire, shop, b"GET / HTTP/1.1", b"Host: x")
    after = shop.proxy.series("to-orders").requests, shop.proxy.series("port-orders").requests
    assert (after[0] - before[0], after[1] - before[1]) == (2, 1)


@pytest.mark.parametrize("target", [b"http://db/", b"/"])
def test_request_to_a_service_without_http(app: Wire, shop: Shop, target: bytes) -> None:
    """A service that speaks no HTTP gets no request; whoever sends one is told how the service is called."""
    app.send(b"GET %b HTTP/1.1\r\nHost: db\r\n\r\n" % target)
    answer = read_refusal(app, 400, "not_http")
    assert "--upstream db:tcp" in json.loads(answer.body)["detail"]
    assert shop.db.is_untouched()
