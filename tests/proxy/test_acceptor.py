"""What a listener of the mesh makes of a new connection by its first byte, and what it does when too much or nothing
comes."""

from __future__ import annotations

import os
import resource
import socket
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from meshctl import clock
from meshctl.model.mesh import Gateway, Mesh
from meshctl.model.policy import DownstreamTimeouts, Limits
from meshctl.model.route import Respond, Route
from meshctl.model.views import PlainCallerView
from tests.conformance.refusals import is_refused, read_refusal
from tests.conformance.wire import PATIENCE, Wire

from .lone_proxy import LoneProxy
from .members import Authority, shake

GET = b"GET / HTTP/1.1\r\nHost: orders\r\n\r\n"
STRICT, PERMISSIVE = "inbound/strict", "inbound/permissive"


def answering(**settings: Any) -> Mesh:
    """A mesh whose inbound route answers by itself."""
    gateway = Gateway(admin="off", **settings)
    return Mesh(
        trust_domain="shop.mesh", gateway=gateway, routes=(Route("own", respond=Respond(body="own"), entry="inbound"),)
    )


def start(folder: Any, authority: Authority, **settings: Any) -> LoneProxy:
    """A sidecar with a listener of each kind."""
    return LoneProxy(folder, answering(**settings), STRICT, PERMISSIVE, identity=authority.identify("orders"))


@pytest.fixture(scope="module")
def sidecar(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoneProxy]:
    """One that waits for slow clients."""
    timeouts = DownstreamTimeouts(head=60.0, handshake=60.0)
    running = start(tmp_path_factory.mktemp("sidecar"), authority, timeouts=timeouts)
    yield running
    assert running.end() == []


def member(sidecar: LoneProxy, authority: Authority, entry: str = STRICT) -> Wire:
    """A member's connection."""
    return shake(sidecar.ports[entry], authority.client(authority.service("web")))


def ask(client: Wire) -> bytes:
    """The body of an answer to one more request."""
    client.send(GET)
    return client.read_response().body


@pytest.mark.parametrize("entry", [STRICT, PERMISSIVE])
def test_members_are_served_by_both(sidecar: LoneProxy, authority: Authority, entry: str) -> None:
    """A member is served at a strict and at a permissive listener, over one connection as often as it likes."""
    with member(sidecar, authority, entry) as client:
        assert [ask(client) for _ in range(3)] == [b"own"] * 3


@pytest.mark.parametrize(
    "sent",
    [
        GET,
        b"G",
        b"\r\n\r\n",
        b"\x00nonsense",
        b"POST / HTTP/1.1\r\nHost: orders\r\nContent-Length: 3000000\r\n\r\n" + bytes(300_000),
    ],
)
def test_plain_at_a_strict_listener(sidecar: LoneProxy, authority: Authority, sent: bytes) -> None:
    """Whatever comes in the clear to a strict listener is told what is asked for there, in an answer that can be read
    whole; it is counted, logged and told."""
    before = sidecar.refusals("mtls_required", 0)
    with sidecar.connect(STRICT) as client:
        client.send(sent)
        is_refused(client, 400, "mtls_required")
    assert sidecar.refusals("mtls_required", before + 1) == before + 1
    assert any(line["reason"] == "mtls_required" and line["status"] == 400 for line in _lines(sidecar, before + 1))
    assert any(notice.event == "plain_refused" for notice in sidecar.notices)
    with member(sidecar, authority) as client:
        assert ask(client) == b"own"


def _lines(sidecar: LoneProxy, count: int) -> list[dict[str, Any]]:
    while True:
        lines = sidecar.lines(count)
        found = [line for line in lines if line["reason"] == "mtls_required"]
        if found:
            return found
        count = len(lines) + 1


def test_plain_at_a_permissive_listener(sidecar: LoneProxy) -> None:
    """What comes in the clear to a permissive listener is served, and who it was is remembered: how often, and when it
    was last there."""
    before = plain(sidecar)
    begun = clock.wall()
    with sidecar.connect(PERMISSIVE) as client:
        assert [ask(client), ask(client)] == [b"own", b"own"]
        now = plain(sidecar)["127.0.0.1"]
        assert now.service == "orders"
        assert now.count == (before["127.0.0.1"].count if before else 0) + 1
        assert begun <= now.last_seen <= clock.wall()
    with sidecar.connect(PERMISSIVE) as client:
        assert ask(client) == b"own"
    assert plain(sidecar)["127.0.0.1"].count == now.count + 1


def plain(sidecar: LoneProxy) -> dict[str, PlainCallerView]:
    """Who came in the clear."""
    views = msgspec.msgpack.decode(sidecar.ask("plain"), type=list[PlainCallerView])
    return {view.caller: view for view in views}


def test_members_are_no_plain_callers(sidecar: LoneProxy, authority: Authority) -> None:
    """A member at a permissive listener is not counted as one that came in the clear."""
    before = plain(sidecar)
    with member(sidecar, authority, PERMISSIVE) as client:
        assert ask(client) == b"own"
    after = plain(sidecar)
    assert {name: view.count for name, view in after.items()} == {name: view.count for name, view in before.items()}


@pytest.mark.parametrize("entry", [STRICT, PERMISSIVE])
def test_silence(tmp_path: Any, authority: Authority, entry: str) -> None:
    """A connection that says nothing is closed after the time that a head may take, and is nobody's failure."""
    sidecar = start(tmp_path, authority, timeouts=DownstreamTimeouts(head=0.6))
    before = sidecar.sample()
    began = clock.monotonic()
    with sidecar.connect(entry) as client:
        assert client.read_to_end() == b""
    assert 0.5 < clock.monotonic() - began < PATIENCE
    after = sidecar.sample()
    assert (after.refusals, after.handshake_failures) == (before.refusals, before.handshake_failures)
    assert sidecar.end() == []


def test_slow_handshake(tmp_path: Any, authority: Authority) -> None:
    """A ClientHello that does not end is waited for as long as a handshake may take; it is counted, and others are
    served meanwhile."""
    # Longer than the machine may stand still while the others shake hands.
    sidecar = start(tmp_path, authority, timeouts=DownstreamTimeouts(head=60.0, handshake=4.0))
    before = sidecar.refusals("tls_timeout", 0)
    with sidecar.connect(STRICT) as slow:
        for piece in (b"\x16", b"\x03", b"\x01"):
            slow.send(piece)
            with member(sidecar, authority) as client:
                assert ask(client) == b"own"
        assert slow.read_rest() == b""
    assert sidecar.refusals("tls_timeout", before + 1) == before + 1
    assert sidecar.end() == []


def test_hello_in_pieces(sidecar: LoneProxy, authority: Authority) -> None:
    """A handshake whose bytes come one by one succeeds."""
    import ssl

    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = authority.client(authority.service("web")).wrap_bio(incoming, outgoing)
    with sidecar.connect(PERMISSIVE) as client:
        client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while True:
            try:
                tls.do_handshake()
            except ssl.SSLWantReadError:
                for byte in outgoing.read():
                    client.send(bytes([byte]))
                incoming.write(client.socket.recv(65_536))
            else:
                break
        tls.write(GET)
        client.send(outgoing.read())
        incoming.write(client.socket.recv(65_536))
        assert tls.read().startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    ("share", "last"),
    [(0.5, b""), (1, b""), (1, b"G"), (1, GET), (1, GET * 2), (1, b"BAD\r\n\r\n")],
    ids=["half a hello", "hello", "half a request", "request", "requests", "nonsense"],
)
def test_gone_in_a_handshake(sidecar: LoneProxy, authority: Authority, share: float, last: bytes) -> None:
    """A client that resets the connection within its handshake, or with the last words of it and what comes behind
    them, is no fault that anybody is told of with a traceback (what the log says is looked at in the end)."""
    import ssl

    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = authority.client(authority.service("web")).wrap_bio(incoming, outgoing)
    client = sidecar.connect(STRICT)
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    hello = outgoing.read()
    client.send(hello[: int(len(hello) * share)])
    if last:
        while said := client.socket.recv(65_536):
            incoming.write(said)
            try:
                tls.do_handshake()
            except ssl.SSLWantReadError:
                continue
            tls.write(last)
            client.send(outgoing.read())
            break
        # Nothing is said where this machine was too slow for the listener's patience.
    client.reset()
    with member(sidecar, authority) as other:
        assert ask(other) == b"own"


def test_no_descriptors_left(tmp_path: Any, authority: Authority) -> None:
    """A worker that may open no more files rests instead of trying for ever, says so, and takes who has waited once it
    may again."""
    sidecar = start(tmp_path, authority)
    pid = sidecar.process.pid
    with member(sidecar, authority) as client:
        assert ask(client) == b"own"
        limits = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, limits[1]))
        with sidecar.connect(STRICT) as waiting:
            waiting.send(GET)
            while not any(notice.event == "accept_failed" for notice in sidecar.notices):
                sidecar.sample()
            used = _cpu(pid)
            assert waiting.is_silent()
            # Who is there goes on being served.
            began = clock.monotonic()
            while clock.monotonic() - began < 1.0:
                select_nothing()
            assert _cpu(pid) - used < 0.3
            assert ask(client) == b"own"
            resource.prlimit(pid, resource.RLIMIT_NOFILE, limits)
            is_refused(waiting, 400, "mtls_required")
    failed = [notice for notice in sidecar.notices if notice.event == "accept_failed"]
    assert [notice.fields["reason"] for notice in failed] == ["EMFILE"]
    assert sidecar.end() == []


def select_nothing() -> None:
    """Wait a little, for nothing."""
    import select

    select.select([], [], [], 0.05)


def _cpu(pid: int) -> float:
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        words = file.read().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def test_connection_limit(tmp_path: Any, authority: Authority) -> None:
    """Connections beyond the limit are refused in words, members and plain ones alike; as many silent ones as there may
    be connections keep nobody out who speaks."""
    sidecar = start(tmp_path, authority, limits=Limits(connections=2))
    silent = [sidecar.connect(STRICT), sidecar.connect(STRICT)]
    with member(sidecar, authority) as one, sidecar.connect(PERMISSIVE) as two:
        for busy in (one, two):
            # The body is still to come: who only rests would have to make room.
            busy.send(b"POST / HTTP/1.1\r\nHost: orders\r\nContent-Length: 5\r\n\r\n")
            assert busy.read_response().body == b"own"
        with member(sidecar, authority) as three:
            assert three.read_response().status == 503
        with sidecar.connect(PERMISSIVE) as four:
            four.send(GET)
            read_refusal(four, 503, "overloaded")
        with sidecar.connect(STRICT) as five:
            five.send(GET)
            read_refusal(five, 503, "overloaded")
    for each in silent:
        each.close()
    assert sidecar.end() == []


def test_draining(tmp_path: Any, authority: Authority) -> None:
    """A worker that drains takes nobody new, lets idle and undecided connections go, and ends."""
    sidecar = start(tmp_path, authority)
    with member(sidecar, authority) as client, sidecar.connect(STRICT) as undecided:
        assert ask(client) == b"own"
        port = sidecar.ports[STRICT]
        assert sidecar.end() == []
        assert client.read_rest() == b""
        assert undecided.read_rest() == b""
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)


def test_listener_that_goes(tmp_path: Any, authority: Authority) -> None:
    """A listener that a change drops accepts no more, and its connections go on."""
    sidecar = start(tmp_path, authority)
    with member(sidecar, authority) as client:
        assert ask(client) == b"own"
        sidecar.keep(PERMISSIVE)
        sidecar.apply(answering())
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", sidecar.ports[STRICT]), timeout=PATIENCE)
        assert ask(client) == b"own"
    assert sidecar.end() == []
