"""Which requests are sent a second time: those that cannot have done anything yet, or may do it twice."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .conftest import Start, free_port
from .refusals import read_refusal
from .running import Gateway
from .upstream import OK, Upstream
from .wire import Wire


@pytest.fixture(scope="module")
def service() -> Iterator[Upstream]:
    """The service that is there."""
    made = Upstream("there")
    yield made
    made.forget()
    made.listener.close()


@pytest.fixture(scope="module")
def retrying(start: Start, service: Upstream) -> Gateway:
    """A gateway whose service `half` has an endpoint that refuses connections before one that is there."""
    both = f'endpoints = ["127.0.0.1:{free_port()}", "127.0.0.1:{service.port}"]'
    return start(f"""
        [gateway]
        access_log = "off"
        admin = "off"
        [[routes]]
        name = "half"
        hosts = ["half.test"]
        service = "half"
        [[routes]]
        name = "busy"
        hosts = ["busy.test"]
        service = "one"
        retry = {{ attempts = 2, on = ["503", "reset"] }}
        [services.half]
        balance = "round_robin"
        ejection = false
        {both}
        [services.one]
        endpoints = ["127.0.0.1:{service.port}"]
    """)


@pytest.fixture
def half(retrying: Gateway, service: Upstream) -> Iterator[Wire]:
    """A client of that gateway."""
    with retrying.connect() as wire:
        yield wire
    service.forget()


def request(host: bytes, method: bytes, body: bytes = b"", *lines: bytes) -> bytes:
    """A request with a body of known length."""
    framing = [b"Content-Length: %d" % len(body)] if body else []
    return b"\r\n".join([method + b" / HTTP/1.1", b"Host: " + host, *framing, *lines, b"", body])


@pytest.mark.parametrize("method", [b"GET", b"POST", b"PATCH"])
@pytest.mark.parametrize("body", [b"", b"hello", b"x" * 50_000])
def test_other_endpoint_is_asked_when_one_cannot_be_reached(
    half: Wire, service: Upstream, method: bytes, body: bytes
) -> None:
    """Where no connection was made, any request goes to another endpoint, whole."""
    for _ in range(4):
        half.send(request(b"half.test", method, body))
        wire = service.hear()
        got = wire.read_request()
        assert (got.method, got.body) == (method, body)
        wire.send(OK)
        assert half.read_response().body == b"ok"


def test_a_client_that_waits_with_its_body_is_told_to_go_on(half: Wire, service: Upstream) -> None:
    """Where no connection was made, the next endpoint is asked whether the body is wanted, since nobody else will tell
    the client."""
    for _ in range(4):
        half.send(b"POST / HTTP/1.1\r\nHost: half.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        wire = service.hear()
        assert wire.read_head().get("expect") == b"100-continue"
        wire.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert half.read_response().status == 100
        half.send(b"hello")
        assert wire.read_exactly(5) == b"hello"
        wire.send(OK)
        assert half.read_response().body == b"ok"


def test_a_body_that_has_come_is_not_asked_for(client: Wire, upstream: Upstream) -> None:
    """The next endpoint gets the body at once where the first one has had it."""
    head = b"PUT / HTTP/1.1\r\nHost: %b\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n"
    client.send(head % upstream.retried)
    first = upstream.accept()
    assert first.read_head().get("expect") == b"100-continue"
    first.send(b"HTTP/1.1 100 Continue\r\n\r\n")
    assert client.read_response().status == 100
    client.send(b"hello")
    assert first.read_exactly(5) == b"hello"
    first.reset()
    _, again = upstream.serve(OK)
    assert (again.get("expect"), again.body) == (None, b"hello")
    assert client.read_response().body == b"ok"


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"PUT", b"DELETE", b"OPTIONS"])
def test_idempotent_request_is_sent_again_after_a_reset(client: Wire, upstream: Upstream, method: bytes) -> None:
    """A request that may be done twice is sent again, over a new connection, when the first one was ended."""
    client.send(request(upstream.retried, method, b"hello"))
    first = upstream.accept()
    assert first.read_request().body == b"hello"
    first.reset()
    _, again = upstream.serve(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    assert (again.method, again.body) == (method, b"hello")
    assert client.read_response(method=method.decode()).status == 200


@pytest.mark.parametrize("method", [b"POST", b"PATCH", b"PROPFIND"])
@pytest.mark.parametrize("kept", [False, True])
def test_other_request_is_not_sent_again(client: Wire, upstream: Upstream, method: bytes, kept: bool) -> None:
    """A request that may have been done, and may not be done twice, is sent once."""
    if kept:
        client.send(request(upstream.retried, b"GET"))
        wire, _ = upstream.serve(OK)
        assert client.read_response().body == b"ok"
        client.send(request(upstream.retried, method, b"hello"))
    else:
        client.send(request(upstream.retried, method, b"hello"))
        wire = upstream.accept()
    wire.read_request()
    wire.reset()
    read_refusal(client, 502, "upstream_reset")
    assert upstream.is_untouched()


def test_kept_connection_that_was_closed(client: Wire, upstream: Upstream) -> None:
    """A GET that meets the end of a kept connection is sent over a new one."""
    client.send(request(upstream.retried, b"GET"))
    wire, _ = upstream.serve(OK)
    assert client.read_response().body == b"ok"
    client.send(request(upstream.retried, b"GET", b"", b"X-Second: 1"))
    wire.read_request()
    wire.close()
    _, again = upstream.serve(OK)
    assert again.get("x-second") == b"1"
    assert client.read_response().body == b"ok"


def test_attempts_are_counted(client: Wire, upstream: Upstream) -> None:
    """After as many extra attempts as the route allows, the client hears of it."""
    client.send(request(upstream.retried, b"GET"))
    for _ in range(2):
        wire = upstream.accept()
        wire.read_request()
        wire.reset()
    read_refusal(client, 502, "upstream_reset")
    assert upstream.is_untouched()


def test_long_body_is_not_sent_again(client: Wire, upstream: Upstream) -> None:
    """A body that is too long to be kept is sent once, whatever the method."""
    client.send(request(upstream.retried, b"PUT", bytes(100_000)))
    wire = upstream.accept()
    wire.read_request()
    wire.reset()
    read_refusal(client, 502, "upstream_reset")
    assert upstream.is_untouched()


def test_answer_that_began_is_not_asked_for_again(client: Wire, upstream: Upstream) -> None:
    """Once a byte of an answer went to the client, there is no other attempt."""
    client.send(request(upstream.retried, b"GET"))
    wire, _ = upstream.serve(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello")
    client.read_until(b"hello")
    wire.reset()
    assert client.read_rest() == b""
    assert upstream.is_untouched()


def test_body_that_is_still_coming_is_sent_again_whole(client: Wire, upstream: Upstream) -> None:
    """What came of a body before the reset and what comes after it reach the second connection in order."""
    body = b"Transfer-Encoding: chunked"
    client.send(b"\r\n".join([b"PUT / HTTP/1.1", b"Host: " + upstream.retried, body, b"", b"2\r\nhe\r\n"]))
    first = upstream.accept()
    first.read_until(b"he\r\n")
    first.reset()
    second = upstream.accept()
    client.send(b"3\r\nllo\r\n0\r\n\r\n")
    assert second.read_request().body == b"hello"
    second.send(OK)
    assert client.read_response().body == b"ok"


BUSY = [
    b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy",
    b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 503 Busy\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbusy\r\n0\r\n\r\n",
    b"HTTP/1.1 503 Busy\r\nContent-Length: 100000\r\n\r\n" + bytes(100_000),
    b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy" + OK,
]


@pytest.mark.parametrize("busy", BUSY, ids=["length", "empty", "chunked", "large", "two answers"])
def test_status_that_is_retried(half: Wire, service: Upstream, busy: bytes) -> None:
    """An answer of a status that the route retries is dropped whole, and the client gets that of the next attempt."""
    for answers in ([busy, busy, OK], [BUSY[0]] * 3):
        half.send(request(b"busy.test", b"GET"))
        for each in answers:
            wire = service.hear()
            wire.read_request()
            wire.send(each)
        answer = half.read_response()
        assert (answer.status, answer.body) == ((200, b"ok") if each is OK else (503, b"busy"))
    assert service.is_silent()


def test_status_is_not_retried_for_post(half: Wire, service: Upstream) -> None:
    """A status proves that the request was read: POST is not sent again for it."""
    half.send(request(b"busy.test", b"POST", b"hello"))
    service.serve(BUSY[0])
    assert half.read_response().status == 503
    assert service.is_untouched()
