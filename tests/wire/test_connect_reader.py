"""What a wrapped app sends to its proxy: whole URLs, tunnels, and the same by both ways of reading."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from meshctl.wire.connect_reader import ConnectReader, PlainProxyRequests
from meshctl.wire.message import Malformed, Request

from .recorder import Requests, as_read, read


class ProxyRequests(ConnectReader, Requests):
    """The reader under test, writing down what it reads."""


def first(data: bytes) -> Request:
    """The one request in `data`."""
    reader = ProxyRequests()
    reader.feed(data)
    (found,) = reader.seen
    assert isinstance(found.head, Request)
    return found.head


@pytest.mark.parametrize(
    ("target", "host", "authority", "asked"),
    [
        ("http://orders/x", "orders", b"orders", "/x"),
        ("http://orders/x?a=b/c", "orders", b"orders", "/x?a=b/c"),
        ("http://ORDERS.mesh:80/", "orders.mesh", b"ORDERS.mesh:80", "/"),
        ("HTTP://orders", "orders", b"orders", "/"),
        ("http://orders?x", "orders", b"orders", "/?x"),
        ("http://orders/?", "orders", b"orders", "/?"),
        ("http://[::1]:8080/a", "::1", b"[::1]:8080", "/a"),
        ("/x?y", "other", b"other:1", "/x?y"),
    ],
)
def test_url_decides_the_host(target: str, host: str, authority: bytes, asked: str) -> None:
    """A whole URL says host and path, whatever the Host field says (RFC 9112 §3.2.2); a path takes the Host's."""
    request = first(f"GET {target} HTTP/1.1\r\nHost: other:1\r\n\r\n".encode())
    assert (request.host, request.authority) == (host, authority)
    assert (request.target, request.target_text) == (asked.encode(), asked)


@pytest.mark.parametrize(
    ("target", "host"),
    [
        ("example.com:443", "example.com"),
        ("Example.COM.:443", "example.com"),
        ("127.0.0.1:1", "127.0.0.1"),
        ("[::1]:65535", "::1"),
        ("a_b:80", "a_b"),
    ],
)
@pytest.mark.parametrize("fields", ["Host: x\r\n", "Host: x\r\nContent-Length: 0\r\nProxy-Authorization: y\r\n"])
def test_connect(target: str, host: str, fields: str) -> None:
    """CONNECT names a host and a port, which its target says alone."""
    request = first(f"CONNECT {target} HTTP/1.1\r\n{fields}\r\n".encode())
    assert (request.method, request.host, request.authority) == ("CONNECT", host, target.encode())
    assert (request.target_text, request.path, request.query_string) == (target, "/", None)


def test_connect_of_http10() -> None:
    """CONNECT in HTTP/1.0 needs no Host: openssl sends such."""
    assert first(b"CONNECT a:1 HTTP/1.0\r\n\r\n").authority == b"a:1"


@pytest.mark.parametrize("feed", [1, 7, 1000])
def test_what_follows_connect_is_not_read(feed: int) -> None:
    """What follows the head of a CONNECT comes back unread, however it is cut."""
    reader = ProxyRequests()
    data = b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n"
    rest = None
    for at in range(0, len(data), feed):
        rest = reader.feed(data[at : at + feed])
    assert rest == b""
    reader = ProxyRequests()
    assert reader.feed(data + b"\x16\x03\x01GET / HTTP/1.1\r\n\r\n") == b"\x16\x03\x01GET / HTTP/1.1\r\n\r\n"


@pytest.mark.parametrize(
    "target",
    [
        b"a",
        b"a:",
        b":80",
        b"a:0",
        b"a:00",
        b"a:65536",
        b"a:x",
        b"a:-1",
        b"a:80:80",
        b"u@a:80",
        b"u:p@a:80",
        b"a b:80",
        b"a\tb:80",
        b"[::1",
        b"[::1]",
        b"::1:80",
        b"[g]:80",
        b"/",
        b"*",
        b"/a:80",
        b"a:80/",
        b"a:80/x",
        b"a:80?x",
        b"a:80#x",
        b"http://a:80/",
        b"https://a:443",
        b"\xe9:80",
        b"a\x00:80",
        b"",
    ],
)
def test_connect_to_nowhere(target: bytes) -> None:
    """Anything but one host and one port is refused."""
    with pytest.raises(Malformed) as refused:
        ProxyRequests().feed(b"CONNECT " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n")
    assert refused.value.reason in {"bad_request", "bad_host", "version_unsupported"}


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        (b"", "bad_host"),
        (b"Host: a\r\nHost: a\r\n", "bad_host"),
        (b"Host: a\r\nContent-Length: 5\r\n", "bad_request"),
        (b"Host: a\r\nTransfer-Encoding: chunked\r\n", "bad_request"),
        (b"Host: a\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n", "bad_request"),
    ],
)
def test_connect_with_what_it_may_not_have(fields: bytes, reason: str) -> None:
    """A CONNECT without Host, with two, or with content is refused."""
    with pytest.raises(Malformed) as refused:
        ProxyRequests().feed(b"CONNECT a:1 HTTP/1.1\r\n" + fields + b"\r\n")
    assert refused.value.reason == reason


@pytest.mark.parametrize("target", [b"https://orders/", b"HTTPS://orders:443/x", b"https://example.com"])
def test_https_in_the_clear(target: bytes) -> None:
    """An https URL is refused with both ways out."""
    with pytest.raises(Malformed) as refused:
        ProxyRequests().feed(b"GET " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n")
    assert refused.value.reason == "https_in_clear"
    assert "http://" in refused.value.detail
    assert "CONNECT" in refused.value.detail


TARGETS = st.sampled_from(
    [
        b"http://orders/x",
        b"http://Orders.MESH:80/x?y",
        b"http://orders",
        b"http://orders?x",
        b"http://orders?x/y",
        b"http://u@orders/x",
        b"http://or ders/",
        b"http:///x",
        b"http://a#b/c",
        b"http://a/b#c",
        b"http://[::1]:1/",
        b"http://[::1/",
        b"http://a:99999/",
        b"HTTP://a/",
        b"ftp://a/",
        b"https://a/",
        b"http:/a",
        b"/a",
        b"//a",
        b"*",
        b"a:80",
    ]
)
LINES = st.lists(
    st.sampled_from(
        [
            b"Host: a",
            b"Host: b:80",
            b"Host:",
            b"Host: b c",
            b"Proxy-Connection: Keep-Alive",
            b"Proxy-Connection: keep-alive",
            b"Proxy-Connection: close",
            b"Proxy-Connection: keep-alive, X-A",
            b"proxy-connection: Keep-Alive",
            b"Connection: close",
            b"Connection: keep-alive",
            b"X-A: 1",
            b"X-A: \r\nProxy-Connection: Keep-Alive",
            b"Via: 1.1 a",
            b"Content-Length: 0",
            b"X-Forwarded-For: 1",
            b"Bad Name: x",
        ]
    ),
    max_size=5,
)
METHODS = st.sampled_from([b"GET", b"POST", b"OPTIONS", b"CONNECT", b"get"])


@given(st.lists(st.tuples(METHODS, TARGETS, LINES), min_size=1, max_size=3))
@example([(b"GET", b"http://a/x", [b"Host: a", b"Proxy-Connection: Keep-Alive"])] * 2)
def test_short_way_decides_nothing_differently(requests: list[tuple[bytes, bytes, list[bytes]]]) -> None:
    """A request that the short way takes is, in everything that is ever asked of it, what the full reader makes of
    it, also after others on its connection."""
    short = PlainProxyRequests()
    for method, target, lines in requests:
        data = b"\r\n".join([method + b" " + target + b" HTTP/1.1", *lines, b"", b""])
        taken = short.read(data, 100)
        if taken is None:
            continue
        outcome = read(ProxyRequests, [data])
        assert outcome.reason == ""
        (full,) = outcome.seen
        found = as_read(taken)
        for each in (full, found):
            special = dict(each["special"])  # type: ignore[call-overload]
            special.pop(b"proxy-connection", None)
            each["special"] = special
        assert found == full


@pytest.mark.parametrize("line", [b"", b"Proxy-Connection: Keep-Alive\r\n", b"Proxy-Connection: keep-alive\r\n"])
@pytest.mark.parametrize("target", [b"/x?y", b"http://orders:80/x?y"])
def test_usual_requests_go_the_short_way(line: bytes, target: bytes) -> None:
    """What clients send to proxies day in, day out is read the short way, the first time and again."""
    short = PlainProxyRequests()
    for _ in range(2):
        request = short.read(
            b"GET " + target + b" HTTP/1.1\r\nHost: orders:80\r\nAccept: */*\r\n" + line + b"\r\n", 100
        )
        assert request is not None
        assert (request.host, request.authority, request.target) == ("orders", b"orders:80", b"/x?y")
