"""Connections that change their protocol: bytes pass both ways, in order, none before its time and none lost."""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack

import psutil
import pytest

from .conftest import Start, routes
from .upstream import OK, Upstream
from .wire import Wire

ASKED = (b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
AGREED = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n"
)


def opened(client: Wire, upstream: Upstream) -> Wire:
    """A tunnel from `client` to the service's end of it, which is given."""
    client.send(upstream.get(b"/ws", *ASKED))
    wire, _ = upstream.serve(AGREED)
    assert client.read_response().status == 101
    return wire


def test_bytes_pass_both_ways(client: Wire, upstream: Upstream) -> None:
    """After 101 whatever one side sends reaches the other as it is, HTTP or not."""
    client.send(upstream.get(b"/ws", *ASKED))
    wire, request = upstream.serve(AGREED)
    assert (request.get("connection"), request.get("upgrade")) == (b"Upgrade", b"websocket")
    assert request.get("sec-websocket-key") == b"dGhlIHNhbXBsZSBub25jZQ=="
    answer = client.read_response()
    assert (answer.status, answer.get("upgrade"), answer.get("sec-websocket-accept")) == (101, b"websocket", b"x")
    assert (
        answer.get(
            "connection",
        )
        == b"Upgrade"
    )
    for data in (b"\x81\x05hello", b"GET / HTTP/1.1\r\n\r\n", bytes(range(256)), bytes(100_000)):
        client.send(data)
        assert wire.read_exactly(len(data)) == data
        wire.send(data)
        assert client.read_exactly(len(data)) == data


def test_bytes_sent_before_the_service_agreed(client: Wire, upstream: Upstream) -> None:
    """Bytes that follow the request wait until the service has agreed, and then reach it in order."""
    client.send(upstream.get(b"/ws", *ASKED) + b"early ", b"and ")
    wire = upstream.accept()
    wire.read_request()
    client.send(b"late")
    assert wire.is_silent()
    wire.send(AGREED)
    assert wire.read_exactly(14) == b"early and late"


def test_bytes_of_the_service_that_come_with_its_agreement(client: Wire, upstream: Upstream) -> None:
    """Bytes right behind the 101 reach the client behind the 101."""
    client.send(upstream.get(b"/ws", *ASKED))
    upstream.serve(AGREED + b"welcome")
    assert client.read_response().status == 101
    assert client.read_exactly(7) == b"welcome"


def test_service_that_declines(client: Wire, upstream: Upstream) -> None:
    """When the service answers otherwise, that is the answer, and what the client sent behind is its next request."""
    client.send(upstream.get(b"/ws", *ASKED) + upstream.get(b"/next"))
    wire, _ = upstream.serve(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
    answer = client.read_response()
    assert (answer.status, answer.body) == (403, b"no")
    assert wire.read_request().target == b"/next"
    wire.send(OK)
    assert client.read_response().body == b"ok"


def test_upgrade_in_a_pipeline(client: Wire, upstream: Upstream) -> None:
    """An upgrade waits for the answers before it, and what follows it is the tunnel's."""
    client.send(upstream.get(b"/1") + upstream.get(b"/ws", *ASKED) + b"early", b" late")
    wire = upstream.accept()
    assert wire.read_request().target == b"/1"
    wire.send(OK)
    assert client.read_response().body == b"ok"
    assert wire.read_request().target == b"/ws"
    client.send(b" later")
    wire.send(AGREED)
    assert client.read_response().status == 101
    assert wire.read_exactly(16) == b"early late later"
    wire.send(b"reply")
    assert client.read_exactly(5) == b"reply"


def test_last_words_of_the_client_reach_the_service(client: Wire, upstream: Upstream) -> None:
    """What a client sends before it leaves reaches the service, and then the end does."""
    wire = opened(client, upstream)
    client.send(b"bye" * 30_000)
    client.close()
    assert wire.read_to_end() == b"bye" * 30_000


def test_last_words_of_the_service_reach_the_client(client: Wire, upstream: Upstream) -> None:
    """What a service sends before it leaves reaches the client, and then the end does."""
    wire = opened(client, upstream)
    wire.send(b"bye" * 30_000)
    wire.close()
    assert client.read_to_end() == b"bye" * 30_000


@pytest.mark.parametrize("side", ["client", "service"])
def test_tunnel_that_is_reset_ends(client: Wire, upstream: Upstream, side: str) -> None:
    """A reset of one side ends the other."""
    wire = opened(client, upstream)
    (client if side == "client" else wire).reset()
    assert (wire if side == "client" else client).read_rest() == b""


@pytest.mark.parametrize(
    "lines",
    [
        (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAAP__"),
        (b"Connection: upgrade", b"Upgrade: websocket, h2c"),
        (b"Connection: upgrade", b"Upgrade: TLS/1.0"),
        (b"Connection: upgrade",),
        (b"Upgrade: websocket",),
        (b"Connection: keep-alive", b"Upgrade: websocket"),
    ],
)
def test_upgrade_that_does_not_pass(client: Wire, upstream: Upstream, lines: tuple[bytes, ...]) -> None:
    """An upgrade to HTTP/2 or TLS, or one that is half asked for, is a plain request to the service."""
    client.send(upstream.get(b"/1", *lines))
    wire, request = upstream.serve(OK)
    assert not request.names & {b"upgrade", b"http2-settings", b"connection"}
    assert client.read_response().body == b"ok"
    client.send(upstream.get(b"/2"))
    assert wire.read_request().target == b"/2"
    wire.send(OK)
    assert client.read_response().body == b"ok"


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("cut", [0, 3, 100])
def test_upgrade_with_a_body(client: Wire, upstream: Upstream, framing: str, cut: int) -> None:
    """A request with a body and an upgrade is a plain request, and its body is read as one."""
    line, body = b"Content-Length: 5", b"hello"
    if framing == "chunked":
        line, body = b"Transfer-Encoding: chunked", b"2\r\nhe\r\n3\r\nllo\r\n0\r\nX-T: 1\r\n\r\n"
    raw = upstream.get(b"/1", *ASKED, line, method=b"POST") + body + upstream.get(b"/2")
    at = raw.index(body) + cut
    client.send(raw[:at], raw[at:])
    wire, request = upstream.serve(OK)
    assert (request.body, request.get("upgrade"), request.get("connection")) == (b"hello", None, None)
    assert wire.read_request().target == b"/2"
    wire.send(OK)
    assert [client.read_response().body for _ in range(2)] == [b"ok", b"ok"]


def test_upgrade_from_http10(client: Wire, upstream: Upstream) -> None:
    """A client of HTTP/1.0 cannot change the protocol (RFC 9110 §7.8)."""
    client.send(b"\r\n".join([b"GET /ws HTTP/1.0", b"Host: " + upstream.host, *ASKED, b"", b""]))
    _, request = upstream.serve(OK)
    assert request.get("upgrade") is None
    assert client.read_response().body == b"ok"


def test_upgrade_that_the_gateway_answers(client: Wire) -> None:
    """An upgrade that the gateway answers itself is a plain request."""
    fixed = b"\r\n".join([b"GET / HTTP/1.1", b"Host: fixed.test", *ASKED, b"", b""])
    client.send(fixed + fixed)
    assert [client.read_response().body for _ in range(2)] == [b"fixed", b"fixed"]


def test_tunnels_that_rest_keep_nobody_awake(start: Start, upstream: Upstream) -> None:
    """A worker with connections on which nothing happens wakes a few times a second, as without them, not for each tick
    of the clock of requests."""
    gateway = start(f'[gateway]\nadmin = "off"\n{routes(upstream)}')
    worker = psutil.Process(gateway.process.pid).children(recursive=True)[0]
    with ExitStack() as stack:
        ends = [
            (client, opened(client, upstream)) for client in [stack.enter_context(gateway.connect()) for _ in "abc"]
        ]

        def wakes(seconds: float) -> float:
            before, began = worker.num_ctx_switches().voluntary, time.monotonic()
            threading.Event().wait(seconds)
            return (worker.num_ctx_switches().voluntary - before) / (time.monotonic() - began)

        assert min(wakes(1.0) for _ in range(4)) < 25
        for client, wire in ends:
            client.send(b"hello")
            assert wire.read_exactly(5) == b"hello"
            wire.close()
            assert client.read_to_end() == b""
