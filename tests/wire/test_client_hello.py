"""The server's name in the beginning of TLS."""

from __future__ import annotations

import ssl
from contextlib import suppress
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshctl.wire.client_hello import server_name


@cache
def hello(name: str | None) -> bytes:
    """What OpenSSL says first."""
    context = ssl.create_default_context()
    context.check_hostname = name is not None
    out = ssl.MemoryBIO()
    end = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname=name)
    with suppress(ssl.SSLWantReadError):
        end.do_handshake()
    return out.read()


@pytest.mark.parametrize("name", ["secret.example", "a.b-c.example.com"])
def test_the_name_is_found(name: str) -> None:
    """The name that OpenSSL asks for is found in the whole of what it says, and nothing wrong in a part of it."""
    data = hello(name)
    assert server_name(data) == name
    assert server_name(data + b"more") == name
    assert {server_name(data[:end]) for end in range(len(data))} <= {"", name}
    assert server_name(hello(name.upper())) == name


def test_where_there_is_none_none_is_found() -> None:
    """A client that asks for no name, an address, and what is not TLS have none."""
    for data in (hello(None), hello("127.0.0.1"), b"", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x00\x05\x02"):
        assert server_name(data) == ""


@given(st.binary(max_size=60), st.data())
def test_nothing_is_raised(more: bytes, draw: st.DataObject) -> None:
    """Whatever the bytes are there is an answer, and what is found may stand in a log."""
    data = hello("secret.example")
    at = draw.draw(st.integers(0, len(data)))
    found = server_name(data[:at] + more + data[at + len(more) :])
    assert found == "" or (found.isascii() and found.isprintable() and " " not in found)
