"""What a request's head means: its host and path, its framing, its fields, the protocol it asks for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshctl.wire.fields import passing_trailers
from meshctl.wire.message import CHUNKED, UNTIL_CLOSE, Request, Response
from meshctl.wire.target import split_absolute, split_host

from .recorder import Responses, as_pairs, head


@pytest.mark.parametrize(
    ("value", "host"),
    [
        ("a.test", "a.test"),
        ("A.TEST", "a.test"),
        ("a.test.", "a.test"),
        ("a.test:80", "a.test"),
        ("a.test:", "a.test"),
        ("a.test.:443", "a.test"),
        ("127.0.0.1:8080", "127.0.0.1"),
        ("[::1]", "::1"),
        ("[::1]:80", "::1"),
        ("[fe80::1%25eth0]", "fe80::1%25eth0"),
        ("a_b.test", "a_b.test"),
        ("", None),
        (".", ""),
        (":80", None),
        ("a b", None),
        ("a:b", None),
        ("a:65536", None),
        ("a:-1", None),
        ("a:1:2", None),
        ("u@a", None),
        ("a/b", None),
        ("a?b", None),
        ("a#b", None),
        ("a\\b", None),
        ("[::1", None),
        ("::1", None),
        ("[a.test]", None),
        ("é", None),
        ("a\x00", None),
    ],
)
def test_host(value: str, host: str | None) -> None:
    """A Host names one host in one way, or is refused."""
    assert split_host(value) == host


@given(st.text(st.characters(max_codepoint=255), max_size=20))
def test_host_is_clean(value: str) -> None:
    """Whatever is sent, a host that is accepted has no character that means something in a URL or a log."""
    host = split_host(value)
    assert host is None or (host == host.lower() and not set(host) & set(' /?#@\\"<>\r\n\t\x00'))


@pytest.mark.parametrize(
    ("target", "parts"),
    [
        ("http://a/b", ("a", "/b")),
        ("HTTPS://a:1/b?c=/d", ("a:1", "/b?c=/d")),
        ("http://a", ("a", "/")),
        ("http://a?b/c", ("a", "/?b/c")),
        ("http:///b", None),
        ("http://u@a/", None),
        ("ftp://a/", None),
        ("//a/b", None),
        ("a:1", None),
    ],
)
def test_absolute_target(target: str, parts: tuple[str, str] | None) -> None:
    """An absolute target is an authority and a path with query."""
    assert split_absolute(target) == parts


def request(*lines: bytes, start: bytes = b"GET / HTTP/1.1") -> Request:
    """A request with those field lines."""
    return head(b"\r\n".join([start, b"Host: a.test:80", *lines, b"", b""]))


def test_fields_and_what_the_proxy_reads_itself() -> None:
    """Fields that pass keep order and spelling; those the proxy reads are set aside, joined where they repeat."""
    got = request(b"X-B: 1", b"x-a:2", b"X-b:  3 ", b"Via: a", b"VIA: b", b"X-Forwarded-For: 1", b"x-forwarded-for: 2")
    assert as_pairs(got.fields) == [(b"X-B", b"1"), (b"x-a", b"2"), (b"X-b", b"3")]
    assert (got.special[b"via"], got.special[b"x-forwarded-for"]) == (b"a, b", b"1, 2")
    assert (got.authority, got.host) == (b"a.test:80", "a.test")


@pytest.mark.parametrize("name", [b"X_Forwarded_For", b"x-forwarded_host", b"X_MESHCTL_IDENTITY", b"X.Forwarded-For"])
def test_who_calls_in_another_spelling(name: bytes) -> None:
    """What an app would read as the proxy's own word on who calls does not pass, however it is spelt; the same in a
    trailer."""
    got = request(b"X_Other: 1", name + b": a", b"X-Forwarded-For: 1")
    assert as_pairs(got.fields) == [(b"X_Other", b"1")]
    assert got.special[b"x-forwarded-for"] == b"1"
    assert passing_trailers([name + b": a", b"X_Sum: 1"]) == [b"X_Sum: 1"]


def test_header_query_and_cookie() -> None:
    """What routes and keys look at is found by name, whatever its spelling; what is not there is None."""
    lines = [b"X-One: 1", b"x-one: 2", b'Cookie: a=1; b="2"; c; =d; a=3', b"User-Agent: t"]
    got = request(*lines, start=b"GET /?x=1&y&x=2&%7A=%20 HTTP/1.1")
    assert [got.header(name) for name in ("x-one", "x-two", "host", "user-agent", "via")] == [
        "1, 2",
        None,
        "a.test:80",
        "t",
        None,
    ]
    assert [got.query(name) for name in ("x", "y", "z", "q")] == ["1", "", " ", None]
    assert [got.cookie(name) for name in ("a", "b", "c", "q")] == ["1", "2", None, None]
    assert (request().query("x"), request().cookie("x")) == (None, None)


@pytest.mark.parametrize(
    ("lines", "length", "is_marked"),
    [
        ((), 0, False),
        ((b"Content-Length: 0",), 0, True),
        ((b"Content-Length: 5",), 5, True),
        ((b"Content-Length: 9223372036854775807",), 2**63 - 1, True),
        ((b"Transfer-Encoding: chunked",), CHUNKED, True),
        ((b"Transfer-Encoding: CHUNKED ",), CHUNKED, True),
    ],
)
def test_framing_of_a_request(lines: tuple[bytes, ...], length: int, is_marked: bool) -> None:
    """A request's body has the length it says, is chunked, or is not there."""
    got = request(*lines)
    assert (got.length, got.is_marked) == (length, is_marked)


@pytest.mark.parametrize(
    ("lines", "keep_alive", "named", "upgrade"),
    [
        ((), True, set(), b""),
        ((b"Connection: keep-alive",), True, set(), b""),
        ((b"Connection: close",), False, set(), b""),
        ((b"Connection: Close, X-A",), False, {b"close", b"x-a"}, b""),
        ((b"Connection: x-a ,, X-B",), True, {b"x-a", b"x-b"}, b""),
        ((b"Connection: X-A", b"Connection: X-B"), True, {b"x-a", b"x-b"}, b""),
        ((b"Connection: Host, Cookie, Authorization, Content-Length, X-A",), True, {b"x-a"}, b""),
        ((b"Connection: Upgrade", b"Upgrade: websocket"), True, {b"upgrade"}, b"websocket"),
        ((b"Connection: keep-alive, upgrade", b"Upgrade: a, b"), True, {b"keep-alive", b"upgrade"}, b"a, b"),
        ((b"Connection: Upgrade", b"Upgrade: h2c"), True, {b"upgrade"}, b""),
        ((b"Connection: Upgrade", b"Upgrade: websocket, H2C"), True, {b"upgrade"}, b""),
        ((b"Connection: Upgrade", b"Upgrade: websocket", b"Upgrade: h2c"), True, {b"upgrade"}, b""),
        ((b"Connection: Upgrade",), True, {b"upgrade"}, b""),
        ((b"Upgrade: websocket",), True, set(), b""),
        ((b"Connection: Upgrade", b"Upgrade: x", b"Content-Length: 1"), True, {b"upgrade"}, b""),
        ((b"Connection: Upgrade", b"Upgrade: x", b"Transfer-Encoding: chunked"), True, {b"upgrade"}, b""),
    ],
)
def test_what_a_request_says_of_its_connection(
    lines: tuple[bytes, ...], keep_alive: bool, named: set[bytes], upgrade: bytes
) -> None:
    """Connection ends the connection, names fields to drop (never those that matter), or asks for another protocol."""
    got = request(*lines)
    assert (got.keep_alive, set(got.named), got.upgrade) == (keep_alive, named, upgrade)


def response(raw: bytes, *, answers_head: bool = False) -> Response:
    """The one response in `raw`."""
    reader = Responses()
    reader.answers_head = answers_head
    reader.feed(raw)
    (one,) = reader.seen
    assert isinstance(one.head, Response)
    return one.head


@pytest.mark.parametrize(
    ("line", "lines", "answers_head", "expected"),
    [
        (b"1.1 200 OK", b"Content-Length: 5", False, (5, True, True)),
        (b"1.1 200 OK", b"Content-Length: 5", True, (5, False, True)),
        (b"1.1 200 OK", b"Transfer-Encoding: chunked", False, (CHUNKED, True, True)),
        (b"1.1 200 OK", b"Transfer-Encoding: chunked", True, (CHUNKED, False, True)),
        (b"1.1 200 OK", b"X: y", False, (UNTIL_CLOSE, True, False)),
        (b"1.1 200 OK", b"X: y", True, (UNTIL_CLOSE, False, True)),
        (b"1.1 200 OK", b"Connection: close", True, (UNTIL_CLOSE, False, False)),
        (b"1.1 204 No", b"X: y", False, (UNTIL_CLOSE, False, True)),
        (b"1.1 304 No", b"Content-Length: 5", False, (5, False, True)),
        (b"1.1 304 No", b"Connection: close", False, (UNTIL_CLOSE, False, False)),
        (b"1.0 200 OK", b"Content-Length: 5", False, (5, True, False)),
        (b"1.0 200 OK", b"Content-Length: 5\r\nConnection: keep-alive", False, (5, True, True)),
        (b"1.0 204 OK", b"X: y", False, (UNTIL_CLOSE, False, False)),
        (b"1.0 204 OK", b"Connection: keep-alive", False, (UNTIL_CLOSE, False, True)),
        (b"1.1 200 OK", b"Content-Length: 5\r\nConnection: close", False, (5, True, False)),
    ],
)
def test_framing_of_a_response(line: bytes, lines: bytes, answers_head: bool, expected: tuple[int, bool, bool]) -> None:
    """Where a response ends, whether a body follows, and whether its connection goes on (RFC 9112 §6.3)."""
    got = response(b"HTTP/" + line + b"\r\n" + lines + b"\r\n\r\n", answers_head=answers_head)
    assert (got.length, got.has_body, got.keep_alive) == expected
