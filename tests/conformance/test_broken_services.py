"""Services that break the protocol: a client sees a refusal or an answer broken off, never a wrong one, and no client
ever sees bytes that were not meant for it."""

from __future__ import annotations

import pytest

from .refusals import read_refusal
from .running import Gateway
from .test_smuggling import named
from .upstream import OK, Upstream
from .wire import Wire

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

NO_ANSWERS = {
    "words": b"hello, who is there?\r\n\r\n",
    "ssh": b"SSH-2.0-OpenSSH_9.7\r\n",
    "request": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "http 2.0": b"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "http 1.2": b"HTTP/1.2 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "status of two digits": b"HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nok",
    "status of four digits": b"HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nok",
    "status 099": b"HTTP/1.1 099 OK\r\nContent-Length: 2\r\n\r\nok",
    "status of letters": b"HTTP/1.1 abc OK\r\nContent-Length: 2\r\n\r\nok",
    "bare lf": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    "field by lf": b"HTTP/1.1 200 OK\r\nX: y\nContent-Length: 2\r\n\r\nok",
    "field by cr": b"HTTP/1.1 200 OK\r\nX: y\rSet-Cookie: a=b\r\nContent-Length: 2\r\n\r\nok",
    "te then cl": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "cl then te": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!",
    "same lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok",
    "length list": b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok",
    "negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok",
    "empty length": b"HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nok",
    "huge length": b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nok",
    "other coding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nok",
    "two codings": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "chunked not last": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "chunked with tab": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\t\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "chunked in 1.0": b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    "folded field": b"HTTP/1.1 200 OK\r\nX: y\r\n z\r\nContent-Length: 2\r\n\r\nok",
    "space before colon": b"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nok",
    "nul in field": b"HTTP/1.1 200 OK\r\nX: y\x00z\r\nContent-Length: 2\r\n\r\nok",
    "field without colon": b"HTTP/1.1 200 OK\r\nX\r\nContent-Length: 2\r\n\r\nok",
    "unasked 101": b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n",
    "unasked 101 without upgrade": b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    "interim answer with a body": b"HTTP/1.1 199 X\r\nContent-Length: 2\r\n\r\nok" + OK,
    "interim answer with chunks": b"HTTP/1.1 199 X\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n" + OK,
    "interim answer with a whole one": b"HTTP/1.1 150 X\r\nContent-Length: 40\r\n\r\n" + OK + OK,
    "early hints with a body": b"HTTP/1.1 103 Early Hints\r\nContent-Length: 2\r\n\r\nok" + OK,
    "too many fields": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 300 + b"Content-Length: 2\r\n\r\nok",
    "endless head": b"HTTP/1.1 200 OK\r\nX: " + b"y" * 600_000,
    "endless fields": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000,
}


@named(NO_ANSWERS)
def test_no_answer_is_refused(client: Wire, upstream: Upstream, case: bytes) -> None:
    """What is not an answer in HTTP/1.1 becomes 502; the client's connection goes on, the service's does not."""
    client.send(upstream.get(b"/1"))
    wire = upstream.accept()
    wire.read_request()
    try:
        wire.send(case)
    except (ConnectionResetError, BrokenPipeError):
        assert len(case) > 100_000
    read_refusal(client, 502, "upstream_protocol")
    assert wire.read_rest() == b""
    client.send(upstream.get(b"/2"))
    assert upstream.serve(OK)[1].target == b"/2"
    assert client.read_response().body == b"ok"


CUT_ANSWERS = {
    "short body": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort",
    "short large body": b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + bytes(100_000),
    "chunks without end": CHUNKED + b"5\r\nshort\r\n",
    "chunk without end": CHUNKED + b"ff\r\nshort",
    "no chunk": CHUNKED,
    "last chunk without end": CHUNKED + b"5\r\nshort\r\n0\r\n",
    "trailers without end": CHUNKED + b"5\r\nshort\r\n0\r\nX: y\r\n",
}
BAD_CHUNKS = {
    "bad size": b"xyz\r\n",
    "long data": b"5\r\nshort and long\r\n0\r\n\r\n",
    "size by lf": b"5\nshort\r\n0\r\n\r\n",
    "overflow": b"fffffffffffffffff\r\n",
    "bad trailer": b"0\r\nX : y\r\n\r\n",
    "endless extension": b"5;" + b"a" * 600_000,
    "endless trailer": b"0\r\nX: " + b"a" * 600_000,
    "endless trailers": b"0\r\n" + b"X: a\r\n" * 100_000,
}


@named(CUT_ANSWERS)
@pytest.mark.parametrize("end", ["close", "reset"])
def test_answer_broken_off_is_broken_off(client: Wire, upstream: Upstream, case: bytes, end: str) -> None:
    """An answer that the service breaks off is broken off for the client, never ended as if it were whole."""
    client.send(upstream.get(b"/1"))
    wire, _ = upstream.serve(case)
    head = client.read_head()
    assert head.status == 200
    wire.close() if end == "close" else wire.reset()
    seen = client.read_rest()
    assert not seen.endswith(b"0\r\n\r\n")
    assert len(seen) < int(head.get("content-length") or 1 << 30)


@named(BAD_CHUNKS)
def test_answer_that_goes_wrong_is_broken_off(client: Wire, upstream: Upstream, case: bytes) -> None:
    """An answer that becomes malformed is broken off for the client, and the service's connection is closed."""
    client.send(upstream.get(b"/1"))
    wire, _ = upstream.serve(CHUNKED + b"4\r\npart\r\n")
    client.read_until(b"part\r\n")
    try:
        wire.send(case)
    except (ConnectionResetError, BrokenPipeError):
        assert len(case) > 100_000
    assert client.read_rest()[-5:] != b"0\r\n\r\n"
    assert wire.read_rest() == b""


@named(BAD_CHUNKS)
def test_answer_that_is_wrong_at_once(client: Wire, upstream: Upstream, case: bytes) -> None:
    """Where that shows before anything went to the client it gets 502, else the answer is broken off."""
    client.send(upstream.get(b"/1"))
    wire = upstream.accept()
    wire.read_request()
    try:
        wire.send(CHUNKED + case)
    except (ConnectionResetError, BrokenPipeError):
        assert len(case) > 100_000
    head = client.read_head()
    if head.status == 502:
        assert head.get("x-meshctl-reason") == b"upstream_protocol"
    else:
        assert (head.status, client.read_rest()[-5:] == b"0\r\n\r\n") == (200, False)


def test_answer_until_the_end_that_is_reset(client: Wire, upstream: Upstream) -> None:
    """An answer that ends with its connection is whole when that is closed, and broken off when it is reset."""
    client.send(upstream.get(b"/1"))
    wire, _ = upstream.serve(b"HTTP/1.1 200 OK\r\n\r\npart")
    client.read_until(b"part\r\n")
    wire.reset()
    assert client.read_rest() == b""


EXTRA = {
    "whole answer": OK,
    "head": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",
    "part of a head": b"HTTP/1.1 200 OK\r\nX-Poison: ",
    "part of a status line": b"HTTP/1.1 2",
    "one letter": b"H",
    "line": b"\r\n",
    "words": b"poison",
    "interim answer": b"HTTP/1.1 100 Continue\r\n\r\n",
    "two answers": OK + OK,
}
ENDED = {
    "length": OK,
    "no length": b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    "chunked": CHUNKED + b"2\r\nok\r\n0\r\n\r\n",
    "204": b"HTTP/1.1 204 No Content\r\n\r\n",
    "large": b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + bytes(300_000),
}


@named(EXTRA)
@pytest.mark.parametrize("first", ENDED.values(), ids=list(ENDED))
def test_bytes_behind_an_answer_reach_nobody(
    gateway: Gateway, client: Wire, upstream: Upstream, first: bytes, case: bytes
) -> None:
    """Whatever a service sends behind its answer, the next client gets the answer to its own request, from a new
    connection."""
    client.send(upstream.get(b"/1"))
    wire, _ = upstream.serve(first + case)
    client.read_response()
    with gateway.connect() as other:
        other.send(upstream.get(b"/2"))
        if case == b"\r\n":
            # An empty line alone is nobody's answer; that connection may go on or not.
            fresh = upstream.hear()
        else:
            assert wire.read_rest() == b""
            fresh = upstream.accept()
        assert fresh.read_request().target == b"/2"
        fresh.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecond")
        answer = other.read_response()
        assert (answer.body, answer.get("x-poison")) == (b"second", None)


@named(EXTRA)
def test_bytes_before_a_request_reach_nobody(gateway: Gateway, client: Wire, upstream: Upstream, case: bytes) -> None:
    """Whatever a service sends on a connection that waits for a request ends that connection."""
    client.send(upstream.get(b"/1"))
    wire, _ = upstream.serve(OK)
    assert client.read_response().body == b"ok"
    wire.send(case)
    assert wire.read_rest() == b""
    with gateway.connect() as other:
        other.send(upstream.get(b"/2"))
        fresh = upstream.accept()
        assert fresh.read_request().target == b"/2"
        fresh.send(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecond")
        assert other.read_response().body == b"second"


@pytest.mark.parametrize("end", ["close", "reset"])
def test_service_that_leaves_without_an_answer(client: Wire, upstream: Upstream, end: str) -> None:
    """A service that ends the connection instead of answering gives 502, and the client's connection goes on."""
    client.send(upstream.get(b"/1"))
    wire = upstream.accept()
    wire.read_request()
    wire.close() if end == "close" else wire.reset()
    read_refusal(client, 502, "upstream_reset")
    client.send(upstream.get(b"/2"))
    upstream.serve(OK)
    assert client.read_response().body == b"ok"


@pytest.mark.parametrize("end", ["close", "reset"])
def test_service_that_leaves_within_the_head(client: Wire, upstream: Upstream, end: str) -> None:
    """Half a head is no answer."""
    client.send(upstream.get(b"/1"))
    wire, _ = upstream.serve(b"HTTP/1.1 200 OK\r\nContent-Le")
    wire.close() if end == "close" else wire.reset()
    read_refusal(client, 502, "upstream_reset")


def test_service_that_leaves_after_an_interim_answer(client: Wire, upstream: Upstream) -> None:
    """An interim answer is none, either."""
    client.send(upstream.get(b"/1"))
    wire, _ = upstream.serve(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n")
    assert client.read_response().status == 103
    wire.close()
    read_refusal(client, 502, "upstream_reset")


def test_service_that_is_not_there(client: Wire) -> None:
    """A service that cannot be reached gives 502."""
    client.send(b"GET / HTTP/1.1\r\nHost: gone.test\r\n\r\n")
    read_refusal(client, 502, "upstream_connect")


def test_interim_answers_do_not_go_on_for_ever(client: Wire, upstream: Upstream) -> None:
    """As many interim answers pass as anybody needs, with each answer anew; the next one makes the answer invalid."""
    hint = b"HTTP/1.1 103 Early Hints\r\n\r\n"
    for _ in range(2):
        client.send(upstream.get())
        wire = upstream.hear()
        wire.read_request()
        wire.send(hint, hint * 255, OK)
        statuses = [client.read_response().status for _ in range(257)]
        assert statuses == [103] * 256 + [200]
    client.send(upstream.get())
    wire = upstream.hear()
    wire.read_request()
    wire.send_on(hint * 100, hint * 5_000, OK)
    for _ in range(256):
        assert client.read_response().status == 103
    read_refusal(client, 502, "upstream_protocol")
