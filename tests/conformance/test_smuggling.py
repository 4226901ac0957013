"""Hostile requests: what is not plainly one request is refused and the service hears nothing of it; what is accepted
reaches it as exactly one request, framed in one way."""

from __future__ import annotations

import pytest

from .refusals import is_refused, is_unseen, read_refusal
from .running import Gateway
from .upstream import OK, Upstream
from .wire import Wire

# What follows every request: whoever reads the framing before it otherwise than the gateway finds a request in it.
TAIL = b"5\r\nhello\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: HOST\r\n\r\n"

FRAMING = {
    "te then cl": b"Transfer-Encoding: chunked\r\nContent-Length: 5",
    "cl then te": b"Content-Length: 5\r\nTransfer-Encoding: chunked",
    "te and cl of 0": b"Content-Length: 0\r\nTransfer-Encoding: chunked",
    "te space colon": b"Transfer-Encoding : chunked",
    "te tab colon": b"Transfer-Encoding\t: chunked",
    "te chunked, identity": b"Transfer-Encoding: chunked, identity",
    "te chunked, comma": b"Transfer-Encoding: chunked,",
    "te twice": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    "te twice, other": b"Transfer-Encoding: chunked\r\nTransfer-encoding: identity",
    "te folded": b"Transfer-Encoding:\r\n chunked",
    "te folded by tab": b"Transfer-Encoding:\r\n\tchunked",
    "te folded after": b"Transfer-Encoding: chunked\r\n identity",
    "te vertical tab": b"Transfer-Encoding: \x0bchunked",
    "te nul": b"Transfer-Encoding: chunked\x00",
    "te empty": b"Transfer-Encoding:",
    "te before bare lf": b"X: y\nTransfer-Encoding: chunked",
    "te before bare cr": b"X: y\rTransfer-Encoding: chunked",
    "te in a folded line": b"X: y\r\n Transfer-Encoding: chunked",
    "te after a colon": b"Foo: \r\n:Transfer-Encoding: chunked",
    "cl plus": b"Content-Length: +5",
    "cl minus": b"Content-Length: -5",
    "cl hex": b"Content-Length: 0x5",
    "cl list": b"Content-Length: 5,5",
    "cl list with space": b"Content-Length: 5, 5",
    "cl two numbers": b"Content-Length: 5 5",
    "cl fraction": b"Content-Length: 5.0",
    "cl exponent": b"Content-Length: 5e0",
    "cl underscore": b"Content-Length: 1_5",
    "cl over 64 bits": b"Content-Length: 18446744073709551621",
    "cl over 63 bits": b"Content-Length: 9223372036854775808",
    "cl twice, other": b"Content-Length: 5\r\nContent-Length: 6",
    "cl twice, same": b"Content-Length: 5\r\nContent-Length: 5",
    "cl empty": b"Content-Length:",
    "cl blank": b"Content-Length:   ",
    "cl space colon": b"Content-Length : 5",
    "cl nul": b"Content-Length: 5\x00",
    "cl arabic digits": "Content-Length: \u0665".encode(),
}
CODINGS = {
    "xchunked": b"xchunked",
    "gzip, chunked": b"gzip, chunked",
    "identity": b"identity",
    "quoted": b'"chunked"',
    "parameter": b"chunked;q=1",
    "comma first": b",chunked",
    "tab behind": b"chunked\t",
    "chunked twice": b"chunked, chunked",
}
FIELDS = {
    "space colon": b"X-A : b",
    "space first": b" X-A: b",
    "folded": b"X-A: b\r\n c",
    "no colon": b"X-A",
    "no name": b": b",
    "nul in name": b"X\x00A: b",
    "nul in value": b"X-A: b\x00c",
    "control in value": b"X-A: b\x01c",
    "delete in value": b"X-A: b\x7fc",
    "bell in name": b"X\x07: b",
    "bracket in name": b"X(A): b",
    "non-ascii name": b"X-\xc3\xa4: b",
    "bare lf": b"X-A: b\nX-B: c",
    "bare cr": b"X-A: b\rX-B: c",
    "cr cr lf": b"X-A: b\r\r\nX-B: c",
    "two hosts": b"Host: evil.test",
    "two same hosts": b"Host: HOST",
}
HOSTS = {
    "empty": b"Host:",
    "space": b"Host: a b",
    "comma": b"Host: HOST, evil.test",
    "slash": b"Host: HOST/evil",
    "user": b"Host: user@HOST",
    "query": b"Host: HOST?x",
    "fragment": b"Host: HOST#x",
    "bad port": b"Host: HOST:http",
    "large port": b"Host: HOST:65536",
    "two ports": b"Host: HOST:80:80",
    "non-ascii": b"Host: HOST\xe9",
    "open bracket": b"Host: [::1",
    "nul": b"Host: HOST\x00",
    "missing": b"X-Nothing: here",
    "space colon": b"Host : HOST",
}
LINES = {
    "lower case method": (b"get / HTTP/1.1", 501, "method_unknown"),
    "unknown method": (b"FETCH / HTTP/1.1", 501, "method_unknown"),
    "method with tab": (b"GET\t/ HTTP/1.1", 501, "method_unknown"),
    "rtsp": (b"DESCRIBE / RTSP/1.0", 501, "method_unknown"),
    "rtsp method": (b"SETUP / HTTP/1.1", 400, "bad_request"),
    "connect": (b"CONNECT HOST:443 HTTP/1.1", 501, "method_unsupported"),
    "no version": (b"GET /", 505, "version_unsupported"),
    "0.9": (b"GET / HTTP/0.9", 505, "version_unsupported"),
    "1.2": (b"GET / HTTP/1.2", 505, "version_unsupported"),
    "2.0": (b"GET / HTTP/2.0", 505, "version_unsupported"),
    "lower case version": (b"GET / http/1.1", 400, "bad_request"),
    "01.1": (b"GET / HTTP/01.1", 400, "bad_request"),
    "1.10": (b"GET / HTTP/1.10", 400, "bad_request"),
    "space behind": (b"GET / HTTP/1.1 ", 400, "bad_request"),
    "tab behind": (b"GET / HTTP/1.1\t", 400, "bad_request"),
    "bare cr behind": (b"GET / HTTP/1.1\r", 400, "bad_request"),
    "third word": (b"GET / /b HTTP/1.1", 400, "bad_request"),
    "tab between": (b"GET /\tHTTP/1.1", 400, "bad_request"),
    "no slash": (b"GET a HTTP/1.1", 400, "bad_request"),
    "authority form": (b"GET HOST:80 HTTP/1.1", 400, "bad_request"),
    "star": (b"GET * HTTP/1.1", 400, "bad_request"),
    "other scheme": (b"GET ftp://HOST/ HTTP/1.1", 400, "bad_request"),
    "user in target": (b"GET http://user@HOST/ HTTP/1.1", 400, "bad_request"),
    "no authority": (b"GET http:///x HTTP/1.1", 400, "bad_request"),
    "nul in target": (b"GET /a\x00b HTTP/1.1", 400, "bad_request"),
    "control in target": (b"GET /a\x01b HTTP/1.1", 400, "bad_request"),
    "delete in target": (b"GET /a\x7fb HTTP/1.1", 400, "bad_request"),
    "non-ascii target": (b"GET /\xc3\xa9 HTTP/1.1", 400, "bad_request"),
    "non-ascii query": (b"GET /?\xc3\xa9 HTTP/1.1", 400, "bad_request"),
    "fragment": (b"GET /a#b HTTP/1.1", 400, "bad_path"),
    "fragment in query": (b"GET /a?b#c HTTP/1.1", 400, "bad_path"),
    "escaped nul": (b"GET /a%00b HTTP/1.1", 400, "bad_path"),
    "broken escape": (b"GET /a%zzb HTTP/1.1", 400, "bad_path"),
    "short escape": (b"GET /a%4 HTTP/1.1", 400, "bad_path"),
}
CHUNKS = {
    "size with space": b"5 \r\nhello\r\n0\r\n\r\n",
    "space before size": b" 5\r\nhello\r\n0\r\n\r\n",
    "hex prefix": b"0x5\r\nhello\r\n0\r\n\r\n",
    "plus": b"+5\r\nhello\r\n0\r\n\r\n",
    "minus": b"-5\r\nhello\r\n0\r\n\r\n",
    "not hex": b"5g\r\nhello\r\n0\r\n\r\n",
    "empty": b"\r\nhello\r\n0\r\n\r\n",
    "size by lf": b"5\nhello\r\n0\r\n\r\n",
    "size by cr": b"5\rhello\r\n0\r\n\r\n",
    "data by lf": b"5\r\nhello\n0\r\n\r\n",
    "data by nothing": b"5\r\nhello0\r\n\r\n",
    "data too long": b"5\r\nhelloXX\r\n0\r\n\r\n",
    "last by lf": b"5\r\nhello\r\n0\n\n",
    "end by lf": b"5\r\nhello\r\n0\r\n\n",
    "overflow": b"10000000000000005\r\nhello\r\n0\r\n\r\n",
    "many digits": b"f" * 40 + b"\r\nhello\r\n0\r\n\r\n",
    "extension by lf": b"5;a\nb\r\nhello\r\n0\r\n\r\n",
    "extension with nul": b"5;a=\x00\r\nhello\r\n0\r\n\r\n",
    "extension by cr": b"5;a\r\r\nhello\r\n0\r\n\r\n",
    "quoted line end": b'5;a="\r\n"\r\nhello\r\n0\r\n\r\n',
    "trailer by lf": b"5\r\nhello\r\n0\r\nX: y\n\r\n",
    "trailer folded": b"5\r\nhello\r\n0\r\nX: y\r\n z\r\n\r\n",
    "trailer space colon": b"5\r\nhello\r\n0\r\nX : y\r\n\r\n",
    "trailer length": b"5\r\nhello\r\n0\r\nContent-Length: 5\r\n\r\n",
    "trailer coding": b"5\r\nhello\r\n0\r\nTransfer-Encoding: gzip\r\n\r\n",
}


def named(table: dict[str, object]) -> pytest.MarkDecorator:
    """A parameter `case` for each entry."""
    return pytest.mark.parametrize("case", table.values(), ids=list(table))


def hostile(upstream: Upstream, raw: bytes) -> bytes:
    """`raw` with the service's host in place, so that a route would take it."""
    return raw.replace(b"HOST", upstream.host)


@named(FRAMING)
def test_ambiguous_framing_is_refused(gateway: Gateway, client: Wire, upstream: Upstream, case: bytes) -> None:
    """A request whose end two readers could see in two places is answered 400, and nobody else hears of it."""
    client.send(hostile(upstream, b"POST / HTTP/1.1\r\nHost: HOST\r\n" + case + b"\r\n\r\n" + TAIL))
    is_refused(client, 400, "bad_request")
    is_unseen(gateway, upstream)


@named(CODINGS)
def test_other_codings_are_refused(gateway: Gateway, client: Wire, upstream: Upstream, case: bytes) -> None:
    """A transfer coding that the gateway does not read is never guessed at."""
    client.send(hostile(upstream, b"POST / HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: " + case + b"\r\n\r\n" + TAIL))
    answer = client.read_response()
    assert (answer.status, answer.get("x-meshctl-reason")) in {(501, b"coding_unsupported"), (400, b"bad_request")}
    assert client.read_to_end() == b""
    is_unseen(gateway, upstream)


@named(FIELDS)
def test_malformed_field_is_refused(gateway: Gateway, client: Wire, upstream: Upstream, case: bytes) -> None:
    """A field line that is not one is answered 400, and nobody else hears of it."""
    client.send(hostile(upstream, b"GET / HTTP/1.1\r\nHost: HOST\r\n" + case + b"\r\n\r\n"))
    is_refused(client, 400, "bad_host" if case.startswith(b"Host") else "bad_request")
    is_unseen(gateway, upstream)


def test_unknown_expectation_is_refused(gateway: Gateway, client: Wire, upstream: Upstream) -> None:
    """What nobody knows how to meet is answered 417 (RFC 9110 §10.1.1), and nobody else hears of it."""
    client.send(hostile(upstream, b"GET / HTTP/1.1\r\nHost: HOST\r\nExpect: the-worst\r\n\r\n"))
    is_refused(client, 417, "expectation_unknown")
    is_unseen(gateway, upstream)


@named(HOSTS)
def test_invalid_host_is_refused(gateway: Gateway, client: Wire, upstream: Upstream, case: bytes) -> None:
    """A request without exactly one valid Host is answered 400, and nobody else hears of it."""
    client.send(hostile(upstream, b"GET / HTTP/1.1\r\n" + case + b"\r\n\r\n"))
    is_refused(client, 400, "bad_request" if case[4:5] == b" " or b"\0" in case else "bad_host")
    is_unseen(gateway, upstream)


@named(LINES)
def test_malformed_request_line_is_refused(
    gateway: Gateway, client: Wire, upstream: Upstream, case: tuple[bytes, int, str]
) -> None:
    """A request line that is not one of HTTP/1.1 is answered with what is wrong, and nobody else hears of it."""
    line, status, reason = case
    client.send(hostile(upstream, line + b"\r\nHost: HOST\r\n\r\n"))
    if reason == "bad_path" and b"#" not in line:
        # It was read as a request, so the connection can go on.
        read_refusal(client, status, reason)
        client.send(b"GET / HTTP/1.1\r\nHost: fixed.test\r\n\r\n")
        assert client.read_response().body == b"fixed"
    else:
        is_refused(client, status, reason)
    is_unseen(gateway, upstream)


def test_preface_of_http2_is_refused(client: Wire) -> None:
    """The preface of HTTP/2 is answered in words that a human understands: 505."""
    client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9))
    is_refused(client, 505, "version_unsupported")


def test_tls_on_a_plain_listener_is_refused(client: Wire) -> None:
    """A TLS handshake on a listener without TLS is answered and closed, not waited for."""
    client.send(bytes.fromhex("16030100c8010000c40303") + bytes(200))
    answer = client.read_response()
    assert answer.status in {400, 501}
    assert client.read_to_end() == b""


@named(CHUNKS)
def test_malformed_chunk_is_refused(gateway: Gateway, client: Wire, upstream: Upstream, case: bytes) -> None:
    """A body that is not chunked as it says gets 400 and the end; the service never sees the end of such a request."""
    head = hostile(upstream, b"POST / HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: chunked\r\n\r\n")
    client.send(head + case + hostile(upstream, b"GET /smuggled HTTP/1.1\r\nHost: HOST\r\n\r\n"))
    is_refused(client, 400, "bad_request")
    is_unseen(gateway, upstream)


@named(CHUNKS)
def test_malformed_chunk_cuts_the_service_off(client: Wire, upstream: Upstream, case: bytes) -> None:
    """Where the service has the head already, it sees that request broken off, never ended, and nothing behind it."""
    client.send(hostile(upstream, b"POST / HTTP/1.1\r\nHost: HOST\r\nTransfer-Encoding: chunked\r\n\r\n"))
    wire = upstream.accept()
    wire.read_head()
    client.send(case + hostile(upstream, b"GET /smuggled HTTP/1.1\r\nHost: HOST\r\n\r\n"))
    is_refused(client, 400, "bad_request")
    seen = wire.read_rest()
    assert not seen.endswith(b"0\r\n\r\n")
    assert b"smuggled" not in seen
    assert upstream.is_untouched()


ACCEPTED = {
    "tab before coding": (b"Transfer-Encoding:\tchunked", b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
    "coding in capitals": (b"Transfer-Encoding: CHUNKED", b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
    "name in capitals": (b"TRANSFER-ENCODING: chunked", b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
    "space behind coding": (b"Transfer-Encoding: chunked  ", b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
    "other name": (b"Transfer_Encoding: chunked", b"", b""),
    "other name for length": (b"Content_Length: 5", b"", b""),
    "space behind length": (b"Content-Length: 5 ", b"hello", b"hello"),
    "zeros before length": (b"Content-Length: 005", b"hello", b"hello"),
    "length 0": (b"Content-Length: 0", b"", b""),
    "extension": (b"Transfer-Encoding: chunked", b"5;a=b\r\nhello\r\n0;c\r\n\r\n", b"hello"),
    "quoted extension": (b"Transfer-Encoding: chunked", b'5;a=";b"\r\nhello\r\n0\r\n\r\n', b"hello"),
    "zeros before size": (b"Transfer-Encoding: chunked", b"0005\r\nhello\r\n000\r\n\r\n", b"hello"),
    "size in capitals": (b"Transfer-Encoding: chunked", b"A\r\nhellohello\r\n0\r\n\r\n", b"hellohello"),
    "request as body": (
        b"Content-Length: 27",
        b"GET /evil HTTP/1.1\r\nA: b\r\n\r"[:27],
        b"GET /evil HTTP/1.1\r\nA: b\r\n\r"[:27],
    ),
    "chunks as body": (b"Content-Length: 5", b"0\r\n\r\n", b"0\r\n\r\n"),
}


@named(ACCEPTED)
def test_odd_but_plain_request_passes_once(client: Wire, upstream: Upstream, case: tuple[bytes, bytes, bytes]) -> None:
    """What is odd but has one reading reaches the service as one plain request, and the next one follows it."""
    line, sent, body = case
    client.send(hostile(upstream, b"POST /odd HTTP/1.1\r\nHost: HOST\r\n" + line + b"\r\n\r\n") + sent)
    client.send(upstream.get(b"/next"))
    wire, request = upstream.serve(OK)
    assert (request.target, request.body) == (b"/odd", body)
    assert wire.read_request().target == b"/next"
    wire.send(OK)
    assert [client.read_response().body for _ in range(2)] == [b"ok", b"ok"]
    assert wire.is_silent()
    assert upstream.is_untouched()


@pytest.mark.parametrize("lines", [b"\r\n", b"\r\n\r\n"])
def test_empty_lines_before_a_request_are_skipped(client: Wire, upstream: Upstream, lines: bytes) -> None:
    """Empty lines before a request are not part of it (RFC 9112 §2.2)."""
    client.send(lines + upstream.get(b"/x"))
    assert upstream.serve(OK)[1].target == b"/x"
    assert client.read_response().status == 200


HOP_BY_HOP = [
    b"Keep-Alive: timeout=5", b"Proxy-Connection: keep-alive", b"Proxy-Authorization: Basic eA==", b"TE: trailers",
    b"Trailer: X-Sum", b"Upgrade: h2c", b"HTTP2-Settings: AAMAAABkAAQAAP__", b"Proxy-Authenticate: Basic",
]  # fmt: skip


def test_hop_by_hop_fields_do_not_pass(client: Wire, upstream: Upstream) -> None:
    """Fields of one connection stop at the gateway, and so do those that Connection names, in either direction."""
    named_ones = b"Connection: close, X-Secret ,\tx-other"
    client.send(upstream.get(b"/", *HOP_BY_HOP, named_ones, b"X-Secret: 1", b"X-Other: 2", b"X-Kept: 3"))
    lines = b"\r\n".join([*HOP_BY_HOP, named_ones, b"X-Secret: 1", b"X-Other: 2", b"X-Kept: 3"])
    wire, request = upstream.serve(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n" + lines + b"\r\n\r\nok")
    answer = client.read_response()
    dropped = {line.partition(b":")[0].lower() for line in HOP_BY_HOP} | {b"x-secret", b"x-other"}
    assert (request.get("x-kept"), answer.get("x-kept")) == (b"3", b"3")
    assert not request.names & (dropped | {b"connection"})
    assert not answer.names & dropped
    assert client.read_to_end() == b""
    wire.read_rest()


@pytest.mark.parametrize(
    "name", ["Host", "Content-Length", "Cookie", "Authorization", "X-Forwarded-For", "X-Request-Id"]
)
def test_connection_cannot_hide_a_field_that_matters(client: Wire, upstream: Upstream, name: str) -> None:
    """Naming a field in Connection does not take from the service what it decides by."""
    fields = [
        b"Cookie: a=b",
        b"Authorization: Bearer x",
        b"Content-Length: 2",
        b"Connection: keep-alive, " + name.encode(),
    ]
    client.send(upstream.get(b"/", *fields, method=b"POST") + b"hi")
    _, request = upstream.serve(OK)
    assert (request.get("host"), request.body, request.get("cookie")) == (upstream.host, b"hi", b"a=b")
    assert (request.get("authorization"), request.get("x-forwarded-for")) == (b"Bearer x", b"127.0.0.1")
    assert request.get("x-request-id")
    assert client.read_response().status == 200


def test_authority_of_the_target_wins(client: Wire, upstream: Upstream) -> None:
    """With an absolute target its authority is the Host, for routing and for the service; what was in Host is gone."""
    client.send(b"GET http://" + upstream.host + b"/a?b HTTP/1.1\r\nHost: fixed.test\r\n\r\n")
    _, request = upstream.serve(OK)
    assert (request.target, request.get("host")) == (b"/a?b", upstream.host)
    assert request.get("x-forwarded-host") == upstream.host
    assert client.read_response().body == b"ok"


def test_host_is_compared_without_case_port_and_dot(client: Wire, upstream: Upstream) -> None:
    """A host in capitals, with a port or a final dot, is the same host."""
    for host in (upstream.host.upper(), upstream.host + b":8080", upstream.host + b".", upstream.host + b":"):
        client.send(b"GET / HTTP/1.1\r\nHost: " + host + b"\r\n\r\n")
    wire = upstream.accept()
    for _ in range(4):
        assert wire.read_request().get("host").lower().startswith(upstream.host)
        wire.send(OK)
        assert client.read_response().status == 200
