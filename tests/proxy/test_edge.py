"""A listener whose certificate is the mesh's: for clients from outside, who know its root and nothing of the mesh."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from meshctl.model.auth import Auth, ClientCertificate, Need
from meshctl.model.mesh import Gateway, Mesh
from meshctl.model.route import Match, PathMatch, Require, Respond, Route
from tests.conformance.refusals import is_refused
from tests.conformance.wire import Wire

from .lone_proxy import LoneProxy
from .members import Authority, Leaf, spiffe

GET = b"GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n"
EDGE = "gateway/edge"


def certificate(authority: Authority) -> Leaf:
    """What the mesh's CA issues for the hosts of the routes."""
    return authority.issue(dns=("shop.test", "*.shop.test"))


@pytest.fixture
def gateway(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoneProxy]:
    """A gateway with such a listener, which answers by itself."""
    mesh = Mesh(
        trust_domain="shop.mesh", gateway=Gateway(admin="off"), routes=(Route("own", respond=Respond(body="own")),)
    )
    identity = authority.identify("gateway", edge=certificate(authority))
    running = LoneProxy(tmp_path_factory.mktemp("edge"), mesh, EDGE, identity=identity)
    yield running
    assert running.end() == []


def shake(gateway: LoneProxy, authority: Authority, name: str = "shop.test", **versions: ssl.TLSVersion) -> Wire:
    """A connection of a client who verifies the name as anybody would."""
    context = ssl.create_default_context(cadata=authority.bundle.decode())
    for which, version in versions.items():
        setattr(context, which, version)
    end = gateway.connect(EDGE).socket
    try:
        return Wire(context.wrap_socket(end, server_hostname=name))
    except BaseException:
        end.close()
        raise


def serial(client: Wire) -> str:
    """Of the certificate that a client was shown."""
    assert isinstance(client.socket, ssl.SSLSocket)
    shown = client.socket.getpeercert()
    assert shown
    return str(shown["serialNumber"]).lower().lstrip("0")


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_anybody_is_served(gateway: LoneProxy, authority: Authority, version: ssl.TLSVersion) -> None:
    """A client without any certificate is served, over TLS 1.2 as well as 1.3, under each host of the routes."""
    for name in ("shop.test", "www.shop.test"):
        with shake(gateway, authority, name, minimum_version=version, maximum_version=version) as client:
            client.send(GET)
            assert client.read_response().body == b"own"


def test_other_hosts_are_not_proven(gateway: LoneProxy, authority: Authority) -> None:
    """A client that asks for a host of nobody's route learns that it is not here."""
    with pytest.raises(ssl.SSLCertVerificationError):
        shake(gateway, authority, "bank.test").close()


def test_failed_handshakes_are_counted(gateway: LoneProxy, authority: Authority, stranger: Authority) -> None:
    """A client that does not believe the certificate, or sends what is no handshake, is counted by its reason; one in
    the clear is told to use https; others are served."""
    with pytest.raises(ssl.SSLError):
        shake(gateway, stranger).close()
    with gateway.connect(EDGE) as client:
        client.send(b"\x16nonsense")
        assert b"HTTP" not in client.read_rest()
    with gateway.connect(EDGE) as client:
        client.send(GET)
        is_refused(client, 400, "https_required")
    with shake(gateway, authority) as client:
        client.send(GET)
        assert client.read_response().body == b"own"
    for reason in ("tls_refused", "tls_broken", "https_required"):
        assert gateway.refusals(reason, 1) == 1
    assert gateway.sample().handshake_failures == 2


def test_renewed_certificate_serves_the_next_handshake(gateway: LoneProxy, authority: Authority) -> None:
    """A renewed certificate serves the next handshake, without a new socket; connections that stand go on; and an
    identity that comes without one leaves it in place."""
    fresh = certificate(authority)
    with shake(gateway, authority) as old:
        before = serial(old)
        gateway.tell(authority.identify("gateway", edge=fresh, generation=2))
        with shake(gateway, authority) as new:
            assert (serial(new), serial(new) != before) == (fresh.serial, True)
        gateway.tell(authority.identify("gateway", generation=3))
        with shake(gateway, authority) as new:
            assert serial(new) == fresh.serial
        old.send(GET)
        assert old.read_response().body == b"own"


def test_listeners_need_an_identity(authority: Authority, tmp_path: Path) -> None:
    """A worker refuses a revision with a listener of the mesh while it has no identity, and with one for clients from
    outside while it has no certificate for them; it serves both once it has, and goes on meanwhile."""
    routes = (Route("own", respond=Respond(body="own")),)
    running = LoneProxy(tmp_path, Mesh(gateway=Gateway(admin="off"), routes=routes), "gateway")
    assert "needs an identity in the mesh" in running.refusal("inbound/strict")
    assert "needs an identity in the mesh" in running.refusal(EDGE)
    running.tell(authority.identify("gateway"))
    assert "needs a certificate of the mesh's CA" in running.refusal(EDGE)
    assert running.refusal("inbound/strict") == ""
    running.tell(authority.identify("gateway", edge=certificate(authority)))
    assert running.refusal(EDGE) == ""
    with running.connect("gateway") as client:
        client.send(GET)
        assert client.read_response().body == b"own"
    assert running.end() == []


def visit(gateway: LoneProxy, authority: Authority, leaf: Leaf | None, **versions: ssl.TLSVersion) -> Wire:
    """A connection of a client who shows `leaf`, if any."""
    context = authority.client(leaf)
    for which, version in versions.items():
        setattr(context, which, version)
    end = gateway.connect(EDGE).socket
    try:
        return Wire(context.wrap_socket(end))
    except BaseException:
        end.close()
        raise


def asked(client: Wire, path: str) -> tuple[int, bytes]:
    """Status and reason."""
    client.send(b"GET %b HTTP/1.1\r\nHost: shop.test\r\n\r\n" % path.encode())
    answer = client.read_response()
    return answer.status, answer.get("x-meshctl-reason") or b""


def certified(authority: Authority) -> Mesh:
    """Routes for members of the mesh, for one of them, and for anybody."""
    members = Auth("members", certificate=ClientCertificate())
    need, own = Need(("members",)), Respond(body="own")
    routes = (
        Route("open", respond=own),
        Route("members", Match(path=PathMatch(value="/members")), respond=own, auth=need),
        Route(
            "web",
            Match(path=PathMatch(value="/web")),
            respond=own,
            auth=need,
            require=(Require("web", identities=(spiffe("web"),)),),
        ),
    )
    return Mesh(trust_domain="shop.mesh", gateway=Gateway(admin="off"), routes=routes, auth=(members,))


def test_clients_with_certificates(gateway: LoneProxy, authority: Authority, stranger: Authority) -> None:
    """Where a route asks for a certificate of the mesh, clients who show one are known by it; whoever shows none is
    served all the same where none is asked for, and one of another authority is no handshake."""
    gateway.apply(certified(authority))
    with visit(gateway, authority, None) as client:
        assert asked(client, "/") == (200, b"")
        assert asked(client, "/members") == (401, b"unauthenticated")
    with visit(gateway, authority, authority.service("web")) as client:
        assert [asked(client, path) for path in ("/", "/members", "/web", "/members")] == [(200, b"")] * 4
    with visit(gateway, authority, authority.service("orders")) as client:
        assert asked(client, "/members") == (200, b"")
        assert asked(client, "/web") == (403, b"denied:web")
    foreign = stranger.service("web")
    with pytest.raises((ssl.SSLError, ConnectionError, AssertionError)):
        context = stranger.client(foreign)
        context.load_verify_locations(cadata=authority.bundle.decode())
        with Wire(context.wrap_socket(gateway.connect(EDGE).socket)) as client:
            asked(client, "/members")
    gateway.apply(gateway.mesh)


def test_certificates_that_no_longer_hold(gateway: LoneProxy, authority: Authority) -> None:
    """A revoked certificate makes nobody known, and ends the connections that it made; a resumed session makes nobody
    known either, as there is none."""
    gateway.apply(certified(authority))
    leaf = authority.service("web")
    edge = certificate(authority)
    with visit(gateway, authority, leaf) as client:
        assert asked(client, "/members") == (200, b"")
        assert isinstance(client.socket, ssl.SSLSocket)
        assert client.socket.version() == "TLSv1.3"
        assert client.socket.session is None or not client.socket.session.has_ticket
        gateway.tell(authority.identify("gateway", edge=edge, revoked=(leaf.serial,)))
        gateway.ask("commit")
        assert client.read_rest() == b""
    with visit(gateway, authority, leaf) as client:
        assert asked(client, "/members") == (401, b"unauthenticated")
        assert asked(client, "/") == (200, b"")
    gateway.tell(authority.identify("gateway", edge=edge))
    gateway.apply(gateway.mesh)
