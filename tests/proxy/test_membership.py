"""What becomes of open connections when a certificate is revoked or replaced, and that no request notices when all of
them are, under load."""

from __future__ import annotations

import select
import ssl
import threading
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from meshctl import clock
from meshctl.model.mesh import Mesh
from meshctl.model.registration import Registration
from meshctl.model.route import Respond, Route
from meshctl.model.service import Endpoint, Service, Version
from meshctl.proxy.membership import GRACE
from tests.conformance.refusals import is_refused, read_refusal
from tests.conformance.upstream import OK, Upstream
from tests.conformance.wire import Wire, connect

from .lone_proxy import LoneProxy, mesh_of
from .members import Authority, Leaf, MemberUpstream, shake

GET = b"GET / HTTP/1.1\r\nHost: orders\r\n\r\n"
SLOW = b"GET /slow HTTP/1.1\r\nHost: orders\r\n\r\n"
STRICT = "inbound/strict"


# those who call us


@pytest.fixture
def app() -> Iterator[Upstream]:
    """The wrapped app of "orders"."""
    made = Upstream("app")
    yield made
    made.forget()
    made.listener.close()


@pytest.fixture
def sidecar(authority: Authority, app: Upstream, tmp_path: Any) -> Iterator[LoneProxy]:
    """The sidecar of "orders": `/slow` is the app's, everything else it answers itself."""
    local = Service("app", (Version("default", (Endpoint("127.0.0.1", app.port),)),))
    own = Route("own", respond=Respond(body="own"), entry="inbound")
    slow = msgspec.structs.replace(
        Route("slow", service="app", entry="inbound"), match=msgspec.structs.replace(own.match, path=_exact("/slow"))
    )
    running = LoneProxy(tmp_path, mesh_of(local, routes=(slow, own)), STRICT, identity=authority.identify("orders"))
    yield running
    assert running.end() == []


def _exact(path: str) -> Any:
    from meshctl.model.route import PathMatch

    return PathMatch("exact", path)


def call(sidecar: LoneProxy, authority: Authority, leaf: Leaf) -> Wire:
    """A connection with the certificate of `leaf`."""
    return shake(sidecar.ports[STRICT], authority.client(leaf))


def ask(client: Wire) -> bytes | None:
    """One more request; what its answer says of the connection."""
    client.send(GET)
    answer = client.read_response()
    assert answer.body == b"own"
    return answer.get("connection")


def test_revoked_callers_are_cut(sidecar: LoneProxy, authority: Authority, app: Upstream) -> None:
    """Connections of a revoked certificate end at once, idle or busy; new ones are told why; those of others, also of
    the same service, go on as if nothing had happened."""
    bad, good = authority.service("web"), authority.service("web")
    with call(sidecar, authority, bad) as idle, call(sidecar, authority, bad) as busy, \
            call(sidecar, authority, good) as other:  # fmt: skip
        assert (ask(idle), ask(other)) == (None, None)
        busy.send(SLOW)
        wire = app.hear()
        wire.read_request()
        sidecar.tell(authority.identify("orders", revoked=(bad.serial,)))
        # What ends at once has ended when it has done a few other things, whatever the clock says.
        for _ in range(20):
            sidecar.ask("commit")
        ended, _, _ = select.select([idle.socket, busy.socket], [], [], 0)
        assert len(ended) == 2
        assert idle.read_rest() == b""
        assert busy.read_rest() == b""
        assert wire.read_rest() == b""
        assert [ask(other), ask(other)] == [None, None]
    with call(sidecar, authority, bad) as again:
        again.send(GET)
        is_refused(again, 403, "peer_revoked")
    sidecar.tell(authority.identify("orders"))
    with call(sidecar, authority, bad) as pardoned:
        assert ask(pardoned) is None


def test_new_identity_serves_the_next_handshake(sidecar: LoneProxy, authority: Authority) -> None:
    """After a new identity, new connections see its certificate, and those that stand keep theirs."""
    fresh = authority.service("orders")
    with call(sidecar, authority, authority.service("web")) as old:
        assert ask(old) is None
        sidecar.tell(authority.identify("orders", fresh))
        with call(sidecar, authority, authority.service("web")) as new:
            assert ask(new) is None
            assert serial(new) == fresh.serial
        assert serial(old) != fresh.serial
        assert ask(old) is None


def serial(client: Wire) -> str:
    """Of the certificate that a connection was shown."""
    assert isinstance(client.socket, ssl.SSLSocket)
    shown = client.socket.getpeercert()
    assert shown
    return str(shown["serialNumber"]).lower().lstrip("0")


def test_new_bundle_holds_for_the_next_handshake(sidecar: LoneProxy, authority: Authority, stranger: Authority) -> None:
    """Once a root is no longer trusted nobody with its certificates gets in, not with an old session either; once
    another one is, its members do."""
    context = authority.client(authority.service("web"))
    with shake(sidecar.ports[STRICT], context) as client:
        assert ask(client) is None
        assert isinstance(client.socket, ssl.SSLSocket)
        session = client.socket.session
    sidecar.tell(authority.identify("orders", bundle=stranger.bundle))
    for each in (None, session):
        with shake(sidecar.ports[STRICT], context, each) as client:
            client.send(GET)
            assert client.read_rest() == b""
    doubtless = stranger.client(stranger.service("web"))
    doubtless.load_verify_locations(cadata=authority.bundle.decode())
    with shake(sidecar.ports[STRICT], doubtless) as client:
        assert ask(client) is None


def test_identity_that_does_not_load(sidecar: LoneProxy, authority: Authority) -> None:
    """What cannot be used is told, without the key, and what was there before serves on."""
    good = authority.identify("orders")
    with call(sidecar, authority, authority.service("web")) as client:
        before = serial(client)
    bad = msgspec.structs.replace(good, key=authority.service("orders").key)
    sidecar.tell(bad)
    sidecar.tell(msgspec.structs.replace(good, certificate=b"nonsense"))
    sidecar.tell(msgspec.structs.replace(good, bundle=b""))
    with call(sidecar, authority, authority.service("web")) as client:
        assert ask(client) is None
        assert serial(client) == before
    sidecar.sample()
    told = [notice.fields for notice in sidecar.notices if notice.event == "identity_refused"]
    assert len(told) == 3
    assert b"PRIVATE" not in str(told).encode()
    assert "key values mismatch" in told[0]["error"].lower().replace("_", " ")


def test_old_generation_of_callers_ends(sidecar: LoneProxy, authority: Authority, app: Upstream) -> None:
    """When the certificate is replaced, a busy connection gets its answer and is told to close with it; one that is
    used again is told so then; one that stays idle is closed after a while; new ones are kept."""
    web = authority.service("web")
    with call(sidecar, authority, web) as idle, call(sidecar, authority, web) as used, \
            call(sidecar, authority, web) as busy, call(sidecar, authority, web) as begun:  # fmt: skip
        assert [ask(idle), ask(used), ask(busy)] == [None, None, None]
        busy.send(SLOW)
        wire = app.hear()
        wire.read_request()
        begun.send(GET[:10])
        began = clock.monotonic()
        sidecar.tell(authority.identify("orders", generation=2))
        with call(sidecar, authority, web) as new:
            assert [ask(new), ask(new)] == [None, None]
            wire.send(OK)
            answer = busy.read_response()
            assert (answer.body, answer.get("connection")) == (b"ok", b"close")
            assert busy.read_rest() == b""
            begun.send(GET[10:])
            assert begun.read_response().get("connection") == b"close"
            assert begun.read_rest() == b""
            assert ask(used) == b"close"
            assert used.read_rest() == b""
            assert idle.read_to_end() == b""
            assert clock.monotonic() - began >= GRACE - 0.1
            assert [ask(new), ask(new)] == [None, None]


# those whom we call


@pytest.fixture
def orders(authority: Authority) -> Iterator[MemberUpstream]:
    """The sidecar of "orders"."""
    made = MemberUpstream("orders", authority.server(authority.service("orders")))
    yield made
    made.close()


def calling() -> Mesh:
    """A mesh whose gateway sends everything to "orders"."""
    return mesh_of(Service("orders", (Version("default"),)), routes=(Route("all", service="orders"),))


@pytest.fixture
def gateway(authority: Authority, orders: MemberUpstream, tmp_path: Any) -> Iterator[LoneProxy]:
    """A gateway that calls it."""
    running = LoneProxy(tmp_path, calling(), "gateway", identity=authority.identify("gateway"))
    running.apply(calling(), orders.registered())
    yield running
    assert running.end() == []


def through(gateway: LoneProxy, orders: MemberUpstream, wire: Wire | None = None) -> Wire:
    """A request through the gateway, over `wire` or a new connection, which it came over."""
    with gateway.connect("gateway") as client:
        client.send(GET)
        wire = wire or orders.accept()
        wire.read_request()
        wire.send(OK)
        assert client.read_response().body == b"ok"
    return wire


def test_revoked_endpoints_are_cut(gateway: LoneProxy, orders: MemberUpstream, authority: Authority) -> None:
    """Connections to a revoked endpoint end at once, busy ones too; its next request is refused before anything is
    sent, and one with a new certificate is called."""
    bad = authority.service("orders")
    orders.context = authority.server(bad)
    idle = through(gateway, orders)
    with gateway.connect("gateway") as client:
        client.send(GET)
        idle.read_request()
        gateway.tell(authority.identify("gateway", revoked=(bad.serial,)))
        assert idle.read_rest() == b""
        # The request may be repeated, so it was, and met the same one.
        _is_left(orders)
        assert b"is revoked" in read_refusal(client, 502, "upstream_identity").body
    orders.context = authority.server(authority.service("orders"))
    through(gateway, orders)


def _is_left(orders: MemberUpstream) -> None:
    try:
        wire = orders.accept()
    except (ssl.SSLError, ConnectionError):
        return
    assert wire.read_rest() == b""


def test_old_generation_of_calls_ends(gateway: LoneProxy, orders: MemberUpstream, authority: Authority) -> None:
    """When our certificate is replaced, idle connections end at once, a busy one after its answer however long that is,
    and the next request goes over a connection made with the new one."""
    idle = through(gateway, orders)
    with gateway.connect("gateway") as client, gateway.connect("gateway") as other:
        client.send(GET)
        idle.read_request()
        other.send(GET)
        busy = orders.accept()
        busy.read_request()
        busy.send(OK)
        assert other.read_response().body == b"ok"
        fresh = authority.service("gateway")
        gateway.tell(authority.identify("gateway", fresh, generation=2))
        assert busy.read_to_end() == b""
        idle.send(b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n", bytes(200_000))
        idle.send(bytes(100_000))
        assert len(client.read_response().body) == 300_000
        assert idle.read_to_end() == b""
    assert serial(through(gateway, orders)) == fresh.serial


def test_connection_that_is_ending_is_not_used(
    gateway: LoneProxy, orders: MemberUpstream, authority: Authority
) -> None:
    """A request gets a new connection while an old one is still ending, because the endpoint has not said goodbye
    yet."""
    old = through(gateway, orders)
    gateway.tell(authority.identify("gateway", generation=2))
    with gateway.connect("gateway") as client:
        client.send(b"POST / HTTP/1.1\r\nHost: orders\r\nContent-Length: 0\r\n\r\n")
        wire = orders.accept()
        wire.read_request()
        wire.send(OK)
        assert client.read_response().body == b"ok"
    assert old.read_to_end() == b""


# both, under load


class Load(threading.Thread):
    """A client that asks and asks, over one connection; what did not work."""

    def __init__(self, port: int, stop: threading.Event, request: bytes) -> None:
        super().__init__()
        self.failures: list[str] = []
        self.answered = 0
        self._port = port
        self._stop_asked = stop
        self._request = request

    def run(self) -> None:
        """See the class."""
        with connect(("127.0.0.1", self._port)) as client:
            while not self._stop_asked.is_set():
                client.send(self._request)
                answer = client.read_response()
                self.answered += 1
                if answer.body != b"own":
                    self.failures.append(f"{answer.status} {answer.get('x-meshctl-reason')!r} {answer.body!r}")


def test_rotation_under_load(authority: Authority, tmp_path: Any) -> None:
    """New keys and certificates at both sides, again and again, while requests of all kinds pass: none fails."""
    own = Route("own", respond=Respond(body="own"), entry="inbound")
    callee = LoneProxy(
        _made(tmp_path / "callee"), mesh_of(routes=(own,)), STRICT, identity=authority.identify("orders")
    )
    caller = LoneProxy(_made(tmp_path / "caller"), calling(), "gateway", identity=authority.identify("gateway"))
    caller.apply(calling(), Registration("orders", "default", "127.0.0.1", callee.ports[STRICT], "p", 1, "m", 0.0))
    stop = threading.Event()
    post = b"POST / HTTP/1.1\r\nHost: orders\r\nContent-Length: 2\r\n\r\nhi"
    clients = [Load(caller.ports["gateway"], stop, request) for request in (GET, post, post, GET)]
    for client in clients:
        client.start()
    try:
        for generation in range(2, 14):
            for proxy, service in ((callee, "orders"), (caller, "gateway")):
                proxy.tell(authority.identify(service, generation=generation))
                _wait_for_more(clients, 40)
    finally:
        stop.set()
        for client in clients:
            client.join()
    assert [client.failures for client in clients] == [[]] * 4
    assert all(client.answered > 50 for client in clients)
    # Each change had its own connections.
    connects = next(each.connects for each in caller.sample().services if each.service == "orders")
    assert set(connects) == {"ok"}
    assert connects["ok"] >= 12
    assert [caller.end(), callee.end()] == [[], []]


def _wait_for_more(clients: list[Load], count: int) -> None:
    """Returns once they have had so many more answers."""
    seen = sum(client.answered for client in clients)
    LoneProxy.until(lambda: sum(client.answered for client in clients) > seen + count)


def _made(folder: Any) -> Any:
    folder.mkdir()
    return folder
