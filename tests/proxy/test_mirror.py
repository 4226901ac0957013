"""Copies of requests, in a proxy with real connections: which are made, that originals never notice, what is told."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from meshctl.model.caching import Caching
from meshctl.model.mesh import Mesh
from meshctl.model.policy import Retry
from meshctl.model.route import Match, Rewrite, Route
from meshctl.model.service import Endpoint, Service, Version
from meshctl.model.steering import Mirror, MirrorCount, Shown, Steering
from meshctl.proxy.messages import Answered, Steered
from tests.conformance.upstream import OK, Upstream
from tests.conformance.wire import Message

from .lone_proxy import LoneProxy, mesh_of

GET = b"GET /a?b=c HTTP/1.1\r\nHost: shop.test\r\nX-Own: 1\r\n\r\n"
_NUMBERS = itertools.count(1.0)


class Two:
    """A service with two versions, of which the first takes everything."""

    def __init__(self, folder: Path) -> None:
        self.v1, self.v2 = Upstream("v1"), Upstream("v2")
        self.last = Message(b"", ())
        self.proxy = LoneProxy(folder, self.mesh(), "gateway", "outbound")

    def mesh(self, **rewrite: Any) -> Mesh:
        """The mesh, with a route that changes requests so."""
        versions = tuple(
            Version(each.name, (Endpoint("127.0.0.1", each.port),), weight)
            for each, weight in ((self.v1, 1.0), (self.v2, 0.0))
        )
        route = Route("all", service="shop", retry=Retry(0), rewrite=Rewrite(**rewrite))
        app = Route("app", Match(hosts=("shop",)), service="shop", entry="outbound", retry=Retry(0))
        return mesh_of(Service("shop", versions), routes=(route, app))

    def mirror(self, **settings: Any) -> None:
        """Have v2 get copies."""
        told = Mirror("shop", "v2", **({"share": 1.0, "at": next(_NUMBERS)} | settings))
        self.proxy.tell(Steered(Steering(mirrors=(told,))))
        self.proxy.ask("commit")

    def ask(self, request: bytes = GET, answer: bytes = OK, entry: str = "gateway") -> Message:
        """A request's answer, for which v1 says `answer`."""
        with self.proxy.connect(entry) as client:
            client.send(request)
            wire = self.v1.hear()
            self.last = wire.read_request()
            wire.send(answer)
            return client.read_response(method=request.split(b" ")[0].decode())

    def copied(self, answer: bytes = OK) -> Message:
        """The next copy, for which v2 says `answer`."""
        wire = self.v2.hear()
        request = wire.read_request()
        wire.send(answer)
        return request

    def count(self) -> MirrorCount:
        """What the proxy tells of the mirror."""
        (found,) = msgspec.msgpack.decode(self.proxy.ask("mirrors"), type=list[MirrorCount])
        return found

    def until(self, **expected: int) -> None:
        """Wait until what it tells is that."""
        told: dict[str, Any] = {}

        def is_so() -> bool:
            told.update(msgspec.structs.asdict(self.count()))
            return all(told[name] == value for name, value in expected.items())

        self.proxy.until(is_so)

    def close(self) -> None:
        """End all of it."""
        try:
            assert self.proxy.end() == []
        finally:
            for each in (self.v1, self.v2):
                each.forget()
                each.listener.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Two]:
    """What most of these tests share."""
    made = Two(tmp_path_factory.mktemp("two"))
    yield made
    made.close()


@pytest.fixture
def two(shared: Two) -> Iterator[Two]:
    """The same, left as it was."""
    yield shared
    shared.proxy.apply(shared.mesh())
    shared.v1.forget()
    shared.v2.forget()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Two]:
    """One that a test may leave in a bad state."""
    made = Two(tmp_path)
    yield made
    made.close()


def test_copy(two: Two) -> None:
    """A version gets what the other one got, marked, once that has been answered; the caller gets the one answer, and
    the copy stands in no log, no series and no count of the version's requests."""
    before = two.proxy.series("all").requests
    two.mirror()
    assert two.ask().body == b"ok"
    copy = two.copied(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n")
    assert (copy.method, copy.target, copy.get("host"), copy.get("x-own")) == (b"GET", b"/a?b=c", b"shop.test", b"1")
    assert copy.get("x-meshctl-mirror") == b"1"
    two.until(copied=1, failed=0)
    asked = copy.get("x-request-id")
    line = two.proxy.line(lambda each: each["request_id"].encode() == asked)
    assert (line["version"], line["status"]) == ("v1", 200)
    assert two.proxy.series("all").requests == before + 1
    assert {each["version"] for each in two.proxy.lines(before + 1)} == {"v1"}
    sample = two.proxy.sample()
    assert sample.in_flight == 0
    assert {each.mirrored["answered"] > 0 for each in sample.services} == {True}


def test_copy_of_a_rewritten_request(two: Two) -> None:
    """A copy has the route's changes, too."""
    two.proxy.apply(two.mesh(prefix="/new", host="other.test"))
    two.mirror()
    two.ask()
    copy = two.copied()
    assert (copy.target, copy.get("host")) == (b"/new/a?b=c", b"other.test")


@pytest.mark.parametrize(
    ("framing", "body"),
    [(b"Content-Length: 5", b"hello"), (b"Transfer-Encoding: chunked", b"5\r\nhello\r\n0\r\n\r\n")],
    ids=["length", "chunked"],
)
def test_methods(two: Two, framing: bytes, body: bytes) -> None:
    """What changes something is copied only where that was asked for, and then with its body."""
    request = b"POST / HTTP/1.1\r\nHost: shop.test\r\n" + framing + b"\r\n\r\n" + body
    two.mirror()
    two.ask(request)
    two.ask(b"HEAD / HTTP/1.1\r\nHost: shop.test\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n")
    assert two.copied(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n").method == b"HEAD"
    two.mirror(all_methods=True)
    two.ask(request)
    copy = two.copied()
    assert (copy.method, copy.body) == (b"POST", b"hello")


def test_what_is_not_copied(two: Two) -> None:
    """Neither copies themselves, nor bodies that are not kept, nor upgrades."""
    two.mirror(all_methods=True)
    two.ask(b"GET / HTTP/1.1\r\nHost: shop\r\nX-Meshctl-Mirror: 1\r\n\r\n", entry="outbound")
    assert two.last.get("x-meshctl-mirror") == b"1"
    two.ask(b"GET / HTTP/1.1\r\nHost: shop.test\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
    assert two.count().dropped == 0
    long = b"POST / HTTP/1.1\r\nHost: shop.test\r\nContent-Length: 70000\r\n\r\n" + bytes(70_000)
    two.ask(long)
    two.until(copied=0, dropped=1)
    assert two.v2.is_untouched()


@pytest.mark.parametrize("name", [b"X-Meshctl-Mirror", b"x_meshctl-mirror", b"X_MESHCTL_MIRROR"])
def test_nobody_outside_marks_a_request(two: Two, name: bytes) -> None:
    """A client of the gateway can neither have its request taken for a copy by the service, in no spelling that CGI
    reads alike and not behind the body, nor keep it from being copied."""
    two.mirror(all_methods=True)
    two.ask(
        b"POST / HTTP/1.1\r\nHost: shop.test\r\n%b: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"1\r\nx\r\n0\r\n%b: 1\r\n\r\n" % (name, name)
    )
    assert not any(b"mirror" in each for each in two.last.names)
    assert two.last.trailers == ()
    copy = two.copied()
    assert [each for each in copy.names if b"mirror" in each] == [b"x-meshctl-mirror"]
    assert copy.all("x-meshctl-mirror") == [b"1"]


def test_dead_version(own: Two) -> None:
    """Requests are answered as ever while the version is not there, cuts its connections or says nonsense; it is not
    blamed for what only copies met."""
    own.mirror()
    own.ask()
    wire = own.v2.accept()
    # One that is gone before anything was sent is no answer: another is opened.
    wire.read_request()
    wire.reset()
    own.until(copied=1, failed=1)
    own.ask()
    wire = own.v2.accept()
    wire.read_request()
    wire.send(b"nonsense\r\n\r\n")
    own.until(copied=2, failed=2)
    own.v2.forget()
    own.v2.listener.close()
    for _ in range(8):
        assert own.ask().body == b"ok"
    own.until(copied=10, failed=10)
    assert [each.ejections for each in own.proxy.sample().services] == [0]
    own.v2 = Upstream("v2")


def test_slow_version(own: Two) -> None:
    """Requests do not wait for a version that does not answer: only so many copies are under way, the others are
    dropped."""
    own.mirror()
    began = time.monotonic()
    with own.proxy.connect("gateway") as client:
        wire = None
        for _ in range(70):
            client.send(GET)
            wire = wire or own.v1.accept()
            wire.read_request()
            wire.send(OK)
            assert client.read_response().body == b"ok"
    # None waited for the other version, which never answers.
    assert time.monotonic() - began < 60
    own.until(copied=64, dropped=6)


def test_share(two: Two) -> None:
    """A share of the requests is copied."""
    two.mirror(share=0.5)
    served: list[Message] = []
    answering = threading.Thread(target=lambda: [served.append(two.copied()) for _ in range(100)], daemon=True)
    answering.start()
    with two.proxy.connect("gateway") as client:
        wire = None
        for _ in range(100):
            client.send(GET)
            wire = wire or two.v1.accept()
            wire.read_request()
            wire.send(OK)
            client.read_response()
            # No more than may be under way, or some would be dropped.
            two.proxy.until(lambda: two.count().copied - len(served) < 32)
        half = two.count().copied
        # Five standard deviations.
        assert 25 <= half <= 75
        two.mirror()
        for _ in range(100 - half):
            client.send(GET)
            assert wire is not None
            wire.read_request()
            wire.send(OK)
            client.read_response()
            two.proxy.until(lambda: half + two.count().copied - len(served) < 32)
    answering.join()


def test_same_answers(two: Two) -> None:
    """Answers that are the same are counted as compared and told nobody."""
    two.mirror(diff=True)
    for answer in (OK, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n"):
        two.ask()
        two.copied(answer)
    two.until(compared=2, uncompared=0)


def test_copy_of_a_request_of_the_cache(two: Two) -> None:
    """A copy does not have what the cache asks for itself: the client was given a whole answer, and one is compared."""
    mesh = two.mesh()
    routes = tuple(msgspec.structs.replace(each, cache=Caching()) for each in mesh.routes)
    two.proxy.apply(msgspec.structs.replace(mesh, routes=routes))
    two.mirror(diff=True)
    whole = b'HTTP/1.1 200 OK\r\nETag: "1"\r\nCache-Control: no-cache\r\nContent-Length: 2\r\n\r\nok'
    for answer, asked in ((whole, None), (b'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\n\r\n', b'"1"')):
        got = two.ask(answer=answer)
        assert (got.status, got.body, two.last.get("if-none-match")) == (200, b"ok", asked)
        assert two.copied(whole).get("if-none-match") is None
    two.until(compared=2, uncompared=0)


def test_different_answers(two: Two) -> None:
    """Answers that differ go to the supervisor, with the fields that are compared and no others."""
    two.mirror(diff=True, headers=("x-kind",), at=4711.0)
    two.ask(
        answer=b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nX-Kind: a\r\nX-Other: b\r\nContent-Length: 2\r\n\r\nok"
    )
    two.copied(b"HTTP/1.1 404 No\r\nContent-Length: 2\r\nX-Kind: b\r\nX-Kind: c\r\n\r\nno")
    told = two.proxy._expect(Answered)
    assert told == Answered(
        "shop", 4711.0, "GET", "/a",
        Shown(200, {"content-type": "text/plain", "x-kind": "a"}, b"ok"), Shown(404, {"x-kind": "b, c"}, b"no"),
    )  # fmt: skip
    two.until(copied=1, compared=0, uncompared=0)


def test_long_answers(two: Two) -> None:
    """Bodies that are too long are copied and not compared; the caller has all of its answer."""
    two.mirror(diff=True)
    long = b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n" + bytes(300_000)
    assert len(two.ask(answer=long).body) == 300_000
    two.copied(long)
    two.until(copied=1, failed=0, compared=0, uncompared=1)


def test_mirror_outlasts_a_revision(two: Two) -> None:
    """A mirror goes on, with its counts, after a change of the configuration."""
    told = Steering(mirrors=(Mirror("shop", "v2", 1.0, at=1.0),))
    two.proxy.apply(two.mesh(), steering=told)
    two.ask()
    two.copied()
    two.until(copied=1)
    two.proxy.apply(two.mesh(prefix="/x"), steering=told)
    two.ask()
    two.copied()
    two.until(copied=2)
