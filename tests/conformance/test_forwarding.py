"""What the service is told of a request: its path as it was matched, where it came from, and by which identifiers."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from .conftest import Start, routes
from .running import Gateway
from .upstream import OK, Upstream
from .wire import Message, Wire, connect

TRACE = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

PATHS = {
    b"/": b"/",
    b"/a/b": b"/a/b",
    b"/a/./b": b"/a/b",
    b"/a/../b": b"/b",
    b"/a/..": b"/",
    b"/a/b/..": b"/a/",
    b"/a/.": b"/a/",
    b"/../../a": b"/a",
    b"/a/%2e%2e/b": b"/b",
    b"/a/%2E%2e/b": b"/b",
    b"/a/.%2e/b": b"/b",
    b"/%2e/a": b"/a",
    b"/%61%2D%5f%7e": b"/a-_~",
    b"/%c3%a9": b"/%C3%A9",
    b"/a%2fb": b"/a%2Fb",
    b"/a%2f..%2fb": b"/a%2F..%2Fb",
    b"/a%5cb": b"/a%5Cb",
    b"//a": b"//a",
    b"/a//b": b"/a//b",
    b"/a//../b": b"/a/b",
    b"/a;b=c/d": b"/a;b=c/d",
    b"/a/..;/b": b"/a/..;/b",
    b"/...": b"/...",
    b"/a\\..\\b": b"/a%5C..%5Cb",
    b"/a|b^c`d{e}": b"/a%7Cb%5Ec%60d%7Be%7D",
    b"/%25": b"/%25",
    b"/%252e%252e/a": b"/%252e%252e/a",
    b"/a?b=/../c&d=%2e%2E": b"/a?b=/../c&d=%2e%2E",
    b"/a?": b"/a?",
    b"/a?b?c": b"/a?b?c",
    b"/./a?x=%zz": b"/a?x=%zz",
}


@pytest.mark.parametrize("sent", PATHS, ids=lambda path: path.decode())
def test_path_goes_on_in_its_normal_form(client: Wire, upstream: Upstream, sent: bytes) -> None:
    """The service is asked for the path that routes were matched against; the query goes on as it came."""
    client.send(upstream.get(sent))
    assert upstream.serve(OK)[1].target == PATHS[sent]
    assert client.read_response().body == b"ok"


def ask(wire: Wire, upstream: Upstream, *lines: bytes) -> Message:
    """What the service sees of a GET with field `lines`."""
    wire.send(upstream.get(b"/", *lines))
    _, request = upstream.serve(OK)
    assert wire.read_response().body == b"ok"
    return request


FORGED = (
    b"X-Forwarded-For: 6.6.6.6",
    b"x-forwarded-for: 7.7.7.7",
    b"X-Forwarded-Proto: https",
    b"X-Forwarded-Host: evil.test",
    b"Forwarded: for=6.6.6.6;proto=https",
)


def test_forwarding_fields_are_made(client: Wire, upstream: Upstream) -> None:
    """The service learns the client's address, the scheme and the host it asked for."""
    request = ask(client, upstream)
    assert request.get("x-forwarded-for") == b"127.0.0.1"
    assert request.get("x-forwarded-proto") == b"http"
    assert request.get("x-forwarded-host") == upstream.host
    assert request.get("via") == b"1.1 meshctl"
    assert request.get("forwarded") is None


def test_forged_forwarding_fields_are_replaced(client: Wire, upstream: Upstream) -> None:
    """What an untrusted client says of them is gone."""
    request = ask(client, upstream, *FORGED)
    assert request.get("x-forwarded-for") == b"127.0.0.1"
    assert request.get("x-forwarded-proto") == b"http"
    assert request.get("x-forwarded-host") == upstream.host
    assert request.get("forwarded") is None


@pytest.mark.parametrize("name", [b"Proxy", b"proxy", b"PROXY"])
def test_no_proxy_of_the_services_own_is_named(client: Wire, upstream: Upstream, name: bytes) -> None:
    """What CGI would make HTTP_PROXY of does not pass, in a head alone, in one with a body, or behind that."""
    line = name + b": http://evil.test"
    request = ask(client, upstream, line, b"X-Other: 1", b"Proxy-Status: 1")
    assert (request.get("proxy"), request.get("x-other"), request.get("proxy-status")) == (None, b"1", b"1")
    head = upstream.get(b"/", line, b"Transfer-Encoding: chunked", method=b"POST")
    client.send(head + b"2\r\nhi\r\n0\r\n" + line + b"\r\nX-Sum: 1\r\n\r\n")
    wire = upstream.hear()
    request = wire.read_request()
    assert (request.get("proxy"), request.body, request.trailers) == (None, b"hi", ((b"X-Sum", b"1"),))
    wire.send(OK)
    assert client.read_response().body == b"ok"


def test_host_of_each_request_is_told(client: Wire, upstream: Upstream) -> None:
    """On one connection each request is told under its own host."""
    assert ask(client, upstream).get("x-forwarded-host") == upstream.host
    for host in (upstream.host.upper(), upstream.host + b":1", upstream.host):
        client.send(b"GET / HTTP/1.1\r\nHost: %b\r\n\r\n" % host)
        wire = upstream.hear()
        request = wire.read_request()
        wire.send(OK)
        assert (request.get("host"), request.get("x-forwarded-host")) == (host, host)
        assert client.read_response().body == b"ok"


def test_fields_of_a_trusted_proxy_are_kept(gateway: Gateway, upstream: Upstream) -> None:
    """What a trusted proxy says is believed, and its own address is added."""
    with gateway.connect(source="127.0.0.2") as proxy:
        request = ask(proxy, upstream, *FORGED[:4])
        assert request.get("x-forwarded-for") == b"6.6.6.6, 7.7.7.7, 127.0.0.2"
        assert request.get("x-forwarded-proto") == b"https"
        assert request.get("x-forwarded-host") == b"evil.test"


def test_trusted_proxy_that_says_nothing(gateway: Gateway, upstream: Upstream) -> None:
    """A trusted proxy that says nothing is a client like any other."""
    with gateway.connect(source="127.0.0.2") as proxy:
        request = ask(proxy, upstream)
        assert request.get("x-forwarded-for") == b"127.0.0.2"
        assert request.get("x-forwarded-proto") == b"http"
        assert request.get("x-forwarded-host") == upstream.host


@pytest.fixture(scope="module")
def forwarding(start: Start) -> Iterator[tuple[Gateway, Upstream]]:
    """A gateway that writes Forwarded."""
    service = Upstream("f")
    head = '[gateway]\nadmin = "off"\naccess_log = "off"\nforwarded = true\ntrusted_proxies = ["127.0.0.2/31"]\n'
    yield start(head + routes(service)), service
    service.forget()
    service.listener.close()


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("127.0.0.1", b'for=127.0.0.1;proto=http;host="f.test"'),
        ("127.0.0.3", b'for=6.6.6.6;proto=https, for=127.0.0.3;proto=http;host="f.test"'),
    ],
)
def test_forwarded_on_request(forwarding: tuple[Gateway, Upstream], source: str, expected: bytes) -> None:
    """Where it is asked for, Forwarded (RFC 7239) says the same; trusted proxies' elements stay before it."""
    gateway, service = forwarding
    with gateway.connect(source=source) as wire:
        wire.send(service.get(b"/", FORGED[4]))
        there = service.hear()
        request = there.read_request()
        there.send(OK)
        assert (request.get("forwarded"), request.get("via")) == (expected, b"1.1 meshctl")
        assert wire.read_response().body == b"ok"


def test_request_id_is_kept(client: Wire, upstream: Upstream) -> None:
    """A client's request id goes to the service and comes back with the answer, whatever the service says."""
    client.send(upstream.get(b"/", b"X-Request-Id: abc-123_.~/+=:@"))
    _, request = upstream.serve(b"HTTP/1.1 200 OK\r\nX-Request-Id: other\r\nContent-Length: 0\r\n\r\n")
    assert request.get("x-request-id") == b"abc-123_.~/+=:@"
    assert client.read_response().get("x-request-id") == b"abc-123_.~/+=:@"


@pytest.mark.parametrize("given", [b"", b"a b", b"a\tb", b'a"b', b"a" * 129, b"\xc3\xa9", b"a\r\nX-Request-Id: b"])
def test_invalid_request_id_is_replaced(client: Wire, upstream: Upstream, given: bytes) -> None:
    """An id that could forge a line of a log, or none, is replaced by one of the gateway's."""
    request = ask(client, upstream, b"X-Request-Id: " + given)
    made = request.get("x-request-id") or b""
    assert made != given
    assert re.fullmatch(rb"[0-9a-f]{32}", made)


def test_request_ids_differ(client: Wire, upstream: Upstream) -> None:
    """No two requests get the same id."""
    client.send(upstream.get() * 5)
    wire = upstream.accept()
    seen = set()
    for _ in range(5):
        seen.add(wire.read_request().get("x-request-id"))
        wire.send(OK)
        assert client.read_response().get("x-request-id") in seen
    assert len(seen) == 5


def test_trace_is_kept(client: Wire, upstream: Upstream) -> None:
    """A valid traceparent goes on as it is, and tracestate with it."""
    request = ask(client, upstream, b"traceparent: " + TRACE, b"tracestate: a=b")
    assert (request.get("traceparent"), request.get("tracestate")) == (TRACE, b"a=b")


@pytest.mark.parametrize(
    "given",
    [
        None,
        b"",
        b"nonsense",
        TRACE.upper(),
        TRACE[:-3],
        TRACE + b"-00",
        b"ff" + TRACE[2:],
        b"00-" + b"0" * 32 + TRACE[35:],
        TRACE[:36] + b"0" * 16 + b"-01",
        TRACE + b", " + TRACE,
    ],
)
def test_trace_is_made(client: Wire, upstream: Upstream, given: bytes | None) -> None:
    """Without a valid traceparent a new trace begins."""
    request = ask(client, upstream, *([] if given is None else [b"traceparent: " + given]))
    made = request.get("traceparent") or b""
    assert re.fullmatch(rb"00-[0-9a-f]{32}-[0-9a-f]{16}-00", made)
    assert made[3:35].strip(b"0")


def test_via_grows(client: Wire, upstream: Upstream) -> None:
    """The gateway adds itself to those that the request came by."""
    assert ask(client, upstream, b"Via: 1.1 first").get("via") == b"1.1 first, 1.1 meshctl"


def test_other_fields_pass_as_they_came(client: Wire, upstream: Upstream) -> None:
    """Fields the gateway has no part in pass in order, with their spelling, twice where they came twice."""
    lines = [
        b"X-CamelCase: a",
        b"x-two: 1",
        b"X-Two: 2",
        b"X-Empty:",
        b"X-Latin: \xe9",
        b"User-Agent: t/1",
        b"Date: now",
    ]
    request = ask(client, upstream, *lines)
    seen = [name + b": " + value for name, value in request.fields]
    assert [line for line in seen if line[:2].lower() == b"x-" and b"-For" not in line and b"-Id" not in line][:5] == [
        b"X-CamelCase: a",
        b"x-two: 1",
        b"X-Two: 2",
        b"X-Empty: ",
        b"X-Latin: \xe9",
    ]
    assert (request.get("user-agent"), request.get("date")) == (b"t/1", b"now")


def test_client_without_host(gateway: Gateway, start: Start) -> None:
    """A client of HTTP/1.0 that sends no Host is routed by its path; the service sees its own address."""
    service = Upstream("h")
    config = f"""
        [gateway]
        admin = "off"
        access_log = "off"
        [[routes]]
        path = "/"
        service = "h"
        [services.h]
        endpoints = ["127.0.0.1:{service.port}"]
    """
    with connect(start(config).address) as client:
        client.send(b"GET /x HTTP/1.0\r\n\r\n")
        _, request = service.serve(OK)
        assert (request.target, request.get("host")) == (b"/x", b"127.0.0.1:%d" % service.port)
        assert client.read_response().body == b"ok"
    service.forget()
    service.listener.close()
