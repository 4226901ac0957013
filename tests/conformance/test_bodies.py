"""Requests and answers in every framing, kept connections, pipelines: what a client sends is what the service reads."""

from __future__ import annotations

import pytest

from .running import Gateway
from .upstream import OK, Upstream
from .wire import Wire

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def test_get_goes_through(client: Wire, upstream: Upstream) -> None:
    """A GET reaches the service without a body, and its answer the client."""
    client.send(upstream.get(b"/a?b=c", b"Accept: text/x", b"Cookie: a=b"))
    _, request = upstream.serve(OK)
    assert request.line == b"GET /a?b=c HTTP/1.1"
    assert request.framing == "none"
    assert (request.get("host"), request.get("accept"), request.get("cookie")) == (upstream.host, b"text/x", b"a=b")
    answer = client.read_response()
    assert (answer.status, answer.body, answer.framing) == (200, b"ok", "length")


def test_connections_are_kept_on_both_sides(client: Wire, upstream: Upstream) -> None:
    """Ten requests one after the other take one connection from the client and one to the service."""
    client.send(upstream.get(b"/0"))
    wire, _ = upstream.serve(OK)
    assert client.read_response().body == b"ok"
    for number in range(1, 10):
        client.send(upstream.get(b"/%d" % number))
        assert wire.read_request().target == b"/%d" % number
        wire.send(OK)
        assert client.read_response().body == b"ok"
    assert upstream.is_untouched()


@pytest.mark.parametrize("size", [0, 1, 100, 16_383, 16_384, 65_536, 70_001, 1_000_000])
def test_length_body_reaches_the_service(client: Wire, upstream: Upstream, size: int) -> None:
    """A body of known length arrives whole and with that length, and the connection goes on after it."""
    body = bytes(number % 251 for number in range(size))
    client.send(upstream.get(b"/up", b"Content-Length: %d" % size, method=b"POST") + body)
    wire, request = upstream.serve(OK)
    assert (request.framing, request.body) == ("length", body)
    assert client.read_response().body == b"ok"
    client.send(upstream.get(b"/after"))
    assert wire.read_request().target == b"/after"
    wire.send(OK)
    assert client.read_response().status == 200


@pytest.mark.parametrize("sizes", [[], [1], [1, 2, 3], [100_000], [20_000] * 10, [1] * 500])
def test_chunked_body_reaches_the_service(client: Wire, upstream: Upstream, sizes: list[int]) -> None:
    """A chunked body arrives chunked and whole, and the connection goes on after it."""
    parts = [bytes([number % 256]) * size for number, size in enumerate(sizes)]
    client.send(upstream.get(b"/up", b"Transfer-Encoding: chunked", method=b"PUT"))
    client.send(*(b"%x\r\n%b\r\n" % (len(part), part) for part in parts), b"0\r\n\r\n")
    wire, request = upstream.serve(OK)
    assert (request.framing, request.body) == ("chunked", b"".join(parts))
    assert client.read_response().body == b"ok"
    client.send(upstream.get(b"/after"))
    assert wire.read_request().target == b"/after"
    wire.send(OK)
    assert client.read_response().status == 200


@pytest.mark.parametrize("size", [0, 1, 16_383, 16_384, 70_001, 1_000_000])
def test_length_answer_reaches_the_client(client: Wire, upstream: Upstream, size: int) -> None:
    """An answer of known length keeps its length, and both connections go on after it."""
    body = bytes(number % 251 for number in range(size))
    client.send(upstream.get())
    wire, _ = upstream.serve(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + body)
    answer = client.read_response()
    assert (answer.framing, answer.body) == ("length", body)
    client.send(upstream.get(b"/after"))
    assert wire.read_request().target == b"/after"
    wire.send(OK)
    assert client.read_response().body == b"ok"


@pytest.mark.parametrize("size", [1, 5_000, 200_000])
def test_chunked_answer_reaches_the_client(client: Wire, upstream: Upstream, size: int) -> None:
    """A chunked answer stays chunked, and both connections go on after it."""
    client.send(upstream.get())
    wire, _ = upstream.serve(CHUNKED + b"%x\r\n%b\r\n" % (size, b"a" * size) + b"3;ext=1\r\nbcd\r\n0\r\n\r\n")
    answer = client.read_response()
    assert (answer.framing, answer.body) == ("chunked", b"a" * size + b"bcd")
    client.send(upstream.get(b"/after"))
    assert wire.read_request().target == b"/after"
    wire.send(OK)
    assert client.read_response().body == b"ok"


def test_answer_that_ends_with_the_connection(client: Wire, upstream: Upstream) -> None:
    """To a client of HTTP/1.1 an answer that ends with its connection is chunked, so that its end can be told."""
    client.send(upstream.get())
    wire, _ = upstream.serve(b"HTTP/1.1 200 OK\r\n\r\nto the")
    wire.send(b" end")
    wire.close()
    answer = client.read_response()
    assert (answer.framing, answer.body) == ("chunked", b"to the end")
    client.send(upstream.get(b"/after"))
    assert upstream.serve(OK)[1].target == b"/after"
    assert client.read_response().body == b"ok"


def test_trailers_pass_both_ways(client: Wire, upstream: Upstream) -> None:
    """Trailer fields pass in both directions, but for those that frame, route or authorise."""
    client.send(upstream.get(b"/", b"Transfer-Encoding: chunked", b"Trailer: X-Sum", method=b"POST"))
    client.send(b"2\r\nhi\r\n0\r\nX-Sum: 1\r\nAuthorization: x\r\nHost: evil\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n")
    _, request = upstream.serve(CHUNKED + b"2\r\nyo\r\n0\r\nX-Sum: 2\r\nSet-Cookie: a=b\r\nX-Two: 3\r\n\r\n")
    assert (request.body, request.trailers) == (b"hi", ((b"X-Sum", b"1"),))
    answer = client.read_response()
    assert (answer.body, answer.trailers) == (b"yo", ((b"X-Sum", b"2"), (b"X-Two", b"3")))


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_request_split_at_every_byte(gateway: Gateway, upstream: Upstream, framing: str) -> None:
    """Wherever the network cuts a request in two, the service reads the same one."""
    body = b"Content-Length: 5", b"hello"
    if framing == "chunked":
        body = b"Transfer-Encoding: chunked", b"2\r\nhe\r\n3\r\nllo\r\n0\r\nX-T: 1\r\n\r\n"
    raw = upstream.get(b"/x?y=z", body[0], b"X-A: b", method=b"POST") + body[1]
    with gateway.connect() as client:
        client.send(raw)
        wire, whole = upstream.serve(OK)
        assert client.read_response().body == b"ok"
        first = {name for name, _ in whole.fields}
        for cut in range(1, len(raw)):
            client.send(raw[:cut], raw[cut:])
            request = wire.read_request()
            wire.send(OK)
            assert client.read_response().body == b"ok"
            assert (request.line, request.body, request.trailers) == (whole.line, b"hello", whole.trailers)
            assert {name for name, _ in request.fields} == first


def test_request_byte_by_byte(client: Wire, upstream: Upstream) -> None:
    """A request that comes in single bytes is read as one."""
    raw = upstream.get(b"/slow", b"Transfer-Encoding: chunked", method=b"POST") + b"5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n"
    client.send(*(raw[at : at + 1] for at in range(len(raw))))
    _, request = upstream.serve(OK)
    assert (request.target, request.body, request.trailers) == (b"/slow", b"hello", ((b"X-T", b"1"),))
    assert client.read_response().body == b"ok"


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_answer_split_at_every_byte(gateway: Gateway, upstream: Upstream, framing: str) -> None:
    """Wherever the network cuts an answer in two, the client reads the same one."""
    raw = {
        "length": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b\r\n\r\nhello",
        "chunked": CHUNKED + b"2\r\nhe\r\n3\r\nllo\r\n0\r\nX-T: 1\r\n\r\n",
        "close": b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello",
    }[framing]
    with gateway.connect() as client:
        wire = None
        for cut in range(1, len(raw)):
            client.send(upstream.get())
            wire = wire or upstream.accept()
            wire.read_request()
            wire.send(raw[:cut], raw[cut:])
            if framing == "close":
                wire.close()
                wire = None
            answer = client.read_response()
            assert (answer.status, answer.body) == (200, b"hello")


def test_events_come_as_they_are_sent(client: Wire, upstream: Upstream) -> None:
    """Each event of a stream reaches the client before the service has sent the next one."""
    client.send(upstream.get(b"/events", b"Accept: text/event-stream"))
    wire, _ = upstream.serve(
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    assert client.read_head().get("content-type") == b"text/event-stream"
    for number in range(20):
        event = b"data: %d\n\n" % number
        wire.send(b"%x\r\n%b\r\n" % (len(event), event))
        assert client.read_until(event + b"\r\n").endswith(event + b"\r\n")
    wire.send(b"0\r\n\r\n")
    assert client.read_until(b"0\r\n\r\n") == b"0\r\n\r\n"


def test_events_without_framing_come_as_they_are_sent(client: Wire, upstream: Upstream) -> None:
    """So does each event of a stream that ends with its connection."""
    client.send(upstream.get(b"/events"))
    wire, _ = upstream.serve(b"HTTP/1.1 200 OK\r\n\r\n")
    client.read_head()
    for number in range(5):
        wire.send(b"data: %d\n\n" % number)
        assert client.read_until(b"\n\n\r\n").endswith(b"data: %d\n\n\r\n" % number)
    wire.close()
    assert client.read_until(b"0\r\n\r\n") == b"0\r\n\r\n"


def test_long_chunked_body_in_many_reads(client: Wire, upstream: Upstream) -> None:
    """A chunked body of many reads is not taken for a long head, and what follows it is not, either."""
    piece = b"2000\r\n" + bytes(0x2000) + b"\r\n"
    client.send(upstream.get(b"/", b"Transfer-Encoding: chunked", method=b"POST"))
    wire = upstream.accept()
    wire.read_head()
    for _ in range(20):
        client.send(piece)
        assert wire.read_exactly(len(piece)) == piece
    client.send(b"0\r\n\r\n" + upstream.get(b"/next"))
    assert wire.read_exactly(5) == b"0\r\n\r\n"
    wire.send(OK)
    assert client.read_response().body == b"ok"
    assert wire.read_request().target == b"/next"


def test_body_comes_as_it_is_sent(client: Wire, upstream: Upstream) -> None:
    """Each piece of a request's body reaches the service before the client has sent the next one, in either framing."""
    client.send(upstream.get(b"/", b"Transfer-Encoding: chunked", method=b"POST"))
    wire = upstream.accept()
    wire.read_head()
    for number in range(5):
        client.send(b"1\r\n%d\r\n" % number)
        assert wire.read_exactly(6) == b"1\r\n%d\r\n" % number
    client.send(b"0\r\n\r\n")
    assert wire.read_exactly(5) == b"0\r\n\r\n"
    wire.send(OK)
    assert client.read_response().status == 200
    client.send(upstream.get(b"/", b"Content-Length: 5", method=b"POST"))
    wire.read_head()
    for number in range(5):
        client.send(b"%d" % number)
        assert wire.read_exactly(1) == b"%d" % number
    wire.send(OK)
    assert client.read_response().status == 200
