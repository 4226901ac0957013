"""Bodies of JSON that are edited on their way, in a proxy with real connections."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from meshctl.model.mesh import Gateway
from meshctl.model.passing import Compression, JsonEdits
from meshctl.model.policy import Limits
from meshctl.model.route import Match, PathMatch, Route

from .lone_proxy import mesh_of
from .passage import OK, Passage, answer, request

JSON = "Content-Type: application/json"
EDITS = JsonEdits(remove=("$..secret",), set=(("$.source", '"edge"'),), limit=10_000)
BODY = b'{"a": 1, "deep": [{"secret": 2}], "secret": 3}'
CHUNKS = f"HTTP/1.1 200 OK\r\n{JSON}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
AGREED = f"HTTP/1.1 101 Go on\r\nConnection: upgrade\r\nUpgrade: x\r\n{JSON}\r\n\r\n".encode()
EDITED = b'{"a":1,"deep":[{}],"source":"edge"}'


@pytest.fixture(scope="module")
def passage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Passage]:
    """The proxy that these tests share: it edits both ways."""
    made = Passage(tmp_path_factory.mktemp("passage"))
    made.serve(request_body=EDITS, response_body=EDITS)
    yield made
    made.close()


def post(body: bytes, *lines: str) -> bytes:
    """A request with this body."""
    return request("/", JSON, *lines, method="POST", body=body)


def chunked(*pieces: bytes) -> bytes:
    """A body in chunks."""
    return b"".join(b"%x\r\n%b\r\n" % (len(each), each) for each in (*pieces, b""))


def test_both_ways(passage: Passage) -> None:
    """The service and the client see the edited bodies with their lengths; what named the answer's bytes is gone."""
    seen, got = passage.pass_through(post(BODY), answer(JSON, 'ETag: "a"', body=BODY))
    assert (seen.body, seen.get("content-length")) == (EDITED, str(len(EDITED)).encode())
    assert (got.body, got.framing, got.get("etag")) == (EDITED, "length", None)


@pytest.mark.parametrize("lines", [["Content-Type: text/plain", JSON], ["Content-Type: text/plain, application/json"]])
def test_two_media_types(passage: Passage, lines: list[str]) -> None:
    """A body that is also said to be something else is edited all the same: nobody knows by which the service goes."""
    sent = request("/", *lines, method="POST", body=BODY)
    app = passage.app
    app.forget()
    with passage.proxy.connect("gateway") as client:
        client.send(sent)
        wire = app.accept()
        head = wire.read_until(b"\r\n\r\n")
        assert b"Content-Length: %d\r\n" % len(EDITED) in head
        assert wire.read_exactly(len(EDITED)) == EDITED
        wire.send(OK)
        assert client.read_response().status == 200


def test_pieces(passage: Passage) -> None:
    """However a body comes, it is edited as a whole."""
    passage.app.forget()
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/x+json\r\nTransfer-Encoding: chunked\r\n\r\n"
    with passage.proxy.connect("gateway") as client:
        client.send(head, *(chunked(BODY[:10], BODY[10:])[at : at + 7] for at in range(0, 80, 7)))
        app = passage.app.accept()
        assert app.read_request().body == EDITED
        whole = (
            b"HTTP/1.1 200 OK\r\n"
            + JSON.encode()
            + b"\r\nTransfer-Encoding: chunked\r\n\r\n"
            + chunked(BODY[:5], BODY[5:])
        )
        app.send(*(whole[at : at + 9] for at in range(0, len(whole), 9)))
        got = client.read_response()
        assert (got.body, got.framing) == (EDITED, "length")
        # Two at a time on the connection: the second waits for its turn with its body.
        client.send(head + chunked(BODY) + post(BODY))
        for _ in range(2):
            wire = passage.app.hear()
            assert wire.read_request().body == EDITED
            wire.send(OK)
            assert client.read_response().status == 200


def test_who_waits_to_send(passage: Passage) -> None:
    """A client that wants to be asked for its body is asked here; the service is not told to ask again."""
    passage.app.forget()
    with passage.proxy.connect("gateway") as client:
        whole = post(BODY, "Expect: 100-continue")
        client.send(whole[: -len(BODY)])
        assert client.read_head().status == 100
        client.send(BODY)
        _, seen = passage.app.serve(OK)
        assert (seen.body, seen.get("expect")) == (EDITED, None)
        assert client.read_response().status == 200


@pytest.mark.parametrize(
    ("body", "lines", "status", "reason"),
    [
        (b'{"a":1,"a":2}', (), 400, b"body_unreadable"),
        (b"[" * 5000 + b"]" * 5000, (), 400, b"body_unreadable"),
        (b"not json", (), 400, b"body_unreadable"),
        (BODY, ("Content-Encoding: gzip",), 400, b"body_unreadable"),
        (b" " * 10_001, (), 413, b"body_too_large"),
    ],
)
def test_refused_requests(passage: Passage, body: bytes, lines: tuple[str, ...], status: int, reason: bytes) -> None:
    """A body that cannot be edited goes nowhere, and the client learns what is wrong with it."""
    got = passage.refuse(post(body, *lines))
    assert (got.status, got.get("x-meshctl-reason")) == (status, reason)


def test_a_long_request_in_chunks(passage: Passage) -> None:
    """A body that says no length is refused where it becomes too long."""
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    got = passage.refuse(head + chunked(*[b" " * 1000] * 11))
    assert (got.status, got.get("x-meshctl-reason")) == (413, b"body_too_large")


@pytest.mark.parametrize("of", ["route", "gateway"])
def test_what_is_allowed_at_all(passage: Passage, of: str) -> None:
    """What a route or the gateway allows of a body holds also where its edits would take more, however it comes."""
    route = Route("r", service="app", request_body=EDITS, body_bytes=1000 if of == "route" else 0)
    gateway = Gateway(admin="off", limits=Limits(body_bytes=1000 if of == "gateway" else 0))
    passage.proxy.apply(msgspec.structs.replace(mesh_of(passage.service, routes=(route,)), gateway=gateway))
    head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    passage.app.forget()
    try:
        with passage.proxy.connect("gateway") as client:
            client.send_on(head, *(chunked(b" " * 500)[:-5] for _ in range(3)))
            got = client.read_response()
        assert passage.app.is_untouched()
        assert (got.status, got.get("x-meshctl-reason")) == (413, b"body_too_large")
    finally:
        passage.serve(request_body=EDITS, response_body=EDITS)


@pytest.mark.parametrize(
    ("theirs", "reason"),
    [
        (answer(JSON, body=b"{"), b"response_unreadable"),
        (answer(JSON, "Content-Encoding: gzip", body=BODY), b"response_unreadable"),
        (answer(JSON, body=b" " * 10_001), b"response_too_large"),
        (answer(JSON, body=b" " * 900_000), b"response_too_large"),
        (CHUNKS + chunked(*[b" " * 1000] * 11),
         b"response_too_large"),
        (CHUNKS + chunked(b"{"),
         b"response_unreadable"),
    ],
)  # fmt: skip
def test_refused_answers(passage: Passage, theirs: bytes, reason: bytes) -> None:
    """An answer that cannot be edited is not passed on as it is: what was to be taken out would be in it."""
    _, got = passage.pass_through(request(), theirs)
    assert (got.status, got.get("x-meshctl-reason")) == (502, reason)


def test_left_alone(passage: Passage) -> None:
    """Bodies of other kinds pass, however long, and so do answers without any."""
    body = BODY * 1000
    seen, got = passage.pass_through(
        request("/", "Content-Type: text/plain", method="POST", body=body),
        answer("Content-Type: text/plain", body=body),
    )
    assert (seen.body, got.body) == (body, body)
    _, got = passage.pass_through(request(method="HEAD"), answer(JSON, body=BODY)[: -len(BODY)])
    assert (got.status, got.get("content-length")) == (200, None)
    _, got = passage.pass_through(request(), b"HTTP/1.1 304 Not Modified\r\nContent-Type: application/json\r\n\r\n")
    assert got.status == 304


def test_parts_are_not_asked_for(passage: Passage) -> None:
    """Nobody gets at what is taken out by asking for a part of the body."""
    seen, got = passage.pass_through(request("/", "Range: bytes=0-9,20-29", 'If-Range: "a"'), answer(JSON, body=BODY))
    assert not seen.names & {b"range", b"if-range"}
    assert got.body == EDITED


def test_upgrade_in_vain(passage: Passage) -> None:
    """An answer is edited although its client asked for another protocol; once the service agrees, bytes pass."""
    asking = ("Connection: upgrade", "Upgrade: x")
    _, got = passage.pass_through(request("/", *asking), answer(JSON, body=BODY))
    assert (got.status, got.body) == (200, EDITED)
    passage.app.forget()
    with passage.proxy.connect("gateway") as client:
        client.send(request("/", *asking))
        wire, _ = passage.app.serve(AGREED)
        assert client.read_head().status == 101
        for end, other in ((client, wire), (wire, client)):
            end.send(BODY)
            assert other.read_exactly(len(BODY)) == BODY


def test_with_compression(passage: Passage) -> None:
    """A service is not asked for a coding that could not be read here; the client gets one of the edited body."""
    import zlib

    document: Any = {"list": ["word"] * 500, "secret": 1}
    settings = {"service": "app", "response_body": EDITS, "compression": Compression()}
    passage.serve(
        Route("r", Match(path=PathMatch("prefix", "/z")), **settings),
        Route("rest", service="app", response_body=EDITS),  # type: ignore[arg-type]
    )
    try:
        seen, got = passage.pass_through(
            request("/z", "Accept-Encoding: gzip"), answer(JSON, body=json.dumps(document).encode())
        )
        assert seen.get("accept-encoding") is None
        found = json.loads(zlib.decompress(got.body, zlib.MAX_WBITS | 16))
        assert (got.get("content-encoding"), found) == (b"gzip", {"list": document["list"], "source": "edge"})
    finally:
        passage.serve(request_body=EDITS, response_body=EDITS)
