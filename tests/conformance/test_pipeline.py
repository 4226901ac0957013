"""Requests sent without waiting for answers: answered in their order, whoever answers them and however they end."""

from __future__ import annotations

import pytest

from .refusals import is_refused, is_unseen, read_refusal
from .running import Gateway
from .upstream import Upstream
from .wire import Wire

FIXED = b"GET / HTTP/1.1\r\nHost: fixed.test\r\n\r\n"
LOST = b"GET /nowhere HTTP/1.1\r\nHost: lost.test\r\n\r\n"


def answer(number: int) -> bytes:
    """An answer that can be told from others."""
    return b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n%03d" % number


def test_hundred_requests_in_one_write(client: Wire, upstream: Upstream) -> None:
    """A hundred requests in one write are answered in their order, over one connection to the service."""
    client.send(b"".join(upstream.get(b"/%d" % number) for number in range(100)))
    wire = upstream.accept()
    for number in range(100):
        assert wire.read_request().target == b"/%d" % number
        assert wire.is_silent(), "the next request came before this one was answered"
        wire.send(answer(number))
    assert [client.read_response().body for _ in range(100)] == [b"%03d" % number for number in range(100)]
    assert upstream.is_untouched()


def test_answers_of_gateway_and_service_keep_their_order(client: Wire, upstream: Upstream) -> None:
    """Answers that the gateway makes itself wait for those of the service before them."""
    client.send(FIXED + upstream.get(b"/1") + LOST + FIXED + upstream.get(b"/2") + FIXED)
    assert client.read_response().body == b"fixed"
    wire = upstream.accept()
    assert wire.read_request().target == b"/1"
    assert client.is_silent()
    wire.send(answer(1))
    assert client.read_response().body == b"001"
    read_refusal(client, 404, "no_route")
    assert client.read_response().body == b"fixed"
    assert wire.read_request().target == b"/2"
    wire.send(answer(2))
    assert [client.read_response().body for _ in range(2)] == [b"002", b"fixed"]


def test_many_answers_of_the_gateway(client: Wire) -> None:
    """A thousand requests in one write, all answered by the gateway, get a thousand answers."""
    client.send(FIXED * 1000)
    assert [client.read_response().body for _ in range(1000)] == [b"fixed"] * 1000


def test_malformed_request_after_good_ones(client: Wire, upstream: Upstream) -> None:
    """Good requests before a malformed one get their answers, then comes the refusal, then the end."""
    client.send(upstream.get(b"/1") + FIXED + upstream.get(b"/2") + b"GET / HTTP/1.1\r\nBroken\r\n\r\n" + FIXED)
    wire = upstream.accept()
    for number in (1, 2):
        assert wire.read_request().target == b"/%d" % number
        wire.send(answer(number))
    assert [client.read_response().body for _ in range(3)] == [b"001", b"fixed", b"002"]
    is_refused(client, 400, "bad_request")


def test_malformed_body_after_a_good_request(client: Wire, upstream: Upstream) -> None:
    """A pipelined request whose body is malformed is refused in its turn, and the service hears nothing of it."""
    broken = upstream.get(b"/2", b"Transfer-Encoding: chunked", method=b"POST") + b"2\r\nhi\r\nnonsense\r\n"
    client.send(upstream.get(b"/1") + broken)
    wire = upstream.accept()
    assert wire.read_request().target == b"/1"
    wire.send(answer(1))
    assert client.read_response().body == b"001"
    is_refused(client, 400, "bad_request")
    upstream.collect()
    assert wire.is_silent() or wire.read_rest() == b""


def test_malformed_body_of_an_answered_request(client: Wire) -> None:
    """A request that was answered before its malformed body came gets no second answer: the connection ends."""
    client.send(b"POST / HTTP/1.1\r\nHost: fixed.test\r\nTransfer-Encoding: chunked\r\n\r\n")
    assert client.read_response().body == b"fixed"
    client.send(b"nonsense\r\n")
    assert client.read_to_end() == b""


def test_malformed_body_of_a_pipelined_answered_request(client: Wire, upstream: Upstream) -> None:
    """Nor does one that was answered in its turn, with the malformed body already there."""
    client.send(
        upstream.get(b"/1") + b"POST / HTTP/1.1\r\nHost: fixed.test\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n"
    )
    wire = upstream.accept()
    wire.read_request()
    wire.send(answer(1))
    assert client.read_response().body == b"001"
    is_refused(client, 400, "bad_request")


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("there", [0, 1, 9])
def test_body_that_goes_on_after_the_answer_before_it(
    client: Wire, upstream: Upstream, framing: str, there: int
) -> None:
    """A request whose body is only partly there waits its turn and then takes the rest."""
    line, body = b"Content-Length: 10", b"0123456789"
    if framing == "chunked":
        line, body = b"Transfer-Encoding: chunked", b"4\r\n0123\r\n6\r\n456789\r\n0\r\n\r\n"
    client.send(upstream.get(b"/1") + upstream.get(b"/2", line, method=b"POST") + body[:there])
    wire = upstream.accept()
    assert wire.read_request().target == b"/1"
    wire.send(answer(1))
    assert client.read_response().body == b"001"
    client.send(body[there:] + upstream.get(b"/3"))
    request = wire.read_request()
    assert (request.target, request.body) == (b"/2", b"0123456789")
    wire.send(answer(2))
    assert wire.read_request().target == b"/3"
    wire.send(answer(3))
    assert [client.read_response().body for _ in range(2)] == [b"002", b"003"]


def test_requests_behind_large_bodies(client: Wire, upstream: Upstream) -> None:
    """Requests that follow large bodies in one stream of bytes are found where they begin."""
    large = bytes(200_000)
    chunked = b"".join(b"%x\r\n%b\r\n" % (50_000, large[:50_000]) for _ in range(4)) + b"0\r\n\r\n"
    client.send(
        upstream.get(b"/1", b"Content-Length: 200000", method=b"POST") + large
        + upstream.get(b"/2", b"Transfer-Encoding: chunked", method=b"POST") + chunked
        + upstream.get(b"/3", b"Content-Length: 200000", method=b"POST") + large
        + upstream.get(b"/4")
    )  # fmt: skip
    wire = upstream.accept()
    for number in range(1, 5):
        request = wire.read_request()
        assert (request.target, len(request.body)) == (b"/%d" % number, 0 if number == 4 else 200_000)
        wire.send(answer(number))
        assert client.read_response().body == b"%03d" % number


def test_close_ends_a_pipeline(gateway: Gateway, client: Wire, upstream: Upstream) -> None:
    """What follows a request with `Connection: close` is not a request."""
    client.send(b"GET / HTTP/1.1\r\nHost: fixed.test\r\nConnection: close\r\n\r\n" + upstream.get(b"/never"))
    answer = client.read_response()
    assert (answer.body, answer.get("connection")) == (b"fixed", b"close")
    assert client.read_to_end() == b""
    is_unseen(gateway, upstream)


@pytest.mark.parametrize("cut", [False, True])
def test_refusal_that_ends_the_connection_ends_a_pipeline(
    gateway: Gateway, client: Wire, upstream: Upstream, cut: bool
) -> None:
    """What follows a request whose refusal ends the connection is not a request, also where it came in the same read:
    the service hears nothing of it."""
    asked = b"POST / HTTP/1.1\r\nHost: lost.test\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello"
    behind = upstream.get(b"/never") + upstream.get(b"/never", b"Content-Length: 2", method=b"POST") + b"hi"
    client.send(*((asked, behind) if cut else (asked + behind,)))
    is_refused(client, 404, "no_route")
    is_unseen(gateway, upstream)


def test_service_that_closes_within_a_pipeline(client: Wire, upstream: Upstream) -> None:
    """A service that ends its connection with an answer gets the next request over a new one."""
    client.send(b"".join(upstream.get(b"/%d" % number) for number in range(3)))
    for number in range(3):
        wire, request = upstream.serve(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\n%d" % number)
        assert request.target == b"/%d" % number
        wire.close()
    assert [client.read_response().body for _ in range(3)] == [b"0", b"1", b"2"]
