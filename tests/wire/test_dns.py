"""Questions for names and their answers."""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshctl.wire.dns import AAAA, NO_SUCH_NAME, A, answer, read
from meshctl.wire.message import Malformed


def asked(
    name: bytes, kind: int = A, *, family: int = 1, flags: int = 0x0100, count: int = 1, more: bytes = b""
) -> bytes:
    """A question as resolvers send it."""
    labels = b"".join(bytes([len(each)]) + each for each in name.split(b".") if each)
    return struct.pack("!6H", 77, flags, count, 0, 0, 0) + labels + b"\0" + struct.pack("!2H", kind, family) + more


EDNS = b"\0\0\x29\x04\xd0\0\0\0\0\0\0"


@pytest.mark.parametrize("more", [b"", EDNS], ids=["plain", "EDNS"])
def test_a_question_is_read(more: bytes) -> None:
    """A question says its name in lower case, its kind, and how to answer it."""
    found = read(asked(b"Orders.Mesh", AAAA, more=more))
    assert (found.number, found.name, found.kind, found.is_query) == (77, "orders.mesh", AAAA, True)
    assert read(asked(b"")).name == ""
    assert not read(asked(b"a", family=3)).is_query
    assert not read(asked(b"a", flags=0x2000)).is_query


@pytest.mark.parametrize(
    "data",
    [
        b"",
        asked(b"a")[:11],
        asked(b"a")[:-1],
        asked(b"a", flags=0x8000),
        asked(b"a", count=0),
        asked(b"a", count=2),
        asked(b"a" * 64),
        asked(b".".join([b"a" * 63] * 4)),
        asked(b"a b"),
        struct.pack("!6H", 1, 0, 1, 0, 0, 0) + b"\xc0\x0c" + struct.pack("!2H", 1, 1),
        struct.pack("!6H", 1, 0, 1, 0, 0, 0) + b"\3a.b\0" + struct.pack("!2H", 1, 1),
    ],
)
def test_what_is_no_question_is_refused(data: bytes) -> None:
    """What is cut short, no question, several, or has a name that is none, is malformed."""
    with pytest.raises(Malformed):
        read(data)


@pytest.mark.parametrize("address", ["198.18.0.16", "fd6d::10"])
def test_an_answer_has_the_address(address: str) -> None:
    """An answer repeats the question to its letters' case and has the address, its kind and how long it lives."""
    query = asked(b"Orders", more=EDNS)
    said = answer(read(query), 0, [ip_address(address)], 30)
    assert struct.unpack_from("!6H", said) == (77, 0x8180, 1, 1, 0, 0)
    end = len(query) - len(EDNS)
    assert said[12:end] == query[12:end]
    name, kind, family, lives, size = struct.unpack_from("!3HIH", said, end)
    packed = ip_address(address).packed
    assert (name, kind, family, lives, size) == (0xC00C, A if len(packed) == 4 else AAAA, 1, 30, len(packed))
    assert said[-size:] == packed


def test_an_answer_may_be_that_there_is_none() -> None:
    """A refusal has its code and no address."""
    said = answer(read(asked(b"nobody")), NO_SUCH_NAME)
    assert struct.unpack_from("!6H", said) == (77, 0x8183, 1, 0, 0, 0)


@given(st.binary(max_size=100))
def test_nothing_else_is_raised(data: bytes) -> None:
    """Whatever comes is a question or malformed, and any question can be answered."""
    try:
        question = read(data)
    except Malformed:
        return
    assert read(b"".join((data[:12], question.section))).name == question.name
    assert answer(question, 0, [IPv4Address(1), IPv6Address(1)], 1).startswith(data[:2])
