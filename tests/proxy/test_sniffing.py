"""What a client says first, and what it is taken for."""

from __future__ import annotations

import pytest

from meshctl.proxy.sniffing import looks_like_http


@pytest.mark.parametrize(
    ("said", "is_http"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", True),
        (b"OPTIONS * HTTP/1.1\r\n", True),
        (b"PROPFIND /a/b HTTP/1.0\n", True),
        (b"POST /a?b=c", True),
        (b"GET", True),
        (b"P", True),
        (b"GET /key\r\n", False),  # Redis' inline commands
        (b"GET key\r\n", False),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", False),
        (b"GET http://orders/ HTTP/1.1\r\n", False),  # for a proxy of the app's own
        (b"CONNECT example.com:443 HTTP/1.1\r\n", False),
        (b"EHLO me\r\n", False),
        (b"*1\r\n$4\r\nPING\r\n", False),
        (b"\x16\x03\x01\x02\x00", False),
        (b"\x00\x00\x00\x08\x04\xd2\x16\x2f", False),  # PostgreSQL asks for TLS
        (b"get /a HTTP/1.1\r\n", False),
        (b"", False),
    ],
)
def test_only_requests_are_taken_for_http(said: bytes, is_http: bool) -> None:
    """The beginning of a request for a path is HTTP, as far as it has come; whatever else is said is not."""
    assert looks_like_http(said) is is_http
