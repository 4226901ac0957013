"""What is written: fields, chunks, identifiers, and the words of a refusal."""

from __future__ import annotations

import re

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshctl.wire.chunks import chunk, last_chunk
from meshctl.wire.fields import encode_fields, make, named_by_connection, passing_trailers, tokens, without
from meshctl.wire.reasons import CUT, REASONS, problem, status_line, status_of
from meshctl.wire.tracing import Identifiers, valid_request_id, valid_traceparent

from .recorder import Requests, as_pairs

TRACE = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@given(st.lists(st.binary(min_size=1, max_size=100), max_size=5))
def test_chunks_are_read_as_they_were_written(parts: list[bytes]) -> None:
    """A body written in chunks is read as the same body, trailers included."""
    reader = Requests()
    reader.feed(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
    reader.feed(b"".join(map(chunk, parts)) + last_chunk(make("X-T", "1")))
    (seen,) = reader.seen
    assert (seen.body, seen.trailers, seen.is_complete) == (b"".join(parts), [(b"X-T", b"1")], True)


def test_last_chunk() -> None:
    """Without trailers the last chunk is five bytes."""
    assert last_chunk([]) == b"0\r\n\r\n"


def test_fields_become_lines() -> None:
    """Each field is a line of its own, in order."""
    fields = make("X-A", "1", "x-b", "é")
    assert encode_fields(fields) == b"X-A: 1\r\nx-b: \xe9\r\n"
    assert encode_fields([]) == b""
    assert as_pairs(without(fields, {b"x-a"})) == [(b"x-b", b"\xe9")]


def test_trailers_that_pass() -> None:
    """No trailer frames, routes or authorises a message."""
    kept = make("X-A", "1", "Grpc-Status", "0", "Server-Timing", "x")
    dropped = make(
        "Content-Length", "5", "transfer-encoding", "chunked", "HOST", "b", "Authorization", "x", "Cookie", "a",
        "Set-Cookie", "a", "Content-Type", "x", "X-Forwarded-For", "1", "Connection", "close", "TE", "x",
    )  # fmt: skip
    assert passing_trailers([*dropped, *kept]) == kept


@pytest.mark.parametrize(
    ("value", "found"),
    [(b"", []), (b"a", [b"a"]), (b" A ,,b\t,", [b"a", b"b"]), (b"a b, c", [b"a b", b"c"])],
)
def test_lists(value: bytes, found: list[bytes]) -> None:
    """A list has members in lower case; empty ones are none."""
    assert tokens(value) == found


def test_names_that_connection_may_not_drop() -> None:
    """A message cannot be robbed of what it is judged by."""
    assert named_by_connection(b"Host, cookie, Authorization, X-Hop, Content-Length, close") == {b"x-hop", b"close"}


@pytest.mark.parametrize(
    ("value", "is_valid"),
    [
        (TRACE, True),
        (TRACE[:-2] + b"00", True),
        (b"01" + TRACE[2:], True),
        (b"01" + TRACE[2:] + b"-more", True),
        (TRACE + b"-more", False),
        (TRACE + b"more", False),
        (b"ff" + TRACE[2:], False),
        (TRACE.upper(), False),
        (TRACE[:-1], False),
        (b"00-" + b"0" * 32 + TRACE[35:], False),
        (TRACE[:36] + b"0" * 16 + b"-01", False),
        (TRACE + b"\n", False),
        (b" " + TRACE, False),
        (b"", False),
    ],
)
def test_traceparent(value: bytes, is_valid: bool) -> None:
    """A traceparent is kept only where it is one (W3C Trace Context §3.2)."""
    assert valid_traceparent(value) is is_valid


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_made_identifiers_are_valid(prefix: int, start: int) -> None:
    """Wherever they start, identifiers are valid, one names the other, and the trace is not sampled."""
    request_id, traceparent = Identifiers(prefix, start).next()
    assert valid_request_id(request_id)
    assert valid_traceparent(traceparent)
    assert traceparent[3:35] == request_id
    assert traceparent.endswith(b"-00")


def test_made_identifiers_differ() -> None:
    """Two requests are two, and so are their traces."""
    made = Identifiers(1, 2**64 - 500)
    pairs = [made.next() for _ in range(1000)]
    assert len({request_id for request_id, _ in pairs}) == len({traceparent for _, traceparent in pairs}) == 1000


@pytest.mark.parametrize("value", [b"a", b"a" * 128, b"abc-123_.~+/=:@", b"0af76519-16cd"])
def test_request_id_that_is_kept(value: bytes) -> None:
    """Usual identifiers are kept."""
    assert valid_request_id(value)


@pytest.mark.parametrize(
    "value", [b"", b"a" * 129, b"a b", b"a\n", b"a\r\nX: y", b'a"b', b"\xc3\xa9", b"a,b", b"a\x00"]
)
def test_request_id_that_is_not_kept(value: bytes) -> None:
    """What could break a line of a log is not."""
    assert not valid_request_id(value)


@pytest.mark.parametrize("reason", REASONS)
def test_refusal_in_words(reason: str) -> None:
    """Every reason has a status, a title and a body that names the request."""
    body = problem(reason, detail='a "detail"', request_id="7", instance="/a\u00e9")
    assert body.endswith(b"}\n")
    told = msgspec.json.decode(body)
    assert told["status"] == status_of(reason)
    assert 400 <= told["status"] <= 599
    assert (told["reason"], told["type"]) == (reason, f"urn:meshctl:reason:{reason}")
    assert (told["detail"], told["request_id"], told["instance"]) == ('a "detail"', "7", "/a\u00e9")
    assert re.fullmatch(r"[A-Z].*[^.]", told["title"])


def test_reason_from_configuration() -> None:
    """A rule's own refusal is 403 and carries its name."""
    told = msgspec.json.decode(problem("denied:office", detail="no", request_id="7"))
    assert (told["status"], told["reason"], status_of("denied:office")) == (403, "denied:office", 403)
    assert "instance" not in told


def test_ends_are_no_refusals() -> None:
    """How an answer was broken off is never a reason for one."""
    assert not REASONS.keys() & CUT.keys()


@pytest.mark.parametrize(
    ("status", "line"), [(200, b"HTTP/1.1 200 OK"), (299, b"HTTP/1.1 299 "), (999, b"HTTP/1.1 999 ")]
)
def test_status_line(status: int, line: bytes) -> None:
    """A status line is one for any status."""
    assert status_line(status) == line
