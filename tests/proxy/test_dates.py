"""Every answer that is passed on says when it came: by the endpoint's Date, else by one of the proxy's (RFC 9110
§6.6.1)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest

from meshctl.model.caching import Caching
from meshctl.model.route import HeaderEdits, Match, PathMatch, Route
from meshctl.model.service import Endpoint, Service, Version
from tests.conformance.upstream import Upstream
from tests.conformance.wire import Message, Wire

from .lone_proxy import LoneProxy, mesh_of

OLD = b"Sun, 06 Nov 1994 08:49:37 GMT"
FRAMINGS = {
    "length": (b"200 OK", b"Content-Length: 2\r\n\r\nok"),
    "chunked": (b"200 OK", b"Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
    "long": (b"200 OK", b"Content-Length: 100000\r\n\r\n" + bytes(100_000)),
    "none": (b"204 No Content", b"\r\n"),
    "not modified": (b"304 Not Modified", b"\r\n"),
    "refused": (b"404 Not Found", b"Content-Length: 0\r\n\r\n"),
}
EDITS = {
    "plain": HeaderEdits(),
    "more": HeaderEdits(add=(("x-more", "1"),)),
    "own": HeaderEdits(set=(("date", OLD.decode()),)),
    "added": HeaderEdits(add=(("date", OLD.decode()),)),
    "renamed": HeaderEdits(rename=(("x-date", "date"),)),
    "gone": HeaderEdits(remove=("date",)),
}


@pytest.fixture(scope="module")
def endpoint() -> Iterator[Upstream]:
    """The endpoint."""
    made = Upstream("a")
    yield made
    made.forget()
    made.listener.close()


@pytest.fixture(scope="module")
def proxy(tmp_path_factory: pytest.TempPathFactory, endpoint: Upstream) -> Iterator[LoneProxy]:
    """A proxy before it, with a route for each of the edits and one that keeps answers."""
    service = Service("a", (Version("v1", (Endpoint("127.0.0.1", endpoint.port),)),))
    routes = [
        Route(name, Match(path=PathMatch("prefix", f"/{name}")), service="a", response_headers=edits)
        for name, edits in EDITS.items()
    ]
    kept = Route("kept", Match(path=PathMatch("prefix", "/kept")), service="a", cache=Caching(default=0.0))
    folder: Path = tmp_path_factory.mktemp("dates")
    running = LoneProxy(folder, mesh_of(service, routes=(*routes, kept)), "gateway")
    yield running
    assert running.end() == []


def ask(client: Wire, endpoint: Upstream, path: str, answer: bytes) -> Message:
    """What the client has when the endpoint answers that."""
    client.send(b"GET /%b HTTP/1.1\r\nHost: a\r\n\r\n" % path.encode())
    wire = endpoint.hear()
    wire.read_request()
    wire.send(answer)
    return client.read_response()


def is_now(value: bytes | None, since: float) -> bool:
    """Whether that is the time of an answer to what was asked at `since`."""
    assert value is not None
    return int(since) <= parsedate_to_datetime(value.decode()).timestamp() <= time.time()


@pytest.mark.parametrize("framing", FRAMINGS)
@pytest.mark.parametrize("path", EDITS)
def test_an_answer_without_a_date_gets_one(proxy: LoneProxy, endpoint: Upstream, path: str, framing: str) -> None:
    """It gets the time at which it came, unless its route has a word of its own on that; one that has a date keeps it,
    in turn on one connection."""
    status, rest = FRAMINGS[framing]
    has_own = path in {"own", "added"}
    with proxy.connect("gateway") as client:
        for name in (b"", b"", b"Date", b"date", b"", b"DATE"):
            if path == "added" and name:
                continue  # Who adds a second one has two.
            line = b"%b: %b\r\n" % (name, OLD) if name else b""
            since = time.time()
            found = ask(client, endpoint, path, b"HTTP/1.1 %b\r\n%bX-Other: 1\r\n" % (status, line) + rest)
            assert found.get("x-other") == b"1"
            if path == "gone" or (path == "renamed" and not name):
                assert found.get("date") is None
            elif name or has_own:
                assert found.get("date") == OLD
            else:
                assert is_now(found.get("date"), since)


def test_what_is_kept_has_one_date(proxy: LoneProxy, endpoint: Upstream) -> None:
    """An answer from the cache has the date at which it was told to hold, once, also where nobody said it."""
    with proxy.connect("gateway") as client:
        first = time.time()
        answer = b'HTTP/1.1 200 OK\r\nCache-Control: no-cache\r\nETag: "1"\r\nContent-Length: 2\r\n\r\nok'
        assert is_now(ask(client, endpoint, "kept", answer).get("date"), first)
        for _ in range(2):
            again = ask(client, endpoint, "kept", b'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\n\r\n')
            assert (again.status, again.body) == (200, b"ok")
            assert is_now(again.get("date"), first)
