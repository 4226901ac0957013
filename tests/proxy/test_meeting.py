"""Whom this proxy believes when it calls another sidecar: a member that proves to be the service that is meant. Nobody
else sees a byte of a request."""

from __future__ import annotations

import ssl
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from meshctl.model.mesh import Mesh
from meshctl.model.policy import HealthCheck, Retry
from meshctl.model.route import Route
from meshctl.model.service import Service, Version
from meshctl.wire.frames import OPEN_FRAME, data_head
from tests.conformance.refusals import read_refusal
from tests.conformance.upstream import OK, Upstream
from tests.conformance.wire import Wire

from .lone_proxy import LoneProxy, mesh_of
from .members import HTTP, RAW, Authority, MemberUpstream, spiffe

GET = b"GET /items HTTP/1.1\r\nHost: orders\r\n\r\n"


def calling(**settings: Any) -> Mesh:
    """A mesh whose gateway sends everything to "orders"; no request is sent twice."""
    service = Service("orders", (Version("default"),), **settings)
    once = Route("once", service="orders", retry=Retry(attempts=0))
    raw = Route("raw", service="orders", retry=Retry(attempts=0), entry="tcp:orders")
    return mesh_of(service, routes=(once, raw))


@pytest.fixture(scope="module")
def gateway(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoneProxy]:
    """A gateway with an identity."""
    folder = tmp_path_factory.mktemp("gateway")
    running = LoneProxy(folder, calling(), "gateway", "tcp:orders", identity=authority.identify("gateway"))
    yield running
    assert running.end() == []


@pytest.fixture
def orders(authority: Authority, gateway: LoneProxy) -> Iterator[MemberUpstream]:
    """The sidecar of "orders", which the gateway calls."""
    made = MemberUpstream("orders", authority.server(authority.service("orders")))
    gateway.apply(calling(), made.registered())
    yield made
    made.close()


def connects(gateway: LoneProxy) -> Counter[str]:
    """How its connections to "orders" fared so far."""
    return Counter(next((each.connects for each in gateway.sample().services if each.service == "orders"), {}))


def refused(gateway: LoneProxy, orders: MemberUpstream) -> bytes:
    """Sends a request that must not reach the endpoint; what the client is told."""
    with gateway.connect("gateway") as client:
        client.send(GET)
        _is_left(orders)
        return read_refusal(client, 502, "upstream_identity").body


def test_a_member_is_called(gateway: LoneProxy, orders: MemberUpstream) -> None:
    """A member that is the service gets requests over a connection that is kept, and sees who calls it: the gateway, by
    a certificate of its own, in TLS 1.3 and HTTP/1.1, without a name in the clear."""
    before = connects(gateway)
    named: list[str | None] = []
    orders.context.sni_callback = lambda _socket, name, _context: named.append(name)
    with gateway.connect("gateway") as client:
        client.send(GET)
        wire, _ = orders.serve(OK)
        assert client.read_response().body == b"ok"
        assert isinstance(wire.socket, ssl.SSLSocket)
        shown = wire.socket.getpeercert()
        assert shown
        assert ("URI", spiffe("gateway")) in shown["subjectAltName"]
        assert (wire.socket.version(), wire.socket.selected_alpn_protocol()) == ("TLSv1.3", HTTP)
        for _ in range(3):
            client.send(GET)
            wire.read_request()
            wire.send(OK)
            assert client.read_response().body == b"ok"
    assert named == [None]
    assert connects(gateway) - before == {"ok": 1}


def test_clients_cannot_name_themselves(gateway: LoneProxy, orders: MemberUpstream) -> None:
    """What a client of the gateway says of its identity never passes, whatever way its head is read."""
    claim = b"X-Meshctl-Identity: spiffe://shop.mesh/service/bank\r\n"
    with gateway.connect("gateway") as client:
        client.send(b"GET / HTTP/1.1\r\nHost: orders\r\n" + claim + b"\r\n")
        wire, request = orders.serve(OK)
        assert request.all("x-meshctl-identity") == []
        client.read_response()
        for method, rest in ((b"POST", b"Content-Length: 0\r\n"), (b"GET", b"Connection: x-meshctl-identity\r\n")):
            client.send(method + b" / HTTP/1.1\r\nHost: orders\r\n" + claim.lower() + rest + b"\r\n")
            assert wire.read_request().all("x-meshctl-identity") == []
            wire.send(OK)
            client.read_response()


LOOKALIKES: dict[str, tuple[tuple[str, ...], dict[str, Any], str, str]] = {
    "another service": ((spiffe("bank"),), {}, "peer_unexpected", 'is \\"bank\\", not \\"orders\\"'),
    "another mesh": (("spiffe://other.mesh/service/orders",), {}, "peer_foreign", "trust domain"),
    "nobody": ((), {"dns": ("orders.shop.mesh",)}, "peer_no_identity", "no URI name"),
    "two": ((spiffe("orders"), spiffe("bank")), {}, "peer_no_identity", "2 URI names"),
    "expired": ((spiffe("orders"),), {"days": (-2, -1)}, "peer_expired", "expired"),
    "an authority": (
        (spiffe("orders"),),
        {"ca": True, "usage": ("digital_signature", "key_cert_sign")},
        "peer_unfit",
        "authority",
    ),
    "signs certificates": (
        (spiffe("orders"),),
        {"usage": ("digital_signature", "key_cert_sign")},
        "peer_unfit",
        "keyCertSign",
    ),
    "no server": (
        (spiffe("orders"),),
        {"extended": (ExtendedKeyUsageOID.CLIENT_AUTH,)},
        "peer_unfit",
        "purpose",
    ),
}


@pytest.mark.parametrize("case", LOOKALIKES)
def test_lookalikes_are_not_called(gateway: LoneProxy, orders: MemberUpstream, authority: Authority, case: str) -> None:
    """An endpoint that does not prove to be the service sees no byte of a request; the client is told why, it is
    counted and told by reason; and the right one is called again as soon as it is there."""
    uris, options, reason, said = LOOKALIKES[case]
    right, orders.context = orders.context, authority.server(authority.issue(*uris, **options))
    before = connects(gateway)
    assert said in refused(gateway, orders).decode()
    assert connects(gateway) - before == {reason: 1}
    assert any(notice.event == "endpoint_refused" and notice.fields["reason"] == reason for notice in gateway.notices)
    orders.context = right
    with gateway.connect("gateway") as client:
        client.send(GET)
        orders.serve(OK)
        assert client.read_response().body == b"ok"


def test_another_root_is_not_called(gateway: LoneProxy, orders: MemberUpstream, stranger: Authority) -> None:
    """An endpoint with a certificate of an unknown authority sees no byte of a request."""
    orders.context = stranger.server(stranger.service("orders"))
    before = connects(gateway)
    refused(gateway, orders)
    assert connects(gateway) - before == {"peer_unknown_authority": 1}


def test_no_protocol_agreed_on(gateway: LoneProxy, orders: MemberUpstream) -> None:
    """A member that agrees on no protocol is spoken to in HTTP/1.1."""
    orders.context.set_alpn_protocols(["h2"])
    with gateway.connect("gateway") as client:
        client.send(GET)
        wire, _ = orders.serve(OK)
        assert isinstance(wire.socket, ssl.SSLSocket)
        assert wire.socket.selected_alpn_protocol() is None
        assert client.read_response().body == b"ok"


@pytest.mark.parametrize("agrees", [True, False])
def test_raw_bytes_are_agreed_on(gateway: LoneProxy, orders: MemberUpstream, agrees: bool) -> None:
    """Raw bytes go only to a member that agreed on them in the handshake: any other would read them as something
    else."""
    orders.context.set_alpn_protocols([RAW] if agrees else [HTTP])
    with gateway.connect("tcp:orders") as client:
        client.send(b"hello")
        if agrees:
            wire = orders.accept()
            wire.send(OPEN_FRAME)
            assert wire.read_exactly(9) == data_head(5) + b"hello"
        else:
            _is_left(orders)
            assert client.read_rest() == b""


def test_old_protocol_is_not_spoken(gateway: LoneProxy, orders: MemberUpstream) -> None:
    """An endpoint that speaks TLS 1.2 at most is not spoken to."""
    orders.context.maximum_version = ssl.TLSVersion.TLSv1_2
    with gateway.connect("gateway") as client:
        client.send(GET)
        with pytest.raises((ssl.SSLError, ConnectionError)):
            orders.accept()
        read_refusal(client, 502, "upstream_tls")


def test_plain_endpoint_is_not_called(gateway: LoneProxy, orders: MemberUpstream) -> None:
    """An endpoint that speaks plain HTTP sees the beginning of a handshake and no request."""
    with gateway.connect("gateway") as client:
        client.send(GET)
        wire = Upstream.accept(orders)
        assert wire.read_exactly(1) == b"\x16"
        wire.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        read_refusal(client, 502, "upstream_tls")


def test_endpoint_that_does_not_take_us(gateway: LoneProxy, orders: MemberUpstream, stranger: Authority) -> None:
    """An endpoint that does not believe this proxy's certificate is an endpoint that could not be reached."""
    orders.context = stranger.server(stranger.service("orders"))
    orders.context.set_alpn_protocols([HTTP])
    with gateway.connect("gateway") as client:
        client.send(GET)
        with pytest.raises((ssl.SSLError, ConnectionError)):
            orders.accept()
        answer = client.read_response()
        assert answer.status == 502


def test_without_identity(authority: Authority, tmp_path: Any) -> None:
    """A proxy that has no identity calls no member, and says that it is its own fault; once it has one, it does."""
    orders = MemberUpstream("orders", authority.server(authority.service("orders")))
    running = LoneProxy(tmp_path, calling(), "gateway")
    running.apply(calling(), orders.registered())
    with running.connect("gateway") as client:
        client.send(GET)
        assert b"this proxy has no identity" in read_refusal(client, 502, "upstream_identity").body
        assert connects(running) == {"no_identity": 1}
        running.tell(authority.identify("gateway"))
        client.send(GET)
        orders.serve(OK)
        assert client.read_response().body == b"ok"
    orders.close()
    assert running.end() == []


def test_the_right_one_of_two_is_called(gateway: LoneProxy, orders: MemberUpstream, authority: Authority) -> None:
    """A request whose first endpoint is no member goes to another one, for nothing of it was sent."""
    fake = MemberUpstream("orders", authority.server(authority.service("bank")))
    service = Service("orders", (Version("default"),))
    mesh = mesh_of(service, routes=(Route("all", service="orders"),))
    gateway.apply(mesh, orders.registered(), fake.registered())
    answers = []
    for _ in range(4):
        with gateway.connect("gateway") as client:
            client.send(b"POST / HTTP/1.1\r\nHost: orders\r\nContent-Length: 2\r\n\r\nhi")
            answers.append(_serve_either(client, orders, fake))
    assert answers == [b"ok"] * 4
    fake.close()


def _serve_either(client: Wire, orders: MemberUpstream, fake: MemberUpstream) -> bytes:
    """Plays both endpoints until the client has its answer."""
    import select

    while True:
        watched = [client.socket, orders.listener, fake.listener, *(each.socket for each in orders._accepted)]
        ready, _, _ = select.select(watched, [], [], 15)
        assert ready
        if client.socket in ready:
            return client.read_response().body
        if fake.listener in ready:
            _is_left(fake)
        if orders.listener in ready:
            orders.accept()
        for wire in orders._accepted:
            if wire.socket in ready:
                assert wire.read_request().body == b"hi"
                wire.send(OK)


def _is_left(fake: MemberUpstream) -> None:
    """Accepts a connection of a caller that leaves as soon as it sees whom it has met."""
    try:
        wire = fake.accept()
    except (ssl.SSLError, ConnectionError):
        return
    assert wire.read_rest() == b""


@pytest.mark.parametrize(("owner", "state"), [("orders", "healthy"), ("bank", "unhealthy")])
def test_health_checks_meet_members(authority: Authority, gateway: LoneProxy, owner: str, state: str) -> None:
    """A health check of a sidecar asks over mutual TLS, and one that is not the service's is not healthy."""
    orders = MemberUpstream("orders", authority.server(authority.service(owner)))
    check = HealthCheck(path="/healthz", interval=0.1, timeout=30.0, unhealthy=1)
    gateway.notices.clear()
    gateway.apply(calling(health=check), orders.registered())
    for _ in range(3):
        if state == "unhealthy":
            _is_left(orders)
            continue
        wire = orders.accept()
        assert wire.read_request().target == b"/healthz"
        wire.send(OK)
        assert wire.read_rest() == b""
        wire.close()
        orders._accepted.remove(wire)
    gateway.apply(calling())
    told = [notice.fields["reason"] for notice in gateway.notices if notice.event == "endpoint_unhealthy"]
    expected = f'127.0.0.1:{orders.port}: the endpoint is "bank", not "orders"'
    assert told == ([] if state == "healthy" else [expected])
    orders.close()
