"""Raw TCP for services that speak no HTTP: from an app's port to an endpoint, and from sidecar to sidecar."""

from __future__ import annotations

import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from meshctl.model.mesh import Access, Allow, Gateway, Mesh
from meshctl.model.policy import Limits, Retry, UpstreamTimeouts
from meshctl.model.route import Route
from meshctl.model.service import Endpoint, Service, Version
from meshctl.wire.frames import DATA, END, END_FRAME, OPEN, REFUSED, FrameReader, data_head
from tests.conformance.conftest import free_port
from tests.conformance.test_pressure import PIECE, drain, finish, push
from tests.conformance.upstream import Upstream
from tests.conformance.wire import Wire

from .lone_proxy import LoneProxy, mesh_of
from .members import RAW, Authority, shake

MB = 1 << 20


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """What ends with the test."""
    with ExitStack() as made:
        yield made


def upstream(stack: ExitStack, name: str, *, receive: int = 0) -> Upstream:
    """A service's endpoint for one test."""
    made = Upstream(name, receive=receive)
    stack.callback(made.listener.close)
    stack.callback(made.forget)
    return made


def to_db(*endpoints: Endpoint, retry: Retry | None = None, connect: float = 5.0, limits: Limits | None = None) -> Mesh:
    """The mesh of an app that calls "db" on a port."""
    timeouts = UpstreamTimeouts(connect=connect, stream=300.0)
    service = Service("db", (Version("v1", endpoints),), timeouts=timeouts, protocol="tcp")
    mesh = mesh_of(service, routes=(Route("db", service="db", entry="tcp:db", retry=retry or Retry(1)),))
    return msgspec.structs.replace(mesh, gateway=Gateway(limits=limits or Limits(), admin="off"))


def started(stack: ExitStack, folder: Path, mesh: Mesh, *entries: str, **settings: object) -> LoneProxy:
    """A proxy for one test, which must end without complaints."""
    proxy = LoneProxy(folder, mesh, *(entries or ("tcp:db",)), **settings)  # type: ignore[arg-type]

    def end() -> None:
        assert proxy.end(0.2) == []

    stack.callback(end)
    return proxy


@pytest.fixture(scope="module")
def flexible(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoneProxy]:
    """The sidecar of "web", for tests that give it a mesh of their own."""
    with ExitStack() as made:
        folder = tmp_path_factory.mktemp("flexible")
        yield started(made, folder, to_db(), "tcp:db", identity=authority.identify("web"))


def new_line(proxy: LoneProxy, before: int) -> dict[str, Any]:
    """The one line of the log since `before` were recorded."""
    (line,) = proxy.lines(before + 1)[before:]
    return line


def at_rest(proxy: LoneProxy) -> None:
    """Nothing is under way any more, of this test or one before."""
    proxy.until(lambda: proxy.sample().in_flight == proxy.sample().connections == 0)


def is_cut_off(proxy: LoneProxy) -> None:
    """An app that calls "db" gets nothing but an end, which may come before it knows of the beginning."""
    with suppress(ConnectionResetError), proxy.connect("tcp:db") as app:
        assert app.read_rest() == b""


def at(port: int, *, mesh: bool = False) -> Endpoint:
    """An endpoint on loopback."""
    return Endpoint("127.0.0.1", port, mesh=mesh)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LoneProxy, Upstream]]:
    """A proxy with a port for "db", and db."""
    with ExitStack() as made:
        db = upstream(made, "db")
        yield started(made, tmp_path_factory.mktemp("relay"), to_db(at(db.port))), db


@pytest.fixture
def ends(shared: tuple[LoneProxy, Upstream]) -> Iterator[tuple[Wire, Wire]]:
    """A relayed connection: the app's end and the service's."""
    proxy, db = shared
    with proxy.connect("tcp:db") as app:
        yield app, db.accept()
    db.forget()


# on one machine, in the clear


@pytest.mark.parametrize("first", ["app", "service"])
def test_either_side_speaks_first(ends: tuple[Wire, Wire], first: str) -> None:
    """Nothing waits for a first byte: whichever side has something to say is heard."""
    one, other = ends if first == "app" else ends[::-1]
    one.send(b"hello")
    assert other.read_exactly(5) == b"hello"
    for data in (bytes(range(256)), b"GET / HTTP/1.1\r\n\r\n", bytes(500_000)):
        other.send(data)
        assert one.read_exactly(len(data)) == data
        one.send(data)
        assert other.read_exactly(len(data)) == data


@pytest.mark.parametrize("first", ["app", "service"])
def test_one_direction_ends_before_the_other(ends: tuple[Wire, Wire], first: str) -> None:
    """A side that has said all is still answered."""
    one, other = ends if first == "app" else ends[::-1]
    one.send(b"all of it" * 20_000)
    one.half_close()
    assert other.read_to_end() == b"all of it" * 20_000
    other.send(b"the answer" * 20_000)
    other.close()
    assert one.read_to_end() == b"the answer" * 20_000


@pytest.mark.parametrize("first", ["app", "service"])
def test_reset_is_passed_on(ends: tuple[Wire, Wire], first: str) -> None:
    """A side that breaks off breaks off the other."""
    one, other = ends if first == "app" else ends[::-1]
    one.send(b"x")
    assert other.read_exactly(1) == b"x"
    one.reset()
    with pytest.raises(ConnectionResetError):
        other.read_to_end()


def test_counted_and_logged_once(shared: tuple[LoneProxy, Upstream]) -> None:
    """A connection counts once for its route, with its bytes, and has one line in the log, at its end."""
    proxy, db = shared
    at_rest(proxy)
    before = proxy.series("db")
    with proxy.connect("tcp:db") as app:
        wire = db.accept()
        app.send(b"12345")
        assert wire.read_exactly(5) == b"12345"
        wire.send(b"1234567")
        assert app.read_exactly(7) == b"1234567"
        assert proxy.sample().in_flight == 1
        app.half_close()
        wire.close()
        assert app.read_to_end() == b""
    at_rest(proxy)
    after = proxy.series("db")
    found = after.requests - before.requests, after.received - before.received, after.sent - before.sent
    assert found == (1, 5, 7)
    line = proxy.line(lambda line: line["bytes_in"] == 5)
    assert {key: line[key] for key in ("method", "host", "path", "status", "reason", "protocol")} == {
        "method": "TCP", "host": "db", "path": "", "status": 200, "reason": "", "protocol": "TCP",
    }  # fmt: skip
    assert (line["route"], line["service"], line["version"], line["bytes_out"]) == ("db", "db", "v1", 7)
    assert (line["endpoint"], line["listener"]) == (f"127.0.0.1:{db.port}", f"127.0.0.1:{proxy.ports['tcp:db']}")


@pytest.mark.parametrize("direction", ["up", "down"])
def test_slow_reader_holds_the_sender_up(stack: ExitStack, flexible: LoneProxy, direction: str) -> None:
    """Whoever reads slowly makes the other side wait, and every byte arrives in the end."""
    proxy = flexible
    db = upstream(stack, "db", receive=4096)
    proxy.apply(to_db(at(db.port)))
    app = stack.enter_context(proxy.connect("tcp:db", receive=4096))
    wire = db.accept()
    sender, reader = (app, wire) if direction == "up" else (wire, app)
    total = 48 * MB
    sent = push(sender, PIECE, total)
    assert sent < 24 * MB
    thread = finish(sender, sent, total)
    assert drain(reader, total) == 0
    thread.join()


def test_endpoint_that_refuses_is_passed_over(stack: ExitStack, flexible: LoneProxy) -> None:
    """Where one endpoint takes no connection another is tried, before the app notices."""
    proxy = flexible
    db = upstream(stack, "db")
    proxy.apply(to_db(at(free_port()), at(db.port), retry=Retry(1)))
    before, counted = proxy.recorded(), connects(proxy)
    for _ in range(6):
        with proxy.connect("tcp:db") as app:
            wire = db.accept()
            wire.send(b"welcome")
            wire.close()
            assert app.read_to_end() == b"welcome"
    # The connection of the test before may end only now, and have a line among these.
    proxy.until(lambda: any(line["retries"] == 1 for line in proxy.lines(0)[before:]))
    now = connects(proxy)
    assert now["ok"] - counted["ok"] == 6
    assert now["refused"] > counted["refused"]


def connects(proxy: LoneProxy) -> Counter[str]:
    """Attempts to reach the service so far, by their result."""
    return Counter(next((dict(each.connects) for each in proxy.sample().services if each.service == "db"), {}))


@pytest.mark.parametrize("case", ["refusing", "silent", "none", "no_version"])
def test_nobody_takes_the_connection(stack: ExitStack, flexible: LoneProxy, case: str) -> None:
    """An app whose service cannot be reached is cut off, and the log and the counts say why."""
    silent = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
    for _ in range(4):
        knocking = stack.enter_context(socket.socket())
        knocking.setblocking(False)
        knocking.connect_ex(silent.getsockname())
    endpoints = {"refusing": (at(free_port()),), "silent": (at(silent.getsockname()[1]),)}.get(case, ())
    # Only the one that says nothing may use its time up.
    mesh = to_db(*endpoints, connect=0.3 if case == "silent" else 60.0)
    if case == "no_version":
        mesh = msgspec.structs.replace(mesh, services=(Service("db", protocol="tcp"),))
    proxy = flexible
    proxy.apply(mesh)
    at_rest(proxy)
    before = proxy.recorded()
    is_cut_off(proxy)
    line = new_line(proxy, before)
    expected = {"refusing": (502, "upstream_connect"), "silent": (504, "connect_timeout")}
    assert (line["status"], line["reason"]) == expected.get(case, (503, "no_endpoint"))
    assert proxy.series("db").reasons[line["reason"]][5] >= 1
    assert proxy.sample().in_flight == 0


def test_limits_hold(stack: ExitStack, flexible: LoneProxy) -> None:
    """Connections beyond what the proxy accepts are cut off, and those beyond what an endpoint may have, too."""
    proxy = flexible
    db = upstream(stack, "db")
    proxy.apply(to_db(at(db.port), limits=Limits(connections=3, upstream_connections=2), retry=Retry(0)))
    at_rest(proxy)
    before = proxy.recorded()
    first = stack.enter_context(proxy.connect("tcp:db"))
    ends = [db.accept()]
    second = stack.enter_context(proxy.connect("tcp:db"))
    ends.append(db.accept())
    is_cut_off(proxy)
    line = new_line(proxy, before)
    assert (line["status"], line["reason"]) == (503, "upstream_busy")
    first.close()
    assert ends[0].read_to_end() == b""
    ends[0].close()
    ends[1].send(b"x")
    assert second.read_exactly(1) == b"x"
    proxy.until(lambda: proxy.sample().connections == 1)
    stack.enter_context(proxy.connect("tcp:db"))
    db.accept()
    proxy.apply(to_db(at(db.port), limits=Limits(connections=2)))
    is_cut_off(proxy)
    assert proxy.sample().refusals == {"overloaded": 1}


def test_app_leaves_before_the_connection_stands(stack: ExitStack, flexible: LoneProxy) -> None:
    """An app that leaves while an endpoint is being reached leaves nothing behind."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as silent:
        for _ in range(4):
            knocking = stack.enter_context(socket.socket())
            knocking.setblocking(False)
            knocking.connect_ex(silent.getsockname())
        proxy = flexible
        proxy.apply(to_db(at(silent.getsockname()[1]), connect=3.0))
        with proxy.connect("tcp:db"):
            proxy.until(lambda: proxy.sample().in_flight == 1)
        proxy.until(lambda: proxy.sample().in_flight == proxy.sample().connections == 0)


def test_stop_cuts_what_does_not_end(stack: ExitStack, tmp_path: Path) -> None:
    """A proxy that stops lets connections go on for its drain time and then ends them."""
    db = upstream(stack, "db")
    proxy = started(stack, tmp_path, to_db(at(db.port)))
    app = stack.enter_context(proxy.connect("tcp:db"))
    wire = db.accept()
    proxy.drain(4.0)
    wire.send(b"still here")
    assert app.read_exactly(10) == b"still here"
    assert app.read_rest() == b""
    assert wire.read_rest() == b""
    assert proxy.process.wait(60) == 0


# from sidecar to sidecar, in mutual TLS


class Pair:
    """The sidecar of "web", which calls "db" on a port, and the sidecar of "db" before its app."""

    def __init__(self, stack: ExitStack, folder: Path, authority: Authority, access: Access | None = None) -> None:
        self.app = upstream(stack, "db")
        local = Service("app", (Version("default", (at(self.app.port),)),), protocol="tcp")
        inner = mesh_of(local, routes=(Route("inbound", service="app", entry="inbound"),), access=access or Access())
        (folder / "db").mkdir()
        (folder / "web").mkdir()
        self.db = started(stack, folder / "db", inner, "inbound/strict", identity=authority.identify("db"))
        outer = to_db(at(self.db.ports["inbound/strict"], mesh=True))
        self.web = started(stack, folder / "web", outer, "tcp:db", identity=authority.identify("web"))


@pytest.fixture(scope="module")
def pair(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """Two sidecars."""
    with ExitStack() as made:
        yield Pair(made, tmp_path_factory.mktemp("pair"), authority)


@pytest.fixture
def over(pair: Pair) -> Iterator[tuple[Wire, Wire]]:
    """A connection through both: the calling app's end and the called one's."""
    with pair.web.connect("tcp:db") as app:
        yield app, pair.app.accept()
    pair.app.forget()


@pytest.mark.parametrize("first", ["app", "service"])
def test_either_side_speaks_first_through_both(over: tuple[Wire, Wire], first: str) -> None:
    """Through two sidecars either side may speak first, and bytes of any number and length come through."""
    test_either_side_speaks_first(over, first)
    one, other = over
    one.send(PIECE * 64)
    assert other.read_exactly(len(PIECE) * 64) == PIECE * 64


@pytest.mark.parametrize("first", ["app", "service"])
def test_one_direction_ends_through_both(over: tuple[Wire, Wire], first: str) -> None:
    """The end of one direction comes through, though TLS has no word for it, and the other goes on."""
    test_one_direction_ends_before_the_other(over, first)


@pytest.mark.parametrize("first", ["app", "service"])
def test_reset_comes_through_both(over: tuple[Wire, Wire], first: str) -> None:
    """So does a connection that is broken off."""
    test_reset_is_passed_on(over, first)


def test_slow_reader_holds_up_through_both(pair: Pair) -> None:
    """Back-pressure reaches through both sidecars."""
    with pair.web.connect("tcp:db", receive=4096) as app:
        wire = pair.app.accept()
        total = 64 * MB
        sent = push(wire, PIECE, total)
        assert sent < 40 * MB
        thread = finish(wire, sent, total)
        assert drain(app, total) == 0
        thread.join()
    pair.app.forget()


def test_both_count_and_log(pair: Pair) -> None:
    """Each sidecar counts and logs the connection for its own route."""
    for proxy in (pair.web, pair.db):
        at_rest(proxy)
    before = pair.web.series("db").requests, pair.db.series("inbound").requests
    with pair.web.connect("tcp:db") as app:
        wire = pair.app.accept()
        app.send(b"counted")
        assert wire.read_exactly(7) == b"counted"
        wire.close()
        assert app.read_to_end() == b""
    pair.web.until(lambda: pair.web.series("db").requests == before[0] + 1)
    pair.db.until(lambda: pair.db.series("inbound").requests == before[1] + 1)
    line = pair.db.line(lambda line: line["bytes_in"] == 7)
    assert (line["method"], line["status"], line["route"]) == ("TCP", 200, "inbound")
    pair.app.forget()


def test_app_behind_is_not_there(stack: ExitStack, tmp_path: Path, authority: Authority) -> None:
    """A sidecar whose app takes no connection says so, and the caller tries another endpoint, or knows why not."""
    pair = Pair(stack, tmp_path, authority)
    local = Service("app", (Version("default", (at(free_port()),)),), protocol="tcp")
    gone = mesh_of(local, routes=(Route("inbound", service="app", entry="inbound", retry=Retry(0)),))
    (tmp_path / "gone").mkdir()
    other = started(stack, tmp_path / "gone", gone, "inbound/strict", identity=authority.identify("db"))
    dead, alive = at(other.ports["inbound/strict"], mesh=True), at(pair.db.ports["inbound/strict"], mesh=True)
    pair.web.apply(to_db(dead, alive))
    for _ in range(4):
        with pair.web.connect("tcp:db") as app:
            wire = pair.app.accept()
            wire.send(b"alive")
            assert app.read_exactly(5) == b"alive"
    pair.web.apply(to_db(dead, retry=Retry(0)))
    is_cut_off(pair.web)
    line = pair.web.line(lambda line: line["status"] == 502)
    assert line["reason"] == "upstream_connect"


def test_denied_by_a_rule(stack: ExitStack, tmp_path: Path, authority: Authority) -> None:
    """A connection that no rule of the callee allows is refused there, and both sides name the rule."""
    access = Access(rules=(Allow("office", ("office",), ("db",)),))
    pair = Pair(stack, tmp_path, authority, access)
    is_cut_off(pair.web)
    for proxy in (pair.web, pair.db):
        (line,) = proxy.lines(1)
        assert (line["status"], line["reason"]) == (403, "denied:office")
    assert pair.app.is_untouched()


def test_app_that_speaks_http_is_not_relayed_to(stack: ExitStack, tmp_path: Path, authority: Authority) -> None:
    """Raw bytes never reach an app that speaks HTTP: they could hold an identity that is not the caller's."""
    pair = Pair(stack, tmp_path, authority)
    (local,) = pair.db.mesh.services
    pair.db.apply(msgspec.structs.replace(pair.db.mesh, services=(msgspec.structs.replace(local, protocol="http"),)))
    is_cut_off(pair.web)
    for proxy in (pair.web, pair.db):
        (line,) = proxy.lines(1)
        assert (line["status"], line["reason"]) == (400, "not_tcp")
    assert pair.app.is_untouched()


def test_words_on_the_wire(pair: Pair, authority: Authority) -> None:
    """What passes between sidecars is what `wire.frames` says: the callee opens, data is framed, an end is said."""
    context = authority.client(authority.service("web"), RAW)
    with shake(pair.db.ports["inbound/strict"], context) as caller:
        wire = pair.app.accept()
        wire.send(b"welcome")
        reader = FrameReader()
        pieces = []
        while len(pieces) < 2:
            pieces += reader.feed(caller.socket.recv(65536))
        assert [(kind, bytes(data)) for kind, data in pieces] == [(OPEN, b""), (DATA, b"welcome")]
        caller.send(data_head(3) + b"abc" + END_FRAME)
        assert wire.read_to_end() == b"abc"
        wire.close()
        pieces = []
        while not pieces:
            pieces += reader.feed(caller.socket.recv(65536))
        assert pieces == [(END, b"")]
    pair.app.forget()


@pytest.mark.parametrize(
    "sent",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\xff\xff\xff\xff",
        b"\x02\x00\x00\x00",
        b"\x03\x00\x00\x01x",
    ],
)
def test_what_is_no_frame_ends_it(pair: Pair, authority: Authority, sent: bytes) -> None:
    """A caller that does not keep to the frames, or opens and refuses as only a callee may, is cut off; the app sees
    that, and nobody else is disturbed."""
    context = authority.client(authority.service("web"), RAW)
    with shake(pair.db.ports["inbound/strict"], context) as caller:
        wire = pair.app.accept()
        caller.send(data_head(2) + b"ok" + sent)
        assert caller.read_rest() in (b"", b"\x02\x00\x00\x00")
        with pytest.raises(ConnectionResetError):
            wire.read_to_end()
    pair.db.until(lambda: pair.db.sample().in_flight == 0)
    pair.app.forget()


@pytest.mark.parametrize("sent", [END_FRAME, data_head(1) + b"x", data_head(1)])
def test_nothing_comes_after_the_end(pair: Pair, authority: Authority, sent: bytes) -> None:
    """A caller that goes on after it said that there is no more is cut off, and the app gets nothing of it."""
    with shake(pair.db.ports["inbound/strict"], authority.client(authority.service("web"), RAW)) as caller:
        wire = pair.app.accept()
        caller.send(data_head(2) + b"ok" + END_FRAME)
        assert wire.read_to_end() == b"ok"
        wire.send(b"answer")
        caller.send(sent)
        if sent == data_head(1):
            caller.send(b"x")
        caller.read_rest()
    wire.read_rest()
    pair.db.until(lambda: pair.db.sample().in_flight == 0)
    pair.app.forget()


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (b"\x03\x00\x00\x0bno_endpoint", "no_endpoint"),
        (b"\x03\x00\x00\x0cdenied:a b c", "upstream_connect"),
        (b"\x03\x00\x00\x08nonsense", "upstream_connect"),
        (b"\x03\x00\x00\x00", "upstream_connect"),
        (b"\x00\x00\x00\x01x", "upstream_connect"),
        (b"\x01\x00\x00\x00", "upstream_connect"),
        (b"\x07\x00\x00\x00", "upstream_connect"),
        (b"", "upstream_connect"),
    ],
)
def test_what_a_callee_may_say(
    stack: ExitStack, flexible: LoneProxy, authority: Authority, said: bytes, reason: str
) -> None:
    """Whatever a sidecar says instead of opening, the app is cut off and the reason is one of the vocabulary."""
    context = authority.server(authority.service("db"), RAW)
    listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    proxy = flexible
    proxy.apply(to_db(at(listener.getsockname()[1], mesh=True), retry=Retry(0)))
    at_rest(proxy)
    before = proxy.recorded()
    with proxy.connect("tcp:db") as app:
        listener.settimeout(15)
        with context.wrap_socket(listener.accept()[0], server_side=True) as callee:
            callee.sendall(said)
            if not said:
                callee.close()
            assert app.read_rest() == b""
    assert new_line(proxy, before)["reason"] == reason


def test_reasons_are_the_vocabulary() -> None:
    """The kinds that are refused above are all there are."""
    assert {DATA, END, OPEN, REFUSED} == {0, 1, 2, 3}
