"""Who gets in at a sidecar's inbound listener: members of the mesh, by what their certificate proves, and nobody else.
Each refusal has its reason, and disturbs nobody."""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from meshctl.model.mesh import Mesh
from meshctl.model.route import Route
from meshctl.model.service import Endpoint, Service, Version
from meshctl.wire.frames import OPEN_FRAME, FrameReader, data_head, refused_frame
from tests.conformance.refusals import is_refused
from tests.conformance.upstream import OK, Upstream
from tests.conformance.wire import Wire

from .lone_proxy import LoneProxy, mesh_of
from .members import DOMAIN, HTTP, RAW, Authority, Leaf, shake, spiffe

GET = b"GET /items HTTP/1.1\r\nHost: orders\r\n\r\n"
ONLY_SERVER = (ExtendedKeyUsageOID.SERVER_AUTH,)


@pytest.fixture(scope="module")
def app() -> Iterator[Upstream]:
    """The wrapped app of "orders"."""
    made = Upstream("app")
    yield made
    made.forget()
    made.listener.close()


@pytest.fixture(scope="module")
def sidecar(authority: Authority, app: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoneProxy]:
    """The sidecar of "orders", whose inbound listener is strict."""
    identity = authority.identify("orders")
    running = LoneProxy(tmp_path_factory.mktemp("sidecar"), inbound(app), "inbound/strict", identity=identity)
    yield running
    assert running.end() == []


def inbound(app: Upstream, **settings: Any) -> Mesh:
    """The mesh of a sidecar that passes everything on to `app`."""
    local = Service("app", (Version("default", (Endpoint("127.0.0.1", app.port),)),))
    return mesh_of(local, routes=(Route("inbound", service="app", entry="inbound"),), **settings)


def call(sidecar: LoneProxy, authority: Authority, leaf: Leaf | None, *protocols: str) -> Wire:
    """A connection with the certificate of `leaf`."""
    return shake(sidecar.ports["inbound/strict"], authority.client(leaf, *protocols))


def is_served(sidecar: LoneProxy, authority: Authority, app: Upstream) -> bool:
    """Whether a good member gets its answer."""
    with call(sidecar, authority, authority.service("web")) as client:
        client.send(GET)
        wire = app.hear()
        wire.read_request()
        wire.send(OK)
        return client.read_response().body == b"ok"


def test_a_member_is_served(sidecar: LoneProxy, authority: Authority, app: Upstream) -> None:
    """A member's request reaches the app with the member's identity and what it said of those it speaks for, and
    nothing is added to that; what it says of its own identity is not believed."""
    with call(sidecar, authority, authority.service("web")) as client:
        client.send(
            b"GET /items HTTP/1.1\r\nHost: orders\r\nX-Forwarded-For: 203.0.113.7\r\nx-forwarded-proto: https\r\n"
            b"Forwarded: for=203.0.113.7\r\nVia: 1.1 meshctl\r\nX-Meshctl-Identity: spiffe://shop.mesh/service/bank\r\n"
            b"X-Meshctl-Mirror: 1\r\nX-Other: kept\r\n\r\n"
        )
        wire = app.hear()
        request = wire.read_request()
        assert request.all("x-meshctl-identity") == [spiffe("web").encode()]
        assert request.get("x-forwarded-for") == b"203.0.113.7"
        assert request.get("x-forwarded-proto") == b"https"
        assert request.get("x-forwarded-host") is None
        assert request.get("forwarded") == b"for=203.0.113.7"
        assert request.get("via") == b"1.1 meshctl"
        assert request.get("x-meshctl-mirror") == b"1"
        assert request.get("x-other") == b"kept"
        wire.send(OK)
        assert client.read_response().body == b"ok"


def test_forwarding_fields_are_not_made_up(sidecar: LoneProxy, authority: Authority, app: Upstream) -> None:
    """A member that speaks for nobody brings no forwarding fields to the app, and the next request's own ones count."""
    with call(sidecar, authority, authority.service("web")) as client:
        for said in (b"", b"X-Forwarded-For: 203.0.113.9\r\n", b""):
            client.send(b"GET / HTTP/1.1\r\nHost: orders\r\n" + said + b"\r\n")
            wire = app.hear()
            request = wire.read_request()
            assert request.get("x-forwarded-for") == (b"203.0.113.9" if said else None)
            assert request.get("via") is None
            assert request.get("x-meshctl-identity") == spiffe("web").encode()
            wire.send(OK)
            client.read_response()


def test_an_identity_in_trailers_does_not_pass(sidecar: LoneProxy, authority: Authority, app: Upstream) -> None:
    """What a client says of its identity behind a body is dropped as in a head."""
    with call(sidecar, authority, authority.service("web")) as client:
        client.send(
            b"POST / HTTP/1.1\r\nHost: orders\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"1\r\nx\r\n0\r\nX-Meshctl-Identity: spiffe://shop.mesh/service/bank\r\nX-Sum: 1\r\n\r\n"
        )
        wire = app.hear()
        request = wire.read_request()
        assert request.trailers == ((b"X-Sum", b"1"),)
        assert request.all("x-meshctl-identity") == [spiffe("web").encode()]
        wire.send(OK)
        client.read_response()


def is_logged(sidecar: LoneProxy, reason: str) -> bool:
    """Waits until a connection that was refused for `reason` stands in the access log, without any status."""
    count = 1
    while True:
        lines = sidecar.lines(count)
        if any((line["reason"], line["status"]) == (reason, 0) for line in lines):
            return True
        count = len(lines) + 1


def test_nobody_names_itself_in_the_clear(authority: Authority, app: Upstream, tmp_path: Path) -> None:
    """A client that a permissive listener takes in the clear has no identity, whatever it says, and its address is told
    to the app as a gateway would."""
    running = LoneProxy(tmp_path, inbound(app), "inbound/permissive", identity=authority.identify("orders"))
    with running.connect("inbound/permissive") as client:
        client.send(
            b"GET / HTTP/1.1\r\nHost: orders\r\nX-Meshctl-Identity: spiffe://shop.mesh/service/bank\r\n"
            b"X-Forwarded-For: 203.0.113.7\r\nX-Meshctl-Mirror: 1\r\n\r\n"
        )
        wire = app.hear()
        request = wire.read_request()
        assert request.get("x-meshctl-identity") is None
        assert request.get("x-meshctl-mirror") is None
        assert request.get("x-forwarded-for") == b"127.0.0.1"
        assert request.get("x-forwarded-proto") == b"http"
        wire.send(OK)
        client.read_response()
    assert running.end() == []


# refused in the handshake, by OpenSSL


def refused_contexts(authority: Authority, stranger: Authority) -> dict[str, ssl.SSLContext]:
    """Contexts of clients that must not get in, and the reason that is counted for each."""
    old = authority.client(authority.service("web"))
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    foreign = authority.client(stranger.service("web"))
    doubting = stranger.client(authority.service("web"))
    me = spiffe("web")
    return {
        "nobody: peer_no_certificate": authority.client(None),
        "another root: peer_unknown_authority": foreign,
        "old protocol: tls_version": old,
        "doubting: tls_refused": doubting,
        "expired: peer_expired": authority.client(authority.issue(me, days=(-2, -1))),
        "not yet valid: peer_expired": authority.client(authority.issue(me, days=(1, 2))),
        "signs certificates: peer_unfit": authority.client(
            authority.issue(me, usage=("digital_signature", "key_cert_sign"))
        ),
        "no client: peer_unfit": authority.client(authority.issue(me, extended=ONLY_SERVER)),
    }


REFUSED = (
    "nobody: peer_no_certificate",
    "another root: peer_unknown_authority",
    "old protocol: tls_version",
    "doubting: tls_refused",
    "expired: peer_expired",
    "not yet valid: peer_expired",
    "signs certificates: peer_unfit",
    "no client: peer_unfit",
)


@pytest.mark.parametrize("case", REFUSED)
def test_refused_in_the_handshake(
    sidecar: LoneProxy, authority: Authority, stranger: Authority, app: Upstream, case: str
) -> None:
    """A client that OpenSSL does not let in gets no byte through, is counted and logged with its reason, and disturbs
    nobody."""
    reason = case.partition(": ")[2]
    context = refused_contexts(authority, stranger)[case]
    before, failures = sidecar.refusals(reason, 0), sidecar.sample().handshake_failures
    # A client of TLS 1.3 learns of it only when it reads.
    try:
        with shake(sidecar.ports["inbound/strict"], context) as client:
            client.send(GET)
            assert client.read_rest() == b""
    except (ssl.SSLError, ConnectionError):
        pass
    assert is_served(sidecar, authority, app)
    assert sidecar.refusals(reason, before + 1) == before + 1
    assert sidecar.sample().handshake_failures == failures + 1
    assert is_logged(sidecar, reason)
    assert any(notice.event == "handshake_failed" and notice.fields["reason"] == reason for notice in sidecar.notices)


@pytest.mark.parametrize(
    "data",
    [
        b"\x16" + b"nonsense" * 20,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 600,
        b"\x16\x03\x01\xff\xff" + bytes(70_000),
        b"\x16\x03\x01\x00\x00" * 100,
    ],
)
def test_hostile_bytes_instead_of_a_handshake(
    sidecar: LoneProxy, authority: Authority, app: Upstream, data: bytes
) -> None:
    """Bytes that begin like a handshake and are none end the connection, are counted, and disturb nobody."""
    before = sidecar.refusals("tls_broken", 0)
    with sidecar.connect("inbound/strict") as client:
        try:
            client.send(data)
        except ConnectionError:
            pass
        answer = client.read_rest()
        assert b"HTTP" not in answer
    assert is_served(sidecar, authority, app)
    assert sidecar.refusals("tls_broken", before + 1) == before + 1


def test_client_that_leaves_in_the_handshake(sidecar: LoneProxy, authority: Authority, app: Upstream) -> None:
    """A client that goes away in the middle of its handshake is counted as gone; one that says nothing is nobody."""
    before = sidecar.refusals("tls_gone", 0)
    sidecar.connect("inbound/strict").close()
    with sidecar.connect("inbound/strict") as client:
        client.send(b"\x16\x03")
    assert is_served(sidecar, authority, app)
    assert sidecar.refusals("tls_gone", before + 1) == before + 1


# let in by OpenSSL, refused by us


@pytest.mark.parametrize(
    ("uris", "options", "reason"),
    [
        ((), {}, "peer_no_identity"),
        ((), {"dns": ("web.shop.mesh",)}, "peer_no_identity"),
        ((spiffe("web"), spiffe("bank")), {}, "peer_no_identity"),
        ((f"spiffe://{DOMAIN}",), {}, "peer_no_identity"),
        ((f"spiffe://{DOMAIN}/user/ann",), {}, "peer_no_identity"),
        (("https://shop.mesh/service/web",), {}, "peer_no_identity"),
        (("spiffe://other.mesh/service/web",), {}, "peer_foreign"),
        ((spiffe("web"),), {"ca": True, "usage": ("digital_signature", "key_cert_sign")}, "peer_unfit"),
        ((spiffe("web"),), {"usage": ("key_agreement", "digital_signature", "crl_sign")}, "peer_unfit"),
        ((spiffe("web"),), {"extended": (ExtendedKeyUsageOID.CLIENT_AUTH,)}, "peer_unfit"),
    ],
)
def test_no_member_in_spite_of_a_valid_chain(
    sidecar: LoneProxy, authority: Authority, app: Upstream, uris: tuple[str, ...], options: dict[str, Any], reason: str
) -> None:
    """A caller whose chain holds but who is no member is told why on its first request and let go; the app hears
    nothing of it."""
    before = sidecar.series("").reasons.get(reason, (0,) * 6)[4]
    with call(sidecar, authority, authority.issue(*uris, **options)) as client:
        client.send(GET)
        is_refused(client, 403, reason)
    assert app.is_silent()
    assert is_served(sidecar, authority, app)
    assert sidecar.series("").reasons[reason][4] == before + 1
    assert any(notice.event == "peer_refused" and notice.fields["reason"] == reason for notice in sidecar.notices)


def test_a_body_of_no_member_goes_nowhere(sidecar: LoneProxy, authority: Authority, app: Upstream) -> None:
    """The body of a request that is refused for its sender is not read on: the refusal comes, then the end."""
    with call(sidecar, authority, authority.issue()) as client:
        client.send(b"POST / HTTP/1.1\r\nHost: orders\r\nContent-Length: 10000000\r\n\r\n" + bytes(1000))
        assert client.read_response().status == 403
        client.read_rest()
    assert app.is_silent()


def test_sessions_are_not_resumed(sidecar: LoneProxy, authority: Authority, app: Upstream) -> None:
    """A caller that offers the session of its last connection is judged anew: a session would outlive what admitted
    it."""
    context = authority.client(authority.service("web"))
    port = sidecar.ports["inbound/strict"]
    session = None
    for _ in range(2):
        with shake(port, context, session) as client:
            assert isinstance(client.socket, ssl.SSLSocket)
            client.send(GET)
            wire = app.hear()
            wire.read_request()
            wire.send(OK)
            client.read_response()
            assert client.socket.session_reused is False
            session = client.socket.session
            assert session is not None
            assert not session.has_ticket


def s_client(sidecar: LoneProxy, authority: Authority, *options: str) -> str:
    """What `openssl s_client` says of a connection with the certificate of "web", over which it sends a request."""
    leaf = authority.service("web")
    authority.client(leaf)
    file = str(authority.folder / f"{leaf.serial}.pem")
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{sidecar.ports['inbound/strict']}", "-cert", file, "-key",
               file, "-cert_chain", file, "-CAfile", str(authority.file), "-ign_eof", *options]  # fmt: skip
    request = b"GET / HTTP/1.1\r\nHost: nobody\r\nBroken\r\n\r\n"
    done = subprocess.run(command, input=request, capture_output=True, timeout=60, check=False)
    return (done.stdout + done.stderr).decode("latin-1")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl on this machine")
def test_openssl_agrees(sidecar: LoneProxy, authority: Authority, tmp_path: Path) -> None:
    """OpenSSL's own client verifies the chain, is asked for its certificate, gets no ticket, and is never let back in
    by a session; with TLS 1.2 it is not let in at all."""
    saved = str(tmp_path / "session")
    first = s_client(sidecar, authority, "-sess_out", saved)
    assert "Verify return code: 0 (ok)" in first
    assert "New, TLSv1.3" in first
    assert "HTTP/1.1 400 Bad Request" in first
    assert "TLS session ticket" not in first
    if os.path.exists(saved):
        assert "Reused" not in s_client(sidecar, authority, "-sess_in", saved)
    old = s_client(sidecar, authority, "-tls1_2")
    assert "HTTP/1.1" not in old
    assert "alert" in old or "no peer certificate available" in old


@pytest.mark.parametrize("protocols", [(), ("h2",), ("h2", HTTP)])
def test_callers_agree_on_http(
    sidecar: LoneProxy, authority: Authority, app: Upstream, protocols: tuple[str, ...]
) -> None:
    """A caller that names no protocol, or others beside HTTP/1.1, is spoken to in HTTP/1.1."""
    context = authority.client(authority.service("web"))
    context.set_alpn_protocols(list(protocols))
    with shake(sidecar.ports["inbound/strict"], context) as client:
        client.send(GET)
        wire = app.hear()
        wire.read_request()
        wire.send(OK)
        assert client.read_response().body == b"ok"


# raw bytes


def test_a_member_is_relayed(sidecar: LoneProxy, authority: Authority, app: Upstream) -> None:
    """A caller that agreed on raw bytes is relayed to the app in frames, where the app speaks no HTTP."""
    before = sidecar.mesh
    (local,) = before.services
    sidecar.apply(msgspec.structs.replace(before, services=(msgspec.structs.replace(local, protocol="tcp"),)))
    with call(sidecar, authority, authority.service("web"), RAW) as client:
        assert client.read_exactly(len(OPEN_FRAME)) == OPEN_FRAME
        client.send(data_head(5) + b"hello")
        wire = app.hear()
        assert wire.read_exactly(5) == b"hello"
        wire.send(b"HELLO")
        pieces = FrameReader().feed(client.read_exactly(len(data_head(5)) + 5))
        assert b"".join(bytes(piece) for _, piece in pieces) == b"HELLO"
    app.forget()
    sidecar.apply(before)


def test_no_member_is_not_relayed(sidecar: LoneProxy, authority: Authority, app: Upstream) -> None:
    """A caller that is no member is told so in a frame, and the app hears nothing of it."""
    before = sidecar.refusals("peer_foreign", 0)
    with call(sidecar, authority, authority.issue("spiffe://other.mesh/service/web"), RAW) as client:
        expected = refused_frame("peer_foreign")
        assert client.read_exactly(len(expected)) == expected
        assert client.read_rest() == b""
    assert app.is_silent()
    assert sidecar.refusals("peer_foreign", before + 1) == before + 1
