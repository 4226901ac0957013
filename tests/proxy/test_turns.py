"""Many requests in one read: others have their turn between them, and of the answers none is lost, doubled or moved."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from meshctl.model.policy import Retry
from meshctl.model.route import Match, PathMatch, Respond, Route
from meshctl.model.service import Endpoint, Service, Version
from meshctl.proxy.incoming import BODY_SHARE, SHARE
from tests.conformance.refusals import is_refused
from tests.conformance.upstream import Upstream
from tests.conformance.wire import Wire

from .answerer import Answerer
from .lone_proxy import LoneProxy, mesh_of
from .members import Authority, shake

OWN = b"GET /own HTTP/1.1\r\nHost: a\r\n\r\n"
OTHER = b"GET /other HTTP/1.1\r\nHost: a\r\n\r\n"
SENT = b"GET /sent HTTP/1.1\r\nHost: a\r\n\r\n"
READ = 60_000
"""Bytes that the kernel takes of one client before anybody reads them."""


@pytest.fixture(scope="module")
def answerer() -> Iterator[Answerer]:
    """A service's endpoint."""
    made = Answerer()
    yield made
    made.close()


@pytest.fixture(scope="module")
def tunnelled() -> Iterator[Upstream]:
    """A service that changes the protocol."""
    made = Upstream("t")
    yield made
    made.forget()
    made.listener.close()


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, answerer: Answerer, tunnelled: Upstream) -> Iterator[LoneProxy]:
    """A gateway that answers some requests itself and sends others on."""
    proxy = start(tmp_path_factory.mktemp("gateway"), answerer, tunnelled)
    yield proxy
    assert proxy.end() == []


def start(folder: Path, answerer: Answerer, tunnelled: Upstream) -> LoneProxy:
    """One more of those."""
    services = [
        Service(name, (Version("v1", (Endpoint("127.0.0.1", port),)),))
        for name, port in (("a", answerer.port), ("t", tunnelled.port))
    ]
    routes = (
        Route("own", match=Match(path=PathMatch(value="/own")), respond=Respond(body="own")),
        Route("other", match=Match(path=PathMatch(value="/other")), respond=Respond(body="other")),
        Route("sent", match=Match(path=PathMatch(value="/sent")), service="a", retry=Retry(0)),
        Route("tunnel", match=Match(path=PathMatch(value="/tunnel")), service="t", retry=Retry(0)),
    )
    return LoneProxy(folder, mesh_of(*services, routes=routes), "gateway")


@pytest.fixture
def client(gateway: LoneProxy) -> Iterator[Wire]:
    """A client of it."""
    with gateway.connect("gateway") as wire:
        yield wire


def bodies(client: Wire, count: int) -> list[bytes]:
    """The next so many answers."""
    return [client.read_response().body for _ in range(count)]


def mixed(count: int) -> tuple[bytes, list[bytes]]:
    """So many requests that are answered here and there, and what they are answered with."""
    kinds = ((OWN, b"own"), (OTHER, b"other"), (OWN, b"own"), (SENT, b"ok"), (OTHER, b"other"))
    asked = [kinds[number * 7 % 11 % 5] for number in range(count)]
    return b"".join(request for request, _ in asked), [body for _, body in asked]


def test_others_have_their_turn(gateway: LoneProxy) -> None:
    """Whoever sends thousands of requests at once is served among others, not before them."""
    gateway.until(lambda: gateway.sample().connections == 0)
    with ExitStack() as stack:
        hostile, *honest = [stack.enter_context(gateway.connect("gateway")) for _ in range(11)]
        for each in (hostile, *honest):
            each.send(OWN)
            assert each.read_response().body == b"own"
        before = gateway.recorded()
        # All is there before any of it is read, and that of the one before that of the others.
        os.kill(gateway.process.pid, signal.SIGSTOP)
        try:
            count = READ // len(OWN)
            hostile.send(OWN * count)
            for each in honest:
                each.send(OTHER)
        finally:
            os.kill(gateway.process.pid, signal.SIGCONT)
        assert [each.read_response().body for each in honest] == [b"other"] * 10
        assert bodies(hostile, count) == [b"own"] * count
        routes = [line["route"] for line in gateway.lines(before + count + 10)][before:]
    last = max(number for number, route in enumerate(routes) if route == "other")
    assert last < 5 * SHARE // len(OWN) + 10


def test_requests_are_not_collected(gateway: LoneProxy, client: Wire, answerer: Answerer) -> None:
    """Of thousands that wait for the first of them, a few dozen are remembered as requests, and all are answered."""
    gateway.until(lambda: gateway.sample().in_flight == 0)
    answerer.hold()
    count = READ // len(SENT)
    client.send(SENT * count)
    gateway.until(lambda: gateway.sample().in_flight > 1)
    assert gateway.sample().in_flight <= SHARE // len(SENT) + 1
    answerer.release()
    assert bodies(client, count) == [b"ok"] * count


def test_answers_keep_their_order(client: Wire) -> None:
    """Every request gets its own answer, whoever answers, however many there are."""
    asked, expected = mixed(3_000)
    client.send(asked)
    assert bodies(client, 3_000) == expected


@pytest.mark.parametrize("at", [1, 40, 1_000])
def test_close_between_requests(client: Wire, at: int) -> None:
    """What follows a request that ends the connection is not answered; what was answered arrives."""
    asked, expected = mixed(at)
    client.send(asked + OWN.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n") + OTHER * (READ // len(OTHER)))
    assert bodies(client, at + 1) == [*expected, b"own"]
    assert client.read_to_end() == b""


@pytest.mark.parametrize("at", [1, 40, 1_000])
def test_error_between_requests(client: Wire, at: int) -> None:
    """A malformed request is refused in its turn, and nothing after it is one."""
    asked, expected = mixed(at)
    client.send(asked + b"GET /own HTTP/1.1\r\nBroken\r\n\r\n" + OTHER * (READ // len(OTHER)))
    assert bodies(client, at) == expected
    is_refused(client, 400, "bad_request")


def test_stop_between_requests(tmp_path: Path, answerer: Answerer, tunnelled: Upstream) -> None:
    """A proxy that stops ends a connection between two answers: every one that it gave arrives whole."""
    gateway = start(tmp_path, answerer, tunnelled)
    with gateway.connect("gateway") as client:
        client.send(mixed(READ // len(OTHER))[0])
        assert client.read_response().body
        gateway.drain(5.0)
        said = client.read_to_end()
    nothing, *answers = said.split(b"HTTP/1.1 200 ")
    assert nothing == b""
    for each in answers:
        head, _, body = each.partition(b"\r\n\r\n")
        assert b"Content-Length: %d" % len(body) in head
    assert gateway.end() == []


@pytest.mark.parametrize("framing", ["length", "chunked", "long", "long chunks"])
def test_bodies_between_requests(client: Wire, framing: str) -> None:
    """Bodies are told from the requests around them, wherever a share of them ends."""
    body = b"GET /own HTTP/1.1\r\n\r\n" * (10 if "long" not in framing else 1_000)
    head = b"POST /own HTTP/1.1\r\nHost: a\r\n"
    if framing in {"length", "long"}:
        post = head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    else:
        post = head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    client.send((OTHER * 7 + post) * 20 + OTHER)
    assert bodies(client, 161) == ([b"other"] * 7 + [b"own"]) * 20 + [b"other"]


def test_many_behind_bodies_that_tell_their_end(gateway: LoneProxy, answerer: Answerer) -> None:
    """Who hides requests behind short bodies gets no larger share for long."""
    gateway.until(lambda: gateway.sample().in_flight == 0)
    answerer.hold()
    post = b"POST /own HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"
    few = BODY_SHARE // len(SENT)
    with gateway.connect("gateway") as client:
        client.send((post + OWN * few) * 2)
        assert bodies(client, 2 * few + 2) == [b"own"] * (2 * few + 2)
        client.send(post + SENT * (READ // len(SENT)))
        assert client.read_response().body == b"own"
        gateway.until(lambda: gateway.sample().in_flight > 1)
        assert gateway.sample().in_flight <= SHARE // len(SENT) + 1
        answerer.release()
        assert bodies(client, READ // len(SENT)) == [b"ok"] * (READ // len(SENT))


def test_upgrades_that_do_not_pass(client: Wire) -> None:
    """Thousands of requests that ask for what does not pass (h2c) are answered as if they had not asked."""
    asked = b"GET /own HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    client.send(asked * 2_000)
    assert bodies(client, 2_000) == [b"own"] * 2_000


def test_upgrade_behind_others(client: Wire, tunnelled: Upstream) -> None:
    """A tunnel behind many requests begins with the first byte after its own, however much has come by then."""
    early = bytes(range(256)) * 100
    ask = b"GET /tunnel HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"
    client.send(OWN * 200 + ask + early)
    assert bodies(client, 200) == [b"own"] * 200
    wire = tunnelled.accept()
    assert wire.read_request().target == b"/tunnel"
    wire.send(b"HTTP/1.1 101 X\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
    assert client.read_response().status == 101
    assert wire.read_exactly(len(early)) == early
    client.send(b"more")
    assert wire.read_exactly(4) == b"more"


def test_turns_over_tls(tmp_path: Path) -> None:
    """Members of the mesh are read in turns like everybody, and get all of their answers."""
    authority = Authority(tmp_path)
    routes = (Route("own", respond=Respond(body="own"), entry="inbound"),)
    proxy = LoneProxy(tmp_path, mesh_of(routes=routes), "inbound/strict", identity=authority.identify("orders"))
    with shake(proxy.ports["inbound/strict"], authority.client(authority.service("web"))) as client:
        client.send(OWN * 2_000)
        assert bodies(client, 2_000) == [b"own"] * 2_000
        client.send(OWN)
        assert bodies(client, 1) == [b"own"]
    assert proxy.end() == []
