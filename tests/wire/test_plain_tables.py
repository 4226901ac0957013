"""The short way of reading meets the tables of messages, one after the other on one connection."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshctl.wire.fields import pairs
from meshctl.wire.plain import PlainRequests, PlainResponses

from .messages import REFUSED_REQUESTS, REFUSED_RESPONSES, REQUESTS, RESPONSES
from .recorder import Requests, Responses, as_read, read

ANY_REQUEST = [*REQUESTS.values(), *(raw for raw, _ in REFUSED_REQUESTS.values())]
ANY_RESPONSE = [*RESPONSES.values(), *REFUSED_RESPONSES.values()]


@pytest.mark.parametrize("first", ANY_REQUEST, ids=[*REQUESTS, *REFUSED_REQUESTS])
def test_requests(first: bytes) -> None:
    """What the short way accepts, after any other message, is what the full reader reads alone."""
    plain = PlainRequests()
    for raw in [first, *ANY_REQUEST, first]:
        found = plain.read(raw, 100)
        if found is not None:
            assert [as_read(found)] == read(Requests, [raw]).messages()


@pytest.mark.parametrize("first", ANY_RESPONSE, ids=[*RESPONSES, *REFUSED_RESPONSES])
def test_responses(first: bytes) -> None:
    """The same for responses."""
    plain = PlainResponses(200)
    for raw in [first, *ANY_RESPONSE, first]:
        found = plain.read(raw)
        if found is not None:
            assert [as_read(*found)] == read(Responses, [raw]).messages()


def test_tables_take_the_short_way() -> None:
    """Some of the messages do take it, so that the above says something."""
    taken = [name for name, raw in REQUESTS.items() if PlainRequests().read(raw, 100)]
    assert {"plain", "query", "no space", "identifiers"} <= set(taken)
    assert {"length", "error"} <= {name for name, raw in RESPONSES.items() if PlainResponses(200).read(raw)}


def test_remembered_fields_are_not_shared() -> None:
    """Requests with the same head are two, and the second is not changed by what was done to the first."""
    plain = PlainRequests()
    first, second = plain.read(REQUESTS["query"], 100), plain.read(REQUESTS["query"], 100)
    assert first is not None
    assert second is not None
    assert first is not second
    assert list(pairs(first.fields)) == list(pairs(second.fields)) == [(b"Accept", b"*/*")]


BITS = [
    b"", b"\r\n", b"\n", b"\r", b" ", b"\t", b":", b"\0", b"0", b",", b"\xff", b"#", b"HTTP/1.0", b"\r\n\r\n",
    b"Connection: close\r\n", b"Host: b\r\n", b"X: y\r\n", b"Proxy-Connection: close\r\n", b"Upgrade: x\r\n",
    b"Transfer-Encoding: chunked\r\n", b"Content-Length: 0\r\n", b"Content-Length : 2\r\n", b"No-Colon\r\n",
]  # fmt: skip


@st.composite
def damaged(draw: st.DrawFn, table: dict[str, bytes]) -> bytes:
    """A message, perhaps with some bytes replaced."""
    raw = bytearray(draw(st.sampled_from([each for each in table.values() if len(each) < 400])))
    for _ in range(draw(st.integers(0, 2))):
        at = draw(st.integers(0, len(raw)))
        raw[at : at + draw(st.integers(0, 3))] = draw(st.sampled_from(BITS))
    return bytes(raw)


@settings(max_examples=300)
@given(st.lists(damaged(REQUESTS), min_size=2, max_size=8))
def test_damaged_requests_on_one_connection(heads: list[bytes]) -> None:
    """Whatever a connection brought before, refused heads among it, a request accepted at sight is the true one."""
    plain = PlainRequests()
    for raw in heads:
        found = plain.read(raw, 100)
        if found is not None:
            assert [as_read(found)] == read(Requests, [raw]).messages()


@settings(max_examples=300)
@given(st.lists(damaged(RESPONSES), min_size=2, max_size=8))
def test_damaged_responses_on_one_connection(heads: list[bytes]) -> None:
    """The same for responses."""
    plain = PlainResponses(200)
    for raw in heads:
        found = plain.read(raw)
        if found is not None:
            assert [as_read(*found)] == read(Responses, [raw]).messages()


@pytest.mark.parametrize("host", [b"a", b"a b"])
def test_refused_head_leaves_nothing_behind(host: bytes) -> None:
    """A head that was refused lends none of its lines, of which some may have no colon, to the next one."""
    plain = PlainRequests()
    assert plain.read(b"GET / HTTP/1.1\r\nHost: %b\r\nno colon here\r\n\r\n" % host, 100) is None
    assert plain.read(b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 100) is None
    found = plain.read(b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1\r\n\r\n", 100)
    assert found is not None
    assert (found.fields, found.special) == ([], {b"host": b"a", b"x-forwarded-for": b"1"})


def test_response_without_fields_after_a_refused_one() -> None:
    """Nor does a refused response, not even to one that has no lines."""
    plain = PlainResponses(200)
    assert plain.read(b"HTTP/1.1 200 OK\r\nX: \0\r\nContent-Length: 0\r\n\r\n") is None
    assert plain.read(b"HTTP/1.1 200\r\n\r\n") is None
