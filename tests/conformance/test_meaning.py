"""What methods, statuses and versions mean for framing: HEAD, 1xx, 204, 304, HTTP/1.0, and answers that come early."""

from __future__ import annotations

import pytest

from .refusals import is_refused, read_refusal
from .upstream import OK, Upstream
from .wire import Wire

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
EXPECTING = (b"Expect: 100-continue", b"Content-Length: 5")


@pytest.mark.parametrize(
    "lines", [b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Content-Length: 9000000\r\n", b""]
)
def test_head_has_no_body(client: Wire, upstream: Upstream, lines: bytes) -> None:
    """An answer to HEAD ends with its head, whatever that says, and both connections go on."""
    client.send(upstream.get(b"/1", method=b"HEAD"))
    wire, request = upstream.serve(b"HTTP/1.1 200 OK\r\n" + lines + b"\r\n")
    assert request.method == b"HEAD"
    head = client.read_response(method="HEAD")
    assert head.get("content-length") == (lines[16:-2] if lines.startswith(b"Content") else None)
    client.send(upstream.get(b"/2"))
    assert wire.read_request().target == b"/2"
    wire.send(OK)
    assert client.read_response().body == b"ok"


def test_head_that_is_answered_here(client: Wire) -> None:
    """HEAD gets the gateway's own answers without a body, with the length that GET would get."""
    client.send(b"HEAD / HTTP/1.1\r\nHost: fixed.test\r\n\r\n" + b"HEAD / HTTP/1.1\r\nHost: lost.test\r\n\r\n")
    assert client.read_response(method="HEAD").get("content-length") == b"5"
    answer = read_refusal(client, 404, "no_route", method="HEAD")
    assert int(answer.get("content-length") or 0) > 100
    client.send(b"GET / HTTP/1.1\r\nHost: fixed.test\r\n\r\n")
    assert client.read_response().body == b"fixed"


def test_body_in_answer_to_head_reaches_nobody(client: Wire, upstream: Upstream) -> None:
    """A service that sends a body in answer to HEAD is not used again, and no client gets those bytes."""
    client.send(upstream.get(b"/1", method=b"HEAD"))
    wire, _ = upstream.serve(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
    client.read_response(method="HEAD")
    client.send(upstream.get(b"/2"))
    assert upstream.serve(OK)[1].target == b"/2"
    assert client.read_response().body == b"ok"
    assert wire.read_rest() == b""


@pytest.mark.parametrize("status", [204, 304])
@pytest.mark.parametrize("lines", [b"", b"Content-Length: 5\r\n", b"ETag: x\r\n", b"Transfer-Encoding: chunked\r\n"])
def test_status_without_body(client: Wire, upstream: Upstream, status: int, lines: bytes) -> None:
    """204 and 304 end with their head, and both connections go on."""
    client.send(upstream.get(b"/1"))
    wire, _ = upstream.serve(b"HTTP/1.1 %d X\r\n%b\r\n" % (status, lines))
    answer = client.read_response()
    assert answer.status == status
    if status == 204:
        assert not answer.names & {b"content-length", b"transfer-encoding"}
    client.send(upstream.get(b"/2"))
    assert wire.read_request().target == b"/2"
    wire.send(OK)
    assert client.read_response().body == b"ok"


def test_continue_of_the_service_reaches_the_client(client: Wire, upstream: Upstream) -> None:
    """The service decides about an expected body: its 100 reaches the client, which then sends the body."""
    client.send(upstream.get(b"/", *EXPECTING, method=b"POST"))
    wire = upstream.accept()
    assert wire.read_head().get("expect") == b"100-continue"
    assert client.is_silent()
    wire.send(CONTINUE)
    assert client.read_response().status == 100
    client.send(b"hello")
    assert wire.read_exactly(5) == b"hello"
    wire.send(OK)
    assert client.read_response().body == b"ok"


def test_refusal_instead_of_continue(client: Wire, upstream: Upstream) -> None:
    """A final answer instead of 100 reaches the client, and the connection, on which the body may come or not, ends."""
    client.send(upstream.get(b"/", *EXPECTING, method=b"POST"))
    wire = upstream.accept()
    wire.read_head()
    wire.send(b"HTTP/1.1 417 Expectation Failed\r\nContent-Length: 2\r\n\r\nno")
    answer = client.read_response()
    assert (answer.status, answer.body, answer.get("connection")) == (417, b"no", b"close")
    assert client.read_to_end() == b""
    assert wire.read_rest() == b""


def test_body_without_continue(client: Wire, upstream: Upstream) -> None:
    """A client that does not wait for 100 is served without one."""
    client.send(upstream.get(b"/", *EXPECTING, method=b"POST") + b"hello")
    assert upstream.serve(OK)[1].body == b"hello"
    assert client.read_response().body == b"ok"
    client.send(upstream.get(b"/2"))
    assert upstream.hear().read_request().target == b"/2"


def test_early_hints_reach_the_client(client: Wire, upstream: Upstream) -> None:
    """103 answers reach the client before the final one, without fields of the connection."""
    client.send(upstream.get())
    hint = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nConnection: X-Hop\r\nX-Hop: 1\r\n\r\n"
    wire, _ = upstream.serve(hint)
    first = client.read_response()
    assert (first.status, first.get("link")) == (103, b"</a.css>")
    assert not first.names & {b"connection", b"x-hop"}
    wire.send(hint)
    assert client.read_response().status == 103
    wire.send(OK)
    assert client.read_response().body == b"ok"


def test_interim_answers_do_not_reach_http10(client: Wire, upstream: Upstream) -> None:
    """A client of HTTP/1.0 gets the final answer alone, and its service is asked for no interim one."""
    client.send(
        b"POST / HTTP/1.0\r\nHost: %b\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello" % upstream.host
    )
    wire, request = upstream.serve(CONTINUE + b"HTTP/1.1 103 Early Hints\r\n\r\n" + OK)
    assert request.get("expect") is None
    assert client.read_response().status == 200
    assert client.read_to_end() == b""
    assert wire.is_silent()


@pytest.mark.parametrize(
    "answer",
    [
        OK,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nok",
    ],
    ids=["length", "chunked", "close"],
)
@pytest.mark.parametrize("line", [b"X: y", b"Connection: keep-alive"])
def test_http10_client(client: Wire, upstream: Upstream, answer: bytes, line: bytes) -> None:
    """A client of HTTP/1.0 gets an answer it can read, never a chunked one, and then the end, unless it asked to go on
    and the answer has a length."""
    client.send(b"GET /old HTTP/1.0\r\nHost: %b\r\n%b\r\n\r\n" % (upstream.host, line))
    wire, request = upstream.serve(answer)
    if b"close" in answer:
        wire.close()
    assert request.line == b"GET /old HTTP/1.1"
    got = client.read_response()
    is_kept = b"keep-alive" in line and answer == OK
    assert (got.body, got.get("transfer-encoding")) == (b"ok", None)
    assert got.get("connection") == (b"keep-alive" if is_kept else b"close")
    assert is_kept or client.read_to_end() == b""


def test_http10_client_that_keeps_its_connection(client: Wire, upstream: Upstream) -> None:
    """A client of HTTP/1.0 that asks for it keeps its connection, until an answer has no length."""
    get = b"GET / HTTP/1.0\r\nHost: %b\r\nConnection: Keep-Alive\r\n\r\n" % upstream.host
    client.send(get)
    wire, _ = upstream.serve(OK)
    assert client.read_response().get("connection") == b"keep-alive"
    client.send(get)
    wire.read_request()
    wire.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n")
    last = client.read_response()
    assert (last.framing, last.body, last.get("connection")) == ("close", b"ok", b"close")


def test_http10_client_of_the_gateway(client: Wire) -> None:
    """So it is with the gateway's own answers."""
    get = b"GET / HTTP/1.0\r\nHost: fixed.test\r\n"
    client.send(get + b"Connection: keep-alive\r\n\r\n")
    answer = client.read_response()
    assert (answer.body, answer.get("connection")) == (b"fixed", b"keep-alive")
    client.send(get + b"\r\n")
    assert client.read_response().get("connection") == b"close"
    assert client.read_to_end() == b""


def test_http10_client_cannot_chunk(client: Wire) -> None:
    """HTTP/1.0 has no transfer coding: a request that claims one is refused."""
    client.send(b"POST / HTTP/1.0\r\nHost: fixed.test\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n")
    is_refused(client, 400, "bad_request")


def test_http10_service(client: Wire, upstream: Upstream) -> None:
    """An answer of HTTP/1.0 is passed on as one of HTTP/1.1."""
    client.send(upstream.get())
    wire, _ = upstream.serve(b"HTTP/1.0 200 OK\r\n\r\nold")
    wire.close()
    assert client.read_response().body == b"old"
    client.send(upstream.get())
    upstream.serve(b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 3\r\n\r\nold")
    assert client.read_response().body == b"old"


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("rest", [10, 100_000])
def test_answer_before_the_body_is_complete(client: Wire, upstream: Upstream, framing: str, rest: int) -> None:
    """An early answer reaches the client; the rest of the body is dropped, and the next request found behind it. The
    service's connection, on which the request never ended, is not used again."""
    line = b"Content-Length: %d" % (5 + rest) if framing == "length" else b"Transfer-Encoding: chunked"
    client.send(upstream.get(b"/1", line, method=b"POST") + (b"hello" if framing == "length" else b"5\r\nhello\r\n"))
    wire = upstream.accept()
    wire.read_head()
    wire.send(OK)
    assert client.read_response().body == b"ok"
    client.send(bytes(rest) if framing == "length" else b"%x\r\n%b\r\n0\r\n\r\n" % (rest, bytes(rest)))
    client.send(upstream.get(b"/2"))
    assert upstream.serve(OK)[1].target == b"/2"
    assert client.read_response().body == b"ok"
    assert len(wire.read_rest()) <= 10


def test_answer_to_an_endless_body(client: Wire, upstream: Upstream) -> None:
    """A client that goes on sending a body nobody wants can read its answer to the end before the connection ends."""
    client.send(upstream.get(b"/1", b"Content-Length: 1000000000000", method=b"POST"))
    wire = upstream.accept()
    wire.read_head()
    body = b"too much" * 1000
    wire.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    client.send_on(*[bytes(65_536)] * 40)
    answer = client.read_response()
    assert (answer.status, answer.body) == (413, body)
    assert client.read_to_end() == b""


def test_service_that_says_how_long_it_waits(client: Wire, upstream: Upstream) -> None:
    """A kept connection is closed before the service would close it under a request."""
    client.send(upstream.get())
    wire, _ = upstream.serve(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nKeep-Alive: timeout=1, max=5\r\n\r\nok")
    assert client.read_response().get("keep-alive") is None
    assert wire.read_to_end() == b""


def test_client_that_leaves_frees_the_service(client: Wire, upstream: Upstream) -> None:
    """When a client leaves before its answer, the service's connection is closed at once."""
    client.send(upstream.get())
    wire = upstream.accept()
    wire.read_request()
    client.close()
    assert wire.read_rest() == b""


def test_client_that_leaves_during_the_answer(client: Wire, upstream: Upstream) -> None:
    """When a client leaves in the middle of its answer, the service's connection is closed at once."""
    client.send(upstream.get())
    wire, _ = upstream.serve(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello")
    client.read_until(b"hello")
    client.reset()
    assert wire.read_rest() == b""


def test_client_that_leaves_during_its_body(client: Wire, upstream: Upstream) -> None:
    """A request whose client leaves in the middle of its body never ends at the service."""
    client.send(upstream.get(b"/", b"Transfer-Encoding: chunked", method=b"POST") + b"5\r\nhello\r\n")
    wire = upstream.accept()
    wire.read_head()
    client.close()
    assert b"0\r\n\r\n" not in wire.read_rest()
